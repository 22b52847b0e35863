//! A filter whose fields are found and whose values have the right type.

use super::error::{Fault, Found, Problem};
use super::fields::{Type, near};
use super::instant::{Instant, Range, seconds};
use super::path::{Base, End, Path};
use super::syntax::{Literal, Operator, Part, Syntax};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Condition(Condition),
    Contains { list: Path, only: bool, inner: Box<Expression> },
}

/// A field and what must be true of one of its values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) path: Path,
    pub(super) written: Written,
    pub(super) test: Test,
    /// `!=` is true where `=` is not.
    pub(super) negated: bool,
}

/// How the condition was written, to write it again.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Written {
    Comparison(Operator, Literal),
    InRange(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Text(TextTest),
    /// One of these names; the first name of an enum is what an absent field means.
    OneOf {
        names: Vec<&'static str>,
        absent: bool,
    },
    Truth(bool),
    Integer(Order, i64),
    Number(Order, f64),
    Time(Order, Instant),
    /// In seconds.
    Duration(Order, f64),
    /// Of a value of any type: a text, a number, true or false.
    AnyText(TextTest),
    AnyNumber(Order, f64),
    AnyTruth(bool),
    /// A map has this key.
    Key {
        name: String,
        folded: bool,
    },
    /// A map has any key.
    AnyKey,
    /// There is something other than an empty text.
    Present,
    InRange(Range),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextTest {
    /// In small letters, unless the text is compared as it is.
    pub(super) text: String,
    pub(super) how: TextOrder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextOrder {
    /// The same text.
    Exact,
    /// The same text, A to Z as a to z.
    Folded,
    /// The text has this one in it, A to Z as a to z.
    Within,
}

/// How a value stands to that of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Order {
    pub(super) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterEqual => order.is_ge(),
        }
    }

    /// In the words of both filters and SQL.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }
}

impl Expression {
    /// Finds the fields and reads the values of what was written.
    pub(super) fn check(syntax: Syntax, base: Base) -> Result<Self, Fault> {
        let all = |parts: Vec<Syntax>| {
            parts.into_iter().map(|part| Self::check(part, base)).collect::<Result<Vec<_>, Fault>>()
        };
        Ok(match syntax {
            Syntax::And(parts) => Self::And(all(parts)?),
            Syntax::Or(parts) => Self::Or(all(parts)?),
            Syntax::Not(inner) => Self::Not(Box::new(Self::check(*inner, base)?)),
            Syntax::Condition { field, operator, operator_at, value, value_at } => {
                let path = Path::find(base, &field)?;
                let written = Comparison { path: &path, operator, operator_at, value: &value, value_at };
                let test = written.test(field.last().map_or(0, |part| part.at))?;
                let negated = operator == Operator::Unequal;
                Self::Condition(Condition {
                    path,
                    written: Written::Comparison(operator, value),
                    test,
                    negated,
                })
            }
            Syntax::Contains { field, only, inner } => contains(base, &field, only, *inner)?,
            Syntax::InRange { field, range, range_at } => in_range(base, &field, range, range_at)?,
        })
    }
}

fn contains(base: Base, field: &[Part], only: bool, inner: Syntax) -> Result<Expression, Fault> {
    let list = Path::find(base, field)?;
    let End::One(kind) = list.end else {
        return Err(not_repeated(&list, field, only));
    };
    if !list.is_list() {
        return Err(not_repeated(&list, field, only));
    }
    let inner = Box::new(Expression::check(inner, Base::Element(kind))?);
    Ok(Expression::Contains { list, only, inner })
}

fn not_repeated(path: &Path, field: &[Part], only: bool) -> Fault {
    let function = if only { "containsOnly" } else { "contains" };
    let problem = Problem::NotRepeated { field: path.to_string().as_str().into(), function };
    Fault::new(field.first().map_or(0, |part| part.at), problem)
}

fn in_range(base: Base, field: &[Part], written: String, at: usize) -> Result<Expression, Fault> {
    let path = Path::find(base, field)?;
    if !matches!(path.end, End::One(Type::Text | Type::Value)) {
        let kind = described(path.end);
        let problem = Problem::Operator {
            field: path.to_string().as_str().into(),
            kind,
            operator: "inIpRange()",
            usable: usable(path.end),
        };
        return Err(Fault::new(field.first().map_or(0, |part| part.at), problem));
    }
    let range = Range::parse(&written)
        .ok_or_else(|| Fault::new(at, Problem::Range { value: written.as_str().into() }))?;
    let written = Written::InRange(written);
    Ok(Expression::Condition(Condition { path, written, test: Test::InRange(range), negated: false }))
}

