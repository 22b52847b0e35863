//! The text as the model reads it: split into lines and bounded pieces, then normalised.
//!
//! Owns: what counts as a line, and what is folded together before features are taken.
//! Refuses: meaning. Any bytes are a text; time and memory are linear in their number.

/// Longest piece in bytes. A longer line is cut, so that one line of a megabyte is judged in windows as
/// many lines would be.
const LONGEST_PIECE: usize = 1024;

/// Shortest run of base64 or hexadecimal letters that is folded into one mark. Names and paths are shorter.
const SHORTEST_BLOB: usize = 80;

/// Stands for a run of base64 or hexadecimal letters.
const BLOB: u8 = 0x01;
/// Stands for a run of `\x..` escapes.
const ESCAPES: u8 = 0x02;
/// Stands for a run of bytes beyond ASCII.
const FOREIGN: u8 = 0x80;

/// A line, or a part of a line that is too long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// The bytes, without the line's end.
    pub(crate) bytes: &'a [u8],
    /// The line, counted from 1; unknown behind a gap in the text.
    pub(crate) line: Option<u32>,
    /// Whether this piece starts its line.
    pub(crate) starts_line: bool,
}

/// The pieces of one part of a text. `numbered` says whether the part starts the text.
pub(crate) fn pieces(part: &[u8], numbered: bool) -> impl Iterator<Item = Piece<'_>> {
    let part = part.strip_prefix(b"\xef\xbb\xbf").unwrap_or(part);
    part.split(|&byte| byte == b'\n').enumerate().flat_map(move |(index, line)| {
        let number = u32::try_from(index + 1).ok().filter(|_| numbered);
        cut(line).enumerate().map(move |(position, bytes)| Piece {
            bytes,
            line: number,
            starts_line: position == 0,
        })
    })
}

/// Cuts a line into pieces of bounded length, behind a separator where one is near the end.
fn cut(mut line: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if line.is_empty() {
            return None;
        }
        let mut end = line.len().min(LONGEST_PIECE);
        if end < line.len() {
            let near_end = end - LONGEST_PIECE / 4;
            if let Some(separator) =
                line[near_end..end].iter().rposition(|byte| matches!(byte, b';' | b' ' | b',' | b'|'))
            {
                end = near_end + separator + 1;
            }
        }
        let (piece, rest) = line.split_at(end);
        line = rest;
        Some(piece)
    })
}

/// Writes the piece as features see it: lower case; runs of blanks, digits, escapes, foreign bytes and
/// encoded data each folded into one byte; carriage returns and NULs left out. `out` is cleared first and
/// starts with a line feed where the piece starts its line, so that features know a line's beginning.
pub(crate) fn normalise(piece: Piece<'_>, out: &mut Vec<u8>) {
    out.clear();
    if piece.starts_line {
        out.push(b'\n');
    }
    let bytes = piece.bytes;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (mark, length) = match byte {
            b'\r' | 0 => (None, 1),
            b' ' | b'\t' | 0x0b | 0x0c => {
                (Some(b' '), run(&bytes[at..], |b| matches!(b, b' ' | b'\t' | 0x0b | 0x0c)))
            }
            b'\\' if bytes.get(at + 1) == Some(&b'x') => (Some(ESCAPES), escapes(&bytes[at..])),
            0x80.. => (Some(FOREIGN), run(&bytes[at..], |b| b >= 0x80)),
            _ if is_blob_letter(byte) => {
                let length = run(&bytes[at..], is_blob_letter);
                if length < SHORTEST_BLOB {
                    fold_word(&bytes[at..at + length], out);
                    (None, length)
                } else {
                    (Some(BLOB), length)
                }
            }
            _ => (Some(byte), 1),
        };
        out.extend(mark);
        at += length;
    }
}

/// Lower-cases a word and folds each run of digits into one zero.
fn fold_word(word: &[u8], out: &mut Vec<u8>) {
    for &byte in word {
        if !byte.is_ascii_digit() {
            out.push(byte.to_ascii_lowercase());
        } else if out.last() != Some(&b'0') {
            out.push(b'0');
        }
    }
}

fn is_blob_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn run(bytes: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !holds(byte)).unwrap_or(bytes.len())
}

/// Length of a run of `\xHH`, at least 2.
fn escapes(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let [b'\\', b'x', rest @ ..] = &bytes[length..] {
        length += 2 + run(&rest[..rest.len().min(2)], |byte| byte.is_ascii_hexdigit());
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[&str]) {
        let mut out = Vec::new();
        let seen: Vec<String> = pieces(text, true)
            .map(|piece| {
                normalise(piece, &mut out);
                String::from_utf8_lossy(&out).into_owned()
            })
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn case_blanks_digits_and_line_ends_do_not_matter() {
        check(b"\xef\xbb\xbfIF  x\t== 4444:\r\n  GET('10.0.0.1')", &["\nif x == 0:", "\n get('0.0.0.0')"]);
    }

    #[test]
    fn encoded_data_is_one_mark() {
        check(format!("f('{}')", "QUJD".repeat(40)).as_bytes(), &["\nf('\u{1}')"]);
        check(br"s='\x41\x42'", &["\ns='\u{2}'"]);
    }

    #[test]
    fn a_long_line_is_cut_and_keeps_its_number() {
        let text = format!("a\n{}", "echo hello; ".repeat(500));
        let found: Vec<_> = pieces(text.as_bytes(), true).collect();
        assert!(found.len() > 5);
        assert!(found.iter().all(|piece| piece.bytes.len() <= LONGEST_PIECE));
        assert!(found[1..].iter().all(|piece| piece.line == Some(2)));
        assert_eq!(found.iter().filter(|piece| piece.starts_line).count(), 2);
    }
}
