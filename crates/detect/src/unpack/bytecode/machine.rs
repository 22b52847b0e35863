//! Follows the instructions of one code object.
//!
//! Owns: the stack of expressions, what each operation does to it, and which lines that makes.

use super::expression::Value;
use super::listing::Listing;
use super::opcodes::{Instructions, Minor, Op};
use super::{Code, DEEPEST, Object, items_of};
use std::collections::HashSet;
use std::rc::Rc;

/// Most values on the stack; then the lowest become lines.
const STACK_MAX: usize = 512;

/// Operators of `BINARY_OP`; 13 further on, those that assign.
const OPERATORS: [&str; 13] = ["+", "&", "//", "<<", "@", "*", "%", "|", "**", ">>", "-", "/", "^"];
/// 3.14 subscripts by `BINARY_OP` too.
const SUBSCRIPT: usize = 26;
/// Names that the compiler adds to classes.
const COMPILER_S: [&str; 6] = [
    "__module__",
    "__qualname__",
    "__firstlineno__",
    "__static_attributes__",
    "__classcell__",
    "__classdictcell__",
];
const COMPARISONS: [&str; 11] =
    ["<", "<=", "==", "!=", ">", ">=", "in", "not in", "is", "is not", "exception match"];

/// One instruction with the whole of its argument.
struct Instruction {
    op: Op,
    argument: usize,
}

/// The instructions of a code object, without the interpreter's own values between them.
fn decode<'c>(code: &'c Code, table: &'c Instructions) -> impl Iterator<Item = Instruction> + 'c {
    let mut words = code.instructions.chunks_exact(2);
    let mut high = 0_usize;
    std::iter::from_fn(move || {
        loop {
            let [number, low] = *words.next()?.first_chunk::<2>()?;
            let (op, caches) = table.op(number);
            let argument = (high << 8 | usize::from(low)) & 0xffff_ffff;
            if op == Op::Extended {
                high = argument;
                continue;
            }
            high = 0;
            words.by_ref().take(caches).for_each(drop);
            return Some(Instruction { op, argument });
        }
    })
}

/// How well a version explains code.
#[derive(Debug, Default)]
pub(super) struct Fit {
    pub(super) instructions: usize,
    pub(super) odd: usize,
}

/// Instructions that are looked at to tell the version.
const FIT_MAX: usize = 20_000;

/// Counts instructions that the version does not have, or that lead nowhere.
pub(super) fn fit(code: &Code, table: &Instructions, depth: usize, sum: &mut Fit) {
    if depth > DEEPEST {
        return;
    }
    let lengths = [&code.consts, &code.names, &code.variables].map(|items| items_of(items).len());
    let [consts, names, variables] = lengths;
    for Instruction { op, argument } in decode(code, table) {
        if sum.instructions >= FIT_MAX {
            return;
        }
        sum.instructions += 1;
        let is_odd = match op {
            Op::Unknown => true,
            Op::Constant | Op::ReturnConstant => argument >= consts,
            Op::Name | Op::StoreName | Op::Import | Op::ImportFrom | Op::Method => argument >= names,
            Op::Attribute => argument >> u32::from(table.minor >= 12) >= names,
            Op::Global => argument >> u32::from(table.minor >= 11) >= names,
            Op::Variable | Op::StoreVariable => argument >= variables,
            _ => false,
        };
        sum.odd += usize::from(is_odd);
    }
    for constant in items_of(&code.consts) {
        if let Object::Code(inner) = &**constant {
            fit(inner, table, depth + 1, sum);
        }
    }
}

/// See the module.
pub(super) struct Machine<'l, 'i, 'c> {
    listing: &'l mut Listing<'i>,
    code: &'c Code,
    table: &'c Instructions,
    depth: usize,
    stack: Vec<Value>,
    /// Names of the next call's last arguments.
    call_names: Option<usize>,
    /// Constants that stand in a line, or became a function.
    written: HashSet<usize>,
    /// The constant that was pushed last, and the last one that is code.
    constant: usize,
    pending: Option<usize>,
    is_after_send: bool,
}

