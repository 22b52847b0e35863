//! The grammar: from text to a tree of what was written, each part with its place. Knows no field.
//!
//! ```text
//! expression   = alternatives { "AND" alternatives }
//! alternatives = term { "OR" term }
//! term         = { "NOT" | "-" } ( "(" expression ")" | function | condition )
//! condition    = field operator value
//! function     = ("contains" | "containsOnly") "(" field "," expression ")" | "inIpRange" "(" field "," text ")"
//! field        = word { "." ( word | text ) }
//! operator     = "=" | "!=" | ":" | "<" | "<=" | ">" | ">="
//! value        = text | number | "true" | "false" | "*"
//! ```

use super::error::{Excerpt, Fault, Found, Problem};
use super::fields::near;
use winnow::Parser;
use winnow::ascii::{digit1, multispace0};
use winnow::combinator::{alt, not, opt, terminated};
use winnow::error::ParserError;
use winnow::stream::{LocatingSlice, Location, Stateful};
use winnow::token::{any, one_of, take_till, take_while};

/// The most bytes of an expression.
pub(super) const LENGTH_LIMIT: usize = 32 * 1024;
/// Parentheses and functions within each other.
pub(super) const DEPTH_LIMIT: usize = 32;
/// Conditions of one expression: each becomes a part of one statement, which databases bound as well. What takes much room there
/// counts for several.
pub(super) const CONDITION_LIMIT: usize = 500;

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Syntax {
    And(Vec<Syntax>),
    Or(Vec<Syntax>),
    Not(Box<Syntax>),
    Condition { field: Vec<Part>, operator: Operator, operator_at: usize, value: Literal, value_at: usize },
    Contains { field: Vec<Part>, only: bool, inner: Box<Syntax> },
    InRange { field: Vec<Part>, range: String, range_at: usize },
}

/// A part of a field, between dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) text: String,
    pub(super) at: usize,
    pub(super) quoted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Has,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Operator {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Has => ":",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Integer(i64),
    Number(f64),
    Truth(bool),
    /// `*`: whatever there is.
    Anything,
}

/// Parts of a field beyond which each counts for a condition.
const SHORT_FIELD: usize = 4;
/// For how many conditions a range of addresses counts.
const RANGE_WEIGHT: usize = 10;

/// What is known while an expression is read.
#[derive(Debug, Clone, Copy)]
struct State {
    depth: usize,
    conditions: usize,
    /// For how many a condition counts here.
    weight: usize,
    /// Whether a field is all that is read.
    alone: bool,
}

type Input<'a> = Stateful<LocatingSlice<&'a str>, State>;

impl<'a> ParserError<Input<'a>> for Fault {
    type Inner = Self;

    fn from_input(input: &Input<'a>) -> Self {
        expected("something else", input)
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// Reads a whole expression; nothing but blanks means no condition at all.
pub(super) fn read(text: &str) -> Result<Option<Syntax>, Fault> {
    if text.len() > LENGTH_LIMIT {
        return Err(Fault::new(LENGTH_LIMIT, Problem::TooLong { length: text.len(), limit: LENGTH_LIMIT }));
    }
    let mut input = input(text);
    blanks(&mut input)?;
    if rest(&input).is_empty() {
        return Ok(None);
    }
    let read = expression(&mut input)?;
    if rest(&input).is_empty() { Ok(Some(read)) } else { Err(no_connective("AND, OR or the end", &input)) }
}

/// Reads a field that stands alone, as in an order or a mask; `at` is where it stands in what the user wrote.
pub(super) fn read_field(text: &str, at: usize) -> Result<Vec<Part>, Fault> {
    let moved = |fault: Fault| Fault { at: fault.at + at, ..fault };
    if text.len() > LENGTH_LIMIT {
        return Err(Fault::new(at, Problem::TooLong { length: text.len(), limit: LENGTH_LIMIT }));
    }
    let mut input = input(text);
    input.state.alone = true;
    let mut parts = field(&mut input).map_err(moved)?;
    if !rest(&input).is_empty() {
        return Err(moved(expected("a dot or the end of the field", &input)));
    }
    parts.iter_mut().for_each(|part| part.at += at);
    Ok(parts)
}

fn input(text: &str) -> Input<'_> {
    Stateful {
        input: LocatingSlice::new(text),
        state: State { depth: 0, conditions: 0, weight: 1, alone: false },
    }
}

fn rest<'a>(input: &Input<'a>) -> &'a str {
    *input.input
}

