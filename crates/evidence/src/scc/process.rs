//! What ran: the process, its binary, and the script with the text that was judged.

use super::types::{EnvironmentVariable, File, Indicator, Int64, Process};
use super::{Limits, SHORT_TEXT_LIMIT, prefix, short};
use crate::{Capture, Content, CoverageNote, Executable, Script, ScriptKind, Sha256, Untrusted};
use bstr::ByteSlice;
use std::collections::BTreeSet;

/// Bytes of all arguments together, and of all environment variables.
const LIST_LIMIT: usize = 64 * 1024;

/// Bytes of one argument or variable, so that a long program text leaves room for what follows it.
const ITEM_LIMIT: usize = 16 * 1024;

/// Addresses of one finding.
const INDICATOR_LIMIT: usize = 20;

/// The process that ran the script.
pub(super) fn of(capture: &Capture, limits: Limits) -> Process {
    let process = &capture.process;
    let (args, arguments_cut) = bounded_list(&process.args);
    let (environment, environment_cut) = bounded_list(&process.environment);
    Process {
        name: short(&process.comm),
        binary: binary(&process.executable),
        script: script(&capture.script, limits),
        args,
        arguments_truncated: arguments_cut || capture.coverage.contains(&CoverageNote::ArgumentsCut),
        env_variables: environment.iter().map(|variable| split_variable(variable)).collect(),
        env_variables_truncated: environment_cut || capture.coverage.contains(&CoverageNote::EnvironmentCut),
        pid: Int64(process.pid.into()),
        parent_pid: Int64(process.parent_pid.into()),
        user_id: Int64(process.uid.into()),
    }
}

/// The web addresses that the text names, at most twenty.
pub(super) fn indicator(capture: &Capture) -> Option<Indicator> {
    let (head, tail) = capture.script.content.parts();
    let mut uris = BTreeSet::new();
    for text in [head, tail] {
        collect_uris(text, &mut uris);
    }
    (!uris.is_empty()).then(|| Indicator { uris: uris.into_iter().collect() })
}

fn binary(executable: &Executable) -> File {
    File {
        path: Some(short(&executable.path)),
        size: executable.size.map(Int64),
        sha256: executable.sha256.map(|hash| hash.to_string()),
        hashed_size: executable.sha256.and(executable.size).map(Int64),
        ..File::default()
    }
}

/// The script. Its `sha256` is at once the hash of `contents` and of the file's first `hashedSize` bytes, since
/// `contents` is exactly these bytes: a prefix of the file that JSON can carry unchanged.
fn script(script: &Script, limits: Limits) -> File {
    let path = match script.kind {
        ScriptKind::File | ScriptKind::Module => script.path.as_ref().map(short),
        ScriptKind::Inline | ScriptKind::Stdin | ScriptKind::Interactive | ScriptKind::Compiled => None,
    };
    if let Content::NotCaptured(_) = script.content {
        return File { path, size: script.size().map(Int64), ..File::default() };
    }
    let contents = utf8_prefix(script.content.parts().0, limits.contents);
    let hashed_size = contents.len() as u64;
    let size = script.size().unwrap_or(hashed_size).max(hashed_size);
    File {
        path,
        size: Some(Int64(size)),
        sha256: Some(Sha256::of(contents.as_bytes()).to_string()),
        hashed_size: Some(Int64(hashed_size)),
        partially_hashed: hashed_size < size,
        contents: Some(contents.to_owned()),
    }
}

/// The longest prefix of at most `limit` bytes that is UTF-8.
pub(super) fn utf8_prefix(text: &[u8], limit: usize) -> &str {
    let text = &text[..text.len().min(limit)];
    let valid = match std::str::from_utf8(text) {
        Ok(text) => return text,
        Err(error) => error.valid_up_to(),
    };
    std::str::from_utf8(&text[..valid]).unwrap_or_default()
}

/// The items as text, as many and as much of each as fit. The second value says whether anything is cut.
fn bounded_list(items: &[Untrusted]) -> (Vec<String>, bool) {
    let mut room = LIST_LIMIT;
    let mut kept = Vec::new();
    let mut is_cut = false;
    for item in items {
        // Each item costs a byte more than its text, so that empty ones are bounded as well.
        if room <= 1 {
            return (kept, true);
        }
        let limit = ITEM_LIMIT.min(room - 1);
        let text = item[..item.len().min(limit)].to_str_lossy();
        let fitting = prefix(&text, limit);
        is_cut |= item.len() > limit || fitting.len() < text.len();
        room -= fitting.len() + 1;
        kept.push(fitting.to_owned());
    }
    (kept, is_cut)
}

fn split_variable(variable: &str) -> EnvironmentVariable {
    let (name, val) = variable.split_once('=').unwrap_or((variable, ""));
    EnvironmentVariable { name: name.to_owned(), val: val.to_owned() }
}

/// Finds `http://…` and `https://…`, each up to the first byte that cannot stand in an address.
fn collect_uris(text: &[u8], uris: &mut BTreeSet<String>) {
    let mut rest = text;
    while uris.len() < INDICATOR_LIMIT
        && let Some(at) = rest.find("http")
    {
        let length = rest[at..].iter().take_while(|byte| is_uri_byte(**byte)).count();
        let word = prefix(std::str::from_utf8(&rest[at..at + length]).unwrap_or_default(), SHORT_TEXT_LIMIT);
        let host = word.strip_prefix("http://").or_else(|| word.strip_prefix("https://"));
        if host
            .is_some_and(|host| host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '['))
        {
            uris.insert(word.trim_end_matches(['.', ',', ';', ':', '!', '?']).to_owned());
        }
        rest = &rest[at + length.max(4)..];
    }
}

/// RFC 3986's characters, less those that more often end an address in a script than belong to it.
fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!&*+,;=%".contains(&byte)
}
