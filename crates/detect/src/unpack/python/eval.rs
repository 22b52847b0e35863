//! Evaluation of what is constant: statements in their order, unknown conditions both ways, unknown loops once.
//!
//! Owns: scopes, control flow, expressions. Every node costs fuel, and nesting is bounded.

use super::ast::{
    Argument, Body, Clause, Comparison, Comprehension, Expr, Function, Node, Operator, Statement, Unary,
};
use super::operate;
use super::value::{Provenance, Value};
use crate::unpack::session::{Session, Task};
use crate::unpack::step::Step;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

/// Deepest nesting of expressions and calls together.
const DEEPEST: usize = 160;
/// Deepest nesting of calls of the text's own functions.
const DEEPEST_CALL: usize = 12;
/// Most rounds of one loop.
const MOST_ROUNDS: usize = 300_000;

/// Methods that change what they are called on.
const MUTATING: [&str; 6] = ["append", "extend", "insert", "reverse", "pop", "update"];

/// Ordered, so that what goes through its names does so in the same order everywhere.
pub(super) type Scope = BTreeMap<Rc<str>, Value>;

/// How a statement ends.
#[derive(Debug)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
    Return(Value),
}

pub(super) struct Evaluator<'s> {
    pub(super) session: &'s mut Session,
    pub(super) scopes: Vec<Scope>,
    pub(super) depth: usize,
    calls: usize,
    /// The layer that is being evaluated.
    pub(super) task: Task,
    /// The statement that is being evaluated.
    pub(super) lines: (u32, u32),
    /// The last longer text or list whose items were looked at one by one: numbers carry no provenance.
    pub(super) source: Option<Rc<Provenance>>,
    /// Whether numbers were combined by exclusive or since.
    pub(super) has_xored: bool,
    /// What was decoded, in case that nothing understandable becomes of it.
    pub(super) decoded: Vec<Value>,
    functions: Vec<Rc<Function>>,
    /// Those that are in `functions` or were called.
    known: HashSet<*const Function>,
    called: HashSet<*const Function>,
    maybe_returned: Option<Value>,
    pub(super) random: Option<super::random::MersenneTwister>,
}

pub(super) struct Arguments {
    pub(super) plain: Vec<Value>,
    pub(super) named: Vec<(Rc<str>, Value)>,
}

impl Arguments {
    pub(super) fn get(&self, at: usize) -> &Value {
        self.plain.get(at).unwrap_or(&Value::Unknown)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
    }
}

impl<'s> Evaluator<'s> {
    pub(super) fn new(session: &'s mut Session) -> Self {
        let task = session.current();
        Self {
            session,
            scopes: vec![Scope::new()],
            depth: 0,
            calls: 0,
            task,
            lines: (1, 1),
            source: None,
            has_xored: false,
            decoded: Vec::new(),
            functions: Vec::new(),
            known: HashSet::new(),
            called: HashSet::new(),
            maybe_returned: None,
            random: None,
        }
    }

    pub(super) fn layer_number(&self) -> usize {
        self.task.layer.map_or(0, |layer| layer + 1)
    }

    /// Runs the statements, and then the functions that nobody called.
    pub(super) fn run(&mut self, statements: &[Statement]) {
        let before = self.functions.len();
        self.block(statements);
        let mut at = before;
        while let Some(function) = self.functions.get(at).cloned() {
            at += 1;
            if !self.called.contains(&Rc::as_ptr(&function)) {
                self.call_function(&function, &Arguments { plain: Vec::new(), named: Vec::new() });
            }
        }
    }

    fn block(&mut self, statements: &[Statement]) -> Flow {
        if self.depth >= DEEPEST {
            return Flow::Next;
        }
        self.depth += 1;
        let mut flow = Flow::Next;
        for statement in statements {
            flow = self.statement(statement);
            if !matches!(flow, Flow::Next) || !self.session.spend(1) {
                break;
            }
        }
        self.depth -= 1;
        flow
    }

