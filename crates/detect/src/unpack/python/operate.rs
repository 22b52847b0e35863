//! Operators on values: arithmetic, joining, indexing, slicing, comparing. Pure; each says what it cost.

use super::ast::{Comparison, Operator};
use super::value::{HOLE, Provenance, Value};
use crate::unpack::session::{join_steps, push_step};
use crate::unpack::step::Step;
use std::rc::Rc;

/// The origin of something that is made of both.
pub(super) fn joined(one: &Rc<Provenance>, two: &Rc<Provenance>) -> Rc<Provenance> {
    if Rc::ptr_eq(one, two) || one == two {
        return Rc::clone(one);
    }
    let lines = if one.layer == two.layer {
        (one.lines.0.min(two.lines.0), one.lines.1.max(two.lines.1))
    } else {
        one.lines
    };
    if one.lines == lines && (two.steps.is_empty() || two.steps == one.steps) {
        return Rc::clone(one);
    }
    Rc::new(Provenance { steps: join_steps(&one.steps, &two.steps), lines, layer: one.layer })
}

/// The origin with one more step.
pub(super) fn after(origin: &Rc<Provenance>, step: Step) -> Rc<Provenance> {
    let mut origin = Provenance::clone(origin);
    push_step(&mut origin.steps, step);
    Rc::new(origin)
}

/// The value of `left OPERATOR right`, and what it cost beyond the node itself.
pub(super) fn binary(left: Value, operator: Operator, right: &Value, limit: usize) -> (Value, usize) {
    if let (Some(one), Some(two)) = (left.as_int(), right.as_int()) {
        return (arithmetic(one, operator, two), 0);
    }
    match operator {
        Operator::Add => add(left, right, limit),
        Operator::Multiply => match (left.as_int(), right.as_int()) {
            (None, Some(times)) => repeat(&left, times, limit),
            (Some(times), None) => repeat(right, times, limit),
            _ => (Value::Unknown, 0),
        },
        Operator::Modulo => match &left {
            Value::Text(text) => {
                (percent(&text.content, &text.origin, right, limit), text.content.len() / 16)
            }
            _ => (Value::Unknown, 0),
        },
        Operator::Divide => (Value::Unknown, 0),
        _ => (Value::Unknown, 0),
    }
}

fn arithmetic(one: i64, operator: Operator, two: i64) -> Value {
    let value = match operator {
        Operator::Add => one.checked_add(two),
        Operator::Subtract => one.checked_sub(two),
        Operator::Multiply => one.checked_mul(two),
        // A quotient that is no whole number is only seen inside of `int(…)`.
        Operator::Divide | Operator::FloorDivide => {
            let quotient = one.checked_div(two);
            quotient.map(
                |quotient| if one % two != 0 && (one < 0) != (two < 0) { quotient - 1 } else { quotient },
            )
        }
        Operator::Modulo if two != 0 => one
            .checked_rem(two)
            .map(|rest| if rest != 0 && (rest < 0) != (two < 0) { rest + two } else { rest }),
        Operator::Power => u32::try_from(two).ok().and_then(|two| one.checked_pow(two)),
        Operator::ShiftLeft => {
            u32::try_from(two).ok().filter(|two| *two < 62).and_then(|two| one.checked_mul(1 << two))
        }
        Operator::ShiftRight => u32::try_from(two).ok().and_then(|two| one.checked_shr(two)),
        Operator::And => Some(one & two),
        Operator::Or => Some(one | two),
        Operator::Xor => Some(one ^ two),
        _ => None,
    };
    value.map_or(Value::Unknown, Value::Int)
}

