//! Python as its grammar can bear it. The grammar's scanner is C code that takes three things badly, and the parser's
//! count of operations sees none of them.
//!
//! Owns: what is blanked or refused before parsing. Refuses: syntax.

use std::borrow::Cow;
use std::collections::HashSet;

/// Most widths of indentation. CPython refuses more than 100 levels. The scanner keeps them in 1,024 bytes at two each,
/// writes past the end and aborts the process where they do not fit.
const MOST_INDENTS: usize = 200;

/// Shortest run of empty continuation lines that is shortened to one. The scanner looks from each of them past all that
/// follow, so a run takes quadratic time.
const LONG_RUN: usize = 8;

/// Longest run of lines of comment that is parsed with its comments.
const LONGEST_COMMENT: usize = 2_000;

/// The text without comments, which the scanner looks past from each of them too, and without long runs of empty
/// continuation lines, behind which lines are counted too low. Length stays. None where it is indented in too many ways.
pub(super) fn bearable(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if indents(text) > MOST_INDENTS {
        return None;
    }
    let mut text = crate::terms::python_without_comments(text);
    for (start, end) in long_runs(&text) {
        if let Some(run) = text.to_mut().get_mut(start..end) {
            run.fill(b' ');
        }
    }
    Some(text)
}

/// Whether the grammar bears the text as it is, comments included, in a time that is nearly linear.
pub fn is_bearable(text: &[u8]) -> bool {
    indents(text) <= MOST_INDENTS && long_runs(text).is_empty() && longest_comment(text) <= LONGEST_COMMENT
}

/// Most lines, one behind the other, that hold nothing but a comment or blanks.
fn longest_comment(text: &[u8]) -> usize {
    let (mut longest, mut run) = (0, 0);
    for line in text.split(|&byte| byte == b'\n') {
        run = match line.trim_ascii_start().first() {
            Some(b'#') | None => run + 1,
            Some(_) => 0,
        };
        longest = longest.max(run);
    }
    longest
}

/// How many widths of indentation there are, counted as the scanner counts them. Its stack only ever grows upwards, so it
/// holds no more.
fn indents(text: &[u8]) -> usize {
    let mut widths = HashSet::<u16, foldhash::fast::RandomState>::default();
    let mut width = 0_u16;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\n' => width = 0,
            b' ' => width = width.wrapping_add(1),
            b'\t' => width = width.wrapping_add(8),
            b'\r' | 0x0c => width = 0,
            b'\\' if continuation(text, at) > 0 => at += continuation(text, at) - 1,
            _ => {
                widths.insert(width);
                at = line_end(text, at);
                continue;
            }
        }
        at += 1;
    }
    widths.len()
}

/// Where the line ends, with the lines that continue it.
fn line_end(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'\n', b'\\', text.get(at..).unwrap_or_default()) {
        at += found;
        if text.get(at) == Some(&b'\n') {
            return at;
        }
        at += continuation(text, at).max(1);
    }
    text.len()
}

/// Runs of empty continuation lines, without the last line of each.
fn long_runs(text: &[u8]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', text.get(at..).unwrap_or_default()) {
        let start = at + found;
        let (mut end, mut last, mut count) = (start, start, 0);
        loop {
            let length = continuation(text, end);
            if length == 0 {
                break;
            }
            last = end;
            count += 1;
            end += length;
            let rest = text.get(end..).unwrap_or_default();
            end += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | 0x0c)).count();
        }
        if count >= LONG_RUN {
            runs.push((start, last));
        }
        at = end.max(start + 1);
    }
    runs
}

/// Length of a backslash with the line end behind it; 0 where there is none.
fn continuation(text: &[u8], at: usize) -> usize {
    match text.get(at..).unwrap_or_default() {
        [b'\\', b'\n', ..] => 2,
        [b'\\', b'\r', b'\n', ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_counted_once_and_continuations_go_on() {
        assert_eq!(indents(b"a\n  b\n  c\n\td\n"), 3);
        assert_eq!(indents(b"a\n \\\n b\n"), 2);
        assert_eq!(indents(b""), 0);
    }

    #[test]
    fn only_long_runs_of_continuations_are_shortened() {
        let check = |text: &[u8], expected: &[u8]| assert_eq!(bearable(text).unwrap(), expected);
        check(b"x = 1 + \\\n  \\\n  2", b"x = 1 + \\\n  \\\n  2");
        let long = [&b"x = "[..], &b"\\\n".repeat(LONG_RUN), b"1"].concat();
        let short = [&b"x = "[..], &b" ".repeat(2 * LONG_RUN - 2), b"\\\n1"].concat();
        check(&long, &short);
    }

    #[test]
    fn what_the_grammar_bears_whole() {
        let check = |text: &[u8], expected| assert_eq!(is_bearable(text), expected);
        check(b"# a\n\n  # b\nx = 1 \\\n + 2 # c\n", true);
        check(&b"  # c\n".repeat(LONGEST_COMMENT - 1), true);
        check(&b"# c\n\n".repeat(LONGEST_COMMENT), false);
        check(&[&b"x = "[..], &b"\\\n".repeat(LONG_RUN), b"1"].concat(), false);
    }

    #[test]
    fn too_many_widths_are_refused() {
        let steps = |count: usize| {
            (0..count).flat_map(|at| [&b" ".repeat(at)[..], b"if x:\n"].concat()).collect::<Vec<_>>()
        };
        assert!(bearable(&steps(MOST_INDENTS)).is_some());
        assert!(bearable(&steps(MOST_INDENTS + 1)).is_none());
        assert!(is_bearable(&steps(MOST_INDENTS)) && !is_bearable(&steps(MOST_INDENTS + 1)));
    }
}
