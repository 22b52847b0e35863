//! The filter language of Security Command Center: `ListFindings`, `GroupFindings`, mute rules and notifications
//! say by it which findings they mean. `docs/filter.md` is its reference.
//!
//! Owns: the grammar, the table of fields and types, what a condition means.
//! Refuses: fields that the protocol does not have, values of another type, and expressions without bounds.
//!
//! ```text
//! text ─▶ syntax ─▶ tree (fields found by path in fields.txt, values typed) ─┬▶ evaluate   one document
//!                                                                           ├▶ sql        rows of a database
//!                                                                           └▶ print      text again
//! ```
//!
//! A document is what the protocol calls `ListFindingsResult`, with the finding's fields beside the resource:
//! `{"name": …, "category": …, "resource": {…}}`, in the protocol's JSON mapping (camelCase, times in UTC with `Z`,
//! 64-bit integers as texts).

mod error;
mod evaluate;
mod fields;
mod instant;
mod order;
mod path;
mod print;
pub(crate) mod sql;
mod syntax;
mod tree;

pub use error::FilterError;
pub(crate) use order::{Direction, Key};
pub use order::{Grouping, Order};
pub use syntax::quoted;

use error::Fault;
use path::Base;
use serde_json::Value;
use std::fmt;
use tree::Expression;

/// A filter that was read and understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Absent where nothing was written, which lets all through.
    expression: Option<Expression>,
}

impl Filter {
    /// Reads a filter. Blanks alone are a filter that lets all through.
    ///
    /// # Errors
    /// What is wrong, where, and what to write instead. Expressions of more than 32 KiB, 500 conditions or 32 groups
    /// within each other are refused.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let checked = |syntax| Expression::check(syntax, Base::Finding);
        let read = syntax::read(text).and_then(|syntax| syntax.map(checked).transpose());
        read.map(|expression| Self { expression }).map_err(|fault: Fault| fault.within(text))
    }

    /// Whether this finding, with its resource as the member `resource`, is meant.
    pub fn matches(&self, document: &Value) -> bool {
        self.expression.as_ref().is_none_or(|expression| evaluate::holds(expression, document))
    }

    /// Whether it lets all through since nothing was written.
    pub fn is_empty(&self) -> bool {
        self.expression.is_none()
    }
}

impl fmt::Display for Filter {
    /// The filter in its one form: what is read from it is equal to this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.as_ref().map_or(Ok(()), |expression| expression.fmt(f))
    }
}
