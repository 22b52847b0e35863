//! What constant commands print, and interpreters that are handed a script.

use super::word::replaced;
use super::{DEEPEST, Evaluator, Value};
use crate::unpack::decode;
use crate::unpack::kind;
use crate::unpack::python;
use crate::unpack::session::push_step;
use crate::unpack::step::Step;
use evidence::Language;
use tree_sitter::Node;

/// Most decoded values that are kept until the end.
const MOST_DECODED: usize = 32;

/// Commands that run the command that follows.
const WRAPPERS: [&[u8]; 12] = [
    b"sudo", b"nohup", b"exec", b"env", b"command", b"time", b"setsid", b"busybox", b"builtin", b"nice",
    b"xargs", b"doas",
];

/// The language that a program interprets.
fn interpreter(program: &[u8]) -> Option<Language> {
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match name {
        b"sh" | b"bash" | b"dash" | b"ash" | b"zsh" | b"ksh" => Some(Language::Shell),
        _ if name.starts_with(b"python") || name.starts_with(b"pypy") => Some(Language::Python),
        _ => None,
    }
}

impl Evaluator<'_, '_> {
    /// What the commands in `$(…)`, backquotes or `<(…)` print.
    pub(super) fn substitution(&mut self, node: Node<'_>) -> Value {
        let mut printed = Value { is_known: true, lines: Some(self.lines(node)), ..Value::default() };
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match self.output(child, None) {
                Some(value) => printed.append(value, self.session.decoded_limit()),
                None => {
                    printed.is_known = false;
                    printed.content = self.source(node).to_vec();
                    break;
                }
            }
        }
        printed
    }

    /// What the statement prints, as far as that is constant. `input` is what it reads.
    pub(super) fn output(&mut self, node: Node<'_>, input: Option<Value>) -> Option<Value> {
        if self.depth >= DEEPEST || !self.session.spend(1) {
            return None;
        }
        self.depth += 1;
        let printed = match node.kind() {
            "pipeline" => self.pipeline(node, input),
            "redirected_statement" => self.redirected(node, input),
            "command" => self.command(node, input),
            "subshell" | "compound_statement" | "list" => {
                let mut printed: Option<Value> = None;
                let mut cursor = node.walk();
                for child in node.named_children(&mut cursor) {
                    if let Some(value) = self.output(child, input.clone()) {
                        match &mut printed {
                            Some(before) => before.append(value, self.session.decoded_limit()),
                            None => printed = Some(value),
                        }
                    }
                }
                printed
            }
            _ => {
                self.statement(node);
                None
            }
        };
        self.depth -= 1;
        printed
    }

    fn pipeline(&mut self, node: Node<'_>, input: Option<Value>) -> Option<Value> {
        let mut cursor = node.walk();
        let stages: Vec<_> = node.named_children(&mut cursor).collect();
        let mut passed = input;
        for stage in stages {
            passed = self.output(stage, passed.take());
        }
        passed
    }

    fn redirected(&mut self, node: Node<'_>, input: Option<Value>) -> Option<Value> {
        let mut input = input;
        let mut target = None;
        let mut later = Vec::new();
        let mut cursor = node.walk();
        let redirects: Vec<_> = node.children_by_field_name("redirect", &mut cursor).collect();
        for redirect in redirects {
            match redirect.kind() {
                "herestring_redirect" => {
                    let value = redirect.named_child(0).map(|word| self.word(word));
                    input = value.filter(|value| value.is_known || value.content.len() > 16).or(input);
                }
                "heredoc_redirect" => {
                    let mut cursor = redirect.walk();
                    for part in redirect.named_children(&mut cursor) {
                        match part.kind() {
                            "heredoc_body" => {
                                input = Some(Value {
                                    content: self.source(part).to_vec(),
                                    steps: vec![Step::HereDocument],
                                    is_known: true,
                                    lines: Some(self.lines(part)),
                                });
                            }
                            "heredoc_start" | "heredoc_end" | "file_descriptor" => {}
                            "file_redirect" => target = Some(part),
                            _ => later.push(part),
                        }
                    }
                }
                "file_redirect" => target = Some(redirect),
                _ => {}
            }
        }
        let printed = match node.child_by_field_name("body") {
            Some(body) => self.output(body, input),
            None => input,
        };
        let printed = self.passed_on(printed, &later);
        match (target, printed) {
            (Some(target), Some(printed)) => {
                self.written(target, &printed);
                None
            }
            (_, printed) => printed,
        }
    }

    /// The grammar hangs `| base64 -d | sh` behind `<<EOF` below the here-document.
    fn passed_on(&mut self, printed: Option<Value>, later: &[Node<'_>]) -> Option<Value> {
        let mut passed = printed;
        for node in later {
            let is_argument = matches!(node.kind(), "word" | "string" | "raw_string" | "concatenation");
            if !is_argument {
                passed = self.output(*node, passed.take());
            }
        }
        passed
    }

    /// What is written to a file is a layer where it plainly is a script.
    fn written(&mut self, target: Node<'_>, value: &Value) {
        let name = target
            .child_by_field_name("destination")
            .map(|name| self.source(name).to_vec())
            .unwrap_or_default();
        let by_name = match name.rsplit(|byte| *byte == b'.').next() {
            Some(b"py") => Some(Language::Python),
            Some(b"sh") => Some(Language::Shell),
            _ => None,
        };
        if value.content.len() < 24 {
            return;
        }
        if let Some(language) = by_name.or_else(|| kind::looks_like_script(&value.content)) {
            self.emit(value, language, &[Step::WrittenFile], false);
        }
    }

    fn command(&mut self, node: Node<'_>, input: Option<Value>) -> Option<Value> {
        let mut words = Vec::new();
        let mut input = input;
        let mut cursor = node.walk();
        let parts: Vec<_> = node.named_children(&mut cursor).collect();
        for part in parts {
            match part.kind() {
                "variable_assignment" => self.assign(part),
                "herestring_redirect" => input = part.named_child(0).map(|word| self.word(word)),
                "file_redirect" => {
                    if let Some(inner) = part
                        .child_by_field_name("destination")
                        .filter(|one| one.kind() == "process_substitution")
                    {
                        input = Some(self.word(inner));
                    }
                }
                "command_name" => {
                    let name = self.word(part.named_child(0).unwrap_or(part));
                    words.push(name);
                }
                _ => {
                    let word = self.word(part);
                    words.push(word);
                }
            }
        }
        self.run_words(&words, input, self.lines(node))
    }

    fn run_words(&mut self, words: &[Value], input: Option<Value>, lines: (u32, u32)) -> Option<Value> {
        let mut words = words;
        while let Some((first, rest)) = words.split_first()
            && WRAPPERS.contains(&&*first.content)
        {
            let skipped = rest
                .iter()
                .take_while(|word| word.content.starts_with(b"-") || word.content.contains(&b'='))
                .count();
            words = rest.get(skipped..).unwrap_or_default();
        }
        let (program, arguments) = words.split_first()?;
        let name = program.content.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if let Some(language) = interpreter(&program.content) {
            self.interpret(language, arguments, input);
            return None;
        }
        match name {
            b"eval" => {
                self.eval(arguments);
                return None;
            }
            b"." | b"source" => {
                if let Some(script) =
                    input.or_else(|| arguments.first().cloned()).filter(|script| !script.steps.is_empty())
                {
                    self.emit(&script, Language::Shell, &[Step::Piped], true);
                }
                return None;
            }
            b"su" | b"script" | b"watch" | b"ssh" | b"flock" | b"timeout" | b"chroot" | b"unshare"
            | b"docker" => {
                self.handed_on(arguments);
                return None;
            }
            _ => {}
        }
        // A command that was put together out of parts is one that somebody hides.
        if !program.steps.is_empty()
            && program.is_known
            && program.content.len() >= 8
            && program.content.contains(&b' ')
        {
            self.emit(program, Language::Shell, &[Step::Executed], true);
        }
        let printed = self.filter(name, arguments, input)?;
        (printed.content.len() <= self.session.decoded_limit())
            .then_some(Value { lines: printed.lines.or(Some(lines)), ..printed })
    }

    /// `su -c '…'`, `timeout 5 bash -c '…'`, `docker run … sh -c '…'`.
    fn handed_on(&mut self, arguments: &[Value]) {
        let Some(at) = arguments.iter().position(|word| word.content == b"-c") else { return };
        let before =
            at.checked_sub(1).and_then(|at| arguments.get(at)).and_then(|word| interpreter(&word.content));
        if let Some(script) = arguments.get(at + 1).cloned() {
            self.emit(&script, before.unwrap_or(Language::Shell), &[Step::ShellString], true);
        }
    }

    fn eval(&mut self, arguments: &[Value]) {
        let mut line = Value {
            is_known: true,
            lines: arguments.first().and_then(|word| word.lines),
            ..Value::default()
        };
        for (at, word) in arguments.iter().enumerate() {
            if at > 0 {
                line.content.push(b' ');
            }
            line.append(word.clone(), self.session.decoded_limit());
        }
        if line.is_known || !line.steps.is_empty() {
            self.emit(&line, Language::Shell, &[Step::Evaluated], true);
        }
    }

    /// `sh`, `bash -c '…'`, `python3 -`, with what is piped to them.
    fn interpret(&mut self, language: Language, arguments: &[Value], input: Option<Value>) {
        let code_at = arguments.iter().take(6).position(|word| {
            word.content.len() <= 6
                && word.content.starts_with(b"-")
                && !word.content.starts_with(b"--")
                && word.content.ends_with(b"c")
        });
        if let Some(code) = code_at.and_then(|at| arguments.get(at + 1)).cloned() {
            let step = if language == Language::Python { Step::PythonInShell } else { Step::ShellString };
            if language == Language::Python
                && !code.is_known
                && code.content.starts_with(b"$")
                && code.content.len() < 24
            {
                return;
            }
            self.emit(&code, language, &[step], true);
            return;
        }
        let script = arguments.iter().find(|word| !word.content.starts_with(b"-") || word.content == b"-");
        let reads_input = script.is_none_or(|word| matches!(&*word.content, b"-" | b"/dev/stdin" | b"-s"))
            || arguments.iter().any(|word| word.content == b"-s");
        match (input, script) {
            (Some(input), _) if reads_input => {
                let step = if language == Language::Python && input.steps == [Step::HereDocument] {
                    Step::PythonInShell
                } else {
                    Step::Piped
                };
                self.emit(&input, language, &[step], true);
            }
            // `bash <(…)`: the word is what the substitution prints.
            (_, Some(script)) if script.is_known && script.steps.iter().any(|step| step.decodes()) => {
                let script = script.clone();
                self.emit(&script, language, &[Step::Piped], true);
            }
            _ => {}
        }
    }

    /// What a program that prints constants prints for this input.
    fn filter(&mut self, name: &[u8], arguments: &[Value], input: Option<Value>) -> Option<Value> {
        let has = |letters: &[&[u8]]| arguments.iter().any(|word| letters.contains(&&*word.content));
        let plain = || arguments.iter().filter(|word| !word.content.starts_with(b"-"));
        match name {
            b"echo" => Some(self.echo(arguments)),
            b"printf" => self.printf(arguments),
            b"cat" | b"tee" | b"head" | b"tail" if plain().next().is_none() || name == b"tee" => input,
            b"cat" => plain().next().filter(|word| word.steps.iter().any(|step| step.decodes())).cloned(),
            b"base64" | b"base32" | b"gbase64" => {
                let step = if name == b"base32" { Step::Base32 } else { Step::Base64 };
                has(&[b"-d", b"-D", b"--decode", b"-di", b"-id", b"--d", b"-i"])
                    .then(|| self.decoded(step, input?))
                    .flatten()
            }
            b"openssl" => {
                let is_base64 = has(&[b"base64", b"-base64", b"-a"]) && has(&[b"-d"]);
                let is_sealed = arguments
                    .iter()
                    .any(|word| word.content.starts_with(b"-aes") || word.content.starts_with(b"-des"));
                (is_base64 && !is_sealed).then(|| self.decoded(Step::Base64, input?)).flatten()
            }
            b"xxd" => {
                let is_plain =
                    has(&[b"-r", b"-rp", b"-pr"]) && has(&[b"-p", b"-ps", b"-plain", b"-rp", b"-pr"]);
                is_plain.then(|| self.decoded(Step::Hex, input?)).flatten()
            }
            b"gunzip" | b"zcat" | b"gzcat" => self.decoded(Step::Gzip, input?),
            b"gzip" | b"pigz" if has(&[b"-d", b"-dc", b"-cd", b"--decompress"]) => {
                self.decoded(Step::Gzip, input?)
            }
            b"bunzip2" | b"bzcat" => self.decoded(Step::Bzip2, input?),
            b"bzip2" if has(&[b"-d", b"-dc", b"-cd"]) => self.decoded(Step::Bzip2, input?),
            b"unxz" | b"xzcat" | b"unlzma" | b"lzcat" => self.decoded(Step::Lzma, input?),
            b"xz" | b"lzma" if has(&[b"-d", b"-dc", b"-cd", b"--decompress"]) => {
                self.decoded(Step::Lzma, input?)
            }
            b"uudecode" => self.decoded(Step::UuEncoded, input?),
            b"rev" => {
                let mut input = input?;
                let lines = input
                    .content
                    .split(|byte| *byte == b'\n')
                    .map(|line| line.iter().rev().copied().collect::<Vec<_>>());
                input.content = lines.collect::<Vec<_>>().join(&b'\n');
                push_step(&mut input.steps, Step::Reversed);
                Some(input)
            }
            b"tac" => {
                let mut input = input?;
                let mut lines: Vec<&[u8]> = input.content.split(|byte| *byte == b'\n').collect();
                lines.reverse();
                input.content = lines.join(&b'\n');
                Some(input)
            }
            b"tr" => translated(arguments, input?),
            b"sed" => substituted(arguments, input?),
            _ => None,
        }
    }

    fn decoded(&mut self, step: Step, input: Value) -> Option<Value> {
        let limit = self.session.decoded_limit();
        if !self.session.spend(1 + input.content.len() / 16) {
            return None;
        }
        let content = match step {
            Step::Base64 => decode::base64(&input.content),
            Step::Base32 => decode::base32(&input.content),
            Step::Hex => decode::hex(&input.content, true),
            Step::Gzip => decode::gzip(&input.content, limit),
            Step::Bzip2 => decode::bzip2(&input.content, limit),
            Step::Lzma => decode::lzma(&input.content, limit),
            _ => decode::uu(&input.content),
        }?;
        self.session.spend(content.len() / 16);
        self.session.facts.steps.insert(step);
        let mut steps = input.steps;
        push_step(&mut steps, step);
        let value = Value { content, steps, is_known: true, lines: input.lines };
        if self.decoded.len() < MOST_DECODED {
            self.decoded.push(value.clone());
        }
        Some(value)
    }

    fn echo(&mut self, arguments: &[Value]) -> Value {
        let mut printed = Value {
            is_known: true,
            lines: arguments.first().and_then(|word| word.lines),
            ..Value::default()
        };
        let options = arguments
            .iter()
            .take_while(|word| matches!(&*word.content, b"-n" | b"-e" | b"-ne" | b"-en" | b"-E"))
            .count();
        let resolves = arguments.iter().take(options).any(|word| word.content.contains(&b'e'));
        for (at, word) in arguments.iter().skip(options).enumerate() {
            if at > 0 {
                printed.content.push(b' ');
            }
            printed.append(word.clone(), self.session.decoded_limit());
        }
        if resolves || memchr::memmem::find(&printed.content, b"\\x").is_some() {
            resolve(&mut printed);
        }
        printed
    }

    /// `printf FORMAT WORD…` with `%s`, `%b` and escapes.
    fn printf(&mut self, arguments: &[Value]) -> Option<Value> {
        let skip = if arguments.first().is_some_and(|word| word.content == b"-v" || word.content == b"--") {
            1
        } else {
            0
        };
        let mut words = arguments.iter().skip(skip);
        let mut format = words.next()?.clone();
        resolve(&mut format);
        let mut printed = Value { content: Vec::new(), ..format.clone() };
        let mut words = words.peekable();
        loop {
            let mut took = false;
            let mut bytes = format.content.iter().copied();
            while let Some(byte) = bytes.next() {
                if byte != b'%' {
                    printed.content.push(byte);
                    continue;
                }
                match bytes.next() {
                    Some(b'%') => printed.content.push(b'%'),
                    Some(letter) => {
                        took = true;
                        let Some(word) = words.next() else { continue };
                        let mut word = word.clone();
                        if letter == b'b' {
                            resolve(&mut word);
                        }
                        printed.append(word, self.session.decoded_limit());
                    }
                    None => {}
                }
            }
            if !took || words.peek().is_none() || !self.session.spend(1) {
                return Some(printed);
            }
        }
    }
}

