//! The text in lines and bounded pieces.
//!
//! Owns: what counts as a line.
//! Refuses: meaning. Any bytes are a text; time and memory are linear in their number.

/// Longest piece in bytes. A longer line is cut, so that one line of a megabyte is judged in windows as
/// many lines would be.
const LONGEST_PIECE: usize = 1024;

/// A line, or a part of a line that is too long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// The bytes, without the line's end.
    pub(crate) bytes: &'a [u8],
    /// Where it begins in its part.
    pub(crate) at: usize,
    /// The line, counted from 1; unknown behind a gap in the text.
    pub(crate) line: Option<u32>,
}

/// The pieces of one part of a text. `numbered` says whether the part starts the text.
pub(crate) fn pieces(part: &[u8], numbered: bool) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    part.split(|&byte| byte == b'\n').enumerate().flat_map(move |(index, line)| {
        let line_number = u32::try_from(index + 1).ok().filter(|_| numbered);
        let mut start = at;
        at += line.len() + 1;
        cut(line).map(move |bytes| {
            let piece = Piece { bytes, at: start, line: line_number };
            start += bytes.len();
            piece
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_and_keeps_its_number_and_its_place() {
        let text = format!("a\n{}", "echo hello; ".repeat(500));
        let found: Vec<_> = pieces(text.as_bytes(), true).collect();
        assert!(found.len() > 5);
        for piece in &found {
            assert!(piece.bytes.len() <= LONGEST_PIECE);
            assert_eq!(&text.as_bytes()[piece.at..piece.at + piece.bytes.len()], piece.bytes);
        }
        assert!(found[1..].iter().all(|piece| piece.line == Some(2)));
    }
}