impl<'l, 'i, 'c> Machine<'l, 'i, 'c> {
    pub(super) fn new(
        listing: &'l mut Listing<'i>,
        code: &'c Code,
        table: &'c Instructions,
        depth: usize,
    ) -> Self {
        Self {
            listing,
            code,
            table,
            depth,
            stack: Vec::new(),
            call_names: None,
            written: HashSet::new(),
            constant: usize::MAX,
            pending: None,
            is_after_send: false,
        }
    }

    /// Writes the lines; returns which constants stand in them.
    pub(super) fn run(mut self) -> HashSet<usize> {
        for instruction in decode(self.code, self.table) {
            if !self.listing.goes_on() {
                break;
            }
            self.step(&instruction);
            if self.stack.len() > STACK_MAX {
                self.forget(STACK_MAX / 2);
            }
        }
        self.forget(usize::MAX);
        self.written
    }

    /// What nobody took is a line too.
    fn forget(&mut self, count: usize) {
        for value in self.stack.drain(..count.min(self.stack.len())) {
            self.listing.statement(self.depth, &value);
        }
    }

    fn minor(&self) -> Minor {
        self.table.minor
    }

    fn step(&mut self, instruction: &Instruction) {
        let Instruction { op, argument } = *instruction;
        match op {
            Op::Unknown | Op::Nothing | Op::Extended => {}
            Op::Null => self.stack.push(Value::Null),
            Op::Silent => self.stack.push(Value::silent()),
            Op::Constant => self.constant(argument),
            Op::SmallNumber => self.push_text(&[&argument.to_string()]),
            Op::AssertionError => self.push_text(&["AssertionError"]),
            Op::BuildClass => self.stack.push(Value::Class),
            Op::Name | Op::NameOfMap | Op::Global => self.load_name(op, argument),
            Op::Variable | Op::TwoVariables | Op::Cell | Op::CellOfMap => self.load_variable(op, argument),
            Op::Attribute | Op::Method | Op::SuperAttribute | Op::Special => self.attribute(op, argument),
            Op::StoreName | Op::StoreVariable | Op::StoreCell | Op::StoreAndLoad | Op::StoreTwo => {
                self.store(op, argument);
            }
            Op::StoreAttribute | Op::StoreSubscript | Op::StoreSlice => self.store_into(op, argument),
            Op::DeleteName
            | Op::DeleteVariable
            | Op::DeleteCell
            | Op::DeleteAttribute
            | Op::DeleteSubscript => {
                self.delete(op, argument);
            }
            Op::Import | Op::ImportFrom | Op::ImportStar | Op::Intrinsic => self.import(op, argument),
            Op::Call | Op::CallOfNames | Op::CallFunction | Op::CallFunctionOfNames | Op::CallMethod => {
                self.call(op, argument);
            }
            Op::CallNames => self.call_names = Some(argument),
            Op::CallUnpacked => self.call_unpacked(argument),
            Op::MakeFunction => self.make_function(argument),
            Op::FunctionAttribute => {
                let function = self.pop();
                self.pop();
                self.stack.push(function);
            }
            Op::Binary(_)
            | Op::BinaryNumbered
            | Op::Unary(_)
            | Op::Compare
            | Op::Is
            | Op::Contains
            | Op::Subscript
            | Op::BinarySlice => self.operate(op, argument),
            Op::BuildTuple
            | Op::BuildList
            | Op::BuildSet
            | Op::BuildMap
            | Op::BuildMapOfKeys
            | Op::BuildSlice
            | Op::BuildString
            | Op::Extend
            | Op::UpdateMap => self.build(op, argument),
            Op::Format | Op::FormatValue | Op::FormatWithSpec | Op::Interpolate => self.format(op, argument),
            Op::Copy
            | Op::Swap
            | Op::Duplicate
            | Op::DuplicateTwo
            | Op::RotateTwo
            | Op::RotateThree
            | Op::RotateFour
            | Op::Rotate => self.shuffle(op, argument),
            Op::Unpack | Op::UnpackRest => self.unpack(op, argument),
            _ => self.flow(op, argument),
        }
    }

