//! Whole texts in an encoding, with what undoes it.
//!
//! Owns: encoders and the one-liners of droppers and packers. Refuses: syntax of what is wrapped.

use super::words::pick;
use crate::random::Random;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evidence::Language;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::fmt::Write;
use std::io::Write as _;

/// How a whole text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Base64,
    Base32,
    Base85,
    Hex,
    Rot13,
    Reversed,
    Xor,
    Compressed,
    Escapes,
    Utf7,
}

/// `text` in a text that decodes and runs it; nothing where the language has no such form.
pub(super) fn wrap(
    language: Language,
    encoding: Encoding,
    text: &[u8],
    random: &mut Random,
) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('\r') && !text.contains('\0'))?;
    match language {
        Language::Python => python(encoding, text, random),
        Language::Shell => shell(encoding, text, random),
    }
    .map(String::into_bytes)
}

fn python(encoding: Encoding, text: &str, random: &mut Random) -> Option<String> {
    let (imports, decoded) = match encoding {
        Encoding::Base64 => ("base64", format!("base64.b64decode('{}')", STANDARD.encode(text))),
        Encoding::Base32 => ("base64", format!("base64.b32decode('{}')", base32(text.as_bytes()))),
        Encoding::Base85 => ("base64", format!("base64.b85decode(r'''{}''')", base85(text.as_bytes()))),
        Encoding::Hex => ("binascii", format!("binascii.unhexlify('{}')", hex(text.as_bytes()))),
        Encoding::Rot13 => ("codecs", format!("codecs.decode('{}','rot13')", python_escape(&rot13(text)))),
        Encoding::Reversed => {
            let reversed: String = text.chars().rev().collect();
            ("sys", format!("'{}'[::-1]", python_escape(&reversed)))
        }
        Encoding::Xor => {
            let key = 1 + u8::try_from(random.below(120)).unwrap_or(0);
            let bytes: Vec<u8> = text.bytes().map(|byte| byte ^ key).collect();
            ("sys", format!("bytes(b ^ {key} for b in bytes.fromhex('{}'))", hex(&bytes)))
        }
        Encoding::Compressed => {
            let encoded = STANDARD.encode(zlib(text.as_bytes())?);
            ("zlib, base64", format!("zlib.decompress(base64.b64decode('{encoded}'))"))
        }
        Encoding::Escapes => ("sys", format!("'{}'", python_all_escaped(text, random))),
        Encoding::Utf7 => return utf7(text),
    };
    let module = imports.rsplit(", ").next().unwrap_or(imports);
    Some(match random.below(4) {
        0 => format!("import {imports}\nexec({decoded})\n"),
        1 if !imports.contains(',') => {
            let inline = decoded.replacen(&format!("{module}."), &format!("__import__('{module}')."), 1);
            format!("exec({inline})\n")
        }
        2 => format!("import {imports}\n_code = {decoded}\nexec(compile(_code, '<string>', 'exec'))\n"),
        _ => format!(
            "import {imports};eval(compile({decoded},'<{}>','exec'))\n",
            pick(&["x", "string", "m"], random)
        ),
    })
}

fn shell(encoding: Encoding, text: &str, random: &mut Random) -> Option<String> {
    let base64 = || STANDARD.encode(text);
    let decoder = match encoding {
        Encoding::Base64 => match random.below(3) {
            0 => format!("echo {} | base64 -d", base64()),
            1 => format!("printf '%s' '{}' | base64 --decode", base64()),
            _ => format!("echo {} | openssl base64 -d -A", base64()),
        },
        Encoding::Base32 => format!("echo {} | base32 -d", base32(text.as_bytes())),
        Encoding::Hex => format!("printf '%s' {} | xxd -r -p", hex(text.as_bytes())),
        Encoding::Rot13 => {
            let quoted = rot13(text).replace('\'', "'\\''");
            format!("printf '%s\\n' '{quoted}' | tr 'A-Za-z' 'N-ZA-Mn-za-m'")
        }
        Encoding::Reversed => {
            let reversed: String = base64().chars().rev().collect();
            format!("echo '{reversed}' | rev | base64 -d")
        }
        Encoding::Compressed => {
            let encoded = STANDARD.encode(gzip(text.as_bytes())?);
            format!("echo {encoded} | base64 -d | {}", pick(&["gunzip", "gzip -dc", "zcat"], random))
        }
        Encoding::Escapes => {
            let octal: String = text.bytes().fold(String::new(), |mut out, byte| {
                let _ = write!(out, "\\{byte:03o}");
                out
            });
            format!("printf '{octal}'")
        }
        Encoding::Base85 | Encoding::Xor | Encoding::Utf7 => return None,
    };
    Some(match random.below(4) {
        0 => format!("eval \"$({decoder})\"\n"),
        1 => format!("bash -c \"$({decoder})\"\n"),
        2 => format!("{decoder} | bash\n"),
        _ => format!("bash <({decoder})\n"),
    })
}

