//! Where in a file that holds CPython the functions and types lie by which code objects are seen.
//!
//! Owns: finding them by what the file exports, and by the tables that its types begin with: what makes functions, and what
//! assigns a function's code, are not exported, but `PyFunction_Type` leads to them.
//! Refuses: files that lack one of the types; then nothing is found.

use super::elf::Binary;
use super::{ReadAt, cheap_place, elf::Reader};

/// The second number of the last version that does not export its version.
const BEFORE_VERSIONS: u32 = 10;
/// Offsets in a type object, which are those of each version from 3.0 to 3.14.
const BASIC_SIZE: u64 = 32;
const ITEM_SIZE: u64 = 40;
const GETTERS: u64 = 248;
const NEW: u64 = 312;
/// An entry of a table of attributes: name, getter, setter, text, closure.
const GETTER: u64 = 40;
const SETTER: u64 = 16;
const GETTERS_MAX: u64 = 32;
/// Most bytes of a code object before its instructions.
const CODE_SIZE_MAX: u64 = 256;

const TYPES: [&[u8]; 5] =
    [b"PyUnicode_Type", b"PyTuple_Type", b"PyBytes_Type", b"PyCode_Type", b"PyLong_Type"];
const WORDS: [&[u8]; 3] = [b"_Py_NoneStruct", b"_Py_TrueStruct", b"_Py_FalseStruct"];
const EVALUATE: [&[u8]; 2] = [b"PyEval_EvalCode", b"PyEval_EvalCodeEx"];

/// What is known of a file that holds CPython. Addresses are those of its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// Functions that take code objects: evaluate, evaluate with closures, make a function, assign its code. Of each the
    /// place for a probe, as an address and in the file; `None` where it was not found.
    pub functions: [Option<(u64, u64)>; 4],
    /// Of the types of text, tuples, bytes, code and numbers.
    pub types: [u64; 5],
    /// Of `None`, `True` and `False`; 0 where one is not known.
    pub words: [u64; 3],
    /// Bytes of a code object before its instructions; 0 where these lie elsewhere, before 3.11.
    pub code_size: u32,
    /// 13 for 3.13; 10 for 3.10 and before.
    pub minor: u32,
}

/// What is known of the file as one that holds CPython; `None` where it does not, or hides it.
pub fn python(file: &dyn ReadAt) -> Option<Python> {
    let mut reader = Reader::new(file);
    let names: Vec<&[u8]> = [&TYPES[..], &WORDS, &EVALUATE, &[b"PyFunction_Type", b"Py_Version"]].concat();
    let mut binary = Binary::open(&mut reader)?;
    let symbols = binary.symbols(&mut reader, &names)?;
    let address = |name: &[u8]| {
        let index = names.iter().position(|known| *known == name)?;
        symbols.get(index).copied().flatten()
    };
    let mut types = [0; 5];
    for (place, name) in types.iter_mut().zip(TYPES) {
        *place = address(name)?;
    }
    let code = types.get(3).copied()?;
    let sizes = [BASIC_SIZE, ITEM_SIZE].map(|at| binary.word(&mut reader, code.saturating_add(at)));
    let code_size = match sizes {
        [Some(size), Some(2)] if size <= CODE_SIZE_MAX => u32::try_from(size).ok()?,
        [_, Some(0)] => 0,
        _ => return None,
    };
    let version = address(b"Py_Version").and_then(|at| binary.word(&mut reader, at));
    let minor = version.map_or(BEFORE_VERSIONS, |version| u32::try_from(version >> 16 & 0xff).unwrap_or(0));
    let function = address(b"PyFunction_Type");
    let new = function.and_then(|function| binary.word(&mut reader, function.saturating_add(NEW)));
    let assign = function.and_then(|function| setter_of_code(&mut binary, &mut reader, function));
    let [evaluate, more] = EVALUATE.map(address);
    // Of the first two only the first argument is looked at.
    let functions = [(evaluate, 1), (more, 1), (new, 2), (assign, 2)].map(|(function, arguments)| {
        let (at, offset) = function.and_then(|at| Some((at, binary.code_offset(at)?)))?;
        let further = cheap_place(file, offset, arguments);
        Some((at + further, offset + further))
    });
    let words = WORDS.map(|name| address(name).unwrap_or(0));
    functions.first()?.map(|_| Python { functions, types, words, code_size, minor })
}

/// What `function.__code__ = …` calls.
fn setter_of_code(binary: &mut Binary, reader: &mut Reader<'_>, function: u64) -> Option<u64> {
    let table = binary.word(reader, function.saturating_add(GETTERS))?;
    for entry in (0..GETTERS_MAX).map(|number| table.saturating_add(number * GETTER)) {
        let name = binary.word(reader, entry).filter(|name| *name != 0)?;
        if binary.bytes(reader, name, 9).is_some_and(|name| name == b"__code__\0") {
            return binary.word(reader, entry.saturating_add(SETTER));
        }
    }
    None
}