    /// What branches, ends, waits, or is only a line.
    fn flow(&mut self, op: Op, argument: usize) {
        match op {
            Op::Pop | Op::Statement => {
                let value = self.pop();
                self.listing.statement(self.depth, &value);
            }
            Op::AddToMap => {
                let (value, key) = (self.pop().text(), self.pop().text());
                self.listing.line(self.depth, &[&key, ": ", &value]);
            }
            Op::Discard | Op::Drop => drop(self.pop()),
            Op::MatchClass => {
                self.pop();
                self.pop();
            }
            Op::If | Op::IfNot => {
                let text = self.pop().text();
                let not = if op == Op::IfNot { "not " } else { "" };
                if !text.is_empty() {
                    self.listing.line(self.depth, &["if ", not, &text, ":"]);
                }
            }
            Op::For | Op::ForAsync => {
                let items = self.pop().text();
                self.stack.extend([Value::Silent(Rc::clone(&items)), Value::Item(items)]);
            }
            Op::With => {
                let context = self.pop().text();
                self.stack.extend([Value::silent(), Value::Entered(context)]);
            }
            Op::Except | Op::ExceptAndPop => {
                let text = self.pop().text();
                self.listing.line(self.depth, &["except ", &text, ":"]);
                if op == Op::Except {
                    self.stack.push(Value::silent());
                } else {
                    self.pop();
                }
            }
            Op::Raise => {
                let count = argument.min(2);
                let values: Vec<Rc<str>> = (0..count).map(|_| self.pop().text()).collect();
                let raised = values.last().cloned().unwrap_or_default();
                self.listing.line(self.depth, &["raise ", &raised]);
            }
            Op::Return => {
                let text = self.pop().text();
                self.end(&text);
            }
            Op::ReturnConstant => {
                let text = self.constant_text(argument);
                self.end(&text);
            }
            Op::Await => {
                let text = self.pop().text();
                self.push_compound(&["await ", &text]);
            }
            Op::Send | Op::YieldFrom => {
                self.pop();
                self.is_after_send = op == Op::Send;
            }
            Op::Yield if self.is_after_send => self.is_after_send = false,
            Op::Yield => {
                let text = self.pop().text();
                self.listing.line(self.depth, &["yield ", &text]);
                self.stack.push(Value::silent());
            }
            _ => {}
        }
    }

    /// Each function ends with `return None`, written or not.
    fn end(&mut self, returned: &str) {
        if self.depth > 0 && !matches!(returned, "" | "None") {
            self.listing.line(self.depth, &["return ", returned]);
        }
    }

    fn pop(&mut self) -> Value {
        self.stack.pop().unwrap_or(Value::Null)
    }

    /// The topmost values, the lowest first.
    fn pop_many(&mut self, count: usize) -> Vec<Value> {
        let start = self.stack.len().saturating_sub(count);
        self.stack.split_off(start)
    }

    fn push_text(&mut self, parts: &[&str]) {
        let text = self.listing.writer.join(parts);
        self.stack.push(Value::Text(text));
    }

    fn push_compound(&mut self, parts: &[&str]) {
        let text = self.listing.writer.join(parts);
        self.stack.push(Value::Compound(text));
    }

    fn constant_text(&mut self, number: usize) -> Rc<str> {
        let constant = items_of(&self.code.consts).get(number);
        if constant.is_some_and(|constant| !matches!(**constant, Object::Code(_))) {
            self.written.insert(number);
        }
        constant.map_or_else(|| "".into(), |constant| self.listing.writer.constant(constant, 0))
    }

    fn constant(&mut self, number: usize) {
        let constant = items_of(&self.code.consts).get(number);
        if constant.is_some_and(|constant| matches!(**constant, Object::Code(_))) {
            self.pending = Some(number);
        }
        self.constant = number;
        let text = self.constant_text(number);
        self.stack.push(Value::Text(text));
    }

    fn load_name(&mut self, op: Op, argument: usize) {
        let (number, has_null) = match op {
            Op::Global if self.minor() >= 11 => (argument >> 1, argument & 1 == 1),
            _ => (argument, false),
        };
        if op == Op::NameOfMap {
            self.pop();
        }
        let name = self.listing.name(&self.code.names, number);
        match has_null {
            false => self.stack.push(Value::Text(name)),
            true if self.minor() <= 12 => self.stack.extend([Value::Null, Value::Text(name)]),
            true => self.stack.extend([Value::Text(name), Value::Null]),
        }
    }