fn place(input: &Input<'_>) -> usize {
    input.current_token_start()
}

fn expected(what: &'static str, input: &Input<'_>) -> Fault {
    Fault::new(place(input), Problem::Expected { what, found: Found::next(rest(input)) })
}

/// What follows a condition is neither AND nor OR: perhaps they were written in small letters.
fn no_connective(what: &'static str, input: &Input<'_>) -> Fault {
    let rest = rest(input);
    let word = rest.get(..rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len()));
    let wanted = match word.map(str::to_ascii_uppercase).as_deref() {
        Some("AND") => "AND",
        Some("OR") => "OR",
        _ => return expected(what, input),
    };
    Fault::new(place(input), Problem::SmallLetters { found: word.unwrap_or_default().into(), wanted })
}

fn blanks(input: &mut Input<'_>) -> Result<(), Fault> {
    multispace0.void().parse_next(input)
}

/// A letter, digit, `_` or `-`.
fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

/// Whether a word of the language stands here; it is read then.
fn keyword(word: &'static str, input: &mut Input<'_>) -> Result<bool, Fault> {
    let found = opt(terminated(word, not(one_of(is_word)))).parse_next(input)?;
    Ok(found.is_some())
}

/// Whether this character stands here; it is read then.
fn mark(letter: char, input: &mut Input<'_>) -> Result<bool, Fault> {
    Ok(opt(letter).parse_next(input)?.is_some())
}

fn expression(input: &mut Input<'_>) -> Result<Syntax, Fault> {
    series(input, "AND", alternatives, Syntax::And)
}

fn alternatives(input: &mut Input<'_>) -> Result<Syntax, Fault> {
    series(input, "OR", term, Syntax::Or)
}

/// One or more, with a word between them; blanks after them are read as well.
fn series<'a>(
    input: &mut Input<'a>,
    word: &'static str,
    one: fn(&mut Input<'a>) -> Result<Syntax, Fault>,
    join: fn(Vec<Syntax>) -> Syntax,
) -> Result<Syntax, Fault> {
    let first = one(input)?;
    blanks(input)?;
    if !keyword(word, input)? {
        return Ok(first);
    }
    let mut all = vec![first, one(input)?];
    blanks(input)?;
    while keyword(word, input)? {
        all.push(one(input)?);
        blanks(input)?;
    }
    Ok(join(all))
}

fn term(input: &mut Input<'_>) -> Result<Syntax, Fault> {
    let mut negated = false;
    blanks(input)?;
    while mark('-', input)? || keyword("NOT", input)? {
        negated = !negated;
        blanks(input)?;
    }
    let term = if rest(input).starts_with('(') { grouped(input)? } else { function_or_condition(input)? };
    Ok(if negated { Syntax::Not(Box::new(term)) } else { term })
}

fn grouped(input: &mut Input<'_>) -> Result<Syntax, Fault> {
    deeper(input, |input| {
        mark('(', input)?;
        let inner = expression(input)?;
        close(input, inner)
    })
}

fn close(input: &mut Input<'_>, inner: Syntax) -> Result<Syntax, Fault> {
    blanks(input)?;
    if mark(')', input)? { Ok(inner) } else { Err(no_connective("AND, OR or `)`", input)) }
}

fn deeper<'a>(
    input: &mut Input<'a>,
    read: impl FnOnce(&mut Input<'a>) -> Result<Syntax, Fault>,
) -> Result<Syntax, Fault> {
    input.state.depth += 1;
    if input.state.depth > DEPTH_LIMIT {
        return Err(Fault::new(place(input), Problem::TooDeep { limit: DEPTH_LIMIT }));
    }
    let inner = read(input)?;
    input.state.depth -= 1;
    Ok(inner)
}

fn function_or_condition(input: &mut Input<'_>) -> Result<Syntax, Fault> {
    let at = place(input);
    count(1, at, input)?;
    let field = field(input)?;
    count(field.len().saturating_sub(SHORT_FIELD), at, input)?;
    blanks(input)?;
    match field.as_slice() {
        [Part { text, .. }] if rest(input).starts_with('(') => function(&text.clone(), at, input),
        _ => condition(field, input),
    }
}

