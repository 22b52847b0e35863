//! Which files of an image's layer a container would see: those that no later layer replaces or removes.
//!
//! The format is OCI's image specification, `layer.md`: `.wh.NAME` removes NAME, `.wh..wh..opq` removes all that
//! earlier layers have in its folder.

use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// A path, as the first half of its SHA-256: an image has many, and nobody can make two of them meet.
pub(crate) type Key = [u8; 16];

/// What the layers that were read hide from those below. Layers are read from the last to the first.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// These paths and all below them.
    covered: HashSet<Key>,
    /// All below these paths.
    emptied: HashSet<Key>,
    /// Of the layer that is being read, which does not hide its own files.
    new_covered: Vec<Key>,
    new_emptied: Vec<Key>,
}

/// What an entry of a layer is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file that a container sees.
    Seen,
    /// A file that a later layer replaces or removes.
    Hidden,
    /// A mark that removes something.
    Whiteout,
}

impl Hidden {
    /// Takes in an entry that is no folder.
    pub(crate) fn entry(&mut self, path: &[u8]) -> Entry {
        let parts = normal(path);
        let Some((name, folder)) = parts.split_last() else { return Entry::Whiteout };
        if *name == b".wh..wh..opq" {
            self.new_emptied.push(key(folder));
            return Entry::Whiteout;
        }
        if let Some(removed) = name.strip_prefix(b".wh.") {
            let mut path = folder.to_vec();
            path.push(removed);
            self.new_covered.push(key(&path));
            return Entry::Whiteout;
        }
        let is_hidden = self.hides(&parts);
        self.new_covered.push(key(&parts));
        if is_hidden { Entry::Hidden } else { Entry::Seen }
    }

    /// The layer is read; the next one lies below it.
    pub(crate) fn next_layer(&mut self) {
        self.covered.extend(self.new_covered.drain(..));
        self.emptied.extend(self.new_emptied.drain(..));
    }

    fn hides(&self, parts: &[&[u8]]) -> bool {
        (0..=parts.len()).any(|length| {
            let Some(prefix) = parts.get(..length) else { return false };
            let key = key(prefix);
            (length > 0 && self.covered.contains(&key))
                || (length < parts.len() && self.emptied.contains(&key))
        })
    }
}

/// What stands for a path, however it is written.
pub(crate) fn key_of(path: &[u8]) -> Key {
    key(&normal(path))
}

/// The parts of a path, with `.` and `..` resolved as below a root.
fn normal(path: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

fn key(parts: &[&[u8]]) -> Key {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
        hasher.update(b"/");
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers from the last to the first; entries are written as they are expected, `+` seen and `-` hidden.
    #[track_caller]
    fn check(layers: &[&[&str]]) {
        let mut hidden = Hidden::default();
        for layer in layers {
            for entry in *layer {
                let (mark, path) = entry.split_at(1);
                let expected = match mark {
                    "+" => Entry::Seen,
                    "-" => Entry::Hidden,
                    _ => Entry::Whiteout,
                };
                assert_eq!(hidden.entry(path.as_bytes()), expected, "{path}");
            }
            hidden.next_layer();
        }
    }

    #[test]
    fn a_whiteout_hides_what_lies_below_and_not_what_lies_beside() {
        check(&[&[" a/.wh.b"], &["-a/b", "-./a/b/c", "+a/bc", "+b", "-a/x/../b"]]);
        check(&[&["+a/b", " a/.wh.b"], &["-a/b"]]);
    }

    #[test]
    fn an_opaque_folder_hides_its_former_content() {
        check(&[&["+a/new", " a/.wh..wh..opq"], &["-a/old", "-a/x/y", "+b/a/z"]]);
        check(&[&[" .wh..wh..opq"], &["-anything"]]);
    }

    #[test]
    fn a_later_file_replaces_an_earlier_one_and_a_folder() {
        check(&[&["+a"], &["-a", "-a/b"], &["-/a"]]);
    }
}
