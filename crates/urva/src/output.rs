//! Writing to people and machines: the terminal's width, JSON that is safe on a terminal too.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// Columns where the output is no terminal.
const DEFAULT_WIDTH: usize = 120;

/// Columns of the terminal that standard output is, or of a wide page.
pub(crate) fn width() -> usize {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).max(60),
        _ => DEFAULT_WIDTH,
    }
}

/// Whether somebody who was reading the output has stopped, as `head` does: no error.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let from_json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind).or(from_json);
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}

/// Writes a value as JSON over several lines, and a line end.
pub(crate) fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Ascii(PrettyFormatter::new())))?;
    out.write_all(b"\n")
}

/// Writes a value as JSON on one line.
pub(crate) fn write_json_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Ascii(CompactFormatter)))?;
    out.write_all(b"\n")
}

/// Writes each character beyond ASCII as `\uXXXX`. JSON itself escapes only the first 32 control characters, so
/// that others (C1 controls, bidirectional overrides) would steer a terminal on which somebody looks at the JSON.
struct Ascii<F>(F);

impl<F: Formatter> Formatter for Ascii<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for part in fragment.split_inclusive(|character: char| !is_plain(character)) {
            let plain = part.trim_end_matches(|character: char| !is_plain(character));
            out.write_all(plain.as_bytes())?;
            let mut units = [0; 2];
            for character in part[plain.len()..].chars() {
                for unit in character.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }
    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }
    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }
    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }
    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }
    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

fn is_plain(character: char) -> bool {
    character.is_ascii() && character != '\x7f'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        write_json_line(&mut out, &text).unwrap();
        assert_eq!(String::from_utf8(out.clone()).unwrap(), format!("\"{expected}\"\n"));
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn json_is_ascii_and_reads_back() {
        check("plain", "plain");
        check("\x1b[2J\n\"\\", "\\u001b[2J\\n\\\"\\\\");
        check("a\u{9b}b\u{202e}\x7fc", "a\\u009bb\\u202e\\u007fc");
        check("실행😀!", "\\uc2e4\\ud589\\ud83d\\ude00!");
    }

    #[test]
    fn a_reader_that_left_is_recognised() {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&anyhow::Error::from(gone()).context("list")));
        assert!(is_broken_pipe(&anyhow::Error::from(serde_json::Error::io(gone()))));
        assert!(!is_broken_pipe(&anyhow::Error::from(io::Error::from(io::ErrorKind::NotFound))));
    }
}
