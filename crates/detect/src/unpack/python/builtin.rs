//! The functions that Python has without an import: conversions, sequences, tables of bytes.

use super::call::{as_bytes, as_text_of};
use super::eval::{Arguments, Evaluator};
use super::operate;
use super::value::{Provenance, Value};
use crate::unpack::step::Step;
use std::rc::Rc;

impl Evaluator<'_> {
    pub(super) fn builtin(&mut self, name: &str, arguments: &Arguments) -> Value {
        let first = arguments.get(0);
        match name {
            "chr" | "unichr" => first
                .as_int()
                .and_then(|code| u32::try_from(code).ok())
                .and_then(char::from_u32)
                .map_or(Value::Unknown, |letter| Value::text(letter.into(), self.origin_of_numbers())),
            "ord" => match first {
                Value::Text(text) => text
                    .content
                    .chars()
                    .next()
                    .map_or(Value::Unknown, |c| Value::Int(i64::from(u32::from(c)))),
                Value::Bytes(data) => {
                    data.content.first().map_or(Value::Unknown, |byte| Value::Int(i64::from(*byte)))
                }
                _ => Value::Unknown,
            },
            "int" => int(first, arguments.plain.get(1).and_then(Value::as_int)),
            "str" | "unicode" | "repr" | "ascii" => match (first, arguments.plain.get(1)) {
                (Value::Bytes(_), Some(codec)) => as_text_of(first, codec.as_str().unwrap_or("utf8")),
                (Value::Text(_), _) => first.clone(),
                (Value::Int(_), _) => Value::text(operate::shown(first), self.origin_of_numbers()),
                _ => Value::Unknown,
            },
            "bytes" | "bytearray" | "memoryview" | "buffer" => self.make_bytes(first, arguments),
            "list" | "tuple" | "set" | "iter" | "sorted" | "frozenset" => {
                let first = first.clone();
                if arguments.plain.is_empty() {
                    return Value::list(Vec::new());
                }
                self.items(&first).map_or(Value::Unknown, Value::list)
            }
            "dict" => self.make_dictionary(first, arguments),
            "len" => match first {
                Value::Text(text) => Value::int(text.content.chars().count()),
                Value::Bytes(data) => Value::int(data.content.len()),
                Value::List(items) => Value::int(items.len()),
                Value::Dictionary(pairs) => Value::int(pairs.len()),
                _ => Value::Unknown,
            },
            _ => self.builtin_of_items(name, arguments),
        }
    }

    /// Builtins that go through what their argument yields.
    fn builtin_of_items(&mut self, name: &str, arguments: &Arguments) -> Value {
        let first = arguments.get(0);
        match name {
            "range" | "xrange" => self.range(arguments),
            "reversed" => {
                let first = first.clone();
                let origin = first.origin().map(|origin| operate::after(origin, Step::Reversed));
                let Some(mut items) = self.items(&first) else { return Value::Unknown };
                items.reverse();
                if let Some(origin) = origin {
                    for item in &mut items {
                        if let Value::Text(text) = item {
                            text.origin = Rc::clone(&origin);
                        }
                    }
                }
                Value::list(items)
            }
            "enumerate" => {
                let first = first.clone();
                let start = arguments.plain.get(1).and_then(Value::as_int).unwrap_or(0);
                let Some(items) = self.items(&first) else { return Value::Unknown };
                let numbered =
                    items.into_iter().zip(start..).map(|(item, at)| Value::list(vec![Value::Int(at), item]));
                Value::list(numbered.collect())
            }
            "zip" | "izip" => self.zip(&arguments.plain),
            "map" | "imap" => self.map(&arguments.plain),
            "filter" => match (first, arguments.get(1).clone()) {
                (Value::None, items) => items,
                _ => Value::Unknown,
            },
            "sum" => {
                let first = first.clone();
                let Some(items) = self.items(&first) else { return Value::Unknown };
                items
                    .iter()
                    .map(Value::as_int)
                    .try_fold(0_i64, |sum, item| sum.checked_add(item?))
                    .map_or(Value::Unknown, Value::Int)
            }
            "abs" => first.as_int().map_or(Value::Unknown, |value| Value::Int(value.wrapping_abs())),
            "hex" => first
                .as_int()
                .map_or(Value::Unknown, |value| Value::text(format!("{value:#x}"), self.origin_of_numbers())),
            "next" => match first {
                Value::List(items) => items.first().cloned().unwrap_or_default(),
                _ => Value::Unknown,
            },
            _ => Value::Unknown,
        }
    }

    fn make_bytes(&mut self, first: &Value, arguments: &Arguments) -> Value {
        match first {
            Value::Bytes(_) => first.clone(),
            Value::Text(_) => as_bytes(first, arguments.get(1).as_str().unwrap_or("utf8")),
            Value::Int(length) => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                if length > self.session.decoded_limit() {
                    return Value::Unknown;
                }
                self.session.spend(length / 16);
                Value::bytes(vec![0; length], self.origin_of_numbers())
            }
            Value::List(items) => {
                let bytes: Option<Vec<u8>> =
                    items.iter().map(|item| item.as_int().and_then(|byte| u8::try_from(byte).ok())).collect();
                let Some(bytes) = bytes else { return Value::Unknown };
                if bytes.is_empty() {
                    return Value::bytes(
                        bytes,
                        Rc::new(Provenance {
                            lines: self.lines,
                            layer: self.layer_number(),
                            steps: Vec::new(),
                        }),
                    );
                }
                self.session.spend(bytes.len() / 8);
                Value::bytes(bytes, self.origin_of_numbers())
            }
            _ if arguments.plain.is_empty() => Value::bytes(
                Vec::new(),
                Rc::new(Provenance { lines: self.lines, layer: self.layer_number(), steps: Vec::new() }),
            ),
            _ => Value::Unknown,
        }
    }

    fn make_dictionary(&mut self, first: &Value, arguments: &Arguments) -> Value {
        let mut pairs = Vec::new();
        if let Value::Dictionary(known) = first {
            pairs.extend(known.iter().cloned());
        } else if let Some(items) = self.items(first) {
            for item in items {
                let Value::List(pair) = item else { return Value::Unknown };
                pairs.push((
                    pair.first().cloned().unwrap_or_default(),
                    pair.get(1).cloned().unwrap_or_default(),
                ));
            }
        }
        for (name, value) in &arguments.named {
            pairs.push((Value::text(name.to_string(), Rc::new(Provenance::default())), value.clone()));
        }
        Value::Dictionary(Rc::new(pairs))
    }

    fn range(&mut self, arguments: &Arguments) -> Value {
        let bound = |at: usize| arguments.plain.get(at).map(Value::as_int);
        let (start, end, step) = match (bound(0), bound(1), bound(2)) {
            (Some(Some(end)), None, _) => (0, end, 1),
            (Some(Some(start)), Some(Some(end)), None) => (start, end, 1),
            (Some(Some(start)), Some(Some(end)), Some(Some(step))) if step != 0 => (start, end, step),
            _ => return Value::Unknown,
        };
        let count = end.saturating_sub(start).checked_div(step).unwrap_or(0).max(0);
        let Ok(count) = usize::try_from(count) else { return Value::Unknown };
        if count > 100_000 || !self.session.spend(count / 4) {
            return Value::Unknown;
        }
        let mut items = Vec::with_capacity(count + 1);
        let mut at = start;
        while if step > 0 { at < end } else { at > end } {
            items.push(Value::Int(at));
            at = at.saturating_add(step);
        }
        Value::list(items)
    }

    fn zip(&mut self, columns: &[Value]) -> Value {
        let mut lists = Vec::new();
        for column in columns {
            let Some(items) = self.items(column) else { return Value::Unknown };
            lists.push(items);
        }
        let length = lists.iter().map(Vec::len).min().unwrap_or(0);
        if !self.session.spend(length) {
            return Value::Unknown;
        }
        Value::list(
            (0..length)
                .map(|at| Value::list(lists.iter().filter_map(|list| list.get(at)).cloned().collect()))
                .collect(),
        )
    }

    fn map(&mut self, arguments: &[Value]) -> Value {
        let Some((function, columns)) = arguments.split_first() else { return Value::Unknown };
        let rows = match columns {
            [single] => {
                let Some(items) = self.items(single) else { return Value::Unknown };
                items.into_iter().map(|item| vec![item]).collect::<Vec<_>>()
            }
            _ => {
                let Value::List(rows) = self.zip(columns) else { return Value::Unknown };
                rows.iter()
                    .filter_map(|row| if let Value::List(row) = row { Some(row.to_vec()) } else { None })
                    .collect()
            }
        };
        let mut mapped = Vec::with_capacity(rows.len());
        for plain in rows {
            if !self.session.spend(1) {
                return Value::Unknown;
            }
            mapped.push(self.call(function, &Arguments { plain, named: Vec::new() }));
        }
        Value::list(mapped)
    }
}

fn int(value: &Value, radix: Option<i64>) -> Value {
    match value {
        Value::Int(_) | Value::Bool(_) => value.as_int().map_or(Value::Unknown, Value::Int),
        _ => {
            let Some(digits) =
                value.as_str().map(|digits| digits.trim().replace('_', "").to_ascii_lowercase())
            else {
                return Value::Unknown;
            };
            let radix = radix.and_then(|radix| u32::try_from(radix).ok()).unwrap_or(10);
            let (digits, radix) = match (digits.get(..2), radix) {
                (Some("0x"), 0 | 16) => (digits.get(2..).unwrap_or_default(), 16),
                (Some("0b"), 0 | 2) => (digits.get(2..).unwrap_or_default(), 2),
                (Some("0o"), 0 | 8) => (digits.get(2..).unwrap_or_default(), 8),
                _ => (&*digits, radix),
            };
            if !(2..=36).contains(&radix) {
                return Value::Unknown;
            }
            i64::from_str_radix(digits, radix).map_or(Value::Unknown, Value::Int)
        }
    }
}
