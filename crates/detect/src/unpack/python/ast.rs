//! The part of Python's syntax that evaluation needs, independent of the parser.

use super::value::Value;
use std::rc::Rc;

#[derive(Debug)]
pub(super) struct Expr {
    pub(super) node: Node,
    pub(super) line: u32,
    pub(super) end_line: u32,
}

#[derive(Debug)]
pub(super) enum Node {
    /// A literal, or something that says nothing.
    Value(Value),
    Name(Rc<str>),
    Attribute(Box<Expr>, Rc<str>),
    Call(Box<Expr>, Vec<Argument>),
    Index(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    /// `a + b - c`, from left to right; never nested on the left.
    Chain(Box<Expr>, Vec<(Operator, Expr)>),
    Unary(Unary, Box<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// `and` (true) or `or`.
    Logic(bool, Vec<Expr>),
    Conditional(Box<[Expr; 3]>),
    Sequence(Vec<Expr>),
    Dictionary(Vec<(Expr, Expr)>),
    /// Parts of an f-string.
    Format(Vec<Expr>),
    Lambda(Rc<Function>),
    Comprehension(Box<Comprehension>),
    Walrus(Rc<str>, Box<Expr>),
    /// Not understood; its parts are evaluated for what they do.
    Other(Vec<Expr>),
}

#[derive(Debug)]
pub(super) enum Argument {
    Plain(Expr),
    Named(Rc<str>, Expr),
    Splat(Expr),
}

#[derive(Debug)]
pub(super) struct Comprehension {
    /// The value of a dictionary's pair.
    pub(super) value: Option<Expr>,
    pub(super) item: Expr,
    pub(super) clauses: Vec<Clause>,
}

#[derive(Debug)]
pub(super) enum Clause {
    For(Expr, Expr),
    If(Expr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
    ShiftLeft,
    ShiftRight,
    And,
    Or,
    Xor,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Minus,
    Plus,
    Invert,
    Not,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
    Unknown,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: Rc<str>,
    /// Names with their defaults, and whether the name takes all that is left.
    pub(super) parameters: Vec<(Rc<str>, Option<Expr>, bool)>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Statements(Vec<Statement>),
    Expression(Expr),
}

#[derive(Debug)]
pub(super) enum Statement {
    Expr(Expr),
    Assign(Vec<Expr>, Expr),
    Augment(Expr, Operator, Expr),
    For(Expr, Expr, Vec<Statement>),
    While(Expr, Vec<Statement>),
    If(Vec<(Option<Expr>, Vec<Statement>)>),
    Define(Rc<Function>),
    Class(Rc<str>, Vec<Statement>),
    Return(Option<Expr>),
    /// A dotted module, and the name that it gets here.
    Import(Rc<str>, Option<Rc<str>>),
    /// Python 2's `exec code`.
    Exec(Expr),
    Break,
    Continue,
    /// Blocks that run one after the other, as far as anybody can tell.
    Block(Vec<Statement>),
}
