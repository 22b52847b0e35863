//! Methods of texts, bytes, lists, dictionaries and ciphers.

use super::eval::{Arguments, Evaluator};
use super::operate;
use super::value::{HOLE, Provenance, Value};
use crate::unpack::decode;
use crate::unpack::step::Step;
use std::rc::Rc;

impl Evaluator<'_> {
    pub(super) fn call_method(&mut self, object: &Value, name: &str, arguments: &Arguments) -> Value {
        let size = object.content().map_or(0, <[u8]>::len);
        if !self.session.spend(1 + size / 16) {
            return Value::Unknown;
        }
        let first = arguments.get(0);
        match (object, name) {
            (_, "__add__") => {
                let limit = self.session.decoded_limit();
                operate::binary(object.clone(), super::ast::Operator::Add, first, limit).0
            }
            (_, "__getitem__") => self.index(object, first),
            (
                _,
                "read" | "getvalue" | "readline" | "copy" | "tobytes" | "toString" | "__str__" | "__iter__"
                | "tolist",
            ) => object.clone(),
            (Value::Text(_) | Value::Bytes(_), "decode" | "encode") => {
                let codec = arguments.plain.first().or(arguments.named("encoding"));
                let codec = codec.and_then(Value::as_str).unwrap_or("utf8").to_owned();
                self.coded(object, &codec, name == "encode")
            }
            (Value::Text(_) | Value::Bytes(_), "join") => self.join(object, first),
            (Value::Text(text), "format" | "format_map") => {
                let limit = self.session.decoded_limit();
                operate::format(&text.content, &text.origin, &arguments.plain, &arguments.named, limit)
            }
            (Value::Text(_) | Value::Bytes(_), "replace") => self.replace(object, first, arguments.get(1)),
            (Value::Text(text), "translate") => self.translate(&text.content, &text.origin, first),
            (Value::Bytes(data), "translate") => self.translate_bytes(&data.content, &data.origin, arguments),
            (Value::Text(_) | Value::Bytes(_), "split" | "rsplit" | "splitlines") => {
                self.split(object, name, arguments)
            }
            (Value::Text(_) | Value::Bytes(_), _) => {
                simple(object, name, arguments).unwrap_or(Value::Unknown)
            }
            (Value::Dictionary(pairs), "get" | "pop" | "setdefault") => {
                let found = operate::index(object, first);
                match found {
                    Value::Unknown if !pairs.is_empty() && !first.is_unknown() => {
                        arguments.plain.get(1).cloned().unwrap_or(Value::Unknown)
                    }
                    found => found,
                }
            }
            (Value::Dictionary(pairs), "keys") => {
                Value::list(pairs.iter().map(|(key, _)| key.clone()).collect())
            }
            (Value::Dictionary(pairs), "values") => {
                Value::list(pairs.iter().map(|(_, value)| value.clone()).collect())
            }
            (Value::Dictionary(pairs), "items" | "iteritems") => Value::list(
                pairs.iter().map(|(key, value)| Value::list(vec![key.clone(), value.clone()])).collect(),
            ),
            (Value::List(items), "index") => items
                .iter()
                .position(|item| item.equals(first) == Some(true))
                .map_or(Value::Unknown, Value::int),
            (Value::List(items), "__len__") => Value::int(items.len()),
            (Value::Int(number), "to_bytes") => {
                let length =
                    first.as_int().and_then(|length| usize::try_from(length).ok()).unwrap_or(8).min(8);
                let bytes = number.to_be_bytes();
                let mut bytes = bytes.get(8 - length..).unwrap_or_default().to_vec();
                if arguments.plain.get(1).and_then(Value::as_str) == Some("little") {
                    bytes.reverse();
                }
                Value::bytes(bytes, self.origin_of_numbers())
            }
            (Value::Cipher(cipher, key, iv), "decrypt") => self.decrypt(cipher, key, iv, first),
            _ => Value::Unknown,
        }
    }

    fn decrypt(&mut self, cipher: &str, key: &[u8], iv: &[u8], sealed: &Value) -> Value {
        let (Some(content), Some(origin)) = (sealed.content(), sealed.origin()) else {
            return Value::Unknown;
        };
        self.session.spend(content.len() / 8);
        let (opened, step) = match cipher {
            "fernet" => (decode::fernet(key, content), Step::Fernet),
            _ => (decode::aes_cbc(key, iv, content), Step::Aes),
        };
        let origin = Rc::clone(origin);
        opened.map_or(Value::Unknown, |opened| self.decoded(opened, &origin, step))
    }

    fn join(&mut self, separator: &Value, items: &Value) -> Value {
        let items = items.clone();
        let Some(parts) = self.items(&items) else { return Value::Unknown };
        let (Some(between), Some(own)) = (separator.content(), separator.origin()) else {
            return Value::Unknown;
        };
        let total: usize =
            parts.iter().filter_map(Value::content).map(|part| part.len() + between.len()).sum();
        if total > self.session.decoded_limit() || !self.session.spend(total / 16 + parts.len() / 4) {
            return Value::Unknown;
        }
        let mut content = Vec::with_capacity(total);
        let mut origin: Option<Rc<Provenance>> = None;
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                content.extend_from_slice(between);
            }
            match part {
                Value::Text(_) | Value::Bytes(_) => {
                    content.extend_from_slice(part.content().unwrap_or_default())
                }
                _ => content.extend(HOLE.encode_utf8(&mut [0; 4]).bytes()),
            }
            if let Some(part) = part.origin() {
                origin =
                    Some(origin.map_or_else(|| Rc::clone(part), |origin| operate::joined(&origin, part)));
            }
        }
        let mut origin = origin.unwrap_or_else(|| Rc::clone(own));
        if origin.steps.is_empty() && parts.len() > 1 {
            origin = operate::after(&origin, Step::Joined);
        }
        match separator {
            Value::Bytes(_) => Value::bytes(content, origin),
            _ => Value::text(String::from_utf8_lossy(&content).into_owned(), origin),
        }
    }

    fn replace(&mut self, object: &Value, old: &Value, new: &Value) -> Value {
        let limit = self.session.decoded_limit();
        let origin = object.origin().map(|origin| operate::after(origin, Step::Replaced));
        match (object, old, new, origin) {
            (Value::Text(text), Value::Text(old), Value::Text(new), Some(origin)) => {
                let grown =
                    text.content.len().saturating_mul(1 + new.content.len() / old.content.len().max(1));
                if grown > limit.saturating_mul(4) || old.content.is_empty() {
                    return Value::Unknown;
                }
                Value::text(text.content.replace(&**old.content, &new.content), origin)
            }
            (Value::Bytes(data), Value::Bytes(old), Value::Bytes(new), Some(origin)) => {
                let grown =
                    data.content.len().saturating_mul(1 + new.content.len() / old.content.len().max(1));
                if grown > limit.saturating_mul(4) || old.content.is_empty() {
                    return Value::Unknown;
                }
                let mut out = Vec::new();
                let mut last = 0;
                for at in memchr::memmem::find_iter(&data.content, &**old.content) {
                    out.extend_from_slice(data.content.get(last..at).unwrap_or_default());
                    out.extend_from_slice(&new.content);
                    last = at + old.content.len();
                }
                out.extend_from_slice(data.content.get(last..).unwrap_or_default());
                Value::bytes(out, origin)
            }
            _ => Value::Unknown,
        }
    }

    fn translate(&mut self, text: &str, origin: &Rc<Provenance>, table: &Value) -> Value {
        let Value::Dictionary(pairs) = table else { return Value::Unknown };
        let mut letters = std::collections::HashMap::new();
        for (key, value) in pairs.iter() {
            let Some(key) = key.as_int() else { return Value::Unknown };
            letters.insert(key, value);
        }
        let mut out = String::new();
        for letter in text.chars() {
            match letters.get(&i64::from(u32::from(letter))) {
                None => out.push(letter),
                Some(Value::None) => {}
                Some(Value::Int(code)) => out.extend(u32::try_from(*code).ok().and_then(char::from_u32)),
                Some(value) => out.push_str(value.as_str().unwrap_or_default()),
            }
            if out.len() > self.session.decoded_limit() {
                return Value::Unknown;
            }
        }
        Value::text(out, operate::after(origin, Step::Replaced))
    }

    fn translate_bytes(&mut self, data: &[u8], origin: &Rc<Provenance>, arguments: &Arguments) -> Value {
        let deleted =
            arguments.plain.get(1).or(arguments.named("delete")).and_then(Value::content).unwrap_or_default();
        let table = arguments.get(0).content();
        let out = data
            .iter()
            .filter(|byte| !deleted.contains(byte))
            .map(|&byte| table.and_then(|table| table.get(usize::from(byte))).copied().unwrap_or(byte));
        Value::bytes(out.collect(), operate::after(origin, Step::Replaced))
    }

    fn split(&mut self, object: &Value, name: &str, arguments: &Arguments) -> Value {
        let (Some(content), Some(origin)) = (object.content(), object.origin()) else {
            return Value::Unknown;
        };
        let separator = match arguments.get(0) {
            Value::Text(_) | Value::Bytes(_) => {
                arguments.get(0).content().filter(|separator| !separator.is_empty())
            }
            _ => None,
        };
        let most = arguments.plain.get(1).and_then(Value::as_int).and_then(|most| usize::try_from(most).ok());
        let most = most.unwrap_or(usize::MAX);
        let mut parts: Vec<&[u8]> = Vec::new();
        match separator {
            Some(separator) if name != "splitlines" => {
                let mut rest = content;
                while parts.len() < most
                    && let Some(at) = memchr::memmem::find(rest, separator)
                {
                    let (part, tail) = rest.split_at(at);
                    parts.push(part);
                    rest = tail.get(separator.len()..).unwrap_or_default();
                }
                parts.push(rest);
            }
            _ if name == "splitlines" => parts.extend(content.split(|&byte| byte == b'\n')),
            _ => parts.extend(content.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty())),
        }
        if !self.session.spend(parts.len() / 2) {
            return Value::Unknown;
        }
        let is_text = matches!(object, Value::Text(_));
        let values = parts.into_iter().map(|part| {
            if is_text {
                Value::text(String::from_utf8_lossy(part).into_owned(), Rc::clone(origin))
            } else {
                Value::bytes(part.to_vec(), Rc::clone(origin))
            }
        });
        Value::list(values.collect())
    }

    /// Methods that change a variable in place. None where the method is none of them.
    pub(super) fn mutate(&mut self, variable: &str, name: &str, arguments: &Arguments) -> Option<Value> {
        let first = arguments.get(0).clone();
        let extension = if name == "extend" { self.items(&first) } else { None };
        let limit = self.session.decoded_limit();
        if let Some(shared) = self.get(variable).map(operate::change_cost) {
            self.session.spend(shared);
        }
        let numbers = matches!(first, Value::Int(_)).then(|| self.origin_of_numbers());
        let slot = self.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(variable))?;
        match (slot, name) {
            (Value::List(items), "append") => Rc::make_mut(items).push(first),
            (Value::List(items), "insert") => {
                let at = first.as_int().and_then(|at| usize::try_from(at).ok()).unwrap_or(0).min(items.len());
                Rc::make_mut(items).insert(at, arguments.get(1).clone());
            }
            (Value::List(items), "reverse") => Rc::make_mut(items).reverse(),
            (Value::List(items), "pop") => {
                let at = first.as_int().and_then(|at| usize::try_from(at).ok());
                let items = Rc::make_mut(items);
                return Some(match at {
                    Some(at) if at < items.len() => items.remove(at),
                    _ => items.pop().unwrap_or_default(),
                });
            }
            (Value::List(items), "extend") if items.len() < limit / 16 => {
                Rc::make_mut(items).extend(extension?);
            }
            (Value::Bytes(data), "append") => {
                let byte = first.as_int().and_then(|byte| u8::try_from(byte).ok())?;
                Rc::make_mut(&mut data.content).push(byte);
                if data.content.len() == 1 {
                    data.origin = numbers.unwrap_or_else(|| Rc::clone(&data.origin));
                }
            }
            (Value::Bytes(data), "extend") if data.content.len() < limit => {
                let bytes: Option<Vec<u8>> = extension?
                    .iter()
                    .map(|item| item.as_int().and_then(|byte| u8::try_from(byte).ok()))
                    .collect();
                Rc::make_mut(&mut data.content).extend(bytes?);
            }
            (Value::Dictionary(pairs), "update") => {
                if let Value::Dictionary(more) = &first {
                    Rc::make_mut(pairs).extend(more.iter().take(4096).cloned());
                }
            }
            _ => return None,
        }
        Some(Value::None)
    }
}