fn add(left: Value, right: &Value, limit: usize) -> (Value, usize) {
    match (left, right) {
        (Value::Text(mut one), Value::Text(two)) => {
            if one.content.len() + two.content.len() > limit {
                return (Value::Unknown, 0);
            }
            let cost = two.content.len() / 16
                + if Rc::strong_count(&one.content) > 1 { one.content.len() / 16 } else { 0 };
            Rc::make_mut(&mut one.content).push_str(&two.content);
            one.origin = joined(&one.origin, &two.origin);
            mark_joined(&mut one.origin);
            (Value::Text(one), cost)
        }
        (Value::Bytes(mut one), Value::Bytes(two)) => {
            if one.content.len() + two.content.len() > limit {
                return (Value::Unknown, 0);
            }
            let cost = two.content.len() / 16
                + if Rc::strong_count(&one.content) > 1 { one.content.len() / 16 } else { 0 };
            Rc::make_mut(&mut one.content).extend_from_slice(&two.content);
            one.origin = joined(&one.origin, &two.origin);
            mark_joined(&mut one.origin);
            (Value::Bytes(one), cost)
        }
        (Value::List(mut one), Value::List(two)) => {
            if one.len() + two.len() > limit / 16 {
                return (Value::Unknown, 0);
            }
            let cost = one.len() + two.len();
            Rc::make_mut(&mut one).extend(two.iter().cloned());
            (Value::List(one), cost / 4)
        }
        // A text with an unknown end is still a text: `"curl " + address`.
        (Value::Text(mut one), _) if right.is_unknown() && one.content.len() < limit => {
            let cost = one.content.len() / 16;
            Rc::make_mut(&mut one.content).push(HOLE);
            (Value::Text(one), cost)
        }
        (left, Value::Text(two)) if left.is_unknown() => {
            let mut content = String::from(HOLE);
            content.push_str(&two.content);
            (Value::text(content, Rc::clone(&two.origin)), two.content.len() / 16)
        }
        _ => (Value::Unknown, 0),
    }
}

fn mark_joined(origin: &mut Rc<Provenance>) {
    if !origin.steps.contains(&Step::Joined) && origin.steps.is_empty() {
        *origin = after(origin, Step::Joined);
    }
}

fn repeat(value: &Value, times: i64, limit: usize) -> (Value, usize) {
    let times = usize::try_from(times.max(0)).unwrap_or(0);
    let size = match value {
        Value::List(items) => items.len().saturating_mul(16),
        _ => value.content().map_or(0, <[u8]>::len),
    };
    let total = size.saturating_mul(times);
    if total > limit {
        return (Value::Unknown, 0);
    }
    let repeated = match value {
        Value::Text(text) => Value::text(text.content.repeat(times), Rc::clone(&text.origin)),
        Value::Bytes(data) => Value::bytes(data.content.repeat(times), Rc::clone(&data.origin)),
        Value::List(items) => Value::list(items.iter().cycle().take(items.len() * times).cloned().collect()),
        _ => Value::Unknown,
    };
    (repeated, total / 16)
}

/// What `format`, `%s` and f-strings write for a value.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.content.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::None => "None".into(),
        Value::Bytes(data) => format!("b'{}'", data.content.escape_ascii()),
        _ => HOLE.into(),
    }
}

pub(super) fn format_parts(values: &[Value], limit: usize) -> Value {
    let mut content = String::new();
    let mut origin: Option<Rc<Provenance>> = None;
    for value in values {
        content.push_str(&shown(value));
        if content.len() > limit {
            return Value::Unknown;
        }
        if let Some(part) = value.origin() {
            origin = Some(origin.map_or_else(|| Rc::clone(part), |origin| joined(&origin, part)));
        }
    }
    origin.map_or(Value::Unknown, |origin| Value::text(content, origin))
}

/// `text % values`.
fn percent(format: &str, origin: &Rc<Provenance>, values: &Value, limit: usize) -> Value {
    let single = [values.clone()];
    let mut plain = match values {
        Value::List(items) => items.iter(),
        _ => single.iter(),
    };
    let mut origin = Rc::clone(origin);
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (before, directive) = rest.split_at(at);
        out.push_str(before);
        let mut letters = directive.char_indices().skip(1).peekable();
        let mut key = None;
        if directive.get(1..2) == Some("(") {
            let end = directive.find(')').unwrap_or(directive.len() - 1);
            key = directive.get(2..end);
            while letters.next_if(|(at, _)| *at <= end).is_some() {}
        }
        while letters
            .next_if(|(_, letter)| matches!(letter, '0'..='9' | '.' | '-' | '+' | ' ' | '#'))
            .is_some()
        {}
        let Some((at, letter)) = letters.next() else { break };
        rest = directive.get(at + letter.len_utf8()..).unwrap_or_default();
        if letter == '%' {
            out.push('%');
            continue;
        }
        let value = match key {
            Some(key) => item_named(values, key),
            None => plain.next().cloned().unwrap_or_default(),
        };
        if let Some(part) = value.origin() {
            origin = joined(&origin, part);
        }
        match (letter, value.as_int()) {
            ('c', Some(code)) => out.push(u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(HOLE)),
            ('x', Some(number)) => out.push_str(&format!("{number:x}")),
            _ => out.push_str(&shown(&value)),
        }
        if out.len() > limit {
            return Value::Unknown;
        }
    }
    out.push_str(rest);
    mark_joined(&mut origin);
    Value::text(out, origin)
}