/// Resolves backslash escapes, as `echo -e` and `printf` do.
fn resolve(value: &mut Value) {
    let content = std::mem::take(&mut value.content);
    // `\0101` is how `echo -e` writes what others write `\101`.
    let content = replaced(&content, b"\\01", b"\\1", true);
    let (resolved, needless) = python::unescape(&content, true);
    value.content = resolved.into_owned();
    if needless >= 2 {
        push_step(&mut value.steps, Step::Escapes);
    }
}

/// The letters that `tr` means: ranges and escapes.
fn letters(set: &[u8]) -> Vec<u8> {
    let set = match set {
        b"[:space:]" => b" \t\n\r\x0b\x0c".to_vec(),
        b"[:upper:]" => b"A-Z".to_vec(),
        b"[:lower:]" => b"a-z".to_vec(),
        b"[:digit:]" => b"0-9".to_vec(),
        _ => python::unescape(set, true).0.into_owned(),
    };
    let mut letters = Vec::new();
    let mut at = 0;
    while let Some(&first) = set.get(at) {
        match (set.get(at + 1), set.get(at + 2)) {
            (Some(b'-'), Some(&last)) if last >= first => {
                letters.extend(first..=last);
                at += 3;
            }
            _ => {
                letters.push(first);
                at += 1;
            }
        }
    }
    letters
}

