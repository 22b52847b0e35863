//! Reads a script's bytes as its interpreter does: which codec, which line ends, which identifiers are the same.
//!
//! Owns: [`read`]. Refuses: failing. Bytes that the codec does not know stay or become U+FFFD, and
//! [`Reading::is_lossy`] says so. Lines stay lines: what was on line 12 is on line 12.

use encoding_rs::Encoding;
use evidence::Language;
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// A text as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<'t> {
    /// UTF-8, but for bytes that were kept because nobody knows what they mean.
    pub text: Cow<'t, [u8]>,
    /// The codec's name, in lower case: `utf-8`, `utf-7`, `rot13`, ….
    pub codec: Cow<'static, str>,
    /// Whether some bytes had no meaning in that codec.
    pub is_lossy: bool,
    /// What the bytes are.
    pub form: Form,
}

/// What a script's bytes turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// Python's compiled code, `.pyc`.
    Bytecode,
    /// An ELF file.
    Elf,
}

/// Longest identifier that is normalised.
const LONGEST_IDENTIFIER: usize = 1024;

/// Reads the text. Borrows where nothing changes.
pub fn read(language: Language, bytes: &[u8]) -> Reading<'_> {
    let form = match bytes {
        [0x7f, b'E', b'L', b'F', ..] => Form::Elf,
        _ if language == Language::Python && crate::unpack::marshal::is_pyc(bytes) => Form::Bytecode,
        _ => Form::Text,
    };
    if form != Form::Text {
        return Reading { text: Cow::Borrowed(bytes), codec: Cow::Borrowed("binary"), is_lossy: false, form };
    }
    let (text, codec, is_lossy) = decoded(language, bytes);
    let text = with_line_feeds(text);
    let text = if language == Language::Python { with_same_identifiers(text) } else { text };
    Reading { text, codec, is_lossy, form }
}

fn decoded(language: Language, bytes: &[u8]) -> (Cow<'_, [u8]>, Cow<'static, str>, bool) {
    // The marks of UTF-32 start with those of UTF-16, so they come first.
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe\0\0") {
        let (text, is_lossy) = utf32(rest, u32::from_le_bytes);
        return (Cow::Owned(text), Cow::Borrowed("utf-32le"), is_lossy);
    }
    if let Some(rest) = bytes.strip_prefix(b"\0\0\xfe\xff") {
        let (text, is_lossy) = utf32(rest, u32::from_be_bytes);
        return (Cow::Owned(text), Cow::Borrowed("utf-32be"), is_lossy);
    }
    for (mark, codec) in [(&b"\xff\xfe"[..], "utf-16le"), (b"\xfe\xff", "utf-16be")] {
        if let Some(rest) = bytes.strip_prefix(mark) {
            let (text, is_lossy) = decode_named(codec, rest).unwrap_or_default();
            return (Cow::Owned(text), Cow::Borrowed(codec), is_lossy);
        }
    }
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return (Cow::Borrowed(rest), Cow::Borrowed("utf-8"), std::str::from_utf8(rest).is_err());
    }
    if let Some(codec) = without_mark(bytes)
        && let Some((text, is_lossy)) = decode_named(codec, bytes)
    {
        return (Cow::Owned(text), Cow::Borrowed(codec), is_lossy);
    }
    if language == Language::Python
        && let Some(name) = coding_line(bytes)
        && !matches!(&*name, "utf8" | "ascii" | "usascii" | "utf8sig")
        && let Some((text, is_lossy)) = decode_named(&name, bytes)
    {
        return (Cow::Owned(text), Cow::Owned(name), is_lossy);
    }
    (Cow::Borrowed(bytes), Cow::Borrowed("utf-8"), std::str::from_utf8(bytes).is_err())
}

