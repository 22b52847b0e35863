//! The command line of the dynamic loader, which can be executed itself: `ld-linux-x86-64.so.2 python3 FILE`.
//! The kernel then sees the loader as the executable, and only the arguments tell the program.
//!
//! After glibc's `elf/rtld.c` and musl's `ldso/dynlink.c`; [`crate::recognize::is_loader`] tells a loader.

use super::argument;
use evidence::Untrusted;

/// The program that a loader is told to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded<'a> {
    /// Its path as it was given. A name without a slash is looked up like a library's by glibc, and in the working
    /// directory by musl.
    pub program: &'a [u8],
    /// The argument that holds it. The program's own vector is `argv0` and what follows this argument, so that an
    /// index into that vector is one into the loader's when `argument` is added.
    pub argument: usize,
    /// What the program finds as its `argv[0]`.
    pub argv0: &'a [u8],
}

/// Reads the arguments of a loader; None where it loads no program: it lists, verifies, helps, or refuses.
pub fn loaded(args: &[Untrusted]) -> Option<Loaded<'_>> {
    let mut next = 1;
    let mut argv0 = None;
    while let Some([b'-', b'-', option @ ..]) = argument(args, next) {
        next += 1;
        // musl also takes `--option=value`, and `--` for the end.
        let (name, glued) = match option.iter().position(|byte| *byte == b'=') {
            Some(sign) => (&option[..sign], Some(&option[sign + 1..])),
            None => (option, None),
        };
        let mut value = || match glued {
            Some(value) => Some(value),
            None => {
                next += 1;
                argument(args, next - 1)
            }
        };
        match name {
            b"" => break,
            b"argv0" => argv0 = Some(value()?),
            b"library-path"
            | b"preload"
            | b"audit"
            | b"inhibit-rpath"
            | b"glibc-hwcaps-prepend"
            | b"glibc-hwcaps-mask" => {
                value()?;
            }
            b"list" | b"verify" | b"help" | b"version" | b"list-tunables" | b"list-diagnostics" => {
                return None;
            }
            _ => {}
        }
    }
    let program = argument(args, next)?;
    Some(Loaded { program, argument: next, argv0: argv0.unwrap_or(program) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: Option<(usize, &str)>) {
        let args: Vec<Untrusted> = words.iter().map(|word| Untrusted::from(*word)).collect();
        let found = loaded(&args);
        assert_eq!(
            found.map(|found| (found.argument, found.argv0)),
            expected.map(|(at, name)| (at, name.as_bytes()))
        );
        assert!(found.is_none_or(|found| found.program == &args[found.argument].0[..]));
    }

    #[test]
    fn the_program_follows_the_options() {
        check(&["ld.so", "/bin/python3", "-c", "x"], Some((1, "/bin/python3")));
        check(&["ld.so", "--library-path", "/lib", "/bin/sh", "--list"], Some((3, "/bin/sh")));
        check(&["ld.so", "--argv0", "sh", "--inhibit-cache", "/bin/busybox"], Some((4, "sh")));
        check(&["ld-musl.so", "--argv0=sh", "--preload=/x", "--", "/bin/busybox"], Some((4, "sh")));
        check(&["ld.so", "-x"], Some((1, "-x")));
    }

    #[test]
    fn loaders_that_load_nothing() {
        for words in [&["ld.so"][..], &[], &["ld.so", "--list", "/bin/sh"], &["ld.so", "--verify", "/bin/sh"]]
        {
            check(words, None);
        }
        for words in [&["ld.so", "--argv0"][..], &["ld.so", "--help"], &["ld.so", "--preload", "x"]] {
            check(words, None);
        }
    }
}
