//! Lines of bounded length.

use std::io::{self, BufRead};

/// What came of reading a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// The line is whole; its line feed is not part of it.
    Whole,
    /// The line is longer than the limit; the rest of it was passed over.
    TooLong,
    /// There is no further line.
    End,
}

/// Reads the next line into `line`, which is cleared first and never holds more than `limit` bytes.
pub(crate) fn read_line(stream: &mut dyn BufRead, limit: usize, line: &mut Vec<u8>) -> io::Result<LineEnd> {
    line.clear();
    let mut is_too_long = false;
    let mut has_begun = false;
    loop {
        let available = match stream.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() && !has_begun {
            return Ok(LineEnd::End);
        }
        has_begun = true;
        let feed = available.iter().position(|&byte| byte == b'\n');
        let part = available.get(..feed.unwrap_or(available.len())).unwrap_or_default();
        is_too_long |= line.len() + part.len() > limit;
        if is_too_long {
            line.clear();
        } else {
            line.extend_from_slice(part);
        }
        let at_end = available.is_empty() || feed.is_some();
        let used = part.len() + usize::from(feed.is_some());
        stream.consume(used);
        if at_end {
            return Ok(if is_too_long { LineEnd::TooLong } else { LineEnd::Whole });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn check(text: &[u8], expected: &[(LineEnd, &[u8])]) {
        for capacity in [1, 3, 100] {
            let mut stream = BufReader::with_capacity(capacity, text);
            let mut line = Vec::new();
            let mut found = Vec::new();
            loop {
                match read_line(&mut stream, 4, &mut line).unwrap() {
                    LineEnd::End => break,
                    end => found.push((end, line.clone())),
                }
            }
            let found: Vec<_> = found.iter().map(|(end, line)| (*end, line.as_slice())).collect();
            assert_eq!(found, expected, "a buffer of {capacity}");
        }
    }

    #[test]
    fn lines_end_at_line_feeds_and_at_the_end() {
        use LineEnd::{TooLong, Whole};
        check(b"", &[]);
        check(b"\n", &[(Whole, b"")]);
        check(b"ab\n\ncd", &[(Whole, b"ab"), (Whole, b""), (Whole, b"cd")]);
        check(b"abcd\nabcde\nx\n", &[(Whole, b"abcd"), (TooLong, b""), (Whole, b"x")]);
        check(b"abcdefghijk", &[(TooLong, b"")]);
    }
}