/// UTF-16 without a mark: every other of the first bytes is NUL.
fn without_mark(bytes: &[u8]) -> Option<&'static str> {
    let head = bytes.get(..16)?;
    let zeros = |skip: usize| head.iter().skip(skip).step_by(2).filter(|byte| **byte == 0).count();
    match (zeros(0), zeros(1)) {
        (0, 7..) => Some("utf-16le"),
        (7.., 0) => Some("utf-16be"),
        _ => None,
    }
}

/// The codec that PEP 263 lets one of the first two lines name, in lower case without hyphens and underscores.
fn coding_line(bytes: &[u8]) -> Option<String> {
    let mut lines = bytes.get(..bytes.len().min(2048))?.split(|byte| matches!(byte, b'\n' | b'\r'));
    for line in [lines.next()?, lines.next().unwrap_or_default()] {
        let line = line.trim_ascii_start();
        if line.is_empty() {
            continue;
        }
        if line.first() != Some(&b'#') {
            return None;
        }
        let Some(at) = memchr::memmem::find(line, b"coding") else { continue };
        let rest = line.get(at + 6..)?;
        let Some((b':' | b'=', rest)) = rest.split_first() else { continue };
        let name: String = rest
            .trim_ascii_start()
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            .map(|&byte| char::from(byte.to_ascii_lowercase()))
            .filter(|letter| !matches!(letter, '-' | '_'))
            .take(64)
            .collect();
        if !name.is_empty() {
            return Some(name);
        }
    }
    None
}

/// Decodes by Python's name of a codec, and says whether something was lost; none where nobody knows the codec.
pub(crate) fn decode_named(codec: &str, bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let name: String = codec
        .chars()
        .filter(|letter| !matches!(letter, '-' | '_' | ' '))
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    Some(match &*name {
        "utf7" | "u7" | "unicode11utf7" => utf7(bytes),
        "rot13" => (crate::unpack::rot13(bytes), false),
        "latin1" | "latin" | "l1" | "iso88591" | "8859" | "cp819" | "iso8859" => {
            let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            (text.into_bytes(), false)
        }
        "rawunicodeescape" => (unicode_escapes(bytes), false),
        "unicodeescape" | "stringescape" => (crate::unpack::unescape(bytes), false),
        "hex" | "hexcodec" => (crate::unpack::hex(bytes)?, false),
        "base64" | "base64codec" => (crate::unpack::base64(bytes)?, false),
        "utf32" | "utf32le" => utf32(bytes, u32::from_le_bytes),
        "utf32be" => utf32(bytes, u32::from_be_bytes),
        _ => {
            let encoding = encoding(&name)?;
            let (text, is_lossy) = encoding.decode_without_bom_handling(bytes);
            (text.into_owned().into_bytes(), is_lossy)
        }
    })
}

/// The encoding that Python knows under this name, by the name of the Encoding Standard.
fn encoding(name: &str) -> Option<&'static Encoding> {
    let known = match name {
        "utf16" | "utf16le" => "utf-16le",
        "utf16be" => "utf-16be",
        "cp932" | "mskanji" | "sjis" | "shiftjis" | "shiftjis2004" => "shift_jis",
        "eucjp" | "ujis" => "euc-jp",
        "euckr" | "cp949" | "uhc" => "euc-kr",
        "gb2312" | "gbk" | "cp936" | "936" => "gbk",
        "gb18030" => "gb18030",
        "big5" | "cp950" | "big5hkscs" => "big5",
        "koi8r" => "koi8-r",
        "koi8u" => "koi8-u",
        "cp866" | "ibm866" => "ibm866",
        "iso2022jp" => "iso-2022-jp",
        "mac_roman" | "macroman" => "macintosh",
        _ => {
            if let Some(number) = name.strip_prefix("cp").or_else(|| name.strip_prefix("windows")) {
                return Encoding::for_label(format!("windows-{number}").as_bytes());
            }
            if let Some(number) = name.strip_prefix("iso8859") {
                return Encoding::for_label(format!("iso-8859-{number}").as_bytes());
            }
            name
        }
    };
    Encoding::for_label(known.as_bytes())
}