fn translated(arguments: &[Value], mut input: Value) -> Option<Value> {
    let first = arguments.first()?;
    if matches!(&*first.content, b"-d" | b"--delete") {
        let deleted = letters(&arguments.get(1)?.content);
        input.content.retain(|byte| !deleted.contains(byte));
        push_step(&mut input.steps, Step::Replaced);
        return Some(input);
    }
    if first.content.starts_with(b"-") && first.content.len() == 2 {
        return Some(input);
    }
    let (from, to) = (letters(&first.content), letters(&arguments.get(1)?.content));
    let mut table: Vec<u8> = (0..=u8::MAX).collect();
    for (at, byte) in from.iter().enumerate() {
        if let (Some(cell), Some(to)) = (table.get_mut(usize::from(*byte)), to.get(at).or(to.last())) {
            *cell = *to;
        }
    }
    for byte in &mut input.content {
        *byte = table.get(usize::from(*byte)).copied().unwrap_or(*byte);
    }
    let is_rot13 = from.len() == 52 && to.first() == Some(&b'N') || to.first() == Some(&b'n');
    push_step(&mut input.steps, if is_rot13 { Step::Rot13 } else { Step::Replaced });
    Some(input)
}

/// `s/old/new/g` with plain texts; anything else leaves the input unknown.
fn substituted(arguments: &[Value], mut input: Value) -> Option<Value> {
    for expression in arguments.iter().filter(|word| !word.content.starts_with(b"-")) {
        let (&command, rest) = expression.content.split_first()?;
        let &separator = rest.first()?;
        let mut parts = rest.get(1..)?.split(|byte| *byte == separator);
        let (old, new, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let is_plain = command == b's' && !old.iter().any(|byte| b"\\.*[]^$+?(){}|".contains(byte));
        if !is_plain {
            return None;
        }
        input.content = replaced(&input.content, old, new, flags.contains(&b'g'));
        push_step(&mut input.steps, Step::Replaced);
    }
    Some(input)
}
