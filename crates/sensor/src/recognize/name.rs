//! The names under which interpreters are installed.

use evidence::Family;

/// Names that may be followed by a version or a variant: `python3.11`, `zsh-5.9`, `bash-static`. Longer names
/// come before those that they begin with.
const NAMES: [(&[u8], Family); 19] = [
    (b"python", Family::CPython),
    (b"pypy", Family::PyPy),
    (b"bash", Family::Bash),
    (b"rbash", Family::Bash),
    (b"zsh", Family::Zsh),
    (b"rzsh", Family::Zsh),
    (b"busybox", Family::Busybox),
    (b"hush", Family::Busybox),
    (b"dash", Family::Dash),
    (b"ash", Family::Dash),
    (b"sh", Family::Dash),
    (b"ksh", Family::Dash),
    (b"rksh", Family::Dash),
    (b"mksh", Family::Dash),
    (b"lksh", Family::Dash),
    (b"oksh", Family::Dash),
    (b"pdksh", Family::Dash),
    (b"posh", Family::Dash),
    (b"yash", Family::Dash),
];

/// What may follow a version: builds of CPython (`m`, `d`, `t` for free threading, `u` for wide characters) and
/// PyPy, static and debug builds.
const VARIANTS: [&[u8]; 17] = [
    b"", b"m", b"d", b"t", b"u", b"dm", b"du", b"mu", b"dmu", b"td", b"c", b"dbg", b"debug", b"static",
    b"minimal", b"musl", b"nox",
];

/// The family that the base name of a resolved path claims.
///
/// `ash` and `sh` claim dash's family: where they are BusyBox, the resolved path ends in `busybox`, or the content
/// says so.
pub fn by_name(path: &[u8]) -> Option<Family> {
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    // The kernel's mark of a file that was deleted after it was started.
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    NAMES.iter().find_map(|(base, family)| {
        let rest = name.strip_prefix(*base)?;
        let known = *family == Family::Busybox && !rest.first().is_some_and(u8::is_ascii_alphabetic);
        (known || is_version(rest)).then_some(*family)
    })
}

/// Whether `rest` is a version with a variant, each of them perhaps empty: `3.11m`, `-5.9`, `3.10-c`, `.static`.
fn is_version(rest: &[u8]) -> bool {
    let separators =
        |bytes: &[u8]| bytes.iter().take_while(|byte| matches!(byte, b'-' | b'.' | b'_')).count();
    let rest = &rest[separators(rest)..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let rest = &rest[digits..];
    VARIANTS.contains(&&rest[separators(rest)..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<Family>) {
        assert_eq!(by_name(path.as_bytes()), expected, "{path}");
    }

    #[test]
    fn interpreters_are_known_under_their_versions() {
        for name in ["python", "python3", "python3.11", "python3.13t", "python3.6m", "python3.11-dbg"] {
            check(&format!("/usr/bin/{name}"), Some(Family::CPython));
        }
        for name in ["pypy", "pypy3", "pypy3.10", "pypy3.10-c", "pypy-c"] {
            check(&format!("/opt/pypy/bin/{name}"), Some(Family::PyPy));
        }
        for name in ["bash", "rbash", "bash-static", "bash5", "bash-5.2"] {
            check(&format!("/bin/{name}"), Some(Family::Bash));
        }
        for name in ["zsh", "zsh-5.9", "zsh5", "zsh5-static"] {
            check(&format!("/bin/{name}"), Some(Family::Zsh));
        }
        for name in ["busybox", "busybox.static", "busybox-x86_64", "busybox1.36"] {
            check(&format!("/bin/{name}"), Some(Family::Busybox));
        }
        for name in ["sh", "dash", "ash", "mksh", "ksh93"] {
            check(&format!("/bin/{name}"), Some(Family::Dash));
        }
        check("python3.11 (deleted)", Some(Family::CPython));
    }

    #[test]
    fn other_programs_are_not() {
        for name in ["", "ls", "python3-config", "pythonize", "shred", "ssh", "bashbug", "flash", "busyboxer"]
        {
            check(&format!("/usr/bin/{name}"), None);
        }
        check("", None);
        check("/bin/python3/", None);
    }
}
