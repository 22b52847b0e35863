//! Calls of what Python and its library offer: decoders, conversions, looking up by name. Interpreters of text are
//! in `sink`, methods of values in `method`.

use super::eval::{Arguments, Evaluator};
use super::operate;
use super::random::MersenneTwister;
use super::value::{Provenance, Value};
use crate::unpack::decode;
use crate::unpack::marshal;
use crate::unpack::step::Step;
use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::LazyLock;

/// Longest dotted path. A loop such as `node = node.next` would make one that grows without end.
const LONGEST_PATH: usize = 200;
/// Most decoded values that are kept until the end.
const MOST_DECODED: usize = 64;

/// A path without what does not change its meaning: `__builtins__.__dict__.exec` is `exec`.
fn canonical(path: &str) -> Cow<'_, str> {
    let rest = without_prefixes(path);
    let rest = rest.strip_suffix(".__call__").unwrap_or(rest);
    // Each call asks, and counting is cheaper than searching.
    let underscores = rest.bytes().filter(|byte| *byte == b'_').count();
    if underscores >= 4 && rest.contains("__dict__") {
        return Cow::Owned(rest.replace(".__dict__", ""));
    }
    Cow::Borrowed(rest)
}

fn without_prefixes(path: &str) -> &str {
    const PREFIXES: [&str; 7] =
        ["builtins.", "__builtins__.", "__builtin__.", "__main__.", "__dict__.", "globals().", "six.moves."];
    let mut rest = path;
    while matches!(rest.as_bytes().first(), Some(b'b' | b'_' | b'g' | b's')) {
        let start = rest;
        for prefix in PREFIXES {
            rest = rest.strip_prefix(prefix).unwrap_or(rest);
        }
        if rest.len() == start.len() {
            break;
        }
    }
    rest
}

/// Words of which one is in each call that `sink`, `decoder` and `lookup` know, as its name or as its module; others need not be compared
/// with all of theirs.
const KNOWN_WORDS: &[&str] = &[
    "AES",
    "BZ2Decompressor",
    "BytesIO",
    "Fernet",
    "GzipFile",
    "IV",
    "LZMADecompressor",
    "MultiFernet",
    "NamedTemporaryFile",
    "Path",
    "Popen",
    "Process",
    "StringIO",
    "Thread",
    "__builtins__",
    "__getattr__",
    "__getattribute__",
    "__getitem__",
    "__import__",
    "_marshal",
    "a2b_base64",
    "a2b_hex",
    "a2b_uu",
    "a85decode",
    "aes",
    "args",
    "asyncio",
    "b16decode",
    "b32decode",
    "b64decode",
    "b85decode",
    "bz2",
    "call",
    "check_call",
    "check_output",
    "codecs",
    "commands",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "data",
    "decode",
    "decodebytes",
    "decodestring",
    "decompress",
    "decompressobj",
    "encode",
    "encoding",
    "exec",
    "exec_",
    "execfile",
    "execl",
    "execle",
    "execlp",
    "execlpe",
    "execv",
    "execve",
    "execvp",
    "execvpe",
    "fdopen",
    "fernet",
    "fileobj",
    "fromhex",
    "get",
    "getattr",
    "getdecoder",
    "getencoder",
    "getoutput",
    "getstatusoutput",
    "globals",
    "gzip",
    "import_module",
    "importlib",
    "io",
    "iv",
    "loads",
    "locals",
    "lookup",
    "lzma",
    "maketrans",
    "marshal",
    "multiprocessing",
    "new",
    "nt",
    "open",
    "os",
    "pathlib",
    "popen",
    "popen2",
    "popen3",
    "popen4",
    "posix",
    "pty",
    "run",
    "run_cell",
    "run_code",
    "runcode",
    "runsource",
    "setattr",
    "sp",
    "spawn",
    "spawnl",
    "spawnlp",
    "standard_b64decode",
    "startfile",
    "subprocess",
    "system",
    "target",
    "tempfile",
    "threading",
    "unhexlify",
    "unpad",
    "unquote",
    "unquote_plus",
    "unquote_to_bytes",
    "urlsafe_b64decode",
    "vars",
    "write",
    "write_bytes",
    "write_text",
    "writelines",
    "z85decode",
    "zlib",
];