fn utf32(bytes: &[u8], number: fn([u8; 4]) -> u32) -> (Vec<u8>, bool) {
    let mut text = String::with_capacity(bytes.len() / 4);
    let mut is_lossy = !bytes.len().is_multiple_of(4);
    for letter in bytes.chunks_exact(4).filter_map(|bytes| bytes.first_chunk::<4>()) {
        let letter = char::from_u32(number(*letter));
        is_lossy |= letter.is_none();
        text.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    (text.into_bytes(), is_lossy)
}

/// UTF-7 (RFC 2152): `+` starts UTF-16 in base64, which any other character or `-` ends.
fn utf7(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut text = String::with_capacity(bytes.len());
    let mut is_lossy = false;
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'+' {
            is_lossy |= byte >= 0x80;
            text.push(if byte < 0x80 { char::from(byte) } else { char::REPLACEMENT_CHARACTER });
            continue;
        }
        let end = after
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/'))
            .unwrap_or(after.len());
        let (letters, tail) = after.split_at(end);
        rest = tail.strip_prefix(b"-").unwrap_or(tail);
        if letters.is_empty() {
            text.push('+');
            continue;
        }
        let decoded = crate::unpack::base64(letters).unwrap_or_default();
        let units = decoded
            .chunks_exact(2)
            .filter_map(|pair| pair.first_chunk::<2>())
            .map(|pair| u16::from_be_bytes(*pair));
        for letter in char::decode_utf16(units) {
            is_lossy |= letter.is_err();
            text.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }
    (text.into_bytes(), is_lossy)
}

/// Only `\uXXXX` and `\UXXXXXXXX`; other bytes are Latin-1.
fn unicode_escapes(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = match (byte, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => 0,
        };
        let code = after.get(1..=digits).filter(|_| digits > 0).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        });
        match code {
            Some(letter) => {
                text.push(letter);
                rest = after.get(digits + 1..).unwrap_or_default();
            }
            None => {
                text.push(char::from(byte));
                rest = after;
            }
        }
    }
    text.into_bytes()
}