    fn variable(&mut self, number: usize) -> Rc<str> {
        self.listing.name(&self.code.variables, number)
    }

    /// A cell or a free variable.
    fn cell(&mut self, number: usize) -> Rc<str> {
        if self.minor() >= 11 {
            return self.variable(number);
        }
        let cells = self.code.cells.iter().flat_map(|cells| items_of(cells));
        let name = cells.clone().nth(number).and_then(|name| super::text_of(name));
        self.listing.writer.join(&[&name.unwrap_or_default()])
    }

    fn load_variable(&mut self, op: Op, argument: usize) {
        if op == Op::CellOfMap {
            self.pop();
        }
        let names = match op {
            Op::TwoVariables => vec![self.variable(argument >> 4), self.variable(argument & 15)],
            Op::Variable => vec![self.variable(argument)],
            _ => vec![self.cell(argument)],
        };
        self.stack.extend(names.into_iter().map(Value::Text));
    }

    fn attribute(&mut self, op: Op, argument: usize) {
        let (number, has_null) = match op {
            Op::Attribute if self.minor() >= 12 => (argument >> 1, argument & 1 == 1),
            Op::SuperAttribute => (argument >> 2, argument & 1 == 1),
            _ => (argument, op == Op::Method),
        };
        let object = self.pop();
        match (op, argument) {
            (Op::Special, 0 | 2) => return self.stack.extend([Value::Enter(object.text()), Value::Null]),
            (Op::Special, _) => return self.stack.extend([Value::silent(), Value::Null]),
            (Op::SuperAttribute, _) => {
                self.pop();
                self.pop();
            }
            _ => {}
        }
        let object = match op {
            Op::SuperAttribute => "super()".into(),
            _ => self.listing.writer.operand(&object),
        };
        let name = self.listing.name(&self.code.names, number);
        self.push_text(&[&object, ".", &name]);
        self.stack.extend(has_null.then_some(Value::Null));
    }

    fn store(&mut self, op: Op, argument: usize) {
        match op {
            Op::StoreAndLoad => {
                self.assign(Op::StoreVariable, argument >> 4);
                self.load_variable(Op::Variable, argument & 15);
            }
            Op::StoreTwo => {
                self.assign(Op::StoreVariable, argument >> 4);
                self.assign(Op::StoreVariable, argument & 15);
            }
            _ => self.assign(op, argument),
        }
    }

    fn assign(&mut self, op: Op, argument: usize) {
        let name = match op {
            Op::StoreName => self.listing.name(&self.code.names, argument),
            Op::StoreVariable => self.variable(argument),
            _ => self.cell(argument),
        };
        let value = self.pop();
        let (listing, depth) = (&mut *self.listing, self.depth);
        match &value {
            Value::Module(module) if module.split('.').next() == Some(&*name) => {
                listing.line(depth, &["import ", module]);
            }
            Value::Module(module) => listing.line(depth, &["import ", module, " as ", &name]),
            Value::Member(module, member) if *member == name => {
                listing.line(depth, &["from ", module, " import ", member]);
            }
            Value::Member(module, member) => {
                listing.line(depth, &["from ", module, " import ", member, " as ", &name]);
            }
            Value::Function(function) if *function == name => {}
            Value::Item(items) => listing.line(depth, &["for ", &name, " in ", items, ":"]),
            Value::Entered(context) => listing.line(depth, &["with ", context, " as ", &name, ":"]),
            Value::Null | Value::Silent(_) => {}
            value if &*name == "__doc__" => listing.line(depth, &[&value.text()]),
            _ if COMPILER_S.contains(&&*name) => {}
            value => listing.line(depth, &[&name, " = ", &value.text()]),
        }
    }

    fn store_into(&mut self, op: Op, argument: usize) {
        match op {
            Op::StoreAttribute => {
                let (object, value) = (self.pop(), self.pop().text());
                let object = self.listing.writer.operand(&object);
                let name = self.listing.name(&self.code.names, argument);
                self.listing.line(self.depth, &[&object, ".", &name, " = ", &value]);
            }
            Op::StoreSlice => {
                let (stop, start) = (self.pop().text(), self.pop().text());
                let (object, value) = (self.pop(), self.pop().text());
                let object = self.listing.writer.operand(&object);
                self.listing.line(self.depth, &[&object, "[", &start, ":", &stop, "] = ", &value]);
            }
            _ => {
                let (key, object, value) = (self.pop().text(), self.pop(), self.pop().text());
                let object = self.listing.writer.operand(&object);
                self.listing.line(self.depth, &[&object, "[", &key, "] = ", &value]);
            }
        }
    }

