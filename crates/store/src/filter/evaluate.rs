//! Whether a filter holds for one document, without a database.

use super::fields::{Count, Type};
use super::instant::{seconds, time_key};
use super::path::{End, Path, Step};
use super::tree::{Condition, Expression, Order, Test, TextOrder, TextTest};
use serde_json::Value;

/// Texts of a value of any type count as numbers up to so many digits, which floating point holds exactly.
pub(super) const DIGITS_LIMIT: usize = 15;

/// `scope` is the document, or within a function an element of a list.
pub(super) fn holds(expression: &Expression, scope: &Value) -> bool {
    match expression {
        Expression::And(parts) => parts.iter().all(|part| holds(part, scope)),
        Expression::Or(parts) => parts.iter().any(|part| holds(part, scope)),
        Expression::Not(inner) => !holds(inner, scope),
        Expression::Condition(condition) => condition.holds(scope),
        Expression::Contains { list, only, inner } => contains(list, *only, inner, scope),
    }
}

fn contains(list: &Path, only: bool, inner: &Expression, scope: &Value) -> bool {
    let holds = |element: Option<&Value>| element.is_some_and(|element| holds(inner, element));
    if !only {
        return any(&list.steps, Some(scope), &holds);
    }
    any(&list.steps, Some(scope), &|_| true) && !any(&list.steps, Some(scope), &|element| !holds(element))
}

/// Whether any value at the end of the way passes the test. A field that is absent from a group of fields that is
/// there is tested as `None`; where the group itself is absent there is no value.
fn any(steps: &[Step], value: Option<&Value>, test: &dyn Fn(Option<&Value>) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return test(value) };
    match (step, value) {
        (Step::Field(field), Some(Value::Object(members))) => {
            let child = members.get(field.json).filter(|child| !child.is_null());
            match (field.count, child) {
                (Count::Many, Some(Value::Array(elements))) => {
                    elements.iter().any(|element| any(rest, Some(element), test))
                }
                (Count::Many, _) => false,
                (_, None) if !rest.is_empty() => false,
                (_, child) => any(rest, child, test),
            }
        }
        (Step::Key { name, folded }, Some(Value::Object(members))) => {
            let is_meant = |key: &str| key == name || (*folded && key.eq_ignore_ascii_case(name));
            members.iter().any(|(key, child)| is_meant(key) && any(rest, Some(child), test))
        }
        (Step::Member(name), Some(Value::Object(members))) => {
            members.get(name).is_some_and(|child| any(rest, Some(child), test))
        }
        (Step::Member(name), Some(Value::Array(elements))) => elements
            .iter()
            .filter_map(|element| element.as_object()?.get(name))
            .any(|child| any(rest, Some(child), test)),
        _ => false,
    }
}

impl Condition {
    fn holds(&self, scope: &Value) -> bool {
        let found = any(&self.path.steps, Some(scope), &|value| match value {
            // A value of any type that is a list: each of its elements.
            Some(Value::Array(elements))
                if self.path.end == End::One(Type::Value) && self.test != Test::Present =>
            {
                elements.iter().any(|element| self.test.passes(element))
            }
            Some(value) => self.test.passes(value),
            None => self.test.passes_absent(),
        });
        found != self.negated
    }
}

impl Test {
    /// Whether the value that the protocol takes for an absent one passes: an empty text, zero, false, an enum's
    /// first name. Times, durations and values of any type have none.
    pub(super) fn passes_absent(&self) -> bool {
        match self {
            Self::Text(test) => test.passes(""),
            Self::OneOf { absent, .. } => *absent,
            Self::Truth(wanted) => !wanted,
            Self::Integer(order, number) => order.holds(0.cmp(number)),
            Self::Number(order, number) => compare(*order, 0.0, *number),
            _ => false,
        }
    }

    fn passes(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(test) | Self::AnyText(test), Value::String(text)) => test.passes(text),
            (Self::OneOf { names, .. }, Value::String(text)) => names.contains(&text.as_str()),
            (Self::Truth(wanted) | Self::AnyTruth(wanted), Value::Bool(truth)) => truth == wanted,
            (Self::Integer(order, number), value) => {
                integer(value).is_some_and(|value| order.holds(value.cmp(number)))
            }
            (Self::Number(order, number), Value::Number(value)) => {
                value.as_f64().is_some_and(|value| compare(*order, value, *number))
            }
            (Self::Time(order, time), Value::String(text)) => {
                time_key(text).is_some_and(|key| order.holds(key.cmp(&time.key)))
            }
            (Self::Duration(order, wanted), Value::String(text)) => {
                seconds(text).is_some_and(|value| compare(*order, value, *wanted))
            }
            (Self::AnyNumber(order, number), value) => {
                any_number(value).is_some_and(|value| compare(*order, value, *number))
            }
            (Self::Key { name, folded }, Value::Object(members)) => {
                members.keys().any(|key| key == name || (*folded && key.eq_ignore_ascii_case(name)))
            }
            (Self::AnyKey, Value::Object(members)) => !members.is_empty(),
            (Self::Present, value) => match value {
                Value::Null => false,
                Value::String(text) => !text.is_empty(),
                Value::Array(elements) => !elements.is_empty(),
                _ => true,
            },
            (Self::InRange(range), Value::String(text)) => range.contains(text),
            _ => false,
        }
    }
}

impl TextTest {
    fn passes(&self, value: &str) -> bool {
        match self.how {
            TextOrder::Exact => value == self.text,
            TextOrder::Folded => value.eq_ignore_ascii_case(&self.text),
            TextOrder::Within => value.to_ascii_lowercase().contains(&self.text),
        }
    }
}

fn compare(order: Order, value: f64, wanted: f64) -> bool {
    value.partial_cmp(&wanted).is_some_and(|found| order.holds(found))
}

/// A whole number, which JSON of the protocol holds as a number, or where it has 64 bits as a text.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text)
            if text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            text.parse().ok()
        }
        _ => None,
    }
}

/// A number of a value of any type: sources write counts and sizes as texts, too.
fn any_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text)
            if (1..=DIGITS_LIMIT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            text.parse().ok()
        }
        _ => None,
    }
}
