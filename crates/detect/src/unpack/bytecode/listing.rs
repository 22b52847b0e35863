//! The lines of a listing, and the order of code objects in it.
//!
//! Owns: the text and its bound. A code object stands where it becomes a function, with its body indented; one that never does
//! comes after the code that holds it.

use super::expression::{Value, Writer};
use super::machine::Machine;
use super::opcodes::Instructions;
use super::{Code, DEEPEST, Object, clean, items_of, text_of};
use std::collections::HashSet;
use std::rc::Rc;

/// Longest listing in bytes.
const LONGEST_LISTING: usize = 512 << 10;

/// See the module.
pub(super) struct Listing<'i> {
    out: String,
    pub(super) writer: Writer,
    instructions: Option<&'i Instructions>,
}

impl<'i> Listing<'i> {
    pub(super) fn new(instructions: Option<&'i Instructions>) -> Self {
        Self { out: String::new(), writer: Writer::default(), instructions }
    }

    /// The listing of a module.
    pub(super) fn whole(mut self, code: &Code) -> String {
        self.body(code, 0);
        self.out
    }

    /// False where nothing more shall be looked at.
    pub(super) fn goes_on(&mut self) -> bool {
        self.out.len() <= LONGEST_LISTING && self.writer.goes_on()
    }

    pub(super) fn line(&mut self, depth: usize, parts: &[&str]) {
        if self.out.len() > LONGEST_LISTING {
            return;
        }
        self.out.extend(std::iter::repeat_n("    ", depth));
        parts.iter().for_each(|part| self.out.push_str(part));
        self.out.push('\n');
    }

    /// A function or class and its body; returns its name.
    pub(super) fn block(&mut self, code: &Code, depth: usize, is_class: bool) -> Rc<str> {
        let name = clean(&text_of(&code.name).unwrap_or_default());
        if depth > DEEPEST || !self.goes_on() {
            return name.into();
        }
        if is_class {
            self.line(depth, &["class ", &name, ":"]);
        } else {
            let variables = self.texts(&code.variables);
            let arguments =
                variables.get(..code.arguments.unwrap_or(0).min(variables.len())).unwrap_or_default();
            self.line(depth, &["def ", &name, "(", &arguments.join(", "), "):"]);
        }
        self.body(code, depth + 1);
        name.into()
    }

    fn body(&mut self, code: &Code, depth: usize) {
        let written = match self.instructions {
            Some(instructions) if !code.instructions.is_empty() => {
                Machine::new(self, code, instructions, depth).run()
            }
            _ => {
                for name in self.texts(&code.names) {
                    self.line(depth, &[&name]);
                }
                HashSet::new()
            }
        };
        let is_left = |(number, _): &(usize, &Rc<Object>)| !written.contains(number);
        let rest: Vec<&Rc<Object>> =
            items_of(&code.consts).iter().enumerate().filter(is_left).map(|(_, constant)| constant).collect();
        for constant in &rest {
            self.constants(constant, depth, 0);
        }
        for constant in &rest {
            if let Object::Code(inner) = &***constant
                && self.goes_on()
            {
                self.block(inner, depth, false);
            }
        }
    }

    /// Constants that no instruction was seen to use, one a line.
    fn constants(&mut self, object: &Object, depth: usize, nesting: usize) {
        if nesting > DEEPEST || !self.goes_on() {
            return;
        }
        match object {
            Object::Items(items) => {
                for item in items {
                    if !self.goes_on() {
                        return;
                    }
                    self.constants(item, depth, nesting + 1);
                }
            }
            Object::Text(_) | Object::Bytes(_) | Object::Number(_) => {
                let text = self.writer.constant(object, 0);
                self.line(depth, &[&text]);
            }
            Object::Code(_) | Object::Other | Object::Word(_) => {}
        }
    }

    fn texts(&mut self, items: &Object) -> Vec<String> {
        items_of(items).iter().take_while(|_| self.goes_on()).filter_map(|item| text_of(item)).collect()
    }

    /// A name out of a tuple of names.
    pub(super) fn name(&mut self, names: &Object, number: usize) -> Rc<str> {
        let name = items_of(names).get(number).and_then(|name| text_of(name)).unwrap_or_default();
        self.writer.join(&[&name])
    }

    pub(super) fn statement(&mut self, depth: usize, value: &Value) {
        match value {
            Value::Entered(context) => self.line(depth, &["with ", context, ":"]),
            value if value.is_statement() => self.line(depth, &[&value.text()]),
            _ => {}
        }
    }
}
