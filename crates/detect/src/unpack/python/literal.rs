//! String literals as Python reads them: prefixes, quotes, escapes.

use std::borrow::Cow;

/// A literal's content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal {
    /// UTF-8 for text.
    pub(super) content: Vec<u8>,
    pub(super) is_bytes: bool,
    /// Whether much of it was written as escapes of characters that need none.
    pub(super) is_escaped: bool,
}

/// The prefix's letters and the text between the quotes. A literal whose end is missing goes to the end.
pub(super) fn parts(source: &[u8]) -> Option<(&[u8], &[u8])> {
    let quote_at = source.iter().take(3).position(|byte| matches!(byte, b'\'' | b'"'))?;
    let (prefix, quoted) = source.split_at(quote_at);
    if !prefix.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let &quote = quoted.first()?;
    let triple = [quote; 3];
    let mark: &[u8] =
        if quoted.len() >= 6 && quoted.starts_with(&triple) { &triple } else { triple.get(..1)? };
    let body = quoted.strip_prefix(mark)?;
    Some((prefix, body.strip_suffix(mark).unwrap_or(body)))
}

/// The content of a whole literal, `b'\x41'`.
pub(super) fn decode(source: &[u8]) -> Option<Literal> {
    let (prefix, body) = parts(source)?;
    let has = |letter: u8| prefix.iter().any(|byte| byte.eq_ignore_ascii_case(&letter));
    let is_bytes = has(b'b');
    if has(b'r') {
        return Some(Literal { content: body.to_vec(), is_bytes, is_escaped: false });
    }
    let (content, needless) = unescape(body, is_bytes);
    let is_escaped = needless >= 4 && needless * 4 >= content.len();
    Some(Literal { content: content.into_owned(), is_bytes, is_escaped })
}

/// Resolves escapes, and counts those of printable ASCII characters.
pub(in crate::unpack) fn unescape(body: &[u8], is_bytes: bool) -> (Cow<'_, [u8]>, usize) {
    let Some(first) = memchr::memchr(b'\\', body) else { return (Cow::Borrowed(body), 0) };
    let (clean, mut rest) = body.split_at(first);
    let mut out = clean.to_vec();
    let mut needless = 0;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'\\' {
            let length = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
            let (plain, tail) = rest.split_at(length);
            out.extend_from_slice(plain);
            rest = tail;
            continue;
        }
        let (taken, code) = escape(after, is_bytes, &mut out);
        if code.is_some_and(|code| (0x20..0x7f).contains(&code)) {
            needless += 1;
        }
        rest = after.get(taken..).unwrap_or_default();
    }
    (Cow::Owned(out), needless)
}

/// Resolves what stands behind a backslash: how many bytes it takes, and its code where it was written as a number.
fn escape(after: &[u8], is_bytes: bool, out: &mut Vec<u8>) -> (usize, Option<u32>) {
    let Some(&letter) = after.first() else {
        out.push(b'\\');
        return (0, None);
    };
    let simple = match letter {
        b'\n' => return (1, None),
        b'\r' => return (if after.get(1) == Some(&b'\n') { 2 } else { 1 }, None),
        b'\\' | b'\'' | b'"' => letter,
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'0'..=b'7' => return number(after, 0, 3, 8, is_bytes, out),
        b'x' => return number(after, 1, 2, 16, is_bytes, out),
        b'u' if !is_bytes => return number(after, 1, 4, 16, false, out),
        b'U' if !is_bytes => return number(after, 1, 8, 16, false, out),
        _ => {
            out.extend([b'\\', letter]);
            return (1, None);
        }
    };
    out.push(simple);
    (1, None)
}

fn number(
    after: &[u8],
    skip: usize,
    most: usize,
    radix: u32,
    is_bytes: bool,
    out: &mut Vec<u8>,
) -> (usize, Option<u32>) {
    let digits = after.iter().skip(skip).take(most).take_while(|byte| char::from(**byte).is_digit(radix));
    let (count, code) = digits.fold((0, 0_u32), |(count, code), &byte| {
        (count + 1, code.wrapping_mul(radix).wrapping_add(char::from(byte).to_digit(radix).unwrap_or(0)))
    });
    if count == 0 {
        out.push(b'\\');
        return (0, None);
    }
    if is_bytes {
        out.push(u8::try_from(code & 0xff).unwrap_or(0));
    } else {
        let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend(letter.encode_utf8(&mut [0; 4]).bytes());
    }
    (skip + count, Some(code))
}
