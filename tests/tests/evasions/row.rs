//! What a row of the suite is, and how one is written down.

/// Where a row runs. Each has a container of a Debian release, and one interpreter in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    Python39,
    Python311,
    Python313,
    /// 3.13 whose code is in `libpython`, as in Docker's official images.
    Shared,
    /// The newest that Debian has.
    Newest,
    /// A program that is no interpreter and holds `libpython`.
    Embedding,
    /// A program that is no interpreter and loads `libpython` while it runs.
    Loading,
    PyPy,
    Bash,
    Dash,
    Busybox,
}
use Place::{Bash, Busybox, Dash, Newest, Python39, Python311, Python313, Shared};

pub(crate) const PYTHONS: &[Place] = &[Python39, Python311, Python313, Shared, Newest];
pub(crate) const SHELLS: &[Place] = &[Bash, Dash, Busybox];

impl Place {
    /// As the table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Python39 => "CPython 3.9",
            Python311 => "CPython 3.11",
            Python313 => "CPython 3.13",
            Shared => "CPython 3.13 as a library",
            Newest => "CPython of Debian sid",
            Self::Embedding => "a C program with CPython 3.13",
            Self::Loading => "a C program that loads CPython 3.13",
            Self::PyPy => "PyPy",
            Bash => "Bash",
            Dash => "dash",
            Busybox => "BusyBox",
        }
    }

    /// The interpreter, inside of its container.
    pub(crate) fn interpreter(self) -> &'static str {
        match self {
            Shared => "/opt/bin/python-shared",
            Self::Embedding => "/opt/bin/embedding",
            Self::Loading => "/opt/bin/loading",
            Self::PyPy => "/usr/bin/pypy3",
            Bash => "/usr/bin/bash",
            Dash => "/usr/bin/dash",
            Busybox => "/opt/bin/ash",
            _ => "/usr/bin/python3",
        }
    }

    pub(crate) fn is_python(self) -> bool {
        !SHELLS.contains(&self)
    }
}

/// What becomes of the malicious script of a row. Its benign twin never makes a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A finding in each run.
    Caught,
    /// A finding in each run, which says by these words what is missing or doubtful.
    CaughtWith(&'static str),
    /// A finding in each run; at times it says by these words what may be missing.
    Noted(&'static str),
    /// It is a race. A finding in one run at least; not in each, for this reason.
    Race(&'static str),
    /// It is a race that this host may lose each time, for this reason; nothing is claimed but that the twin stays unfound.
    Either(&'static str),
    /// No finding in any run, for this reason.
    Blind(&'static str),
}
pub(crate) use Expected::{Blind, Caught, CaughtWith, Either, Noted, Race};

impl Expected {
    /// As the table says it.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Caught => ("caught", ""),
            CaughtWith(note) => ("caught, with reduced coverage", note),
            Noted(note) => ("caught, at times with reduced coverage", note),
            Race(reason) => ("a race: caught, but not each time", reason),
            Either(reason) => ("a race: often missed", reason),
            Blind(reason) => ("blind", reason),
        }
    }
}

/// One technique. In templates `PY` and `SH` stand for the interpreter, `TEXT` for the script's text, `CASE` for the folder
/// of the case, which is the working folder, and `DATA` for an expression in Python that reads the file `data`.
///
/// In the folder lie `text`, `data` (each byte flipped), `rot` (each letter 13 places on) and what `files` adds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) at: &'static [Place],
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// A line for `bash`, before urva watches.
    pub(crate) prepare: &'static str,
    pub(crate) command: &'static [&'static str],
    /// What is written to standard input at once.
    pub(crate) input: &'static str,
    pub(crate) times: usize,
    /// What unpacks the text is called malicious by itself, so that the benign twin makes a finding as well. Only a finding
    /// that shows the text then counts.
    pub(crate) is_suspicious: bool,
    pub(crate) expected: Expected,
    /// Where something else is expected.
    pub(crate) but: &'static [(&'static [Place], Expected)],
}

impl Row {
    pub(crate) const fn new(
        name: &'static str,
        at: &'static [Place],
        command: &'static [&'static str],
        expected: Expected,
    ) -> Self {
        Self {
            name,
            at,
            files: &[],
            prepare: "",
            command,
            input: "",
            times: 1,
            is_suspicious: false,
            expected,
            but: &[],
        }
    }

    pub(crate) const fn files(mut self, files: &'static [(&'static str, &'static str)]) -> Self {
        self.files = files;
        self
    }

    pub(crate) const fn prepare(mut self, line: &'static str) -> Self {
        self.prepare = line;
        self
    }

    pub(crate) const fn input(mut self, input: &'static str) -> Self {
        self.input = input;
        self
    }

    pub(crate) const fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    pub(crate) const fn expect(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    pub(crate) const fn suspicious(mut self) -> Self {
        self.is_suspicious = true;
        self
    }

    pub(crate) const fn but(mut self, but: &'static [(&'static [Place], Expected)]) -> Self {
        self.but = but;
        self
    }

    pub(crate) fn expected_at(&self, place: Place) -> Expected {
        let exception = self.but.iter().find(|(places, _)| places.contains(&place));
        exception.map_or(self.expected, |(_, expected)| *expected)
    }
}

/// Rows under a heading.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) rows: &'static [Row],
}

/// The table in Markdown.
pub(crate) fn table(groups: &[&Group]) -> String {
    let mut lines = Vec::new();
    for group in groups {
        lines.push(format!("\n### {}\n\n| Technique | Where | Outcome | |\n|---|---|---|---|", group.title));
        for row in group.rows {
            let mut outcomes: Vec<(Expected, Vec<Place>)> = Vec::new();
            for place in row.at {
                let expected = row.expected_at(*place);
                match outcomes.iter_mut().find(|(other, _)| *other == expected) {
                    Some((_, places)) => places.push(*place),
                    None => outcomes.push((expected, vec![*place])),
                }
            }
            for (expected, places) in outcomes {
                let (outcome, why) = expected.words();
                let mark = if row.is_suspicious { " ¹" } else { "" };
                lines.push(format!("| {}{mark} | {} | {outcome} | {why} |", row.name, names(&places)));
            }
        }
    }
    lines.join("\n") + "\n"
}

fn names(places: &[Place]) -> String {
    if places == PYTHONS {
        return "each CPython".to_owned();
    }
    if places == SHELLS {
        return "each shell".to_owned();
    }
    places.iter().map(|place| place.name()).collect::<Vec<_>>().join(", ")
}
