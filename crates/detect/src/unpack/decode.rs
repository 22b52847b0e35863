//! The codings: each a pure function from bytes to bytes, bounded in its output, none where the input is not in
//! that coding. They are as lenient as the interpreters' own decoders.

use aes::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use data_encoding::{BASE32_NOPAD, BASE64_NOPAD};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::io::Read;

/// Most memory of the LZMA dictionary, in KiB.
const LZMA_KIB: u32 = 17 << 10;

/// Base64 as Python's `b64decode` and `base64 -d -i` read it: other characters are left out, and what stands
/// behind the padding does not count.
pub(crate) fn base64(data: &[u8]) -> Option<Vec<u8>> {
    let mut letters = Vec::with_capacity(data.len());
    for &byte in data {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => letters.push(byte),
            b'-' => letters.push(b'+'),
            b'_' => letters.push(b'/'),
            b'=' if letters.len() % 4 >= 2 => break,
            _ => {}
        }
    }
    if letters.len() % 4 == 1 {
        letters.pop();
    }
    decode_letters(&BASE64_NOPAD, letters)
}

/// Base32 with or without padding, in either case.
pub(super) fn base32(data: &[u8]) -> Option<Vec<u8>> {
    let mut letters: Vec<u8> = data
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=')
        .map(u8::to_ascii_uppercase)
        .collect();
    while matches!(letters.len() % 8, 1 | 3 | 6) {
        letters.pop();
    }
    decode_letters(&BASE32_NOPAD, letters)
}

fn decode_letters(coding: &data_encoding::Encoding, mut letters: Vec<u8>) -> Option<Vec<u8>> {
    if letters.is_empty() {
        return None;
    }
    // The bits that are left over need not be zero: the interpreters do not look at them.
    match coding.decode(&letters) {
        Ok(decoded) => Some(decoded),
        Err(error) if error.kind == data_encoding::DecodeKind::Trailing => {
            let full = if coding.bit_width() == 6 { 4 } else { 8 };
            let rest = letters.split_off(letters.len() / full * full);
            let mut decoded = if letters.is_empty() { Vec::new() } else { coding.decode(&letters).ok()? };
            decoded.extend(last_group(&rest, coding.bit_width()));
            Some(decoded)
        }
        Err(_) => None,
    }
}

/// The bytes of a last, short group whose surplus bits are not zero.
fn last_group(letters: &[u8], bits: usize) -> Vec<u8> {
    let value_of = |letter: u8| -> u64 {
        u64::from(match (letter, bits) {
            (b'A'..=b'Z', _) => letter - b'A',
            (b'a'..=b'z', 6) => letter - b'a' + 26,
            (b'0'..=b'9', 6) => letter - b'0' + 52,
            (b'2'..=b'7', 5) => letter - b'2' + 26,
            (b'+', _) => 62,
            (b'/', _) => 63,
            _ => 0,
        })
    };
    let group = letters.iter().fold(0_u64, |group, &letter| group << bits | value_of(letter));
    let total = letters.len() * bits;
    let bytes = total / 8;
    let group = group >> (total - bytes * 8);
    group.to_be_bytes().get(8 - bytes.min(8)..).unwrap_or_default().to_vec()
}

/// Hexadecimal digits; blanks, and with `is_lenient` everything else, are left out.
pub(super) fn hex(data: &[u8], is_lenient: bool) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(data.len());
    for &byte in data {
        match char::from(byte).to_digit(16) {
            Some(digit) => digits.push(u8::try_from(digit).unwrap_or(0)),
            None if is_lenient || byte.is_ascii_whitespace() => {}
            None => return None,
        }
    }
    (digits.len() >= 2).then(|| {
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |value, digit| value << 4 | digit)).collect()
    })
}

/// Python's (and git's) base85.
pub(super) fn base85(data: &[u8]) -> Option<Vec<u8>> {
    const LETTERS: &[u8; 85] =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    let mut table = [u8::MAX; 256];
    for (value, &letter) in (0_u8..).zip(LETTERS) {
        if let Some(cell) = table.get_mut(usize::from(letter)) {
            *cell = value;
        }
    }
    let digits: Option<Vec<u8>> = data
        .iter()
        .map(|&byte| table.get(usize::from(byte)).copied().filter(|&value| value != u8::MAX))
        .collect();
    radix85(&digits?, 84)
}

/// Adobe's ascii85, with or without its brackets.
pub(super) fn ascii85(data: &[u8]) -> Option<Vec<u8>> {
    let data = data.strip_prefix(b"<~").unwrap_or(data);
    let data = data.strip_suffix(b"~>").unwrap_or(data);
    let mut digits = Vec::with_capacity(data.len());
    for &byte in data {
        match byte {
            b'!'..=b'u' => digits.push(byte - b'!'),
            b'z' if digits.len() % 5 == 0 => digits.extend([0; 5]),
            b'y' if digits.len() % 5 == 0 => digits.extend([20, 15, 46, 74, 80]),
            _ if byte.is_ascii_whitespace() => {}
            _ => return None,
        }
    }
    radix85(&digits, 84)
}