    fn delete(&mut self, op: Op, argument: usize) {
        let target = match op {
            Op::DeleteName => self.listing.name(&self.code.names, argument),
            Op::DeleteVariable => self.variable(argument),
            Op::DeleteCell => self.cell(argument),
            Op::DeleteAttribute => {
                let (object, name) = (self.pop().text(), self.listing.name(&self.code.names, argument));
                self.listing.writer.join(&[&object, ".", &name])
            }
            _ => {
                let (key, object) = (self.pop().text(), self.pop().text());
                self.listing.writer.join(&[&object, "[", &key, "]"])
            }
        };
        self.listing.line(self.depth, &["del ", &target]);
    }

    fn import(&mut self, op: Op, argument: usize) {
        let is_star = op == Op::ImportStar || (op == Op::Intrinsic && argument == 2);
        match op {
            Op::Import => {
                self.pop();
                self.pop();
                let name = self.listing.name(&self.code.names, argument);
                self.stack.push(Value::Module(name));
            }
            Op::ImportFrom => {
                let module = match self.stack.last() {
                    Some(Value::Member(module, name)) => {
                        let (module, name) = (Rc::clone(module), Rc::clone(name));
                        self.listing.writer.join(&[&module, ".", &name])
                    }
                    Some(value) => value.text(),
                    None => "".into(),
                };
                let name = self.listing.name(&self.code.names, argument);
                self.stack.push(Value::Member(module, name));
            }
            _ if is_star => {
                let module = self.pop().text();
                self.listing.line(self.depth, &["from ", &module, " import *"]);
                self.stack.extend((op == Op::Intrinsic).then(Value::silent));
            }
            _ => {}
        }
    }

    /// The function of a call and what it is bound to, which stand on the stack in an order that differs by version.
    fn callee(&mut self, arguments: &mut Vec<Value>) -> Value {
        let (upper, lower) = (self.pop(), self.pop());
        match (lower, upper) {
            (Value::Null, function) | (function, Value::Null) => function,
            (function, first) => {
                arguments.insert(0, first);
                function
            }
        }
    }

    fn call(&mut self, op: Op, count: usize) {
        let names = match op {
            Op::CallFunctionOfNames | Op::CallOfNames => {
                self.pop();
                Some(self.constant)
            }
            _ => self.call_names.take(),
        };
        self.written.extend(names);
        let names = names.and_then(|number| items_of(&self.code.consts).get(number));
        let names: Vec<String> =
            names.iter().flat_map(|names| items_of(names)).filter_map(|name| super::text_of(name)).collect();
        let mut arguments = self.pop_many(count);
        let named = arguments.len().saturating_sub(names.len());
        for (argument, name) in arguments.iter_mut().skip(named).zip(&names) {
            *argument = Value::Text(self.listing.writer.join(&[name, "=", &argument.text()]));
        }
        let function = match op {
            Op::CallFunction | Op::CallFunctionOfNames => self.pop(),
            _ => self.callee(&mut arguments),
        };
        match (&function, arguments.first()) {
            (Value::Class, Some(class)) => self.stack.push(Value::Function(class.text())),
            (Value::Enter(context), _) => self.stack.push(Value::Entered(Rc::clone(context))),
            (Value::Silent(_), _) => self.stack.push(Value::silent()),
            _ => {
                let arguments = self.listing.writer.list("(", &arguments, ")");
                let function = self.listing.writer.operand(&function);
                self.push_text(&[&function, &arguments]);
            }
        }
    }

