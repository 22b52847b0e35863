//! Escaped letters read as what they say: `\x63\165rl` is `curl` to the interpreter.
//!
//! Owns: which escapes are decoded: `\xHH`, `\OOO` and `\uHHHH` of printable ASCII, wherever they stand.
//! Refuses: quotes, backslashes, `#`, `$` and line ends, so that neither quoting nor lines change.

use super::words::run;

/// Escapes next to each other that are worth a mark: nobody writes that many letters so by hand.
const TELLING_RUN: usize = 4;

/// A text with its escaped letters decoded.
pub(super) struct Decoded {
    pub(super) text: Vec<u8>,
    /// Where runs of many of them begin in `text`.
    pub(super) runs: Vec<usize>,
}

/// Decodes a text; none where it has nothing to decode.
pub(super) fn decode(text: &[u8]) -> Option<Decoded> {
    memchr::memchr_iter(b'\\', text).find(|&at| letter(&text[at..]).is_some())?;
    let mut decoded = Decoded { text: Vec::with_capacity(text.len()), runs: Vec::new() };
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\\', &text[at..]) {
        decoded.text.extend_from_slice(&text[at..at + length]);
        at += length;
        let start = decoded.text.len();
        while let Some((letter, length)) = letter(&text[at..]) {
            decoded.text.push(letter);
            at += length;
        }
        if decoded.text.len() - start >= TELLING_RUN {
            decoded.runs.push(start);
        }
        if text.get(at) == Some(&b'\\') {
            let end = text.len().min(at + 2);
            decoded.text.extend_from_slice(&text[at..end]);
            at = end;
        }
    }
    decoded.text.extend_from_slice(&text[at..]);
    Some(decoded)
}

/// The letter that an escape at the start stands for, and the escape's length.
fn letter(rest: &[u8]) -> Option<(u8, usize)> {
    let (digits, radix, length) = match rest {
        [b'\\', b'x', ..] => (rest.get(2..4)?, 16, 4),
        [b'\\', b'u', ..] => (rest.get(2..6)?, 16, 6),
        [b'\\', b'0'..=b'1', ..] => (rest.get(1..4)?, 8, 4),
        _ => return None,
    };
    if run(digits, |byte| char::from(byte).is_digit(radix)) < digits.len() {
        return None;
    }
    let value = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    let letter = u8::try_from(value).ok()?;
    let is_plain = matches!(letter, b' '..=b'~') && !b"'\"\\`#$".contains(&letter);
    is_plain.then_some((letter, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let decoded = decode(text.as_bytes()).map_or(text.as_bytes().to_vec(), |decoded| decoded.text);
        assert_eq!(String::from_utf8_lossy(&decoded), expected);
    }

    #[test]
    fn long_runs_are_marked() {
        let runs = |text: &str| decode(text.as_bytes()).map(|decoded| decoded.runs);
        assert_eq!(runs(r"a '\x63\x75\x72\x6c' '\x41'"), Some(vec![3]));
        assert_eq!(runs("plain"), None);
    }

    #[test]
    fn letters_are_decoded_and_what_has_a_meaning_of_its_own_stays() {
        check(r"os.system('\x63\165\u0072l')", "os.system('curl')");
        check(r"$'\x63\x75\x72\x6c' -s", "$'curl' -s");
        check(r"'\x27\x22\x5c\x0a\x00\xff\101'", r"'\x27\x22\x5c\x0a\x00\xffA'");
        check(r"'\\x63 \1 \x6'", r"'\\x63 \1 \x6'");
        check(r"\", r"\");
    }
}