    fn statement(&mut self, statement: &Statement) -> Flow {
        match statement {
            Statement::Expr(expr) => {
                self.at(expr);
                self.eval(expr);
            }
            Statement::Assign(targets, expr) => {
                self.at(expr);
                let value = self.eval(expr);
                for target in targets {
                    self.assign(target, value.clone());
                }
            }
            Statement::Augment(target, operator, expr) => {
                self.at(target);
                self.augment(target, *operator, expr);
            }
            Statement::For(target, items, body) => return self.run_for(target, items, body),
            Statement::While(condition, body) => return self.run_while(condition, body),
            Statement::If(branches) => return self.run_if(branches),
            Statement::Define(function) => {
                self.note_function(function);
                self.set(&function.name, Value::Function(Rc::clone(function)));
            }
            Statement::Class(name, body) => {
                self.scopes.push(Scope::new());
                self.block(body);
                let members = self.scopes.pop().unwrap_or_default();
                for (member, value) in members {
                    self.set(&format!("self.{member}"), value.clone());
                    self.set(&format!("{name}.{member}"), value);
                }
            }
            Statement::Return(value) => {
                let value = value.as_ref().map_or(Value::None, |expr| {
                    self.at(expr);
                    self.eval(expr)
                });
                return Flow::Return(value);
            }
            Statement::Import(path, alias) => self.import(path, alias.as_deref()),
            Statement::Exec(expr) => {
                self.at(expr);
                let code = self.eval(expr);
                let code = match &code {
                    Value::List(items) => items.first().cloned().unwrap_or_default(),
                    _ => code,
                };
                self.execute(&code, Step::Executed);
            }
            Statement::Break => return Flow::Break,
            Statement::Continue => return Flow::Continue,
            Statement::Block(body) => return self.block(body),
        }
        Flow::Next
    }

    fn at(&mut self, expr: &Expr) {
        self.lines = (expr.line, expr.end_line);
    }

    fn import(&mut self, path: &str, alias: Option<&str>) {
        let (name, value) = match alias {
            Some(alias) => (alias, path),
            None => {
                let first = path.split('.').next().unwrap_or(path);
                (first, first)
            }
        };
        self.set(name, Value::path(value));
    }

    fn run_for(&mut self, target: &Expr, items: &Expr, body: &[Statement]) -> Flow {
        self.at(items);
        let value = self.eval(items);
        let Some(items) = self.items(&value) else {
            self.assign(target, Value::Unknown);
            return self.uncertain(body);
        };
        for item in items.into_iter().take(MOST_ROUNDS) {
            self.assign(target, item);
            match self.block(body) {
                Flow::Break => break,
                Flow::Return(value) => return Flow::Return(value),
                Flow::Next | Flow::Continue => {}
            }
            if !self.session.spend(1) {
                break;
            }
        }
        Flow::Next
    }

    fn run_while(&mut self, condition: &Expr, body: &[Statement]) -> Flow {
        for _ in 0..MOST_ROUNDS {
            match self.eval(condition).truth() {
                Some(true) => {}
                Some(false) => return Flow::Next,
                None => return self.uncertain(body),
            }
            match self.block(body) {
                Flow::Break => return Flow::Next,
                Flow::Return(value) => return Flow::Return(value),
                Flow::Next | Flow::Continue => {}
            }
            if !self.session.spend(1) {
                break;
            }
            // A loop without a known end, such as that of a client that polls: once says all.
            if matches!(condition.node, Node::Value(_)) {
                return Flow::Next;
            }
        }
        Flow::Next
    }

    fn run_if(&mut self, branches: &[(Option<Expr>, Vec<Statement>)]) -> Flow {
        let mut is_certain = true;
        for (condition, body) in branches {
            let truth = match condition {
                Some(condition) => {
                    self.at(condition);
                    self.eval(condition).truth()
                }
                None => Some(true),
            };
            match truth {
                Some(false) => {}
                Some(true) if is_certain => return self.block(body),
                _ => {
                    is_certain = false;
                    self.uncertain(body);
                }
            }
        }
        Flow::Next
    }

    /// A block of which nobody knows whether it runs: whatever ends it does not end what follows.
    fn uncertain(&mut self, body: &[Statement]) -> Flow {
        if let Flow::Return(value) = self.block(body)
            && !value.is_unknown()
            && !matches!(value, Value::None)
        {
            self.maybe_returned.get_or_insert(value);
        }
        Flow::Next
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.into(), value);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// A variable's value, or the path of a name that is none.
    pub(super) fn name(&self, name: &str) -> Value {
        self.get(name).cloned().unwrap_or_else(|| Value::path(name))
    }