fn item_named(values: &Value, key: &str) -> Value {
    let Value::Dictionary(pairs) = values else { return Value::Unknown };
    pairs
        .iter()
        .find(|(name, _)| name.as_str() == Some(key))
        .map(|(_, value)| value.clone())
        .unwrap_or_default()
}

/// `text.format(…)`, with fields by position and by name.
pub(super) fn format(
    format: &str,
    origin: &Rc<Provenance>,
    plain: &[Value],
    named: &[(Rc<str>, Value)],
    limit: usize,
) -> Value {
    let mut origin = Rc::clone(origin);
    let mut out = String::new();
    let mut next = 0;
    let mut letters = format.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '{' | '}' if letters.next_if(|(_, other)| *other == letter).is_some() => out.push(letter),
            '{' => {
                let end =
                    format.get(at..).and_then(|rest| rest.find('}')).map_or(format.len(), |end| at + end);
                let field = format.get(at + 1..end).unwrap_or_default();
                while letters.next_if(|(at, _)| *at <= end).is_some() {}
                let name = field.split([':', '!']).next().unwrap_or_default();
                let value = if name.is_empty() {
                    next += 1;
                    plain.get(next - 1)
                } else if let Ok(position) = name.parse::<usize>() {
                    plain.get(position)
                } else {
                    named.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
                };
                let value = value.cloned().unwrap_or_default();
                if let Some(part) = value.origin() {
                    origin = joined(&origin, part);
                }
                match (field.ends_with(":c"), value.as_int()) {
                    (true, Some(code)) => {
                        out.push(u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(HOLE));
                    }
                    _ => out.push_str(&shown(&value)),
                }
            }
            _ => out.push(letter),
        }
        if out.len() > limit {
            return Value::Unknown;
        }
    }
    mark_joined(&mut origin);
    Value::text(out, origin)
}

fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let index = if index < 0 { index + length } else { index };
    usize::try_from(index).ok().filter(|_| index < length)
}

/// `object[index]` of a text, bytes, list or dictionary.
pub(super) fn index(object: &Value, index: &Value) -> Value {
    match (object, index.as_int()) {
        (Value::Text(text), Some(at)) => {
            let letter = if text.content.is_ascii() {
                position(at, text.content.len())
                    .and_then(|at| text.content.as_bytes().get(at))
                    .map(|&byte| char::from(byte))
            } else {
                position(at, text.content.chars().count()).and_then(|at| text.content.chars().nth(at))
            };
            letter.map_or(Value::Unknown, |letter| Value::text(letter.into(), Rc::clone(&text.origin)))
        }
        (Value::Bytes(data), Some(at)) => position(at, data.content.len())
            .and_then(|at| data.content.get(at))
            .map_or(Value::Unknown, |&byte| Value::Int(i64::from(byte))),
        (Value::List(items), Some(at)) => {
            position(at, items.len()).and_then(|at| items.get(at)).cloned().unwrap_or_default()
        }
        (Value::Dictionary(pairs), _) => pairs
            .iter()
            .rev()
            .find(|(key, _)| key.equals(index) == Some(true))
            .map(|(_, value)| value.clone())
            .unwrap_or_default(),
        _ => Value::Unknown,
    }
}

/// What it costs to change one item: finding it, and copying the rest where somebody else holds it too.
pub(super) fn change_cost(value: &Value) -> usize {
    match value {
        Value::List(items) if Rc::strong_count(items) > 1 => items.len(),
        Value::Dictionary(pairs) => pairs.len() * if Rc::strong_count(pairs) > 1 { 2 } else { 1 } / 8,
        Value::Bytes(data) if Rc::strong_count(&data.content) > 1 => data.content.len() / 16,
        _ => 0,
    }
}

pub(super) fn set_item(slot: &mut Value, key: &Value, value: Value) {
    match slot {
        Value::List(items) => {
            if let Some(item) = key
                .as_int()
                .and_then(|at| position(at, items.len()))
                .and_then(|at| Rc::make_mut(items).get_mut(at))
            {
                *item = value;
            }
        }
        Value::Dictionary(pairs) if pairs.len() < 4096 => {
            let pairs = Rc::make_mut(pairs);
            match pairs.iter_mut().find(|(known, _)| known.equals(key) == Some(true)) {
                Some((_, old)) => *old = value,
                None => pairs.push((key.clone(), value)),
            }
        }
        Value::Bytes(data) => {
            if let (Some(at), Some(byte)) = (
                key.as_int().and_then(|at| position(at, data.content.len())),
                value.as_int().and_then(|byte| u8::try_from(byte).ok()),
            ) && let Some(cell) = Rc::make_mut(&mut data.content).get_mut(at)
            {
                *cell = byte;
            }
        }
        _ => {}
    }
}