static KNOWN: LazyLock<HashSet<&str, foldhash::fast::RandomState>> =
    LazyLock::new(|| KNOWN_WORDS.iter().copied().collect());

/// Whether a call may be one that `sink`, `decoder` or `lookup` knows.
fn may_be_known(module: &str, name: &str) -> bool {
    KNOWN.contains(name) || module == "popen2" || name.starts_with("codec:")
}

impl Evaluator<'_> {
    pub(super) fn attribute(&mut self, object: &Value, name: &str) -> Value {
        match object {
            Value::Path(path) if path.len() > LONGEST_PATH => Value::Unknown,
            Value::Path(path) => {
                let path = if path.starts_with("__builtins__") {
                    canonical(&format!("{path}.{name}")).into_owned()
                } else {
                    format!("{path}.{name}")
                };
                self.get(&path).cloned().unwrap_or_else(|| Value::Path(path.into()))
            }
            Value::Unknown => Value::Path(format!("?.{name}").into()),
            Value::Function(function) if name == "__name__" => {
                Value::text(function.name.to_string(), Rc::new(Provenance::default()))
            }
            _ => Value::Method(Rc::new((object.clone(), name.into()))),
        }
    }

    pub(super) fn index(&mut self, object: &Value, index: &Value) -> Value {
        if let (Value::Path(path), Some(key)) = (object, index.as_str()) {
            return match &*canonical(path) {
                "globals()" | "__builtins__" | "sys.modules" | "__dict__" | "builtins" => self.name(key),
                path => {
                    let path = path.strip_suffix(".__dict__").unwrap_or(path);
                    let path = format!("{path}.{key}");
                    let path = canonical(&path);
                    self.get(&path).cloned().unwrap_or_else(|| Value::path(&path))
                }
            };
        }
        if let (Some(origin), Some(content)) = (object.origin(), object.content()) {
            let (origin, length) = (Rc::clone(origin), content.len());
            self.look_at(&origin, length);
            if !content.is_ascii() {
                self.session.spend(length / 16);
            }
        }
        if let Value::Dictionary(pairs) = object {
            self.session.spend(pairs.len() / 8);
        }
        operate::index(object, index)
    }

    pub(super) fn call(&mut self, callee: &Value, arguments: &Arguments) -> Value {
        match callee {
            Value::Function(function) => {
                let function = Rc::clone(function);
                self.call_function(&function, arguments)
            }
            Value::Method(method) => {
                let method = Rc::clone(method);
                self.call_method(&method.0, &method.1, arguments)
            }
            Value::Path(path) => {
                let path = canonical(path);
                if path.contains('.')
                    && let Some(Value::Function(function)) = self.get(&path).cloned()
                {
                    return self.call_function(&function, arguments);
                }
                self.call_path(&path, arguments)
            }
            _ => Value::Unknown,
        }
    }

    fn call_path(&mut self, path: &str, arguments: &Arguments) -> Value {
        let (module, name) = path.rsplit_once('.').unwrap_or(("", path));
        match (module, name) {
            ("", "eval") => return self.evaluate(&arguments.get(0).clone()),
            ("", "compile") => return self.compiled(arguments.get(0)),
            _ => {}
        }
        if may_be_known(module, name) {
            if self.sink(module, name, arguments) {
                return Value::Unknown;
            }
            if let Some(value) = self.decoder(module, name, arguments) {
                return value;
            }
            if let Some(value) = self.lookup(module, name, arguments) {
                return value;
            }
        }
        if module.is_empty() {
            return self.builtin(name, arguments);
        }
        match module {
            "str" | "bytes" | "bytearray" if !matches!(name, "fromhex" | "maketrans") => {
                let Some((object, rest)) = arguments.plain.split_first() else { return Value::Unknown };
                let rest = Arguments { plain: rest.to_vec(), named: arguments.named.clone() };
                self.call_method(&object.clone(), name, &rest)
            }
            "random" => self.draw(name, arguments),
            "string" if name == "join" => {
                let separator = match arguments.plain.get(1) {
                    Some(separator) => separator.clone(),
                    None => Value::text(" ".into(), Rc::new(Provenance::default())),
                };
                let joined = Arguments { plain: vec![arguments.get(0).clone()], named: Vec::new() };
                self.call_method(&separator, "join", &joined)
            }
            "itertools" if name == "cycle" || name == "chain" => arguments.get(0).clone(),
            _ => Value::Unknown,
        }
    }

    /// `compile(text, …)` is worth the text.
    fn compiled(&mut self, source: &Value) -> Value {
        match source {
            Value::Text(text) => {
                Value::text(text.content.to_string(), operate::after(&text.origin, Step::Compiled))
            }
            Value::Bytes(_) => as_text(source),
            _ => source.clone(),
        }
    }

    fn draw(&mut self, name: &str, arguments: &Arguments) -> Value {
        let (one, two) = (arguments.get(0).as_int(), arguments.get(1).as_int());
        match (name, one, two) {
            ("seed", Some(seed), _) => {
                self.random = u64::try_from(seed.abs()).ok().map(MersenneTwister::new);
                Value::None
            }
            ("randint", Some(low), Some(high)) => {
                let drawn = self.random.as_mut().and_then(|random| random.between(low, high));
                drawn.map_or(Value::Unknown, Value::Int)
            }
            _ => Value::Unknown,
        }
    }

    /// Names that are looked up by text rather than written.
    fn lookup(&mut self, module: &str, name: &str, arguments: &Arguments) -> Option<Value> {
        let first = arguments.get(0);
        match (module, name) {
            ("", "__import__") | ("importlib", "import_module" | "__import__") | ("", "import_module") => {
                self.session.facts.steps.insert(Step::Lookup);
                Some(first.as_str().map_or(Value::Unknown, Value::path))
            }
            ("", "getattr") | (_, "__getattribute__" | "__getattr__") => {
                let (object, name) = if name == "getattr" {
                    (first.clone(), arguments.get(1))
                } else {
                    (Value::path(module), first)
                };
                let name = name.as_str()?.to_owned();
                self.session.facts.steps.insert(Step::Lookup);
                Some(self.attribute(&object, &name))
            }
            ("", "setattr") => {
                if let (Value::Path(path), Some(name)) = (first, arguments.get(1).as_str()) {
                    let name = format!("{path}.{name}");
                    self.set(&name, arguments.get(2).clone());
                }
                Some(Value::None)
            }
            ("", "globals" | "locals") => Some(Value::path("globals()")),
            ("", "vars") => Some(first.clone()),
            (_, "get" | "__getitem__")
                if matches!(module, "globals()" | "__builtins__" | "sys.modules" | "") =>
            {
                Some(self.index(&Value::path(module), first))
            }
            ("", "open")
            | ("io" | "codecs" | "os", "open" | "fdopen")
            | ("tempfile", "NamedTemporaryFile") => Some(Value::path("open()")),
            ("pathlib", "Path") | ("", "Path") => Some(Value::path("open()")),
            ("io", "BytesIO" | "StringIO") | ("", "BytesIO" | "StringIO") => Some(first.clone()),
            (_, "maketrans") => Some(make_table(arguments)),
            ("threading", "Thread") | ("", "Thread") | ("multiprocessing", "Process") => {
                if let Some(target @ Value::Function(_)) = arguments.named("target") {
                    let target = target.clone();
                    self.call(&target, &Arguments { plain: Vec::new(), named: Vec::new() });
                }
                Some(Value::Unknown)
            }
            _ => None,
        }
    }

    /// What is made of numbers: the last data whose items were looked at, plus how.
    pub(super) fn origin_of_numbers(&self) -> Rc<Provenance> {
        let step = if self.has_xored { Step::Xor } else { Step::Characters };
        match &self.source {
            Some(source) => operate::after(source, step),
            None => Rc::new(Provenance { steps: vec![step], lines: self.lines, layer: self.layer_number() }),
        }
    }

    /// Records what a decoder gave.
    pub(super) fn decoded(&mut self, content: Vec<u8>, origin: &Rc<Provenance>, step: Step) -> Value {
        self.session.spend(content.len() / 16);
        self.session.facts.steps.insert(step);
        let value = Value::bytes(content, operate::after(origin, step));
        if self.decoded.len() < MOST_DECODED {
            self.decoded.push(value.clone());
        }
        value
    }

    fn decoder(&mut self, module: &str, name: &str, arguments: &Arguments) -> Option<Value> {
        let step = match (module, name) {
            (
                _,
                "b64decode" | "standard_b64decode" | "urlsafe_b64decode" | "decodebytes" | "decodestring"
                | "a2b_base64",
            ) => Step::Base64,
            (_, "b32decode") => Step::Base32,
            (_, "b16decode" | "unhexlify" | "a2b_hex" | "fromhex") => Step::Hex,
            (_, "b85decode" | "z85decode") => Step::Base85,
            (_, "a85decode") => Step::Ascii85,
            (_, "a2b_uu") => Step::UuEncoded,
            (_, "unquote" | "unquote_plus" | "unquote_to_bytes") => Step::UrlQuoted,
            ("gzip", "decompress") | (_, "GzipFile") => Step::Gzip,
            ("lzma", "decompress") => Step::Lzma,
            ("bz2", "decompress") => Step::Bzip2,
            ("zlib", "decompress") | (_, "decompress") => Step::Zlib,
            (_, "decompressobj" | "BZ2Decompressor" | "LZMADecompressor") => {
                return Some(Value::path(module));
            }
            ("marshal" | "_marshal", "loads") => return Some(self.unmarshal(arguments.get(0))),
            ("codecs" | "", "decode" | "encode") if !arguments.plain.is_empty() => {
                let codec = arguments.plain.get(1).or(arguments.named("encoding"))?.as_str()?.to_owned();
                return Some(self.coded(arguments.get(0), &codec, name == "encode"));
            }
            ("codecs", "getdecoder" | "getencoder" | "lookup") => {
                let codec = arguments.get(0).as_str()?;
                return Some(Value::Path(format!("codec:{codec}:{name}").into()));
            }
            _ if module.is_empty() && name.starts_with("codec:") => {
                let (codec, direction) = name.strip_prefix("codec:")?.rsplit_once(':')?;
                let (codec, is_encode) = (codec.to_owned(), direction == "getencoder");
                let value = self.coded(arguments.get(0), &codec, is_encode);
                return Some(Value::list(vec![value, Value::Unknown]));
            }
            (_, "Fernet" | "MultiFernet") => {
                let key = arguments.get(0).content()?.to_vec();
                return Some(Value::Cipher("fernet".into(), Rc::new(key), Rc::default()));
            }
            ("AES" | "Crypto.Cipher.AES" | "Cryptodome.Cipher.AES", "new") => {
                let key = arguments.get(0).content()?.to_vec();
                let iv = arguments.plain.get(2).or(arguments.named("iv").or(arguments.named("IV")));
                let iv = iv.and_then(Value::content).unwrap_or_default().to_vec();
                return Some(Value::Cipher("aes".into(), Rc::new(key), Rc::new(iv)));
            }
            (_, "unpad") => return Some(arguments.get(0).clone()),
            _ => return None,
        };
        let input = arguments.plain.first().or(arguments.named("fileobj").or(arguments.named("data")))?;
        Some(self.apply(step, input))
    }

    /// Applies a decoder to a text or to bytes.
    pub(super) fn apply(&mut self, step: Step, input: &Value) -> Value {
        let (Some(content), Some(origin)) = (input.content(), input.origin()) else { return Value::Unknown };
        if !self.session.spend(1 + content.len() / 16) {
            return Value::Unknown;
        }
        let limit = self.session.decoded_limit();
        let decompressed = |content: &[u8]| match content.first_chunk::<2>() {
            Some(b"\x1f\x8b") => decode::gzip(content, limit).map(|decoded| (decoded, Step::Gzip)),
            Some(b"BZ") => decode::bzip2(content, limit).map(|decoded| (decoded, Step::Bzip2)),
            Some(b"\xfd7" | b"\x5d\0") => decode::lzma(content, limit).map(|decoded| (decoded, Step::Lzma)),
            _ => decode::zlib(content, limit)
                .or_else(|| decode::deflate(content, limit))
                .map(|decoded| (decoded, Step::Zlib)),
        };
        let decoded = match step {
            Step::Base64 => decode::base64(content).map(|decoded| (decoded, step)),
            Step::Base32 => decode::base32(content).map(|decoded| (decoded, step)),
            Step::Hex => decode::hex(content, false).map(|decoded| (decoded, step)),
            Step::Base85 => decode::base85(content).map(|decoded| (decoded, step)),
            Step::Ascii85 => decode::ascii85(content).map(|decoded| (decoded, step)),
            Step::UuEncoded => decode::uu(content).map(|decoded| (decoded, step)),
            Step::UrlQuoted => Some((decode::url_unquoted(content), step)),
            _ => decompressed(content),
        };
        let Some((decoded, step)) = decoded else { return Value::Unknown };
        let origin = Rc::clone(origin);
        let value = self.decoded(decoded, &origin, step);
        if step == Step::UrlQuoted { as_text(&value) } else { value }
    }

    fn unmarshal(&mut self, input: &Value) -> Value {
        let (Some(content), Some(origin)) = (input.content(), input.origin()) else { return Value::Unknown };
        if !self.session.spend(1 + content.len() / 4) {
            return Value::Unknown;
        }
        let Some(listing) = marshal::listing(content) else { return Value::Unknown };
        let origin = Rc::clone(origin);
        let value = as_text(&self.decoded(listing.into_bytes(), &origin, Step::Marshal));
        self.emit(&value, Some(evidence::Language::Python), &[], false);
        value
    }

    /// `codecs.decode(value, codec)` and the methods `decode` and `encode`.
    pub(super) fn coded(&mut self, value: &Value, codec: &str, is_encode: bool) -> Value {
        let codec = codec.to_ascii_lowercase().replace(['-', '_'], "");
        let step = match &*codec {
            "rot13" | "rot" => {
                let (Some(content), Some(origin)) = (value.content(), value.origin()) else {
                    return Value::Unknown;
                };
                let (turned, origin) = (decode::rot13(content), Rc::clone(origin));
                let turned = self.decoded(turned, &origin, Step::Rot13);
                return as_text(&turned);
            }
            "base64" | "base64codec" | "b64" => Step::Base64,
            "hex" | "hexcodec" => Step::Hex,
            "zlib" | "zip" | "zlibcodec" => Step::Zlib,
            "bz2" | "bz2codec" => Step::Bzip2,
            "uu" | "uucodec" => Step::UuEncoded,
            "unicodeescape" | "stringescape" | "rawunicodeescape" | "escape" if !is_encode => {
                let (Some(content), Some(origin)) = (value.content(), value.origin()) else {
                    return Value::Unknown;
                };
                let (content, origin) =
                    (super::literal::unescape(content, false).0.into_owned(), Rc::clone(origin));
                return as_text(&self.decoded(content, &origin, Step::Escapes));
            }
            "utf16" | "utf16le" | "utf16be" | "utf32" | "utf7" | "cp037" | "idna" | "punycode" => {
                return self.charset(value, &codec, is_encode);
            }
            _ => return if is_encode { as_bytes(value, &codec) } else { as_text_of(value, &codec) },
        };
        if is_encode { Value::Unknown } else { self.apply(step, value) }
    }

    fn charset(&mut self, value: &Value, codec: &str, is_encode: bool) -> Value {
        if is_encode {
            return Value::Unknown;
        }
        let Value::Bytes(data) = value else { return Value::Unknown };
        let (text, _) = crate::reading::decode_named(codec, &data.content).unwrap_or_default();
        self.session.spend(text.len() / 16);
        let text = String::from_utf8_lossy(&text).into_owned();
        Value::text(text, Rc::clone(&data.origin))
    }
}

