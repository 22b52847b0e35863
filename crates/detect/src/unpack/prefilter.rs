//! Whether a text is worth parsing at all: one pass for the calls of interest, one for long encoded runs.

use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::LazyLock;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hits {
    /// Where something of interest stands, ascending.
    pub(super) positions: Vec<usize>,
    /// Whether a run of encoded data is long enough to be tried.
    pub(super) has_blob: bool,
    pub(super) is_packed: bool,
}

/// So many weak hits are looked at, whatever else is in the text.
const MANY_WEAK: usize = 64;

/// Most hits that are looked at; a text with more is parsed nearly whole.
const MOST_HITS: usize = 20_000;

/// What marks a call that decodes, executes or hides. Where the byte before is part of a name, it is another name.
const PYTHON: [&str; 61] = [
    "exec(",
    "exec (",
    "exec \"",
    "exec '",
    "eval(",
    "execfile(",
    "marshal",
    "b64decode",
    "b32decode",
    "b16decode",
    "b85decode",
    "a85decode",
    "unhexlify",
    "fromhex",
    "decodebytes",
    "decodestring",
    "a2b_",
    "zlib.",
    "lzma.",
    "bz2.",
    "codecs.decode",
    "getdecoder",
    "getencoder",
    "rot13",
    "rot_13",
    "rot-13",
    "__import__",
    "import_module(",
    "__builtins__",
    "builtins",
    "chr(",
    "bytes([",
    "bytearray([",
    "bytearray(b",
    "[::-1]",
    "Fernet",
    "AES.new",
    "os.system",
    "system(",
    "popen(",
    "Popen(",
    "subprocess.",
    "getoutput",
    "getstatusoutput",
    "check_output(",
    "check_call(",
    "pty.spawn",
    "create_subprocess_",
    "os.exec",
    "os.spawn",
    "globals()[",
    "globals().",
    "\\x6",
    "\\x7",
    "\\145",
    "write(\"\"\"",
    "write('''",
    "import base64",
    "from os import",
    "from subprocess import",
    "import system",
];

/// What says nothing alone: where a text has only these, nothing is executed or decoded.
const WEAK: [&str; 12] = [
    "builtins",
    "[::-1]",
    "\\x6",
    "\\x7",
    "\\145",
    "chr(",
    "globals()[",
    "globals().",
    "bytearray(b",
    "bytearray([",
    "import base64",
    "zlib.",
];

/// Names of which the last part is common: these need the name's start.
const WHOLE_NAMES: [&str; 9] =
    ["exec(", "exec (", "exec \"", "exec '", "eval(", "execfile(", "chr(", "system(", "builtins"];

/// Marks of packers whose payload only their own native part can read.
const PACKED: [&str; 6] =
    ["__pyarmor__", "pyarmor_runtime", "pytransform", "__armor_enter__", "SOURCEDEFENDER", "__pyconcrete__"];

static PYTHON_SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = PYTHON.iter().chain(&PACKED);
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(words).ok()
});

pub(super) fn python(text: &[u8]) -> Hits {
    let mut hits = Hits { has_blob: super::blobs::has_any(text), ..Hits::default() };
    let Some(search) = PYTHON_SEARCH.as_ref() else { return hits };
    let mut is_telling = false;
    for found in search.find_iter(text) {
        let at = found.start();
        let Some(word) = PYTHON.get(found.pattern().as_usize()) else {
            hits.is_packed = true;
            continue;
        };
        let before = at.checked_sub(1).and_then(|at| text.get(at)).copied().unwrap_or(b' ');
        let is_tail =
            before.is_ascii_alphanumeric() || before == b'_' || (before == b'.' && *word != "system(");
        if is_tail && WHOLE_NAMES.contains(word) {
            continue;
        }
        is_telling |= !WEAK.contains(word);
        hits.positions.push(at);
        if hits.positions.len() >= MOST_HITS {
            break;
        }
    }
    // Enough of them hide something even so: a text of escapes, or of characters by number.
    if !is_telling && hits.positions.len() < MANY_WEAK {
        hits.positions.clear();
    }
    hits
}

/// What marks a shell text that decodes, executes a string or holds another script.
const SHELL: [&str; 35] = [
    "base64",
    "base32",
    "xxd",
    "openssl",
    "\\x",
    "\\1",
    "\\0",
    "$'",
    "eval",
    "printf",
    "| sh",
    "|sh",
    "| bash",
    "|bash",
    "sh -c",
    "sh -s",
    "-c '",
    "-c \"",
    "python",
    "perl",
    "<<",
    "gunzip",
    "gzip",
    "zcat",
    "bunzip2",
    "unxz",
    "xz ",
    "| rev",
    "|rev",
    " tr ",
    "uudecode",
    "<<<",
    "source /dev",
    ". /dev",
    "<(",
];

static SHELL_SEARCH: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(SHELL).ok());

pub(super) fn shell(text: &[u8]) -> Hits {
    let mut hits = Hits { has_blob: super::blobs::has_any(text), ..Hits::default() };
    if let Some(search) = SHELL_SEARCH.as_ref() {
        hits.positions.extend(search.find_iter(text).map(|found| found.start()).take(MOST_HITS));
    }
    hits
}
