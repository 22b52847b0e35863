//! A script's text, kept in bounded memory however long it is.

use evidence::Sha256;
use sha2::Digest;
use std::io::{self, Read};

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// The kept parts of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The beginning, or all of it.
    pub head: Vec<u8>,
    /// The end; empty where `head` is all.
    pub tail: Vec<u8>,
    /// Bytes of the whole.
    pub size: u64,
    /// Hash of the whole.
    pub sha256: Sha256,
}

impl Text {
    /// All of `bytes`, or their head and tail where they are more than `limit`.
    pub fn of(mut bytes: Vec<u8>, limit: usize) -> Self {
        let (size, sha256) = (bytes.len() as u64, Sha256::of(&bytes));
        let mut tail = Vec::new();
        if bytes.len() > limit {
            tail = bytes.split_off(bytes.len() - limit / 2);
            bytes.truncate(limit - limit / 2);
            bytes.shrink_to_fit();
        }
        Self { head: bytes, tail, size, sha256 }
    }

    /// Reads a stream to its end and keeps at most `limit` bytes of it. A stream that fails gives what came
    /// before, and the error.
    pub fn read(stream: &mut dyn Read, limit: usize) -> (Self, Option<io::Error>) {
        let mut kept = Kept::new(limit);
        let mut chunk = vec![0; CHUNK];
        let error = loop {
            match stream.read(&mut chunk) {
                Ok(0) => break None,
                Ok(read) => kept.push(chunk.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        (kept.finish(), error)
    }

    /// Bytes between head and tail.
    pub fn omitted(&self) -> u64 {
        self.size - (self.head.len() + self.tail.len()) as u64
    }

    /// Head and tail, as a detector takes them.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        (&self.head, &self.tail)
    }
}

/// A text that is being read.
struct Kept {
    limit: usize,
    /// Up to `limit` bytes, until it is known that there are more.
    head: Vec<u8>,
    /// At least the last half of `limit`, and at most twice that.
    tail: Vec<u8>,
    size: u64,
    hasher: sha2::Sha256,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self { limit, head: Vec::new(), tail: Vec::new(), size: 0, hasher: sha2::Sha256::new() }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.hasher.update(bytes);
        let room = self.limit.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        self.tail.extend_from_slice(rest);
        let half = self.limit / 2;
        if self.tail.len() > self.limit + CHUNK {
            self.tail.drain(..self.tail.len() - half);
        }
    }

    fn finish(mut self) -> Text {
        if !self.tail.is_empty() {
            let half = self.limit / 2;
            let mut end = self.head.split_off(self.head.len() - half);
            end.append(&mut self.tail);
            end.drain(..end.len() - half);
            self.tail = end;
        }
        Text {
            head: self.head,
            tail: self.tail,
            size: self.size,
            sha256: Sha256(self.hasher.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways of making a text agree, and keep what they should.
    #[track_caller]
    fn check(size: usize, limit: usize, head: usize, tail: usize) {
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (text, error) = Text::read(&mut bytes.as_slice(), limit);
        assert!(error.is_none());
        assert_eq!(text, Text::of(bytes.clone(), limit));
        assert_eq!((text.head.len(), text.tail.len()), (head, tail));
        assert!(bytes.starts_with(&text.head) && bytes.ends_with(&text.tail));
        assert_eq!((text.size, text.sha256), (size as u64, Sha256::of(&bytes)));
        assert_eq!(text.omitted(), (size - head - tail) as u64);
    }

    #[test]
    fn a_text_up_to_the_limit_is_whole() {
        check(0, 100, 0, 0);
        check(1, 100, 1, 0);
        check(100, 100, 100, 0);
    }

    #[test]
    fn a_longer_text_is_head_and_tail() {
        check(101, 100, 50, 50);
        check(150, 101, 51, 50);
        check(1 << 20, 1000, 500, 500);
        check((1 << 20) + 77, 300_000, 150_000, 150_000);
        check(10, 1, 1, 0);
        check(10, 0, 0, 0);
    }

    #[test]
    fn a_stream_that_fails_gives_what_came_before() {
        struct Broken(u8);
        impl Read for Broken {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(io::ErrorKind::Interrupted.into()),
                    2 => (&b"ab"[..]).read(out),
                    _ => Err(io::Error::other("damaged")),
                }
            }
        }
        let (text, error) = Text::read(&mut Broken(0), 100);
        assert_eq!(text.head, b"ab");
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some("damaged"));
    }
}