/// `str.maketrans`, or that of bytes.
fn make_table(arguments: &Arguments) -> Value {
    match (arguments.get(0), arguments.get(1)) {
        (Value::Text(from), Value::Text(to)) => {
            let code = |letter: char| Value::Int(i64::from(u32::from(letter)));
            let mut pairs: Vec<_> = from
                .content
                .chars()
                .zip(to.content.chars())
                .map(|(from, to)| (code(from), code(to)))
                .collect();
            if let Some(Value::Text(deleted)) = arguments.plain.get(2) {
                pairs.extend(deleted.content.chars().map(|letter| (code(letter), Value::None)));
            }
            Value::Dictionary(Rc::new(pairs))
        }
        (Value::Bytes(from), Value::Bytes(to)) => {
            let mut table: Vec<u8> = (0..=u8::MAX).collect();
            for (from, to) in from.content.iter().zip(to.content.iter()) {
                if let Some(cell) = table.get_mut(usize::from(*from)) {
                    *cell = *to;
                }
            }
            Value::bytes(table, Rc::clone(&from.origin))
        }
        (Value::Dictionary(pairs), _) => {
            let by_code = |(key, value): &(Value, Value)| match key {
                Value::Text(text) => (
                    text.content
                        .chars()
                        .next()
                        .map_or(Value::Unknown, |c| Value::Int(i64::from(u32::from(c)))),
                    value.clone(),
                ),
                _ => (key.clone(), value.clone()),
            };
            Value::Dictionary(Rc::new(pairs.iter().map(by_code).collect()))
        }
        _ => Value::Unknown,
    }
}

