//! From tree-sitter's tree to the small syntax of `ast`. Nesting is bounded: what lies deeper says nothing.

use super::ast::{
    Argument, Body, Clause, Comparison, Comprehension, Expr, Function, Node as N, Operator, Statement, Unary,
};
use super::literal;
use super::value::{Provenance, Value};
use crate::unpack::step::Step;
use std::rc::Rc;
use tree_sitter::Node;

/// Deepest nesting that is followed.
const DEEPEST: usize = 100;

pub(super) struct Lowering<'t> {
    pub(super) text: &'t [u8],
    /// Lines before the text.
    pub(super) first_line: u32,
    /// The layer, as in [`Provenance::layer`].
    pub(super) layer: usize,
    pub(super) depth: usize,
}

impl Lowering<'_> {
    fn line(&self, row: usize) -> u32 {
        u32::try_from(row).unwrap_or(u32::MAX).saturating_add(1).saturating_add(self.first_line)
    }

    fn source(&self, node: Node<'_>) -> &[u8] {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn name(&self, node: Node<'_>) -> Rc<str> {
        let source = String::from_utf8_lossy(self.source(node));
        if source.bytes().any(|byte| byte.is_ascii_whitespace()) {
            return source.split_ascii_whitespace().collect::<String>().into();
        }
        source.into()
    }

    fn wrap(&self, node: Node<'_>, inner: N) -> Expr {
        Expr {
            node: inner,
            line: self.line(node.start_position().row),
            end_line: self.line(node.end_position().row),
        }
    }

    fn unknown(&self, node: Node<'_>) -> Expr {
        self.wrap(node, N::Value(Value::Unknown))
    }

    /// The statements below a block, a module or an error.
    pub(super) fn statements(&mut self, node: Node<'_>) -> Vec<Statement> {
        let mut statements = Vec::new();
        if self.depth >= DEEPEST {
            return statements;
        }
        self.depth += 1;
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            self.statement(child, &mut statements);
        }
        self.depth -= 1;
        statements
    }

    fn field_statements(&mut self, node: Node<'_>, field: &str) -> Vec<Statement> {
        node.child_by_field_name(field).map(|child| self.statements(child)).unwrap_or_default()
    }

    fn field(&mut self, node: Node<'_>, field: &str) -> Expr {
        match node.child_by_field_name(field) {
            Some(child) => self.expr(child),
            None => self.unknown(node),
        }
    }

    fn statement(&mut self, node: Node<'_>, out: &mut Vec<Statement>) {
        match node.kind() {
            "comment" | "global_statement" | "nonlocal_statement" | "pass_statement"
            | "line_continuation" => {}
            "expression_statement" => {
                let mut cursor = node.walk();
                for child in node.named_children(&mut cursor) {
                    self.statement(child, out);
                }
            }
            "assignment" => self.assignment(node, out),
            "augmented_assignment" => {
                let operator = node.child_by_field_name("operator").map_or("", |child| child.kind());
                let target = self.field(node, "left");
                let value = self.field(node, "right");
                out.push(Statement::Augment(target, operator_of(operator.trim_end_matches('=')), value));
            }
            "return_statement" => {
                let value = node.named_child(0).map(|child| self.expr(child));
                out.push(Statement::Return(value));
            }
            "break_statement" => out.push(Statement::Break),
            "continue_statement" => out.push(Statement::Continue),
            "import_statement" => self.import(node, "", out),
            "import_from_statement" => {
                let module = node.child_by_field_name("module_name").map(|module| self.name(module));
                self.import(node, &module.unwrap_or_else(|| "".into()), out);
            }
            "if_statement" => self.conditional(node, out),
            "for_statement" | "while_statement" => self.repeated(node, out),
            "with_statement" => {
                self.with_items(node, out);
                out.extend(self.field_statements(node, "body"));
            }
            "function_definition" => {
                if let Some(function) = self.function(node) {
                    out.push(Statement::Define(function));
                }
            }
            "class_definition" => {
                let name = node.child_by_field_name("name").map(|name| self.name(name));
                let body = self.field_statements(node, "body");
                out.push(Statement::Class(name.unwrap_or_else(|| "".into()), body));
            }
            "exec_statement" => {
                let code = self.field(node, "code");
                out.push(Statement::Exec(code));
            }
            "try_statement"
            | "block"
            | "module"
            | "decorated_definition"
            | "except_clause"
            | "finally_clause"
            | "else_clause"
            | "except_group_clause"
            | "match_statement"
            | "case_clause"
            | "ERROR"
            | "print_statement"
            | "delete_statement"
            | "raise_statement"
            | "assert_statement" => {
                let inner = self.statements(node);
                out.push(Statement::Block(inner));
            }
            _ => {
                let expr = self.expr(node);
                if !matches!(expr.node, N::Value(Value::Unknown)) {
                    out.push(Statement::Expr(expr));
                }
            }
        }
    }

    fn repeated(&mut self, node: Node<'_>, out: &mut Vec<Statement>) {
        if node.kind() == "for_statement" {
            let (target, items) = (self.field(node, "left"), self.field(node, "right"));
            let body = self.field_statements(node, "body");
            out.push(Statement::For(target, items, body));
        } else {
            let condition = self.field(node, "condition");
            let body = self.field_statements(node, "body");
            out.push(Statement::While(condition, body));
        }
        out.extend(self.field_statements(node, "alternative"));
    }

    fn assignment(&mut self, node: Node<'_>, out: &mut Vec<Statement>) {
        let mut targets = Vec::new();
        let mut node = node;
        loop {
            targets.push(self.field(node, "left"));
            match node.child_by_field_name("right") {
                Some(right) if right.kind() == "assignment" && targets.len() < 16 => node = right,
                Some(right) => {
                    let value = self.expr(right);
                    out.push(Statement::Assign(targets, value));
                    return;
                }
                None => return,
            }
        }
    }

    fn import(&self, node: Node<'_>, module: &str, out: &mut Vec<Statement>) {
        let mut cursor = node.walk();
        for name in node.children_by_field_name("name", &mut cursor) {
            let (dotted, alias) = if name.kind() == "aliased_import" {
                (name.child_by_field_name("name"), name.child_by_field_name("alias"))
            } else {
                (Some(name), None)
            };
            let Some(dotted) = dotted.map(|dotted| self.name(dotted)) else { continue };
            let alias = alias.map(|alias| self.name(alias));
            if module.is_empty() {
                out.push(Statement::Import(dotted, alias));
            } else {
                let path = format!("{module}.{dotted}").into();
                out.push(Statement::Import(path, Some(alias.unwrap_or(dotted))));
            }
        }
    }

    fn conditional(&mut self, node: Node<'_>, out: &mut Vec<Statement>) {
        let condition = self.field(node, "condition");
        let body = self.field_statements(node, "consequence");
        let mut branches = vec![(Some(condition), body)];
        let mut cursor = node.walk();
        let others: Vec<_> = node.children_by_field_name("alternative", &mut cursor).collect();
        for other in others {
            if other.kind() == "elif_clause" {
                let condition = self.field(other, "condition");
                branches.push((Some(condition), self.field_statements(other, "consequence")));
            } else {
                branches.push((None, self.field_statements(other, "body")));
            }
        }
        out.push(Statement::If(branches));
    }

    fn with_items(&mut self, node: Node<'_>, out: &mut Vec<Statement>) {
        let mut cursor = node.walk();
        let clauses: Vec<_> =
            node.named_children(&mut cursor).filter(|child| child.kind() == "with_clause").collect();
        for clause in clauses {
            let mut cursor = clause.walk();
            let items: Vec<_> = clause.named_children(&mut cursor).collect();
            for item in items {
                let Some(value) = item.child_by_field_name("value") else { continue };
                if value.kind() != "as_pattern" {
                    let value = self.expr(value);
                    out.push(Statement::Expr(value));
                    continue;
                }
                let (Some(source), Some(alias)) = (value.named_child(0), value.child_by_field_name("alias"))
                else {
                    continue;
                };
                let target = alias.named_child(0).unwrap_or(alias);
                let (source, target) = (self.expr(source), self.expr(target));
                out.push(Statement::Assign(vec![target], source));
            }
        }
    }

    fn function(&mut self, node: Node<'_>) -> Option<Rc<Function>> {
        let name = self.name(node.child_by_field_name("name")?);
        let parameters = self.parameters(node);
        let body = Body::Statements(self.field_statements(node, "body"));
        Some(Rc::new(Function { name, parameters, body }))
    }

    fn parameters(&mut self, node: Node<'_>) -> Vec<(Rc<str>, Option<Expr>, bool)> {
        let Some(list) = node.child_by_field_name("parameters") else { return Vec::new() };
        let mut cursor = list.walk();
        let children: Vec<_> = list.named_children(&mut cursor).collect();
        let mut parameters = Vec::new();
        for child in children {
            let name = child
                .child_by_field_name("name")
                .or_else(|| if child.kind() == "identifier" { Some(child) } else { child.named_child(0) });
            let Some(name) = name else { continue };
            let default = child.child_by_field_name("value").map(|value| self.expr(value));
            let takes_rest = child.kind().ends_with("splat_pattern");
            parameters.push((self.name(name), default, takes_rest));
        }
        parameters
    }

    /// An expression; what is not understood keeps its parts.
    pub(super) fn expr(&mut self, node: Node<'_>) -> Expr {
        if self.depth >= DEEPEST {
            return self.unknown(node);
        }
        self.depth += 1;
        let inner = self.node(node);
        self.depth -= 1;
        self.wrap(node, inner)
    }

    fn boxed(&mut self, node: Node<'_>, field: &str) -> Box<Expr> {
        Box::new(self.field(node, field))
    }

    fn node(&mut self, node: Node<'_>) -> N {
        match node.kind() {
            "identifier" | "dotted_name" => N::Name(self.name(node)),
            "string" | "concatenated_string" => self.string(node),
            "integer" => N::Value(integer(self.source(node))),
            "true" => N::Value(Value::Bool(true)),
            "false" => N::Value(Value::Bool(false)),
            "none" => N::Value(Value::None),
            "attribute" => {
                let object = self.boxed(node, "object");
                let name = node.child_by_field_name("attribute").map(|name| self.name(name));
                N::Attribute(object, name.unwrap_or_else(|| "".into()))
            }
            "call" => self.call(node),
            "subscript" => self.subscript(node),
            "binary_operator" => self.chain(node),
            "unary_operator" | "not_operator" => {
                let operator = match node.child(0).map_or("", |child| child.kind()) {
                    "-" => Unary::Minus,
                    "+" => Unary::Plus,
                    "~" => Unary::Invert,
                    _ => Unary::Not,
                };
                N::Unary(operator, self.boxed(node, "argument"))
            }
            "boolean_operator" => {
                let is_and = node.child_by_field_name("operator").is_some_and(|child| child.kind() == "and");
                let (left, right) = (self.field(node, "left"), self.field(node, "right"));
                N::Logic(is_and, vec![left, right])
            }
            "comparison_operator" => self.comparison(node),
            "parenthesized_expression" | "await" | "as_pattern_target" => match first_part(node) {
                Some(child) => self.node_below(child),
                None => N::Value(Value::Unknown),
            },
            "list" | "tuple" | "set" | "expression_list" | "pattern_list" | "tuple_pattern"
            | "list_pattern" => N::Sequence(self.parts(node)),
            "dictionary" => self.dictionary(node),
            "lambda" => {
                let parameters = self.parameters(node);
                let body = Body::Expression(self.field(node, "body"));
                N::Lambda(Rc::new(Function { name: "".into(), parameters, body }))
            }
            "conditional_expression" => {
                let mut parts = self.parts(node).into_iter();
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(then), Some(condition), Some(otherwise)) => {
                        N::Conditional(Box::new([condition, then, otherwise]))
                    }
                    _ => N::Value(Value::Unknown),
                }
            }
            "named_expression" => {
                let name = node.child_by_field_name("name").map(|name| self.name(name));
                N::Walrus(name.unwrap_or_else(|| "".into()), self.boxed(node, "value"))
            }
            "list_comprehension"
            | "generator_expression"
            | "set_comprehension"
            | "dictionary_comprehension" => self.comprehension(node),
            "comment" | "float" | "ellipsis" | "type" => N::Value(Value::Unknown),
            _ => N::Other(self.parts(node)),
        }
    }

    fn node_below(&mut self, node: Node<'_>) -> N {
        if self.depth >= DEEPEST {
            return N::Value(Value::Unknown);
        }
        self.depth += 1;
        let inner = self.node(node);
        self.depth -= 1;
        inner
    }

    fn parts(&mut self, node: Node<'_>) -> Vec<Expr> {
        let mut parts = Vec::new();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            if child.kind() != "comment" {
                parts.push(self.expr(child));
            }
        }
        parts
    }

    fn string(&mut self, node: Node<'_>) -> N {
        let pieces = if node.kind() == "string" {
            vec![node]
        } else {
            let mut cursor = node.walk();
            node.named_children(&mut cursor).filter(|child| child.kind() == "string").collect()
        };
        let mut parts: Vec<Expr> = Vec::new();
        let mut content = Vec::new();
        let (mut is_bytes, mut is_escaped, mut is_formatted) = (false, false, false);
        for piece in &pieces {
            let source = self.source(*piece);
            let formatted = literal::parts(source).is_some_and(|(prefix, _)| {
                prefix.iter().any(|byte| matches!(byte, b'f' | b'F' | b't' | b'T'))
            });
            if formatted {
                is_formatted = true;
                if !content.is_empty() {
                    let value = self.text_value(node, std::mem::take(&mut content), false, is_escaped);
                    parts.push(self.wrap(*piece, N::Value(value)));
                }
                self.formatted(*piece, &mut parts);
            } else if let Some(decoded) = literal::decode(source) {
                is_bytes |= decoded.is_bytes;
                is_escaped |= decoded.is_escaped;
                content.extend(decoded.content);
            }
        }
        let value = self.text_value(node, content, is_bytes, is_escaped);
        if !is_formatted {
            return N::Value(value);
        }
        parts.push(self.wrap(node, N::Value(value)));
        N::Format(parts)
    }

    fn text_value(&self, node: Node<'_>, content: Vec<u8>, is_bytes: bool, is_escaped: bool) -> Value {
        let origin = Rc::new(Provenance {
            steps: if is_escaped { vec![Step::Escapes] } else { Vec::new() },
            lines: (self.line(node.start_position().row), self.line(node.end_position().row)),
            layer: self.layer,
        });
        if is_bytes {
            return Value::bytes(content, origin);
        }
        let content = String::from_utf8(content)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Value::text(content, origin)
    }

    /// The parts of an f-string in their order.
    fn formatted(&mut self, node: Node<'_>, parts: &mut Vec<Expr>) {
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "string_content" => {
                    let (content, needless) = literal::unescape(self.source(child), false);
                    let content = content.into_owned();
                    let value = self.text_value(child, content, false, needless >= 4);
                    parts.push(self.wrap(child, N::Value(value)));
                }
                "escape_interpolation" => {
                    let value = self.text_value(
                        child,
                        self.source(child).iter().take(1).copied().collect(),
                        false,
                        false,
                    );
                    parts.push(self.wrap(child, N::Value(value)));
                }
                "interpolation" => {
                    let value = self.field(child, "expression");
                    parts.push(value);
                }
                _ => {}
            }
        }
    }

    fn call(&mut self, node: Node<'_>) -> N {
        let callee = self.boxed(node, "function");
        let Some(list) = node.child_by_field_name("arguments") else { return N::Call(callee, Vec::new()) };
        if list.kind() == "generator_expression" {
            let argument = self.expr(list);
            return N::Call(callee, vec![Argument::Plain(argument)]);
        }
        let mut arguments = Vec::new();
        let mut cursor = list.walk();
        for child in list.named_children(&mut cursor) {
            match child.kind() {
                "comment" => {}
                "keyword_argument" => {
                    let name = child.child_by_field_name("name").map(|name| self.name(name));
                    let value = self.field(child, "value");
                    arguments.push(Argument::Named(name.unwrap_or_else(|| "".into()), value));
                }
                "list_splat" => {
                    if let Some(inner) = first_part(child) {
                        arguments.push(Argument::Splat(self.expr(inner)));
                    }
                }
                _ => arguments.push(Argument::Plain(self.expr(child))),
            }
        }
        N::Call(callee, arguments)
    }

    fn subscript(&mut self, node: Node<'_>) -> N {
        let object = self.boxed(node, "value");
        let mut cursor = node.walk();
        let mut indices = node.children_by_field_name("subscript", &mut cursor);
        let (first, second) = (indices.next(), indices.next());
        let Some(index) = first.filter(|_| second.is_none()) else { return N::Value(Value::Unknown) };
        if index.kind() != "slice" {
            return N::Index(object, Box::new(self.expr(index)));
        }
        let mut bounds = [None, None, None];
        let mut at = 0;
        let mut cursor = index.walk();
        for child in index.children(&mut cursor) {
            if child.kind() == ":" {
                at += 1;
            } else if child.is_named()
                && let Some(bound) = bounds.get_mut(at)
            {
                *bound = Some(Box::new(self.expr(child)));
            }
        }
        N::Slice(object, bounds)
    }

    /// `a + b + c` is nested on the left as deep as it is long, so that side is walked rather than descended.
    fn chain(&mut self, node: Node<'_>) -> N {
        let mut rest = Vec::new();
        let mut left = node;
        while left.kind() == "binary_operator" {
            let operator = left.child_by_field_name("operator").map_or("", |child| child.kind());
            let value = self.field(left, "right");
            rest.push((operator_of(operator), value));
            match left.child_by_field_name("left") {
                Some(next) => left = next,
                None => break,
            }
        }
        rest.reverse();
        N::Chain(Box::new(self.expr(left)), rest)
    }

    fn comparison(&mut self, node: Node<'_>) -> N {
        let mut operators = Vec::new();
        let mut cursor = node.walk();
        for child in node.children_by_field_name("operators", &mut cursor) {
            operators.push(match child.kind() {
                "==" | "is" => Comparison::Equal,
                "!=" | "<>" | "is not" => Comparison::NotEqual,
                "<" => Comparison::Less,
                "<=" => Comparison::LessEqual,
                ">" => Comparison::Greater,
                ">=" => Comparison::GreaterEqual,
                "in" => Comparison::In,
                "not in" => Comparison::NotIn,
                _ => Comparison::Unknown,
            });
        }
        let mut parts = self.parts(node).into_iter();
        let Some(first) = parts.next() else { return N::Value(Value::Unknown) };
        N::Compare(Box::new(first), operators.into_iter().zip(parts).collect())
    }

    fn dictionary(&mut self, node: Node<'_>) -> N {
        let mut pairs = Vec::new();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            if child.kind() == "pair" {
                let (key, value) = (self.field(child, "key"), self.field(child, "value"));
                pairs.push((key, value));
            }
        }
        N::Dictionary(pairs)
    }

    fn comprehension(&mut self, node: Node<'_>) -> N {
        let Some(body) = node.child_by_field_name("body") else { return N::Value(Value::Unknown) };
        let (item, value) = if body.kind() == "pair" {
            (self.field(body, "key"), Some(self.field(body, "value")))
        } else {
            (self.expr(body), None)
        };
        let mut clauses = Vec::new();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "for_in_clause" => {
                    let (target, items) = (self.field(child, "left"), self.field(child, "right"));
                    clauses.push(Clause::For(target, items));
                }
                "if_clause" => {
                    if let Some(condition) = first_part(child) {
                        clauses.push(Clause::If(self.expr(condition)));
                    }
                }
                _ => {}
            }
        }
        N::Comprehension(Box::new(Comprehension { value, item, clauses }))
    }
}