/// Counts conditions at this place.
fn count(conditions: usize, at: usize, input: &mut Input<'_>) -> Result<(), Fault> {
    input.state.conditions += conditions * input.state.weight;
    let too_many = input.state.conditions > CONDITION_LIMIT;
    if too_many { Err(Fault::new(at, Problem::TooMany { limit: CONDITION_LIMIT })) } else { Ok(()) }
}

fn function(name: &str, at: usize, input: &mut Input<'_>) -> Result<Syntax, Fault> {
    match name {
        "contains" => deeper(input, |input| contains(input, false)),
        "containsOnly" | "contains_only" => deeper(input, |input| contains(input, true)),
        "inIpRange" | "in_ip_range" => {
            count(RANGE_WEIGHT - 1, at, input)?;
            in_range(input)
        }
        _ => {
            let near = near(name, ["contains", "containsOnly", "inIpRange"].into_iter());
            Err(Fault::new(at, Problem::Function { name: name.into(), near }))
        }
    }
}

/// The first argument of a function, a field, with the comma behind it.
fn argument(input: &mut Input<'_>) -> Result<Vec<Part>, Fault> {
    mark('(', input)?;
    blanks(input)?;
    let field = field(input)?;
    blanks(input)?;
    if !mark(',', input)? {
        return Err(expected("a comma and what to look for", input));
    }
    blanks(input)?;
    Ok(field)
}

fn contains(input: &mut Input<'_>, only: bool) -> Result<Syntax, Fault> {
    let field = argument(input)?;
    let weight = input.state.weight;
    // A statement says twice what is true of each element: that there is one, and that there is no other.
    input.state.weight *= if only { 2 } else { 1 };
    let inner = Box::new(expression(input)?);
    input.state.weight = weight;
    close(input, Syntax::Contains { field, only, inner })
}

fn in_range(input: &mut Input<'_>) -> Result<Syntax, Fault> {
    let field = argument(input)?;
    let range_at = place(input);
    if !rest(input).starts_with(['"', '\'']) {
        return Err(expected("a range of addresses in quotes", input));
    }
    let range = text(input)?;
    blanks(input)?;
    if mark(')', input)? {
        Ok(Syntax::InRange { field, range, range_at })
    } else {
        Err(expected("`)`", input))
    }
}

fn condition(field: Vec<Part>, input: &mut Input<'_>) -> Result<Syntax, Fault> {
    let operator_at = place(input);
    let Some(operator) = opt(operator).parse_next(input)? else {
        return Err(expected("one of = != : < <= > >= or a dot after the field", input));
    };
    blanks(input)?;
    let value_at = place(input);
    let value = value(operator, input)?;
    Ok(Syntax::Condition { field, operator, operator_at, value, value_at })
}

fn operator(input: &mut Input<'_>) -> Result<Operator, Fault> {
    alt((
        "<=".value(Operator::LessEqual),
        ">=".value(Operator::GreaterEqual),
        "!=".value(Operator::Unequal),
        "<".value(Operator::Less),
        ">".value(Operator::Greater),
        "=".value(Operator::Equal),
        ":".value(Operator::Has),
    ))
    .parse_next(input)
}

fn field(input: &mut Input<'_>) -> Result<Vec<Part>, Fault> {
    let begins = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    let what = if input.state.alone { "a field" } else { "a field, a function or `(`" };
    if !rest(input).starts_with(begins) {
        return Err(expected(what, input));
    }
    let mut parts = vec![word(input)?];
    while mark('.', input)? {
        parts.push(match rest(input).chars().next() {
            Some('"' | '\'') => {
                let at = place(input);
                Part { text: text(input)?, at, quoted: true }
            }
            Some(letter) if is_word(letter) => word(input)?,
            _ => return Err(expected("a name after the dot", input)),
        });
    }
    Ok(parts)
}

fn word(input: &mut Input<'_>) -> Result<Part, Fault> {
    let at = place(input);
    let text: &str = take_while(1.., is_word).parse_next(input)?;
    Ok(Part { text: text.to_owned(), at, quoted: false })
}

fn value(operator: Operator, input: &mut Input<'_>) -> Result<Literal, Fault> {
    match rest(input).chars().next() {
        Some('"' | '\'') => text(input).map(Literal::Text),
        Some('*') if operator == Operator::Has => {
            mark('*', input)?;
            Ok(Literal::Anything)
        }
        Some('-' | '0'..='9') => number(input),
        Some(letter) if is_word(letter) => truth(input),
        _ => Err(expected("a value: a text in quotes, a number, true or false", input)),
    }
}