/// Bytes as text, whatever they are.
pub(super) fn as_text(value: &Value) -> Value {
    match value {
        Value::Bytes(data) => {
            Value::text(String::from_utf8_lossy(&data.content).into_owned(), Rc::clone(&data.origin))
        }
        _ => value.clone(),
    }
}

fn is_latin(codec: &str) -> bool {
    let codec = codec.to_ascii_lowercase();
    ["latin", "8859", "l1", "cp1252", "windows-1252", "iso88591", "charmap"]
        .iter()
        .any(|name| codec.contains(name))
}

pub(super) fn as_text_of(value: &Value, codec: &str) -> Value {
    match value {
        Value::Bytes(data) if is_latin(codec) => {
            let text = data.content.iter().map(|&byte| char::from(byte)).collect();
            Value::text(text, Rc::clone(&data.origin))
        }
        Value::Bytes(_) | Value::Text(_) => as_text(value),
        _ => Value::Unknown,
    }
}

pub(super) fn as_bytes(value: &Value, codec: &str) -> Value {
    match value {
        Value::Text(text) if is_latin(codec) => {
            let bytes =
                text.content.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect();
            Value::bytes(bytes, Rc::clone(&text.origin))
        }
        Value::Text(text) => Value::bytes(text.content.as_bytes().to_vec(), Rc::clone(&text.origin)),
        Value::Bytes(_) => value.clone(),
        _ => Value::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::may_be_known;

    /// The words in quotes between a function's name and its end.
    fn words(source: &str, function: &str) -> Vec<String> {
        let body = source.split_once(function).unwrap().1.split_once("\n    }\n").unwrap().0;
        let quoted = body.split('"').skip(1).step_by(2);
        let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        quoted.filter(is_name).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn every_word_that_a_known_call_is_told_by_is_among_the_known() {
        let sources = [
            (include_str!("sink.rs"), "fn sink("),
            (include_str!("call.rs"), "fn decoder("),
            (include_str!("call.rs"), "fn lookup("),
        ];
        for (source, function) in sources {
            let words = words(source, function);
            assert!(words.len() > 15, "{function} was not found");
            for word in words {
                assert!(may_be_known("", &word), "{word} of {function} is missing among the known words");
            }
        }
        assert!(!may_be_known("self", "append"));
    }
}
