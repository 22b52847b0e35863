//! What decoded data is: text, an executable, an archive; and which language a text is written in.

use evidence::Language;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Elf,
    Pe,
    Zip,
    Other,
}

/// Bytes that are looked at.
const SAMPLE: usize = 4096;

pub(super) fn of(data: &[u8]) -> Kind {
    if data.starts_with(b"\x7fELF") {
        return Kind::Elf;
    }
    if data.starts_with(b"MZ")
        && data.len() > 64
        && data.get(..512.min(data.len())).is_some_and(|head| head.contains(&0))
    {
        return Kind::Pe;
    }
    if data.starts_with(b"PK\x03\x04") {
        return Kind::Zip;
    }
    if is_text(data) { Kind::Text } else { Kind::Other }
}

/// Whether it reads as text: almost no control characters, and valid UTF-8 but for some bytes.
pub(super) fn is_text(data: &[u8]) -> bool {
    let sample = data.get(..SAMPLE).unwrap_or(data);
    let control = sample
        .iter()
        .filter(|&&byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b) || byte == 0x7f)
        .count();
    if control * 50 > sample.len() {
        return false;
    }
    let foreign = sample.iter().filter(|&&byte| byte >= 0x80).count();
    if foreign == 0 {
        return true;
    }
    let broken: usize = sample.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    broken * 50 <= sample.len()
}

/// Words that hardly occur but in Python.
const PYTHON: [&[u8]; 17] = [
    b"import ",
    b"def ",
    b"print(",
    b"exec(",
    b"eval(",
    b"lambda",
    b"self.",
    b"elif ",
    b"__import__",
    b"None",
    b"except",
    b"return ",
    b"os.system",
    b"subprocess.",
    b".decode(",
    b"open(",
    b"class ",
];

/// Words that hardly occur but in shell.
const SHELL: [&[u8]; 21] = [
    b"echo ",
    b"fi\n",
    b"done",
    b"then",
    b"esac",
    b"curl ",
    b"wget ",
    b"chmod ",
    b"export ",
    b"$(",
    b"/bin/",
    b"| sh",
    b"|sh",
    b"| bash",
    b"|bash",
    b"sudo ",
    b">&",
    b"/dev/null",
    b"rm -",
    b"${",
    b" && ",
];

/// How many of the words occur in the head of the text.
fn count(text: &[u8], words: &[&[u8]]) -> usize {
    let head = text.get(..SAMPLE).unwrap_or(text);
    words.iter().filter(|word| memchr::memmem::find(head, word).is_some()).count()
}

/// The language by the first line or by words; `otherwise` where nothing speaks for one of them.
pub(super) fn language_of(text: &[u8], otherwise: Language) -> Language {
    if let Some(language) = by_first_line(text) {
        return language;
    }
    let (python, shell) = (count(text, &PYTHON), count(text, &SHELL));
    match python.cmp(&shell) {
        std::cmp::Ordering::Greater => Language::Python,
        std::cmp::Ordering::Less => Language::Shell,
        std::cmp::Ordering::Equal => otherwise,
    }
}

fn by_first_line(text: &[u8]) -> Option<Language> {
    let line = text.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    if memchr::memmem::find(line, b"python").is_some() {
        return Some(Language::Python);
    }
    memchr::memmem::find(line, b"sh").is_some().then_some(Language::Shell)
}

/// Whether a text plainly is a script rather than prose or data.
pub(super) fn looks_like_script(text: &[u8]) -> Option<Language> {
    if let Some(language) = by_first_line(text) {
        return Some(language);
    }
    let (python, shell) = (count(text, &PYTHON), count(text, &SHELL));
    (python.max(shell) >= 2).then_some(if python >= shell { Language::Python } else { Language::Shell })
}
