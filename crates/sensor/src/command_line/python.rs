//! The command line of CPython (`Python/getopt.c` and `Python/initconfig.c`, 2.7 to 3.14) and of PyPy
//! (`pypy/interpreter/app_main.py`).

use super::{CommandLine, ModuleSearch, ScriptSource, argument};
use evidence::Untrusted;

/// Whose grammar of options it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    CPython,
    PyPy,
}

/// One step through the options.
enum Step<'a> {
    /// An option that changes nothing here.
    Flag,
    Letter(u8),
    Code(Value<'a>),
    Module(Value<'a>),
    /// What follows is no option.
    End,
    /// Help, version, or a mistake: the interpreter stops.
    Stop,
}

/// The value of an option, and where in the vector it is.
struct Value<'a> {
    text: &'a [u8],
    argument: usize,
    offset: usize,
}

struct Options<'a> {
    args: &'a [Untrusted],
    dialect: Dialect,
    /// Index of the next argument that is not read yet.
    next: usize,
    /// The letters that are left of the argument before it.
    bundle: &'a [u8],
}

pub(super) fn read(args: &[Untrusted], dialect: Dialect) -> CommandLine<'_> {
    let mut options = Options { args, dialect, next: 1, bundle: b"" };
    let mut search = ModuleSearch::default();
    let mut interactive = false;
    let source = loop {
        match options.step() {
            Step::Flag => {}
            Step::Letter(b'i') => interactive = true,
            Step::Letter(letter) => note(letter, &mut search),
            Step::Code(Value { text, argument, offset }) => {
                break ScriptSource::Inline { text, argument, offset };
            }
            Step::Module(Value { text, argument, offset }) => {
                break ScriptSource::Module { name: text, argument, offset };
            }
            Step::End => break options.operand(),
            Step::Stop => return CommandLine::nothing(args),
        }
    };
    let own_arguments = options.next.min(args.len());
    CommandLine { source, own_arguments, interactive, module_search: search }
}

fn note(letter: u8, search: &mut ModuleSearch) {
    match letter {
        b'I' => {
            search.without_working_directory = true;
            search.without_environment = true;
            search.without_user_site = true;
        }
        b'P' => search.without_working_directory = true,
        b'E' => search.without_environment = true,
        b's' => search.without_user_site = true,
        b'S' => search.without_site = true,
        _ => {}
    }
}

impl<'a> Options<'a> {
    fn step(&mut self) -> Step<'a> {
        if self.bundle.is_empty() {
            let Some(word) = argument(self.args, self.next) else { return Step::End };
            if word.len() < 2 || word[0] != b'-' {
                return Step::End;
            }
            self.next += 1;
            match word {
                b"--" => return Step::End,
                [b'-', b'-', name @ ..] => return self.long(name),
                b"-funroll-loops" if self.dialect == Dialect::PyPy => return Step::Flag,
                _ => self.bundle = &word[1..],
            }
        }
        let letter = self.bundle[0];
        self.bundle = &self.bundle[1..];
        match letter {
            b'c' => self.value().map_or(Step::Stop, Step::Code),
            b'm' => self.value().map_or(Step::Stop, Step::Module),
            b'W' | b'X' => self.value().map_or(Step::Stop, |_| Step::Flag),
            // Division semantics of Python 2.
            b'Q' if self.dialect == Dialect::CPython => self.value().map_or(Step::Stop, |_| Step::Flag),
            b'h' | b'?' | b'V' | b'J' | b':' => Step::Stop,
            // CPython's getopt takes a dash inside a bundle for the start of a long option: `-B-help-all`. A dash
            // at the end of one makes it complain and yet go on, as if the options ended there (3.7 to 3.14).
            b'-' if self.dialect == Dialect::PyPy => Step::Stop,
            b'-' if self.bundle.is_empty() => Step::End,
            b'-' => {
                let name = std::mem::take(&mut self.bundle);
                self.long(name)
            }
            letter => Step::Letter(letter),
        }
    }

    fn long(&mut self, name: &[u8]) -> Step<'a> {
        match name {
            b"check-hash-based-pycs" => match self.value() {
                Some(Value { text: b"default" | b"always" | b"never", .. }) => Step::Flag,
                _ => Step::Stop,
            },
            b"jit" if self.dialect == Dialect::PyPy => match self.value() {
                None | Some(Value { text: b"help", .. }) => Step::Stop,
                Some(_) => Step::Flag,
            },
            b"info" if self.dialect == Dialect::PyPy => Step::Stop,
            b"help" | b"help-all" | b"help-env" | b"help-xoptions" | b"version" => Step::Stop,
            _ => Step::Flag,
        }
    }

    /// The rest of the bundle, or else the whole next argument.
    fn value(&mut self) -> Option<Value<'a>> {
        let bundle = std::mem::take(&mut self.bundle);
        if bundle.is_empty() {
            let text = argument(self.args, self.next)?;
            self.next += 1;
            return Some(Value { text, argument: self.next - 1, offset: 0 });
        }
        let place = self.next - 1;
        let length = argument(self.args, place)?.len();
        Some(Value { text: bundle, argument: place, offset: length - bundle.len() })
    }

    /// What is run where neither `-c` nor `-m` was given.
    fn operand(&mut self) -> ScriptSource<'a> {
        let place = self.next;
        self.next += 1;
        match argument(self.args, place) {
            None | Some(b"-") => ScriptSource::Stdin,
            Some(path) => ScriptSource::File { path, argument: place, searched_on_path: false },
        }
    }
}