fn truth(input: &mut Input<'_>) -> Result<Literal, Fault> {
    if keyword("true", input)? {
        Ok(Literal::Truth(true))
    } else if keyword("false", input)? {
        Ok(Literal::Truth(false))
    } else {
        Err(bare(input))
    }
}

/// A value that should stand in quotes.
fn bare(input: &Input<'_>) -> Fault {
    let rest = rest(input);
    let end = rest.find(|letter: char| letter.is_whitespace() || letter == ')' || letter == ',');
    let value: Excerpt = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default().into();
    Fault::new(place(input), Problem::Bare { value })
}

fn number(input: &mut Input<'_>) -> Result<Literal, Fault> {
    let at = place(input);
    let start = *input;
    let fraction = opt(('.', digit1));
    let exponent = opt((one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1));
    let digits: Result<&str, Fault> = terminated(
        (opt('-'), digit1, fraction, exponent).take(),
        not(one_of(|c| is_word(c) || c == '.' || c == ':')),
    )
    .parse_next(input);
    let Ok(digits) = digits else { return Err(bare(&start)) };
    let out_of_range = || Fault::new(at, Problem::Number { found: digits.into() });
    if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return digits.parse().map(Literal::Integer).map_err(|_| out_of_range());
    }
    let number = digits.parse::<f64>().ok().filter(|number| number.is_finite());
    number.map(Literal::Number).ok_or_else(out_of_range)
}

fn text(input: &mut Input<'_>) -> Result<String, Fault> {
    let at = place(input);
    let quote: char = any.parse_next(input)?;
    let mut text = String::new();
    loop {
        let chunk: &str = take_till(0.., [quote, '\\', '\0']).parse_next(input)?;
        text.push_str(chunk);
        match rest(input).chars().next() {
            Some('\\') => text.push(escape(input)?),
            Some('\0') => return Err(Fault::new(place(input), Problem::Nul)),
            Some(_) => {
                mark(quote, input)?;
                return Ok(text);
            }
            None => return Err(Fault::new(at, Problem::OpenText { quote })),
        }
    }
}

fn escape(input: &mut Input<'_>) -> Result<char, Fault> {
    let start = *input;
    mark('\\', input)?;
    let refused = |input: &Input<'_>| {
        let length = if rest(input).starts_with('u') { 5 } else { 1 };
        let shown: String = rest(input).chars().take(length).collect();
        Fault::new(place(&start), Problem::Escape { escape: shown.as_str().into() })
    };
    let after = *input;
    let letter: Option<char> = opt(any).parse_next(input)?;
    Ok(match letter {
        Some(letter @ ('\\' | '"' | '\'' | '/')) => letter,
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => match unicode(input)? {
            Some('\0') => return Err(Fault::new(place(&start), Problem::Nul)),
            Some(letter) => letter,
            None => return Err(refused(&after)),
        },
        _ => return Err(refused(&after)),
    })
}

/// What follows `\u`: four digits, or eight with `\u` between them for characters beyond the first plane.
fn unicode(input: &mut Input<'_>) -> Result<Option<char>, Fault> {
    let Some(first) = four_digits(input)? else { return Ok(None) };
    if !(0xd800..0xdc00).contains(&first) {
        return Ok(char::from_u32(first));
    }
    let escaped = opt("\\u").parse_next(input)?;
    let second = if escaped.is_some() { four_digits(input)? } else { None };
    let joined = second
        .filter(|second| (0xdc00..0xe000).contains(second))
        .map(|second| 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
    Ok(joined.and_then(char::from_u32))
}

fn four_digits(input: &mut Input<'_>) -> Result<Option<u32>, Fault> {
    let digits: Option<&str> =
        opt(take_while(4..=4, |letter: char| letter.is_ascii_hexdigit())).parse_next(input)?;
    Ok(digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()))
}

/// Whether a name can be written without quotes.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_word)
}

/// A text as a value of a filter, in quotes.
pub fn quoted(text: &str) -> String {
    let mut result = String::with_capacity(text.len() + 2);
    result.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => result.extend(['\\', letter]),
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            _ => result.push(letter),
        }
    }
    result.push('"');
    result
}
