//! The command lines of Bash (`shell.c`), the Almquist shells dash (`options.c`) and BusyBox ash
//! (`shell/ash.c`), BusyBox's choice of the applet (`libbb/appletlib.c`), and zsh (`init.c`, `options.c`).
//!
//! In all of them `-c` is a flag: the text is the first argument that is left when all options are read.

use super::{CommandLine, ScriptSource, argument};
use evidence::Untrusted;

/// What an Almquist shell does with `--word`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LongOptions {
    /// Complains and ends: dash.
    Refused,
    /// Goes on with the next argument: BusyBox.
    Ignored,
}

/// Applets of BusyBox that are shells.
const SHELL_APPLETS: [&[u8]; 6] = [b"sh", b"ash", b"hush", b"bash", b"lash", b"msh"];

/// `busybox busybox sh` is allowed, as often as one likes.
const BUSYBOX_DEPTH: usize = 16;

/// What the options said.
#[derive(Default)]
struct Said {
    command: bool,
    stdin: bool,
    interactive: bool,
}

impl Said {
    fn note(&mut self, letter: u8) {
        match letter {
            b'c' => self.command = true,
            b's' => self.stdin = true,
            b'i' => self.interactive = true,
            _ => {}
        }
    }

    /// What is run, when the operands start at `next`.
    fn conclude(self, args: &[Untrusted], next: usize, searched_on_path: bool) -> CommandLine<'_> {
        let (source, own_arguments) = match argument(args, next) {
            Some(text) if self.command => {
                (ScriptSource::Inline { text, argument: next, offset: 0 }, next + 1)
            }
            None if self.command => (ScriptSource::Nothing, args.len()),
            Some(path) if !self.stdin => {
                (ScriptSource::File { path, argument: next, searched_on_path }, next + 1)
            }
            _ => (ScriptSource::Stdin, next.min(args.len())),
        };
        CommandLine { interactive: self.interactive, ..CommandLine::new(source, own_arguments) }
    }
}

/// GNU Bash. Long options count only before the first short one.
pub(super) fn bash(args: &[Untrusted]) -> CommandLine<'_> {
    let Some(mut next) = bash_long_options(args) else { return CommandLine::nothing(args) };
    let mut said = Said::default();
    while let Some([sign @ (b'-' | b'+'), letters @ ..]) = argument(args, next) {
        next += 1;
        if *sign == b'-' && matches!(letters, b"" | b"-") {
            break;
        }
        for &letter in letters {
            match letter {
                b'o' | b'O' => next += usize::from(next < args.len()),
                b'-' => return CommandLine::nothing(args),
                _ => said.note(letter),
            }
        }
    }
    said.conclude(args, next, true)
}

/// The index after the long options, which one dash introduces as well as two; None where Bash then ends.
fn bash_long_options(args: &[Untrusted]) -> Option<usize> {
    let mut next = 1;
    while let Some([b'-', word @ ..]) = argument(args, next) {
        if matches!(word, b"" | b"-") {
            break;
        }
        let name = word.strip_prefix(b"-");
        match name.unwrap_or(word) {
            b"help" | b"version" => return None,
            b"rcfile" | b"init-file" if next + 1 < args.len() => next += 1,
            b"rcfile" | b"init-file" => return None,
            b"debug" | b"debugger" | b"dump-po-strings" | b"dump-strings" | b"login" | b"noediting"
            | b"noprofile" | b"norc" | b"posix" | b"pretty-print" | b"restricted" | b"verbose" => {}
            _ if name.is_none() => break,
            _ => {}
        }
        next += 1;
    }
    Some(next)
}