/// A text in the other language that runs this one.
pub(super) fn carry(language: Language, text: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))?;
    let is_here = !text.lines().any(|line| line == "PYEOF") && !text.contains('\r');
    let quoted = text.replace('\'', "'\\''");
    let in_python = python_escape(text);
    Some(match (language, random.below(2)) {
        (Language::Python, 0) if is_here => {
            format!("#!/bin/sh\npython3 - <<'PYEOF'\n{}\nPYEOF\n", text.trim_end_matches('\n')).into_bytes()
        }
        (Language::Python, _) => format!("python3 -c '{quoted}'\n").into_bytes(),
        (Language::Shell, 0) => format!("import os\nos.system('{in_python}')\n").into_bytes(),
        (Language::Shell, _) => {
            format!("import subprocess\nsubprocess.call(['bash', '-c', '{in_python}'])\n").into_bytes()
        }
    })
}

/// As well-meant packers write it: the name of the tool, then the compressed text.
pub(super) fn pack(language: Language, text: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    Some(match language {
        Language::Python => {
            let encoded = STANDARD.encode(zlib(text)?);
            let note = pick(&["", "\n# Created by pyminifier (https://github.com/liftoff/pyminifier)"], random);
            format!("import zlib, base64\nexec(zlib.decompress(base64.b64decode('{encoded}'))){note}\n")
        }
        Language::Shell => {
            let encoded = STANDARD.encode(gzip(text)?);
            format!(
                "#!/bin/bash\n# self-extracting; the archive begins below the marker\ntmp=$(mktemp) || exit 1\ntrap 'rm -f \"$tmp\"' EXIT\nbase64 -d <<'__ARCHIVE__' | gzip -cd > \"$tmp\"\n{encoded}\n__ARCHIVE__\nbash \"$tmp\" \"$@\"\n"
            )
        }
    }.into_bytes())
}

fn zlib(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn rot13(text: &str) -> String {
    let turn = |letter: char, first: u8| {
        char::from((u8::try_from(letter).unwrap_or(first) - first + 13) % 26 + first)
    };
    text.chars()
        .map(|letter| match letter {
            'a'..='z' => turn(letter, b'a'),
            'A'..='Z' => turn(letter, b'A'),
            other => other,
        })
        .collect()
}

/// RFC 4648.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut out = String::new();
    for group in bytes.chunks(5) {
        let bits = (0..5).fold(0_u64, |bits, at| bits << 8 | u64::from(group.get(at).copied().unwrap_or(0)));
        let digits = (group.len() * 8).div_ceil(5);
        for digit in 0..8 {
            let value = usize::try_from(bits >> (35 - 5 * digit) & 31).unwrap_or(0);
            let letter = ALPHABET.get(value).copied().unwrap_or(b'A');
            out.push(if digit < digits { char::from(letter) } else { '=' });
        }
    }
    out
}

/// The alphabet of Python's `base64.b85encode` (that of git and Mercurial).
fn base85(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 85] =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    let mut out = String::new();
    for group in bytes.chunks(4) {
        let mut value =
            (0..4).fold(0_u32, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        let mut digits = ['0'; 5];
        for digit in digits.iter_mut().rev() {
            let letter = ALPHABET.get(usize::try_from(value % 85).unwrap_or(0)).copied().unwrap_or(b'0');
            *digit = char::from(letter);
            value /= 85;
        }
        out.extend(digits.iter().take(group.len() + 1));
    }
    out
}

/// The inside of a literal in single quotes.
pub(super) fn python_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            other => out.push(other),
        }
    }
    out
}

/// Each letter as an escape; hex, octal or Unicode.
pub(super) fn python_all_escaped(text: &str, random: &mut Random) -> String {
    let mut out = String::with_capacity(text.len() * 4);
    for letter in text.chars() {
        let code = u32::from(letter);
        let _ = match (code, random.below(3)) {
            (0..=0xff, 0) => write!(out, "\\x{code:02x}"),
            (0..=0xff, 1) => write!(out, "\\{code:03o}"),
            (0..=0xffff, _) => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out
}

/// A text in UTF-7 under a coding line (PEP 263); each run of letters that are not plain is in base64 of UTF-16.
fn utf7(text: &str) -> Option<String> {
    if text.lines().take(2).any(|line| line.contains("coding")) || text.contains('\r') {
        return None;
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || " \n\t'(),-./:?".contains(letter);
    let mut out = String::from("# -*- coding: utf-7 -*-\n");
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let wanted = is_plain(letter);
        let end = rest.find(|next| is_plain(next) != wanted).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        if wanted {
            out.push_str(run);
        } else {
            let units: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
            let _ = write!(out, "+{}-", STANDARD.encode(units).trim_end_matches('='));
        }
        rest = behind;
    }
    Some(out)
}
