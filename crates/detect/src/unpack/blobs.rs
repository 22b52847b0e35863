//! Long runs of encoded data that plainly decode to text, whatever becomes of them: the fallback where the code
//! around them was not understood.

use super::decode;
use super::kind;
use super::session::{Found, Session, push_step};
use super::step::Step;

/// Shortest run that is tried.
const SHORTEST: usize = 48;
/// Most runs of one text.
const MOST_RUNS: usize = 48;
/// Most codings over each other.
const DEEPEST: usize = 6;

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}

/// Whether bytes are one run of letters of base64 or hexadecimal.
pub(super) fn is_blob(data: &[u8]) -> bool {
    data.len() >= 16 && data.iter().all(|&byte| is_letter(byte))
}

/// Each run of letters: where it starts and ends.
fn runs(text: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            // A run covers each multiple of the shortest length in it, so only those are looked at.
            let probe = at + SHORTEST - 1;
            let byte = *text.get(probe)?;
            if !is_letter(byte) {
                at = probe + 1;
                continue;
            }
            let start = (at..probe)
                .rev()
                .find(|&at| !text.get(at).copied().is_some_and(is_letter))
                .map_or(at, |at| at + 1);
            let rest = text.get(probe..).unwrap_or_default();
            let end = probe + rest.iter().position(|&byte| !is_letter(byte)).unwrap_or(rest.len());
            at = end + 1;
            if end - start >= SHORTEST {
                return Some((start, end));
            }
        }
    })
}

/// Whether there is a run that is encoded rather than a name, a path or a ruler.
pub(super) fn has_any(text: &[u8]) -> bool {
    runs(text).take(MOST_RUNS).any(|(start, end)| text.get(start..end).is_some_and(is_likely))
}

fn is_likely(run: &[u8]) -> bool {
    let head = run.get(..256).unwrap_or(run);
    if head.iter().all(u8::is_ascii_hexdigit) {
        return run.len() >= 64 && run.len().is_multiple_of(2) && head.iter().any(|byte| *byte != b'0');
    }
    let count = |is: fn(&u8) -> bool| head.iter().filter(|byte| is(byte)).count();
    let slashes = count(|byte| matches!(byte, b'/' | b'-' | b'_'));
    count(u8::is_ascii_uppercase) >= 6 && count(u8::is_ascii_lowercase) >= 6 && slashes * 8 <= head.len()
}

/// Adds a layer for each run that decodes to text.
pub(super) fn find(session: &mut Session, text: &[u8]) {
    let mut counted_to = 0;
    let mut line = 1_u32;
    for (start, end) in runs(text).take(MOST_RUNS) {
        let Some(run) = text.get(start..end).filter(|run| is_likely(run)) else { continue };
        if !session.spend(run.len() / 4) {
            return;
        }
        let between = text.get(counted_to..start).unwrap_or_default();
        line = line
            .saturating_add(u32::try_from(memchr::memchr_iter(b'\n', between).count()).unwrap_or(u32::MAX));
        counted_to = start;
        let limit = session.decoded_limit();
        let Some((decoded, steps)) = peel(run, limit) else { continue };
        session.spend(decoded.len() / 8);
        if session.note_kind(&decoded) && decoded.len() >= SHORTEST / 2 {
            let language = kind::looks_like_script(&decoded);
            session.add(Found {
                text: decoded,
                language,
                steps,
                lines: Some((line, line)),
                is_executed: false,
            });
        }
    }
}

/// Takes off codings until text or a known kind of file remains. None where nothing readable comes out.
fn peel(run: &[u8], limit: usize) -> Option<(Vec<u8>, Vec<Step>)> {
    let mut steps = Vec::new();
    let mut data = run.to_vec();
    for _ in 0..DEEPEST {
        let Some((decoded, step)) = once(&data, limit) else { break };
        push_step(&mut steps, step);
        data = decoded;
        if !is_blob(data.trim_ascii()) && kind::of(&data) == kind::Kind::Text {
            break;
        }
    }
    let is_readable =
        !steps.is_empty() && kind::of(&data) != kind::Kind::Other && !is_blob(data.trim_ascii());
    is_readable.then_some((data, steps))
}

fn once(data: &[u8], limit: usize) -> Option<(Vec<u8>, Step)> {
    match data {
        [0x1f, 0x8b, ..] => return Some((decode::gzip(data, limit)?, Step::Gzip)),
        [b'B', b'Z', b'h', ..] => return Some((decode::bzip2(data, limit)?, Step::Bzip2)),
        [0xfd, b'7', b'z', ..] | [0x5d, 0, 0, ..] => return Some((decode::lzma(data, limit)?, Step::Lzma)),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] if !is_blob(data) => {
            return Some((decode::zlib(data, limit)?, Step::Zlib));
        }
        [b'c', 0, 0, 0, ..] | [0xe3, 0, 0, 0, ..] => {
            return Some((super::marshal::listing(data)?.into_bytes(), Step::Marshal));
        }
        _ => {}
    }
    let data = data.trim_ascii();
    if !is_blob(data) {
        return None;
    }
    if data.len().is_multiple_of(2) && data.iter().all(u8::is_ascii_hexdigit) {
        return Some((decode::hex(data, false)?, Step::Hex));
    }
    let decoded = decode::base64(data)?;
    if is_promising(&decoded) {
        return Some((decoded, Step::Base64));
    }
    let backwards: Vec<u8> = data.iter().rev().copied().collect();
    let reversed = decode::base64(&backwards)?;
    is_promising(&reversed).then_some((reversed, Step::Base64))
}

fn is_promising(data: &[u8]) -> bool {
    kind::of(data) != kind::Kind::Other
        || matches!(
            data,
            [0x1f, 0x8b, ..] | [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', ..] | [0x5d, 0, 0, ..]
        )
        || matches!(data, [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] | [b'c' | 0xe3, 0, 0, 0, ..])
}