/// Which positions `[start:end:step]` takes, as Python counts them.
fn positions(length: usize, bounds: &[Option<Value>; 3]) -> Option<Vec<usize>> {
    let bound = |at: usize| -> Option<Option<i64>> {
        match bounds.get(at)? {
            None | Some(Value::None) => Some(None),
            Some(value) => value.as_int().map(Some),
        }
    };
    let step = bound(2)?.unwrap_or(1);
    if step == 0 {
        return None;
    }
    let length = i64::try_from(length).ok()?;
    let clamp = |value: i64, low: i64, high: i64| {
        let value = if value < 0 { value.saturating_add(length) } else { value };
        value.clamp(low, high)
    };
    let mut taken = Vec::new();
    if step > 0 {
        let mut at = bound(0)?.map_or(0, |value| clamp(value, 0, length));
        let end = bound(1)?.map_or(length, |value| clamp(value, 0, length));
        while at < end {
            taken.push(usize::try_from(at).ok()?);
            at = at.saturating_add(step);
        }
    } else {
        let mut at = bound(0)?.map_or(length - 1, |value| clamp(value, -1, length - 1));
        let end = bound(1)?.map_or(-1, |value| clamp(value, -1, length - 1));
        while at > end {
            taken.push(usize::try_from(at).ok()?);
            at = at.saturating_add(step);
        }
    }
    Some(taken)
}

fn pick<T: Clone>(items: &[T], taken: &[usize]) -> Vec<T> {
    taken.iter().filter_map(|&at| items.get(at)).cloned().collect()
}

pub(super) fn slice(object: &Value, bounds: &[Option<Value>; 3]) -> Value {
    let is_reversed = matches!(bounds, [None, None, Some(Value::Int(-1))]);
    let origin = |origin: &Rc<Provenance>| {
        if is_reversed { after(origin, Step::Reversed) } else { Rc::clone(origin) }
    };
    match object {
        Value::Text(text) if text.content.is_ascii() => positions(text.content.len(), bounds)
            .and_then(|taken| String::from_utf8(pick(text.content.as_bytes(), &taken)).ok())
            .map_or(Value::Unknown, |content| Value::text(content, origin(&text.origin))),
        Value::Text(text) => {
            let letters: Vec<char> = text.content.chars().collect();
            positions(letters.len(), bounds).map_or(Value::Unknown, |taken| {
                Value::text(pick(&letters, &taken).into_iter().collect(), origin(&text.origin))
            })
        }
        Value::Bytes(data) => positions(data.content.len(), bounds)
            .map_or(Value::Unknown, |taken| Value::bytes(pick(&data.content, &taken), origin(&data.origin))),
        Value::List(items) => {
            positions(items.len(), bounds).map_or(Value::Unknown, |taken| Value::list(pick(items, &taken)))
        }
        _ => Value::Unknown,
    }
}

pub(super) fn compare(left: &Value, comparison: Comparison, right: &Value) -> Option<bool> {
    let order = || match (left.as_int(), right.as_int()) {
        (Some(one), Some(two)) => Some(one.cmp(&two)),
        _ => Some(left.content()?.cmp(right.content()?)),
    };
    match comparison {
        Comparison::Equal => left.equals(right),
        Comparison::NotEqual => left.equals(right).map(|equal| !equal),
        Comparison::Less => Some(order()?.is_lt()),
        Comparison::LessEqual => Some(order()?.is_le()),
        Comparison::Greater => Some(order()?.is_gt()),
        Comparison::GreaterEqual => Some(order()?.is_ge()),
        Comparison::In => contains(right, left),
        Comparison::NotIn => contains(right, left).map(|is_in| !is_in),
        Comparison::Unknown => None,
    }
}

fn contains(whole: &Value, part: &Value) -> Option<bool> {
    match whole {
        Value::Text(_) | Value::Bytes(_) => {
            Some(memchr::memmem::find(whole.content()?, part.content()?).is_some())
        }
        Value::List(items) => {
            let mut is_certain = true;
            for item in items.iter() {
                match item.equals(part) {
                    Some(true) => return Some(true),
                    Some(false) => {}
                    None => is_certain = false,
                }
            }
            is_certain.then_some(false)
        }
        Value::Dictionary(pairs) => Some(pairs.iter().any(|(key, _)| key.equals(part) == Some(true))),
        _ => None,
    }
}
