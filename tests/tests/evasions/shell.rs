//! The rows for shells.

use crate::row::Place::{Bash, Busybox, Dash};
use crate::row::{Blind, Caught, CaughtWith, Either, Expected, Group, Noted, Place, Race, Row, SHELLS};

const STRIPPED: &str = "the program is stripped: there is no function in it to watch";
const BEGINNING: &str = "the beginning of standard input may be missing";
const EARLY: Expected = Race(
    "the shell may read, or end, before urva looks: the finding then says that the beginning may be missing, or there is none",
);
const OTHER_TEXT: &str = "other text may have run";
const ENDED: &str = "a shell may be at its end before urva reads the file";
const QUICK: Expected =
    Either("a small shell may have ended before urva looks: it is then recorded as not captured");
const PAST: &str = "the file is read by the running shell, without an exec";
/// A command line that gives the text back.
macro_rules! decoded {
    ($before:literal, $after:literal) => {
        concat!($before, "tr A-Za-z N-ZA-Mn-za-m < rot", $after)
    };
}

const fn row(name: &'static str, command: &'static [&'static str]) -> Row {
    Row::new(name, SHELLS, command, Caught)
}

const fn bash(name: &'static str, command: &'static [&'static str]) -> Row {
    Row::new(name, &[Bash], command, Caught)
}

const SMALL: &[Place] = &[Dash, Busybox];

pub(crate) const GIVEN: Group = Group {
    title: "How a shell is given its script",
    rows: &[
        row("`-c`", &["SH", "-c", "TEXT"]),
        row("file", &["SH", "text"]),
        row("`#!` line", &["CASE/run"]).prepare("{ echo '#!SH'; cat text; } > run; chmod +x run"),
        row("file that ends at once", &["SH", "run"])
            .prepare("{ echo 'echo; exit 0'; cat text; } > run")
            .times(10),
        row("file that deletes itself first", &["SH", "run"])
            .prepare("{ echo 'rm run'; cat text; } > run")
            .expect(Race(ENDED)).times(8).but(&[(SMALL, QUICK)]),
        row("file that appends to itself", &["SH", "run"])
            .prepare("echo 'sleep 0.2; cat text >> run; sleep 1.5' > run")
            .expect(CaughtWith(OTHER_TEXT)),
        bash(
            "file that is replaced between urva's read and the shell's, and runs for a second",
            &[
                "bash",
                "-c",
                "(sleep 0.5; { echo 'sleep 1.5'; cat text; } > run; echo : > before) & BASH_ENV=before SH run; wait",
            ],
        )
        .prepare("echo : > run; mkfifo before")
        .expect(CaughtWith(OTHER_TEXT)),
        row("file on standard input", &["bash", "-c", "SH < text"]).expect(Race(ENDED)).times(8).but(&[(SMALL, QUICK)]),
        row("pipe, at once", &["SH"]).input("TEXT").expect(Noted(BEGINNING)).times(8),
        row("here-document", &["SH", "-c", "SH << END\n$(cat text)\nEND"]).expect(Noted(BEGINNING)).times(8),
        row(
            "pipe, line by line",
            &[
                "bash",
                "-c",
                "sleep 0.5; while IFS= read -r line; do printf '%s\\n' \"$line\"; sleep 0.05; done < text | SH",
            ],
        )
        .expect(Noted(BEGINNING)),
        row("pipe, byte by byte", &["bash", "-c", "{ sleep 0.3; dd if=text bs=1 status=none; } | SH"])
            .expect(Noted(BEGINNING)),
        row("`base64 -d \\| sh`", &["bash", "-c", "{ sleep 0.5; base64 -d packed; } | SH"])
            .prepare("base64 text > packed").expect(Noted(BEGINNING)),
        row(
            "rest of the script by `exec < FILE`",
            &["bash", "-c", "{ sleep 0.3; echo 'exec < text'; sleep 0.3; } | SH"],
        )
        .expect(Blind("only what comes through the first standard input is followed")),
        row("`#!`-less file that a running shell executes", &["SH", "-c", "./run; true"])
            .prepare("sed 1d text > run; chmod +x run")
            .but(&[(&[Bash], Blind("Bash runs it in a fork of itself, without an exec"))]),
        row("sourced file", &["SH", "-c", ". ./text"]).but(&[(SMALL, Blind(PAST))]),
        Row { at: SMALL, ..row("`ENV`", &["env", "ENV=CASE/text", "SH", "-i", "-c", "true"]) }
            .expect(Blind(PAST)),
        bash("`BASH_ENV`", &["env", "BASH_ENV=CASE/text", "SH", "-c", "true"]),
        bash("`--rcfile`", &["bash", "-c", "SH --rcfile text -i < /dev/null"]),
        row("profile", &["env", "HOME=CASE", "SH", "-l", "-c", "true"])
            .prepare("cp text .profile")
            .but(&[(SMALL, Blind(PAST))]),
        bash("function from the environment", &["env", "BASH_FUNC_x%%=() { TEXT\n}", "SH", "-c", "x"]).times(8),
        bash("process substitution", &["SH", "-c", decoded!("SH <(", ")")]).suspicious().expect(Blind("the script's path leads to a pipe, which is not read from outside")),
        row(
            "50 other executions around it",
            &[
                "bash",
                "-c",
                "for n in $(seq 50); do /bin/true; done & SH text; for n in $(seq 50); do /bin/true; done; wait",
            ],
        ),
        Row { at: &[Bash, Dash], ..row("copied under another name", &["CASE/worker", "-c", "TEXT"]) }
            .prepare("cp SH worker"),
    ],
};

pub(crate) const HIDDEN: Group = Group {
    title: "How the text is hidden, in a shell",
    rows: &[
        row("`eval`", &["SH", "-c", decoded!("eval \"$(", ")\"")])
            .but(&[(SMALL, Blind(STRIPPED))])
            .suspicious()
            .times(8),
        row("trap", &["SH", "-c", decoded!("trap \"$(", ")\" EXIT")])
            .but(&[(SMALL, Blind(STRIPPED))])
            .suspicious()
            .times(8),
        row("`sh -c \"$(…)\"`", &["SH", "-c", decoded!("SH -c \"$(", ")\"; true")]).suspicious(),
        row("decoder piped into `sh`", &["SH", "-c", decoded!("", " | SH")])
            .expect(EARLY)
            .times(8)
            .suspicious()
            .but(&[(SMALL, QUICK)]),
        bash("`printf -v` and `eval`", &["SH", "-c", decoded!("printf -v x %s \"$(", ")\"; eval \"$x\"")])
            .suspicious()
            .times(8),
        bash("`${x@E}`, `${x@P}` and `eval`", &["SH", "-c", decoded!("x=$(", "); eval \"${x@E}\"")])
            .suspicious()
            .times(8),
        bash("`source /dev/stdin`", &["SH", "-c", decoded!("source /dev/stdin <<< \"$(", ")\"")])
            .suspicious()
            .times(8),
        bash("`source <(…)`", &["SH", "-c", decoded!("source <(", ")")]).suspicious().times(8),
        bash("`mapfile -C`", &["SH", "-c", decoded!("mapfile -c 1 -C \"$(", ")\n:\" x <<< y")])
            .suspicious()
            .times(8),
        bash(
            "`PROMPT_COMMAND`",
            &["bash", "-c", decoded!("echo exit | PROMPT_COMMAND=\"$(", ")\" SH --norc -i")],
        )
        .suspicious()
        .times(8),
        bash("`DEBUG` trap", &["SH", "-c", decoded!("trap \"$(", ")\" DEBUG; :")]).suspicious().times(8),
        bash(
            "arithmetic of an array's index",
            &["SH", "-c", "x='a[$(. ./text > out; echo 0)]'; : $((x)); cat out"],
        ),
        bash("subshell in the background", &["SH", "-c", decoded!("(sleep 0.3; eval \"$(", ")\") &")])
            .suspicious()
            .times(8),
    ],
};