/// A condition as it was written, with places.
struct Comparison<'a> {
    path: &'a Path,
    operator: Operator,
    operator_at: usize,
    value: &'a Literal,
    value_at: usize,
}

impl Comparison<'_> {
    fn test(&self, field_at: usize) -> Result<Test, Fault> {
        match (self.path.end, self.operator, self.value) {
            (End::Map, Operator::Has, Literal::Anything) => Ok(Test::AnyKey),
            (_, Operator::Has, Literal::Anything) => Ok(self.presence()),
            (End::Map, Operator::Has, Literal::Text(name)) => Ok(self.key(name)),
            (End::Map | End::One(Type::Message(_)), ..) => {
                Err(self.path.needs_more(field_at).unwrap_or_else(|| self.wrong_operator()))
            }
            (End::One(Type::Text), ..) => self.text().map(Test::Text),
            (End::One(Type::Enum(names)), ..) => self.name(names),
            (End::One(Type::Truth), ..) => self.truth().map(Test::Truth),
            (End::One(Type::Integer), ..) => self.integer(),
            (End::One(Type::Number), ..) => self.number(),
            (End::One(Type::Time), ..) => self.time(),
            (End::One(Type::Duration), ..) => self.duration(),
            (End::One(Type::Value), ..) => self.any_value(),
        }
    }

    fn presence(&self) -> Test {
        match self.path.end {
            End::One(Type::Enum([_, names @ ..])) => Test::OneOf { names: names.to_vec(), absent: false },
            _ => Test::Present,
        }
    }

    fn key(&self, name: &str) -> Test {
        let folded = self.path.folded;
        Test::Key { name: if folded { name.to_ascii_lowercase() } else { name.to_owned() }, folded }
    }

    fn text(&self) -> Result<TextTest, Fault> {
        let how = match self.operator {
            Operator::Has => TextOrder::Within,
            Operator::Equal | Operator::Unequal if self.path.folded => TextOrder::Folded,
            Operator::Equal | Operator::Unequal => TextOrder::Exact,
            _ => return Err(self.wrong_operator()),
        };
        let Literal::Text(text) = self.value else { return Err(self.wrong_type("a text in quotes")) };
        let text = if how == TextOrder::Exact { text.clone() } else { text.to_ascii_lowercase() };
        Ok(TextTest { text, how })
    }

    fn name(&self, names: &'static [&'static str]) -> Result<Test, Fault> {
        if !matches!(self.operator, Operator::Equal | Operator::Unequal | Operator::Has) {
            return Err(self.wrong_operator());
        }
        let Literal::Text(text) = self.value else {
            return Err(self.wrong_type("one of its names in quotes"));
        };
        let wanted = text.to_ascii_uppercase();
        let has = self.operator == Operator::Has;
        let whole = names.iter().copied().find(|name| *name == text || (has && *name == wanted));
        let named: Vec<&'static str> = match whole {
            Some(name) => vec![name],
            None if has => names.iter().copied().filter(|name| name.contains(&wanted)).collect(),
            None => Vec::new(),
        };
        if named.is_empty() {
            return Err(self.unknown_name(text, names));
        }
        Ok(Test::OneOf { absent: names.first().is_some_and(|first| named.contains(first)), names: named })
    }

    fn unknown_name(&self, text: &str, names: &[&str]) -> Fault {
        const SHOWN: usize = 12;
        let mut values = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        if names.len() > SHOWN {
            values.push_str(", …");
        }
        let near = near(&text.to_ascii_uppercase(), names.iter().copied());
        let problem =
            Problem::Value { field: self.path.to_string().as_str().into(), value: text.into(), near, values };
        Fault::new(self.value_at, problem)
    }

    fn truth(&self) -> Result<bool, Fault> {
        match (self.operator, self.value) {
            (Operator::Equal | Operator::Unequal, Literal::Truth(truth)) => Ok(*truth),
            (Operator::Equal | Operator::Unequal, _) => Err(self.wrong_type("true or false without quotes")),
            _ => Err(self.wrong_operator()),
        }
    }

    fn integer(&self) -> Result<Test, Fault> {
        match self.value {
            Literal::Integer(number) => Ok(Test::Integer(self.order()?, *number)),
            _ => self.order().and_then(|_| Err(self.wrong_type("a whole number without quotes"))),
        }
    }

    fn number(&self) -> Result<Test, Fault> {
        let order = self.order()?;
        match as_number(self.value) {
            Some(number) => Ok(Test::Number(order, number)),
            None => Err(self.wrong_type("a number without quotes")),
        }
    }

    fn time(&self) -> Result<Test, Fault> {
        let order = self.order()?;
        let (time, written) = match self.value {
            Literal::Text(text) => (Instant::parse(text), text.clone()),
            Literal::Integer(number) => (Instant::from_milliseconds(*number), number.to_string()),
            _ => return Err(self.wrong_type("a time in quotes, or milliseconds since 1970")),
        };
        let refused = || Fault::new(self.value_at, Problem::Time { value: written.as_str().into() });
        time.map(|time| Test::Time(order, time)).ok_or_else(refused)
    }

    fn duration(&self) -> Result<Test, Fault> {
        let order = self.order()?;
        let Literal::Text(text) = self.value else { return Err(self.wrong_type("seconds as \"3600s\"")) };
        let refused = || Fault::new(self.value_at, Problem::Duration { value: text.as_str().into() });
        seconds(text).map(|seconds| Test::Duration(order, seconds)).ok_or_else(refused)
    }

    fn any_value(&self) -> Result<Test, Fault> {
        match self.value {
            Literal::Text(_)
                if matches!(self.operator, Operator::Equal | Operator::Unequal | Operator::Has) =>
            {
                self.text().map(Test::AnyText)
            }
            Literal::Text(_) => Err(self.wrong_type("a number without quotes")),
            Literal::Truth(_) => self.truth().map(Test::AnyTruth),
            Literal::Integer(_) | Literal::Number(_) if self.operator == Operator::Has => {
                Err(self.wrong_type("a text in quotes"))
            }
            value => {
                let order = self.order()?;
                as_number(value)
                    .map(|number| Test::AnyNumber(order, number))
                    .ok_or_else(|| self.wrong_type("a value"))
            }
        }
    }

    fn order(&self) -> Result<Order, Fault> {
        match self.operator {
            Operator::Equal | Operator::Unequal => Ok(Order::Equal),
            Operator::Less => Ok(Order::Less),
            Operator::LessEqual => Ok(Order::LessEqual),
            Operator::Greater => Ok(Order::Greater),
            Operator::GreaterEqual => Ok(Order::GreaterEqual),
            Operator::Has => Err(self.wrong_operator()),
        }
    }

    fn wrong_operator(&self) -> Fault {
        let problem = Problem::Operator {
            field: self.path.to_string().as_str().into(),
            kind: described(self.path.end),
            operator: self.operator.as_str(),
            usable: usable(self.path.end),
        };
        Fault::new(self.operator_at, problem)
    }

    fn wrong_type(&self, wanted: &'static str) -> Fault {
        let found = match self.value {
            Literal::Text(text) => Found::Text(text.as_str().into()),
            Literal::Integer(number) => Found::Word(number.to_string().as_str().into()),
            Literal::Number(number) => Found::Word(number.to_string().as_str().into()),
            Literal::Truth(truth) => Found::Word(truth.to_string().as_str().into()),
            Literal::Anything => Found::Word("*".into()),
        };
        let field = self.path.to_string().as_str().into();
        Fault::new(self.value_at, Problem::Type { field, kind: described(self.path.end), wanted, found })
    }
}

#[allow(clippy::cast_precision_loss, reason = "numbers of JSON are compared as floating point anyway")]
fn as_number(value: &Literal) -> Option<f64> {
    match value {
        Literal::Integer(number) => Some(*number as f64),
        Literal::Number(number) => Some(*number),
        _ => None,
    }
}

fn described(end: End) -> &'static str {
    match end {
        End::One(kind) => kind.described(),
        End::Map => "a map",
    }
}

fn usable(end: End) -> &'static str {
    match end {
        End::Map => "`:` with a key",
        End::One(Type::Text | Type::Enum(_)) => "= != :",
        End::One(Type::Truth) => "= !=",
        End::One(Type::Integer | Type::Number | Type::Time | Type::Duration) => "= != < <= > >=",
        End::One(Type::Value) => "= != : < <= > >=",
        End::One(Type::Message(_)) => "one of its parts",
    }
}