    fn call_unpacked(&mut self, flags: usize) {
        let mut arguments = Vec::new();
        if self.minor() >= 14 || flags & 1 == 1 {
            let names = self.pop();
            if !matches!(names, Value::Null) {
                arguments.push(Value::Text(self.listing.writer.join(&["**", &names.text()])));
            }
        }
        let positional = self.pop().text();
        arguments.insert(0, Value::Text(self.listing.writer.join(&["*", &positional])));
        let function = if self.minor() >= 11 { self.callee(&mut Vec::new()) } else { self.pop() };
        let arguments = self.listing.writer.list("(", &arguments, ")");
        let function = self.listing.writer.operand(&function);
        self.push_text(&[&function, &arguments]);
    }

    fn make_function(&mut self, flags: usize) {
        if self.minor() <= 10 {
            self.pop();
        }
        self.pop();
        if self.minor() <= 12 {
            let count = [1, 2, 4, 8].iter().filter(|flag| flags & **flag != 0).count();
            self.pop_many(count);
        }
        let is_class = matches!(self.stack.last(), Some(Value::Class))
            || matches!(self.stack.as_slice(), [.., Value::Class, Value::Null]);
        let number = self.pending.take();
        let constant = number.and_then(|number| items_of(&self.code.consts).get(number));
        let Some(Object::Code(code)) = constant.map(|constant| &**constant) else {
            return self.stack.push(Value::silent());
        };
        self.written.extend(number);
        let name = self.listing.block(code, self.depth, is_class);
        self.stack.push(Value::Function(name));
    }

    fn operate(&mut self, op: Op, argument: usize) {
        if let Op::Unary(sign) = op {
            let operand = self.pop();
            let operand = self.listing.writer.operand(&operand);
            return self.push_compound(&[sign, &operand]);
        }
        if op == Op::BinarySlice {
            let (stop, start) = (self.pop().text(), self.pop().text());
            self.push_text(&[&start, ":", &stop]);
        }
        let (right, left) = (self.pop(), self.pop());
        if matches!(op, Op::Subscript | Op::BinarySlice)
            || (op == Op::BinaryNumbered && argument == SUBSCRIPT)
        {
            let (left, right) = (self.listing.writer.operand(&left), right.text());
            return self.push_text(&[&left, "[", &right, "]"]);
        }
        let operator = match op {
            Op::Binary(operator) => operator,
            Op::BinaryNumbered => OPERATORS.get(argument % OPERATORS.len()).copied().unwrap_or("+"),
            Op::Is => ["is", "is not"].get(argument & 1).copied().unwrap_or("is"),
            Op::Contains => ["in", "not in"].get(argument & 1).copied().unwrap_or("in"),
            _ => {
                let shift = match self.minor() {
                    13.. => 5,
                    12 => 4,
                    _ => 0,
                };
                COMPARISONS.get(argument >> shift).copied().unwrap_or("==")
            }
        };
        let (left, right) = (left.text(), right.text());
        self.push_compound(&[&left, " ", operator, " ", &right]);
    }

    fn build(&mut self, op: Op, argument: usize) {
        match op {
            Op::BuildTuple | Op::BuildList | Op::BuildSet => {
                let items = self.pop_many(argument);
                let (open, close) = match op {
                    Op::BuildTuple if items.len() == 1 => ("(", ",)"),
                    Op::BuildTuple => ("(", ")"),
                    Op::BuildList => ("[", "]"),
                    _ => ("{", "}"),
                };
                let text = self.listing.writer.list(open, &items, close);
                self.stack.push(Value::Text(text));
            }
            Op::BuildMap => {
                let items = self.pop_many(argument.saturating_mul(2));
                let pairs = items.chunks_exact(2).filter_map(<[Value]>::first_chunk::<2>);
                let pairs: Vec<_> = pairs.map(|[key, value]| (key.text(), value.text())).collect();
                self.push_map(&pairs);
            }
            Op::BuildMapOfKeys => {
                self.pop();
                let keys = items_of(&self.code.consts).get(self.constant);
                let keys = keys.iter().flat_map(|keys| items_of(keys));
                let values = self.pop_many(argument);
                let writer = &mut self.listing.writer;
                let pairs = keys.zip(values).map(|(key, value)| (writer.constant(key, 0), value.text()));
                let pairs: Vec<_> = pairs.collect();
                self.push_map(&pairs);
            }
            Op::BuildSlice => {
                let parts: Vec<Rc<str>> = self.pop_many(argument.min(3)).iter().map(Value::text).collect();
                let text = parts.join(":");
                self.push_text(&[&text.replace("None", "")]);
            }
            Op::BuildString => {
                let parts: Vec<Rc<str>> = self.pop_many(argument).iter().map(part_of_string).collect();
                self.push_text(&["f'", &parts.concat(), "'"]);
            }
            _ => self.extend(op),
        }
    }