/// CRLF and lone CR as line feeds.
fn with_line_feeds(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\r', &text).is_none() {
        return text;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = memchr::memchr(b'\r', rest) {
        let (line, tail) = rest.split_at(at);
        out.extend_from_slice(line);
        out.push(b'\n');
        let tail = tail.get(1..).unwrap_or_default();
        rest = tail.strip_prefix(b"\n").unwrap_or(tail);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// Python takes identifiers that are the same after NFKC for one: `ｅｘｅｃ` is `exec`. Only words with letters beyond
/// ASCII that become ASCII are written so; text in other scripts stays as it is.
fn with_same_identifiers(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return text;
    }
    let mut out = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    while let Some(found) = text.get(at..).and_then(|rest| rest.iter().position(|byte| *byte >= 0x80)) {
        let foreign = at + found;
        let head = text.get(at..foreign).unwrap_or_default();
        let start = at + head.iter().rposition(|byte| !is_word(*byte)).map_or(0, |before| before + 1);
        let rest = text.get(foreign..).unwrap_or_default();
        let end = foreign + rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
        at = end;
        let Some(word) = text.get(start..end).filter(|word| word.len() <= LONGEST_IDENTIFIER) else {
            continue;
        };
        let Ok(word) = std::str::from_utf8(word) else { continue };
        let same: String = word.nfkc().collect();
        if same != word && same.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            out.extend_from_slice(text.get(copied..start).unwrap_or_default());
            out.extend_from_slice(same.as_bytes());
            copied = end;
        }
    }
    if copied == 0 {
        return text;
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::Language::{Python, Shell};

    fn check(language: Language, bytes: &[u8], text: &str, codec: &str) {
        let reading = read(language, bytes);
        assert_eq!((&*String::from_utf8_lossy(&reading.text), &*reading.codec), (text, codec));
        assert!(matches!(reading.text, Cow::Borrowed(_)) || text.as_bytes() != bytes, "{text} was copied");
    }

    #[test]
    fn plain_text_is_borrowed() {
        check(Python, b"import os\nprint('\xc3\xa4')\n", "import os\nprint('\u{e4}')\n", "utf-8");
        check(Shell, b"", "", "utf-8");
        check(Shell, b"a\0b", "a\0b", "utf-8");
    }

    #[test]
    fn marks_name_the_codec() {
        check(Python, b"\xef\xbb\xbfx = 1", "x = 1", "utf-8");
        check(Python, b"\xff\xfex\0=\x001\0", "x=1", "utf-16le");
        check(Python, b"\xfe\xff\0x\0=\x001", "x=1", "utf-16be");
        check(Shell, b"\xff\xfe\0\0x\0\0\0", "x", "utf-32le");
        check(Shell, b"\0\0\xfe\xff\0\0\0x", "x", "utf-32be");
        check(Shell, b"e\0c\0h\0o\0 \0o\0k\0;\0\n\0", "echo ok;\n", "utf-16le");
    }

    #[test]
    fn coding_lines_name_the_codec() {
        check(Python, b"# coding: latin-1\nx='\xe4'", "# coding: latin-1\nx='\u{e4}'", "latin1");
        check(
            Python,
            b"#!/usr/bin/python\n# -*- coding: cp1252 -*-\n'\x80'",
            "#!/usr/bin/python\n# -*- coding: cp1252 -*-\n'\u{20ac}'",
            "cp1252",
        );
        check(Python, b"# coding: utf-7\n+AGU-xec(1)", "# coding: utf-7\nexec(1)", "utf7");
        check(Python, b"#-*- coding: rot13 -*-\nrkrp(1)", "#-*- pbqvat: ebg13 -*-\nexec(1)", "rot13");
        check(Python, b"# coding=shift_jis\n'\x83\x41'", "# coding=shift_jis\n'\u{30a2}'", "shiftjis");
        check(
            Python,
            b"# coding: unicode_escape\n\\x65xec(1)",
            "# coding: unicode_escape\nexec(1)",
            "unicodeescape",
        );
        check(
            Python,
            b"# coding: raw_unicode_escape\n\\u0065xec(1)",
            "# coding: raw_unicode_escape\nexec(1)",
            "rawunicodeescape",
        );
        check(Python, b"x\n\n# coding: utf-7\n+AGU-", "x\n\n# coding: utf-7\n+AGU-", "utf-8");
        check(Shell, b"# coding: utf-7\n+AGU-", "# coding: utf-7\n+AGU-", "utf-8");
    }

    #[test]
    fn every_line_end_is_a_line_feed() {
        check(Shell, b"a\r\nb\rc\n\rd\r", "a\nb\nc\n\nd\n", "utf-8");
    }

    #[test]
    fn identifiers_that_python_takes_for_the_same_are_written_the_same() {
        check(Python, "\u{ff45}\u{ff58}\u{ff45}\u{ff43}('\u{4e2d}')".as_bytes(), "exec('\u{4e2d}')", "utf-8");
        check(Python, "os.sy\u{17f}tem".as_bytes(), "os.system", "utf-8");
        check(Python, "caf\u{e9}".as_bytes(), "caf\u{e9}", "utf-8");
    }

    #[test]
    fn binary_forms_are_recognised() {
        let form = |bytes: &[u8]| read(Python, bytes).form;
        assert_eq!(form(b"\x7fELF\x02"), Form::Elf);
        assert_eq!(form(b"\xcb\x0d\r\n\0\0\0\0"), Form::Bytecode);
        assert_eq!(form(b"print"), Form::Text);
        assert!(read(Python, b"x = '\xff'").is_lossy);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, language: bool) {
            let language = if language { Python } else { Shell };
            let reading = read(language, &bytes);
            let again = read(language, &bytes);
            proptest::prop_assert_eq!(reading, again);
        }
    }
}
