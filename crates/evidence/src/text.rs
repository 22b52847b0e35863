//! Text that somebody else wrote, and how it is shown without doing harm.

use bstr::{BStr, BString, ByteSlice};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// Bytes from a container: a path, an argument, a script. Kept as they were found, shown escaped.
///
/// In JSON it is a string where the bytes are UTF-8 and a list of numbers where they are not; on the
/// wire it is the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Untrusted(pub Vec<u8>);

/// Shows bytes on one line of a terminal: control characters, invalid UTF-8, line ends and the characters
/// that reorder or hide text are written as escapes, all else as it is.
pub fn escape(bytes: &[u8]) -> Escaped<'_> {
    Escaped { text: bytes.as_bstr(), keep_lines: false }
}

/// As [`escape`], but line feeds and tabs stay: for text of several lines.
pub fn escape_lines(bytes: &[u8]) -> Escaped<'_> {
    Escaped { text: bytes.as_bstr(), keep_lines: true }
}

/// See [`escape`].
#[derive(Clone, Copy)]
pub struct Escaped<'a> {
    text: &'a BStr,
    keep_lines: bool,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (start, end, character) in self.text.char_indices() {
            match character {
                char::REPLACEMENT_CHARACTER if self.text[start..end] != *b"\xef\xbf\xbd" => {
                    for byte in self.text[start..end].bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                }
                '\n' | '\t' if self.keep_lines => write!(f, "{character}")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                _ if is_harmful(character) => write!(f, "\\u{{{:x}}}", u32::from(character))?,
                _ => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

/// Characters that steer a terminal, or make text read otherwise than it is: controls, bidirectional
/// overrides and isolates (Unicode TR 36), zero-width characters, line and paragraph separators, tags.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl Untrusted {
    /// The bytes as text, each invalid sequence replaced by U+FFFD; for formats that escape by themselves.
    pub fn to_text(&self) -> String {
        self.0.to_str_lossy().into_owned()
    }
}

impl Deref for Untrusted {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Untrusted {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Untrusted {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<BString> for Untrusted {
    fn from(text: BString) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&self.0).fmt(f)
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Untrusted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if serializer.is_human_readable() => serializer.serialize_str(text),
            Err(_) if serializer.is_human_readable() => serializer.collect_seq(&self.0),
            _ => serializer.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Untrusted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(BytesVisitor)
        } else {
            deserializer.deserialize_byte_buf(BytesVisitor)
        }
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Untrusted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Untrusted, E> {
        Ok(text.into())
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Untrusted, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Untrusted, E> {
        Ok(Untrusted(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Untrusted, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(Untrusted(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(escape(bytes).to_string(), expected);
    }

    #[test]
    fn ordinary_text_is_shown_as_it_is() {
        check(b"/usr/bin/python3", "/usr/bin/python3");
        check("실행 スクリプト \u{fffd}".as_bytes(), "실행 スクリプト \u{fffd}");
    }

    #[test]
    fn text_that_steers_a_terminal_is_escaped() {
        check(b"a\x1b[2Jb", "a\\u{1b}[2Jb");
        check(b"one\ntwo\r\tthree\x7f", "one\\ntwo\\r\\tthree\\u{7f}");
        check("\u{9b}31m".as_bytes(), "\\u{9b}31m");
        assert_eq!(escape_lines(b"a\n\tb\x1b").to_string(), "a\n\tb\\u{1b}");
    }

    #[test]
    fn text_that_hides_or_reorders_is_escaped() {
        check("a\u{202e}b\u{200b}c\u{feff}".as_bytes(), "a\\u{202e}b\\u{200b}c\\u{feff}");
    }

    #[test]
    fn invalid_utf_8_is_escaped_byte_by_byte() {
        check(b"caf\xe9 \xff\xfe", "caf\\xe9 \\xff\\xfe");
    }

    #[test]
    fn bytes_survive_json_whatever_they_are() {
        for bytes in [&b"text"[..], b"\xff\x00\n", b""] {
            let before = Untrusted::from(bytes);
            let json = serde_json::to_string(&before).unwrap();
            assert_eq!(serde_json::from_str::<Untrusted>(&json).unwrap(), before, "{json}");
        }
        assert_eq!(serde_json::to_string(&Untrusted::from("text")).unwrap(), "\"text\"");
    }

    proptest::proptest! {
        #[test]
        fn nothing_escaped_steers_a_terminal(bytes: Vec<u8>) {
            let shown = escape(&bytes).to_string();
            proptest::prop_assert!(!shown.chars().any(is_harmful));
        }
    }
}