    fn assign(&mut self, target: &Expr, value: Value) {
        match &target.node {
            Node::Name(name) => self.set(name, value),
            Node::Sequence(targets) => {
                let items = self.items(&value);
                for (at, target) in targets.iter().enumerate() {
                    let item = items.as_ref().and_then(|items| items.get(at)).cloned();
                    self.assign(target, item.unwrap_or_default());
                }
            }
            Node::Attribute(object, name) => {
                if let Value::Path(path) = self.eval(object) {
                    self.set(&format!("{path}.{name}"), value);
                }
            }
            Node::Index(object, index) => self.assign_item(object, index, value),
            _ => {}
        }
    }

    fn assign_item(&mut self, object: &Expr, index: &Expr, value: Value) {
        let key = self.eval(index);
        if let Value::Path(path) = self.eval(object) {
            if let Some(key) = key.as_str().filter(|_| &*path == "globals()") {
                let key = key.to_owned();
                if let Some(scope) = self.scopes.first_mut() {
                    scope.insert(key.into(), value);
                }
            }
            return;
        }
        let Node::Name(name) = &object.node else { return };
        let Some(slot) = self.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(name)) else { return };
        let cost = operate::change_cost(slot);
        operate::set_item(slot, &key, value);
        self.session.spend(cost);
    }

    fn augment(&mut self, target: &Expr, operator: Operator, expr: &Expr) {
        let right = self.eval(expr);
        if let Node::Name(name) = &target.node {
            // The value is taken out, so that appending to it copies nothing.
            let slot = self.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(name));
            let left = slot.map(std::mem::take).unwrap_or_default();
            let value = self.operate(left, operator, &right);
            match self.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(name)) {
                Some(slot) => *slot = value,
                None => self.set(name, value),
            }
            return;
        }
        let left = self.eval(target);
        let value = self.operate(left, operator, &right);
        self.assign(target, value);
    }

    fn operate(&mut self, left: Value, operator: Operator, right: &Value) -> Value {
        if operator == Operator::Xor {
            self.has_xored = true;
        }
        let limit = self.session.decoded_limit();
        let (value, cost) = operate::binary(left, operator, right, limit);
        self.session.spend(cost);
        value
    }

    pub(super) fn eval(&mut self, expr: &Expr) -> Value {
        if self.depth >= DEEPEST || !self.session.spend(1) {
            return Value::Unknown;
        }
        self.depth += 1;
        let value = self.eval_node(expr);
        self.depth -= 1;
        value
    }

    fn eval_node(&mut self, expr: &Expr) -> Value {
        match &expr.node {
            Node::Value(value) => value.clone(),
            Node::Name(name) => self.name(name),
            Node::Attribute(object, name) => {
                let object = self.eval(object);
                self.attribute(&object, name)
            }
            Node::Call(callee, arguments) => self.eval_call(callee, arguments),
            Node::Index(object, index) => {
                let object = self.eval(object);
                let index = self.eval(index);
                self.index(&object, &index)
            }
            Node::Slice(object, bounds) => {
                let object = self.eval(object);
                let bounds = bounds.each_ref().map(|bound| bound.as_ref().map(|bound| self.eval(bound)));
                let size = object.content().map_or(0, <[u8]>::len);
                self.session.spend(size / 16);
                operate::slice(&object, &bounds)
            }
            Node::Chain(first, rest) => {
                let mut value = self.eval(first);
                for (operator, right) in rest {
                    let right = self.eval(right);
                    value = self.operate(value, *operator, &right);
                }
                value
            }
            Node::Unary(operator, operand) => {
                let operand = self.eval(operand);
                unary(*operator, &operand)
            }
            Node::Compare(first, rest) => self.comparison(first, rest),
            Node::Logic(is_and, parts) => self.logic(*is_and, parts),
            Node::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                match self.eval(condition).truth() {
                    Some(true) => self.eval(then),
                    Some(false) => self.eval(otherwise),
                    None => {
                        let value = self.eval(then);
                        let other = self.eval(otherwise);
                        if value.is_unknown() { other } else { value }
                    }
                }
            }
            Node::Sequence(items) => self.sequence(expr, items),
            Node::Dictionary(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (self.eval(key), self.eval(value))).collect();
                Value::Dictionary(Rc::new(pairs))
            }
            Node::Format(parts) => {
                let values: Vec<Value> = parts.iter().map(|part| self.eval(part)).collect();
                let size: usize = values.iter().filter_map(Value::content).map(<[u8]>::len).sum();
                let limit = self.session.decoded_limit();
                self.session.spend(size / 16);
                operate::format_parts(&values, limit)
            }
            Node::Lambda(function) => {
                self.note_function(function);
                Value::Function(Rc::clone(function))
            }
            Node::Comprehension(comprehension) => self.comprehend(comprehension),
            Node::Walrus(name, value) => {
                let value = self.eval(value);
                self.set(name, value.clone());
                value
            }
            Node::Other(parts) => {
                for part in parts {
                    self.eval(part);
                }
                Value::Unknown
            }
        }
    }

    fn comparison(&mut self, first: &Expr, rest: &[(Comparison, Expr)]) -> Value {
        let mut left = self.eval(first);
        let mut outcome = Some(true);
        for (comparison, right) in rest {
            let right = self.eval(right);
            outcome = match (outcome, operate::compare(&left, *comparison, &right)) {
                (Some(one), Some(two)) => Some(one && two),
                _ => None,
            };
            left = right;
        }
        outcome.map_or(Value::Unknown, Value::Bool)
    }

    fn sequence(&mut self, expr: &Expr, items: &[Expr]) -> Value {
        let items: Vec<Value> = items.iter().map(|item| self.eval(item)).collect();
        if items.len() >= 8 && items.iter().all(|item| matches!(item, Value::Int(_))) {
            let (lines, layer) = ((expr.line, expr.end_line), self.layer_number());
            self.source = Some(Rc::new(Provenance { steps: Vec::new(), lines, layer }));
            self.has_xored = false;
        }
        Value::list(items)
    }

    fn logic(&mut self, is_and: bool, parts: &[Expr]) -> Value {
        let mut value = Value::Unknown;
        for part in parts {
            value = self.eval(part);
            if value.truth() == Some(!is_and) {
                return value;
            }
        }
        value
    }

    fn comprehend(&mut self, comprehension: &Comprehension) -> Value {
        let mut items = Vec::new();
        let mut pairs = Vec::new();
        self.scopes.push(Scope::new());
        let is_known = self.clauses(comprehension, 0, &mut items, &mut pairs);
        self.scopes.pop();
        match (is_known, &comprehension.value) {
            (false, _) => Value::Unknown,
            (true, Some(_)) => Value::Dictionary(Rc::new(pairs)),
            (true, None) => Value::list(items),
        }
    }

    /// False where an item or its number is unknown.
    fn clauses(
        &mut self,
        comprehension: &Comprehension,
        at: usize,
        items: &mut Vec<Value>,
        pairs: &mut Vec<(Value, Value)>,
    ) -> bool {
        match comprehension.clauses.get(at) {
            None => {
                let item = self.eval(&comprehension.item);
                match &comprehension.value {
                    Some(value) => {
                        let value = self.eval(value);
                        pairs.push((item, value));
                    }
                    None => items.push(item),
                }
                true
            }
            Some(Clause::If(condition)) => match self.eval(condition).truth() {
                Some(true) => self.clauses(comprehension, at + 1, items, pairs),
                Some(false) => true,
                None => {
                    self.clauses(comprehension, at + 1, items, pairs);
                    false
                }
            },
            Some(Clause::For(target, source)) => {
                let source = self.eval(source);
                let Some(values) = self.items(&source) else {
                    self.assign(target, Value::Unknown);
                    self.clauses(comprehension, at + 1, items, pairs);
                    return false;
                };
                let mut is_known = true;
                for value in values {
                    self.assign(target, value);
                    is_known &= self.clauses(comprehension, at + 1, items, pairs);
                    if !self.session.spend(1) {
                        return false;
                    }
                }
                is_known
            }
        }
    }

    fn eval_call(&mut self, callee: &Expr, arguments: &[Argument]) -> Value {
        let mutated = match &callee.node {
            Node::Attribute(object, name) if MUTATING.contains(&&**name) => match &object.node {
                Node::Name(variable) => Some((Rc::clone(variable), Rc::clone(name))),
                _ => None,
            },
            _ => None,
        };
        // Looking the method up would hold on to the variable, and changing what is held twice copies it.
        let mutated = mutated.filter(|(variable, _)| {
            matches!(self.get(variable), Some(Value::List(_) | Value::Bytes(_) | Value::Dictionary(_)))
        });
        let callee = if mutated.is_some() { Value::Unknown } else { self.eval(callee) };
        let mut evaluated = Arguments { plain: Vec::new(), named: Vec::new() };
        for argument in arguments {
            match argument {
                Argument::Plain(expr) => {
                    let value = self.eval(expr);
                    evaluated.plain.push(value);
                }
                Argument::Named(name, expr) => {
                    let value = self.eval(expr);
                    evaluated.named.push((Rc::clone(name), value));
                }
                Argument::Splat(expr) => {
                    let value = self.eval(expr);
                    match self.items(&value) {
                        Some(items) => evaluated.plain.extend(items),
                        None => evaluated.plain.push(Value::Unknown),
                    }
                }
            }
        }
        if let Some((variable, name)) = mutated {
            if let Some(value) = self.mutate(&variable, &name, &evaluated) {
                return value;
            }
            let object = self.name(&variable);
            return self.call_method(&object, &name, &evaluated);
        }
        self.call(&callee, &evaluated)
    }

    /// Calls a function of the text.
    pub(super) fn call_function(&mut self, function: &Rc<Function>, arguments: &Arguments) -> Value {
        if self.calls >= DEEPEST_CALL || self.depth >= DEEPEST {
            return Value::Unknown;
        }
        self.note_function(function);
        self.called.insert(Rc::as_ptr(function));
        let scope = self.bind(function, arguments);
        self.scopes.push(scope);
        self.calls += 1;
        let outer = self.maybe_returned.take();
        let value = match &function.body {
            Body::Expression(expr) => self.eval(expr),
            Body::Statements(statements) => match self.block(statements) {
                Flow::Return(value) => value,
                _ => Value::None,
            },
        };
        let maybe = std::mem::replace(&mut self.maybe_returned, outer);
        self.calls -= 1;
        self.scopes.pop();
        match maybe {
            Some(maybe) if value.is_unknown() || matches!(value, Value::None) => maybe,
            _ => value,
        }
    }

    /// Keeps the function, so that it is run once where nobody calls it, and so that its address stays its own.
    fn note_function(&mut self, function: &Rc<Function>) {
        if self.known.insert(Rc::as_ptr(function)) {
            self.functions.push(Rc::clone(function));
        }
    }

    fn bind(&mut self, function: &Function, arguments: &Arguments) -> Scope {
        let mut scope = Scope::new();
        let mut plain = arguments.plain.iter();
        for (name, default, takes_rest) in &function.parameters {
            let value = if *takes_rest {
                Value::list(plain.by_ref().cloned().collect())
            } else if let Some(value) = plain.next() {
                value.clone()
            } else if let Some(value) = arguments.named(name) {
                value.clone()
            } else if let Some(default) = default {
                self.eval(default)
            } else if &**name == "self" {
                Value::path("self")
            } else {
                Value::Unknown
            };
            scope.insert(Rc::clone(name), value);
        }
        scope
    }

    /// What a loop over the value yields.
    pub(super) fn items(&mut self, value: &Value) -> Option<Vec<Value>> {
        let items: Vec<Value> = match value {
            Value::List(items) => items.to_vec(),
            Value::Dictionary(pairs) => pairs.iter().map(|(key, _)| key.clone()).collect(),
            Value::Bytes(data) => {
                self.look_at(&data.origin, data.content.len());
                data.content.iter().map(|&byte| Value::Int(i64::from(byte))).collect()
            }
            Value::Text(text) => {
                self.look_at(&text.origin, text.content.len());
                let origin = &text.origin;
                text.content.chars().map(|letter| Value::text(letter.into(), Rc::clone(origin))).collect()
            }
            _ => return None,
        };
        self.session.spend(items.len() / 2).then_some(items)
    }

    /// Remembers where numbers come from.
    pub(super) fn look_at(&mut self, origin: &Rc<Provenance>, length: usize) {
        if length >= 16 && self.source.as_ref() != Some(origin) {
            self.source = Some(Rc::clone(origin));
            self.has_xored = false;
        }
    }
}

fn unary(operator: Unary, operand: &Value) -> Value {
    match (operator, operand.as_int()) {
        (Unary::Not, _) => operand.truth().map_or(Value::Unknown, |truth| Value::Bool(!truth)),
        (Unary::Minus, Some(value)) => Value::Int(value.wrapping_neg()),
        (Unary::Plus, Some(value)) => Value::Int(value),
        (Unary::Invert, Some(value)) => Value::Int(!value),
        _ => Value::Unknown,
    }
}