/// Methods without any cost beyond the text's length.
fn simple(object: &Value, name: &str, arguments: &Arguments) -> Option<Value> {
    let content = object.content()?;
    let origin = Rc::clone(object.origin()?);
    let first = arguments.get(0);
    let made = |content: Vec<u8>| match object {
        Value::Bytes(_) => Value::bytes(content, Rc::clone(&origin)),
        _ => Value::text(String::from_utf8_lossy(&content).into_owned(), Rc::clone(&origin)),
    };
    let is_stripped = |byte: &u8| match first.content() {
        Some(letters) => letters.contains(byte),
        None => byte.is_ascii_whitespace() || *byte == 0x0b,
    };
    Some(match name {
        "strip" | "lstrip" | "rstrip" => {
            let mut rest = content;
            if name != "rstrip" {
                let start = rest.iter().position(|byte| !is_stripped(byte)).unwrap_or(rest.len());
                rest = rest.get(start..)?;
            }
            if name != "lstrip" {
                let end = rest.iter().rposition(|byte| !is_stripped(byte)).map_or(0, |at| at + 1);
                rest = rest.get(..end)?;
            }
            made(rest.to_vec())
        }
        "lower" | "casefold" => made(content.to_ascii_lowercase()),
        "upper" => made(content.to_ascii_uppercase()),
        "swapcase" => made(
            content
                .iter()
                .map(|byte| {
                    if byte.is_ascii_lowercase() {
                        byte.to_ascii_uppercase()
                    } else {
                        byte.to_ascii_lowercase()
                    }
                })
                .collect(),
        ),
        "removeprefix" => made(content.strip_prefix(first.content()?).unwrap_or(content).to_vec()),
        "removesuffix" => made(content.strip_suffix(first.content()?).unwrap_or(content).to_vec()),
        "startswith" => Value::Bool(content.starts_with(first.content()?)),
        "endswith" => Value::Bool(content.ends_with(first.content()?)),
        "find" | "index" => match memchr::memmem::find(content, first.content()?) {
            Some(at) => {
                Value::int(std::str::from_utf8(content.get(..at)?).map_or(at, |head| head.chars().count()))
            }
            None => Value::Int(-1),
        },
        "count" => Value::int(memchr::memmem::find_iter(content, first.content()?).count()),
        "isdigit" => Value::Bool(content.iter().all(u8::is_ascii_digit)),
        "isalpha" => Value::Bool(content.iter().all(u8::is_ascii_alphabetic)),
        "isalnum" => Value::Bool(content.iter().all(u8::is_ascii_alphanumeric)),
        "isupper" => Value::Bool(
            content.iter().any(u8::is_ascii_uppercase) && !content.iter().any(u8::is_ascii_lowercase),
        ),
        "islower" => Value::Bool(
            content.iter().any(u8::is_ascii_lowercase) && !content.iter().any(u8::is_ascii_uppercase),
        ),
        "isspace" => Value::Bool(content.iter().all(u8::is_ascii_whitespace)),
        "hex" => Value::text(content.iter().map(|byte| format!("{byte:02x}")).collect(), origin),
        "zfill" => {
            let width = usize::try_from(first.as_int()?).ok()?.min(4096);
            made([vec![b'0'; width.saturating_sub(content.len())], content.to_vec()].concat())
        }
        "__len__" => Value::int(content.len()),
        _ => return None,
    })
}