fn radix85(digits: &[u8], filler: u8) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(digits.len() / 5 * 4 + 4);
    for group in digits.chunks(5) {
        if group.len() == 1 {
            return None;
        }
        let missing = 5 - group.len();
        let value = group
            .iter()
            .copied()
            .chain(std::iter::repeat_n(filler, missing))
            .fold(0_u64, |value, digit| value * 85 + u64::from(digit));
        let bytes = u32::try_from(value).ok()?.to_be_bytes();
        decoded.extend(bytes.iter().take(4 - missing));
    }
    (!decoded.is_empty()).then_some(decoded)
}

/// Reads at most `limit` bytes. What came before an error counts: truncated data gives its head.
fn drain(mut reader: impl Read, limit: usize) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut chunk = [0; 8192];
    while decoded.len() < limit {
        let Ok(count) = reader.read(&mut chunk) else { break };
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
        decoded.extend(read.iter().take(limit - decoded.len()));
    }
    (!decoded.is_empty()).then_some(decoded)
}

pub(super) fn zlib(data: &[u8], limit: usize) -> Option<Vec<u8>> {
    drain(ZlibDecoder::new(data), limit)
}

/// Deflate without any header.
pub(super) fn deflate(data: &[u8], limit: usize) -> Option<Vec<u8>> {
    drain(DeflateDecoder::new(data), limit)
}

pub(super) fn gzip(data: &[u8], limit: usize) -> Option<Vec<u8>> {
    drain(MultiGzDecoder::new(data), limit)
}

pub(super) fn bzip2(data: &[u8], limit: usize) -> Option<Vec<u8>> {
    if !data.starts_with(b"BZh") {
        return None;
    }
    drain(bzip2::bufread::MultiBzDecoder::new(data), limit)
}

/// XZ and the older `.lzma`.
pub(super) fn lzma(data: &[u8], limit: usize) -> Option<Vec<u8>> {
    if data.starts_with(b"\xfd7zXZ\0") {
        return drain(lzma_rust2::XzReader::new_mem_limit(data, true, LZMA_KIB), limit);
    }
    if data.first() != Some(&0x5d) {
        return None;
    }
    drain(lzma_rust2::LzmaReader::new_mem_limit(data, LZMA_KIB, None).ok()?, limit)
}

pub(crate) fn rot13(data: &[u8]) -> Vec<u8> {
    let turn = |byte: u8, first: u8| (byte - first + 13) % 26 + first;
    data.iter()
        .map(|&byte| match byte {
            b'a'..=b'z' => turn(byte, b'a'),
            b'A'..=b'Z' => turn(byte, b'A'),
            _ => byte,
        })
        .collect()
}

/// Percent-encoding.
pub(super) fn url_unquoted(data: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
                decoded.push(u8::try_from(digit(*high) << 4 | digit(*low)).unwrap_or(0));
                rest = tail;
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

/// Uuencoded lines, with or without `begin`.
pub(super) fn uu(data: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    for line in data.split(|&byte| byte == b'\n') {
        if line.starts_with(b"begin ") || line.starts_with(b"end") {
            continue;
        }
        let Some((&length, letters)) = line.split_first() else { continue };
        let length = usize::from(length.wrapping_sub(32) & 63);
        let mut bytes: Vec<u8> = Vec::new();
        for group in letters.chunks(4) {
            let value = (0..4).fold(0_u32, |value, at| {
                value << 6 | u32::from(group.get(at).copied().unwrap_or(b' ').wrapping_sub(32) & 63)
            });
            bytes.extend(value.to_be_bytes().iter().skip(1));
        }
        bytes.truncate(length);
        decoded.extend(bytes);
    }
    (!decoded.is_empty()).then_some(decoded)
}

/// A Fernet token with its key, both base64: <https://github.com/fernet/spec>. The signature is not checked.
pub(super) fn fernet(key: &[u8], token: &[u8]) -> Option<Vec<u8>> {
    let key = base64(key)?;
    let token = base64(token)?;
    let key = key.get(16..32)?;
    let iv = token.get(9..25)?;
    let sealed = token.get(25..token.len().checked_sub(32)?)?;
    aes_cbc(key, iv, sealed)
}

/// AES in CBC mode with PKCS #7 padding.
pub(super) fn aes_cbc(key: &[u8], iv: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    match key.len() {
        16 => opened::<aes::Aes128>(key, iv, sealed),
        24 => opened::<aes::Aes192>(key, iv, sealed),
        32 => opened::<aes::Aes256>(key, iv, sealed),
        _ => None,
    }
}

fn opened<C>(key: &[u8], iv: &[u8], sealed: &[u8]) -> Option<Vec<u8>>
where
    C: aes::cipher::BlockCipherDecrypt + aes::cipher::KeyInit,
{
    let mut buffer = sealed.to_vec();
    let decryptor = cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?;
    Some(decryptor.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.to_vec())
}