/// dash and BusyBox ash, whose name is at `name`.
pub(super) fn almquist(args: &[Untrusted], name: usize, long: LongOptions) -> CommandLine<'_> {
    let mut next = name + 1;
    let mut said = Said::default();
    while let Some([sign @ (b'-' | b'+'), letters @ ..]) = argument(args, next) {
        next += 1;
        if *sign == b'-' && matches!(letters, b"" | b"-") {
            break;
        }
        for &letter in letters {
            match letter {
                b'o' => next += usize::from(next < args.len()),
                b'-' if long == LongOptions::Refused => return CommandLine::nothing(args),
                b'-' => break,
                _ => said.note(letter),
            }
        }
    }
    said.conclude(args, next, false)
}

/// BusyBox: the name under which it is called says which applet it is; `busybox` itself takes it from the
/// next argument.
pub(super) fn busybox(args: &[Untrusted]) -> CommandLine<'_> {
    for place in 0..BUSYBOX_DEPTH.min(args.len()) {
        let Some(mut name) = argument(args, place) else { break };
        if place == 0 {
            // A dash before the name tells a login shell.
            name = name.strip_prefix(b"-").unwrap_or(name);
        }
        let applet = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
        if SHELL_APPLETS.contains(&applet) {
            return almquist(args, place, LongOptions::Ignored);
        }
        if !applet.starts_with(b"busybox") {
            break;
        }
    }
    CommandLine::nothing(args)
}

/// What zsh does after one argument of options.
enum AfterWord {
    GoOn,
    EndOfOptions,
    Stop,
}

/// Z shell.
pub(super) fn zsh(args: &[Untrusted]) -> CommandLine<'_> {
    let mut next = 1;
    let mut said = Said::default();
    while let Some([b'-' | b'+', letters @ ..]) = argument(args, next) {
        next += 1;
        match zsh_word(args, letters, &mut next, &mut said) {
            AfterWord::GoOn => {}
            AfterWord::EndOfOptions => break,
            AfterWord::Stop => return CommandLine::nothing(args),
        }
    }
    said.conclude(args, next, true)
}

fn zsh_word(args: &[Untrusted], word: &[u8], next: &mut usize, said: &mut Said) -> AfterWord {
    if word.is_empty() {
        return AfterWord::EndOfOptions;
    }
    let mut after = AfterWord::GoOn;
    for (place, &letter) in word.iter().enumerate() {
        let rest = &word[place + 1..];
        match letter {
            // A dash ends the options wherever it is last: `--`, `-f-`.
            b'-' if rest.is_empty() => return AfterWord::EndOfOptions,
            b'-' if place > 0 => return AfterWord::Stop,
            b'-' => return zsh_long(args, rest, next, said),
            b'b' => after = AfterWord::EndOfOptions,
            b'o' => {
                let name = match rest {
                    b"" => argument(args, *next).inspect(|_| *next += 1),
                    _ => Some(rest),
                };
                let Some(name) = name else { return AfterWord::Stop };
                note_zsh_option(name, said);
                return after;
            }
            // Blanks may end a bundle, for the sake of `#!` lines.
            _ if letter.is_ascii_whitespace() || letter == b'\x0b' => {
                let blank = rest.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b'\x0b');
                return if blank { after } else { AfterWord::Stop };
            }
            _ => said.note(letter),
        }
    }
    after
}

fn zsh_long(args: &[Untrusted], name: &[u8], next: &mut usize, said: &mut Said) -> AfterWord {
    match name {
        b"version" | b"help" => AfterWord::Stop,
        b"emulate" if *next < args.len() => {
            *next += 1;
            AfterWord::GoOn
        }
        b"emulate" => AfterWord::Stop,
        _ => {
            note_zsh_option(name, said);
            AfterWord::GoOn
        }
    }
}

/// Options can be named in words; case, underscores and dashes in them do not count.
fn note_zsh_option(name: &[u8], said: &mut Said) {
    let plain = || name.iter().filter(|byte| !matches!(byte, b'_' | b'-')).map(u8::to_ascii_lowercase);
    if plain().eq(*b"shinstdin") {
        said.stdin = true;
    } else if plain().eq(*b"interactive") {
        said.interactive = true;
    }
}
