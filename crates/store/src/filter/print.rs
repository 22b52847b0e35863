//! A filter as text again, in one form for all that mean the same: fields in `snake_case`, one blank between words.

use super::syntax::{Literal, quoted};
use super::tree::{Condition, Expression, Written};
use std::fmt::{Display, Formatter, Result};

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::And(parts) => join(f, parts, " AND ", |part| matches!(part, Self::And(_))),
            Self::Or(parts) => join(f, parts, " OR ", |part| matches!(part, Self::And(_) | Self::Or(_))),
            Self::Not(inner) => {
                f.write_str("NOT ")?;
                write(f, inner, matches!(**inner, Self::And(_) | Self::Or(_) | Self::Not(_)))
            }
            Self::Condition(condition) => condition.fmt(f),
            Self::Contains { list, only, inner } => {
                write!(f, "{}({list}, {inner})", if *only { "containsOnly" } else { "contains" })
            }
        }
    }
}

fn join(f: &mut Formatter<'_>, parts: &[Expression], word: &str, grouped: fn(&Expression) -> bool) -> Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        write(f, part, grouped(part))?;
    }
    Ok(())
}

fn write(f: &mut Formatter<'_>, part: &Expression, grouped: bool) -> Result {
    if grouped { write!(f, "({part})") } else { part.fmt(f) }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.written {
            Written::Comparison(operator, value) => write!(f, "{} {} {value}", self.path, operator.as_str()),
            Written::InRange(range) => write!(f, "inIpRange({}, {})", self.path, quoted(range)),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Integer(number) => number.fmt(f),
            // The form for programmers always has a point or an exponent, so that it is read as the same again.
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Truth(truth) => truth.fmt(f),
            Self::Anything => f.write_str("*"),
        }
    }
}