fn first_part(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).find(|child| child.kind() != "comment")
}

fn operator_of(operator: &str) -> Operator {
    match operator {
        "+" => Operator::Add,
        "-" => Operator::Subtract,
        "*" => Operator::Multiply,
        "/" => Operator::Divide,
        "//" => Operator::FloorDivide,
        "%" => Operator::Modulo,
        "**" => Operator::Power,
        "<<" => Operator::ShiftLeft,
        ">>" => Operator::ShiftRight,
        "&" => Operator::And,
        "|" => Operator::Or,
        "^" => Operator::Xor,
        _ => Operator::Unknown,
    }
}

fn integer(source: &[u8]) -> Value {
    let digits: String = source
        .iter()
        .filter(|byte| **byte != b'_')
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    let digits = digits.trim_end_matches('l');
    let parsed = match digits.get(..2) {
        Some("0x") => i64::from_str_radix(digits.get(2..).unwrap_or(""), 16),
        Some("0o") => i64::from_str_radix(digits.get(2..).unwrap_or(""), 8),
        Some("0b") => i64::from_str_radix(digits.get(2..).unwrap_or(""), 2),
        _ if digits.len() > 1 && digits.starts_with('0') => {
            i64::from_str_radix(digits, 8).or_else(|_| digits.parse())
        }
        _ => digits.parse(),
    };
    parsed.map_or(Value::Unknown, Value::Int)
}
