//! Where a text is handed to an interpreter: `exec`, `os.system`, `subprocess`, and files that are written.

use super::eval::{Arguments, Evaluator};
use super::value::{HOLE, Value};
use crate::unpack::kind;
use crate::unpack::session::{Found, push_step};
use crate::unpack::step::Step;
use evidence::Language;

impl Evaluator<'_> {
    /// Takes the call where it is one of these. False where it is none.
    pub(super) fn sink(&mut self, module: &str, name: &str, arguments: &Arguments) -> bool {
        let first = arguments.get(0).clone();
        match (module, name) {
            ("", "exec" | "execfile" | "exec_" | "run_code") => self.execute(&first, Step::Executed),
            ("os" | "posix" | "nt" | "", "system" | "popen")
            | ("os", "popen2" | "popen3" | "popen4" | "startfile") => {
                self.command(&first, Step::OsCommand);
            }
            ("commands" | "subprocess" | "", "getoutput" | "getstatusoutput") | ("popen2", _) => {
                self.command(&first, Step::OsCommand);
            }
            ("subprocess" | "sp" | "", "run" | "call" | "Popen" | "check_output" | "check_call") => {
                let command =
                    arguments.plain.first().or(arguments.named("args")).cloned().unwrap_or_default();
                self.command(&command, Step::Process);
            }
            ("asyncio" | "", "create_subprocess_shell") => self.command(&first, Step::OsCommand),
            ("asyncio" | "", "create_subprocess_exec") => {
                self.command(&Value::list(arguments.plain.clone()), Step::Process)
            }
            ("pty", "spawn") => self.command(&first, Step::Process),
            ("os", "execl" | "execlp" | "execle" | "execlpe" | "spawnl" | "spawnlp") => {
                let skip = if name.starts_with("spawn") { 2 } else { 1 };
                self.command(
                    &Value::list(arguments.plain.iter().skip(skip).cloned().collect()),
                    Step::Process,
                );
            }
            ("os", "execv" | "execvp" | "execve" | "execvpe") => {
                self.command(arguments.get(1), Step::Process)
            }
            (_, "runsource" | "runcode" | "run_cell") => self.execute(&first, Step::Executed),
            (_, "write" | "writelines" | "write_text" | "write_bytes") => self.written(&first),
            _ => return false,
        }
        true
    }

    /// A text that is written to a file is a layer where it plainly is a script.
    fn written(&mut self, value: &Value) {
        let Some(content) = value.content().filter(|content| content.len() >= 40) else { return };
        self.session.spend(content.len() / 64);
        if let Some(language) = kind::looks_like_script(content) {
            self.emit(value, Some(language), &[Step::WrittenFile], false);
        } else {
            self.session.note_kind(content);
        }
    }

    fn command(&mut self, value: &Value, how: Step) {
        match value {
            Value::Text(_) | Value::Bytes(_) => {
                self.emit(value, Some(Language::Shell), &[Step::OsCommand], true);
            }
            Value::List(items) => self.process(items, how),
            _ => {}
        }
    }

    /// An argument vector; that of an interpreter with `-c` is a script of its language.
    fn process(&mut self, items: &[Value], how: Step) {
        let program = match items.first() {
            Some(Value::Path(path)) if &**path == "sys.executable" => "python".to_owned(),
            Some(value) => value.as_str().unwrap_or_default().to_owned(),
            None => return,
        };
        let program = program.rsplit('/').next().unwrap_or_default();
        let code_at = items
            .iter()
            .take(4)
            .position(|item| item.as_str().is_some_and(|one| one.starts_with('-') && one.ends_with('c')));
        if let Some(code) = code_at.and_then(|at| items.get(at + 1)).filter(|code| code.content().is_some()) {
            let code = code.clone();
            if program.starts_with("python") || program.starts_with("pypy") {
                self.emit(&code, Some(Language::Python), &[how], true);
                return;
            }
            if program.ends_with("sh") {
                self.emit(&code, Some(Language::Shell), &[Step::ShellString], true);
                return;
            }
        }
        let words: Vec<String> = items.iter().map(|item| quoted(&super::operate::shown(item))).collect();
        let Some(origin) = items.iter().find_map(Value::origin) else { return };
        let line = Value::text(words.join(" "), std::rc::Rc::clone(origin));
        self.emit(&line, Some(Language::Shell), &[how], true);
    }

    /// Adds a layer, to be looked at on its own.
    pub(super) fn emit(
        &mut self,
        value: &Value,
        language: Option<Language>,
        steps: &[Step],
        is_executed: bool,
    ) {
        if let Some(found) = self.found(value, language, steps, is_executed) {
            self.session.add(found);
        }
    }

    fn found(
        &self,
        value: &Value,
        language: Option<Language>,
        more: &[Step],
        is_executed: bool,
    ) -> Option<Found> {
        let origin = value.origin()?;
        let mut steps = origin.steps.clone();
        more.iter().for_each(|&step| push_step(&mut steps, step));
        let lines =
            if origin.layer == self.layer_number() && origin.lines.0 > 0 { origin.lines } else { self.lines };
        let stand_in = if language == Some(Language::Shell) { "$X" } else { "X" };
        let text = match value {
            Value::Text(text) if text.content.contains(HOLE) => {
                text.content.replace(HOLE, stand_in).into_bytes()
            }
            _ => value.content()?.to_vec(),
        };
        Some(Found { text, language, steps, lines: Some(lines), is_executed })
    }

    /// `exec(value)`: a layer, which runs here and now, with the variables that there are.
    pub(super) fn execute(&mut self, value: &Value, step: Step) {
        if let Value::Path(_) | Value::Unknown = value {
            return;
        }
        let Some(found) = self.found(value, Some(Language::Python), &[step], true) else { return };
        if found.text.starts_with(b"\xe3") || found.text.starts_with(b"c\0") {
            return;
        }
        let text = crate::reading::read(Language::Python, &found.text).text.into_owned();
        match self.session.place(found) {
            Some(task) => {
                let (outer, lines) = (std::mem::replace(&mut self.task, task), self.lines);
                self.session.enter(task);
                self.run_source(&text);
                self.task = outer;
                self.lines = lines;
                self.session.enter(outer);
            }
            None if text.len() < 64 => {
                self.value_of_source(&text);
            }
            None => {}
        }
    }

    /// `eval(value)`: what the expression is worth; a layer where it is more than a name.
    pub(super) fn evaluate(&mut self, value: &Value) -> Value {
        let Some(text) = value.content().filter(|text| text.len() <= 1 << 20).map(<[u8]>::to_vec) else {
            return Value::Unknown;
        };
        if text.len() < 64
            || !value.origin().is_some_and(|origin| origin.steps.iter().any(|step| step.decodes()))
        {
            let inner = self.value_of_source(&text);
            if text.len() >= 24 {
                self.emit(value, Some(Language::Python), &[Step::Evaluated], true);
            }
            return inner;
        }
        let Some(found) = self.found(value, Some(Language::Python), &[Step::Evaluated], true) else {
            return Value::Unknown;
        };
        let Some(task) = self.session.place(found) else { return self.value_of_source(&text) };
        let (outer, lines) = (std::mem::replace(&mut self.task, task), self.lines);
        self.session.enter(task);
        let inner = self.value_of_source(&text);
        self.task = outer;
        self.lines = lines;
        self.session.enter(outer);
        inner
    }
}

/// An argument as a shell would have to be given it.
fn quoted(argument: &str) -> String {
    let is_plain =
        |letter: char| letter.is_alphanumeric() || "_-./:=@%+,$".contains(letter) || letter == HOLE;
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}