    fn push_map(&mut self, pairs: &[(Rc<str>, Rc<str>)]) {
        let writer = &mut self.listing.writer;
        let pairs = pairs.iter().map(|(key, value)| Value::Text(writer.join(&[key, ": ", value])));
        let pairs: Vec<Value> = pairs.collect();
        let text = self.listing.writer.list("{", &pairs, "}");
        self.stack.push(Value::Text(text));
    }

    /// A list or map that grows by another one.
    fn extend(&mut self, op: Op) {
        let (more, whole) = (self.pop().text(), self.pop().text());
        let star = if op == Op::UpdateMap { "**" } else { "*" };
        let (head, close) = match whole.char_indices().next_back() {
            Some((end, close @ (']' | '}' | ')'))) => {
                (whole.get(..end).unwrap_or_default(), close.to_string())
            }
            _ => (&*whole, String::new()),
        };
        let comma = if head.len() > 1 { ", " } else { "" };
        match more.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
            Some(inner) => self.push_text(&[head, comma, inner, &close]),
            None => self.push_text(&[head, comma, star, &more, &close]),
        }
    }

    fn format(&mut self, op: Op, argument: usize) {
        let has_spec = op == Op::FormatWithSpec || (op == Op::FormatValue && argument & 4 != 0);
        if has_spec || op == Op::Interpolate {
            self.pop();
        }
        let text = self.pop().text();
        let text = self.listing.writer.join(&["{", &text, "}"]);
        self.stack.push(Value::Format(text));
    }

    fn shuffle(&mut self, op: Op, argument: usize) {
        let length = self.stack.len();
        let at = |depth: usize| length.checked_sub(depth).filter(|place| *place < length);
        match op {
            Op::Copy | Op::Duplicate => {
                let depth = if op == Op::Copy { argument } else { 1 };
                let place = at(depth).and_then(|place| self.stack.get_mut(place));
                let Some(value) = place else { return self.stack.push(Value::Null) };
                let copy = value.clone();
                if matches!(value, Value::Text(_) | Value::Compound(_)) {
                    // One of the two makes a line when nobody takes it.
                    *value = Value::Silent(value.text());
                }
                self.stack.push(copy);
            }
            Op::DuplicateTwo => {
                let two = at(2).and_then(|place| self.stack.get(place..)).map(<[Value]>::to_vec);
                self.stack.extend(two.unwrap_or_default());
            }
            Op::Swap => {
                if let (Some(one), Some(other)) = (at(argument), at(1)) {
                    self.stack.swap(one, other);
                }
            }
            _ => {
                let count = match op {
                    Op::RotateTwo => 2,
                    Op::RotateThree => 3,
                    Op::RotateFour => 4,
                    _ => argument,
                };
                if let Some(values) = at(count).and_then(|place| self.stack.get_mut(place..)) {
                    values.rotate_right(usize::from(!values.is_empty()));
                }
            }
        }
    }

    fn unpack(&mut self, op: Op, argument: usize) {
        let count = match op {
            Op::UnpackRest => (argument & 0xff) + 1 + (argument >> 8),
            _ => argument,
        };
        let mut value = self.pop();
        if let Value::Item(items) = value {
            self.listing.line(self.depth, &["for item in ", &items, ":"]);
            value = Value::Text("item".into());
        }
        let text = self.listing.writer.operand(&value);
        for number in (0..count.min(STACK_MAX)).rev() {
            self.push_text(&[&text, "[", &number.to_string(), "]"]);
        }
    }
}

/// What a value adds to a formatted string.
fn part_of_string(value: &Value) -> Rc<str> {
    let text = value.text();
    let is_format = matches!(value, Value::Format(_));
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).filter(|_| !is_format);
    inner.map_or_else(|| Rc::clone(&text), Rc::from)
}
