//! What code objects are made to say, and that none makes this code fail.

use super::*;
use proptest::prelude::*;

fn texts(texts: &[&str]) -> Rc<Object> {
    Rc::new(Object::Items(texts.iter().map(|text| Rc::new(Object::Text((*text).to_owned()))).collect()))
}

fn code(instructions: &[u8]) -> Object {
    Object::Code(Box::new(Code {
        arguments: None,
        instructions: instructions.to_vec(),
        consts: texts(&["one", "two", "three"]),
        names: texts(&["os", "system", "x"]),
        variables: texts(&["a", "b"]),
        cells: vec![texts(&["cell"]), texts(&["free"])],
        name: Rc::new(Object::Text("<module>".to_owned())),
    }))
}

/// A record as the probe writes it.
fn record(kind: u8, flags: u8, length: u32, bytes: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, flags, 0, 0];
    record.extend(length.to_le_bytes());
    record.extend(bytes);
    record.resize(record.len().next_multiple_of(8), 0);
    record
}

fn text(flags: u8, text: &str) -> Vec<u8> {
    record(1, flags | 1, u32::try_from(text.len()).unwrap(), text.as_bytes())
}

const PART: u8 = 0x80;

/// `import os` and `os.system('id')` with a function in it, as the probe finds it in CPython 3.13.
fn memory() -> Vec<u8> {
    let number = [&8_u64.to_le_bytes()[..], &7_u32.to_le_bytes()].concat();
    let inner = [149, 0, 83, 0, 36, 0];
    // RESUME; LOAD_SMALL_INT has no number yet, so constants; IMPORT_NAME; STORE_NAME; LOAD_NAME; LOAD_ATTR as a method;
    // LOAD_CONST; CALL; POP_TOP; RETURN_CONST.
    let outer = [
        &[149, 0, 83, 0, 83, 1, 75, 0, 114, 0, 92, 0, 82, 3][..],
        &[0; 18],
        &[83, 2, 53, 1],
        &[0; 6],
        &[32, 0, 103, 1],
    ]
    .concat();
    let instructions = |bytes: &[u8]| record(10, 0, u32::try_from(bytes.len()).unwrap(), bytes);
    [
        b"\x7fPYCODE\x0d".to_vec(),
        record(4, 0, 0, b""),
        record(9, 0, 0, b""),
        record(3, PART, 4, b""),
        record(3, PART, 2, b""),
        record(3, PART, 0, b""),
        text(PART, "/opt/x.py"),
        text(PART, "<module>"),
        record(5, 0, 12, &number),
        record(6, 0, 0, b""),
        text(0, "id"),
        record(4, 0, 0, b""),
        text(0, "os"),
        text(0, "system"),
        record(9, 0, 0, b""),
        record(3, PART, 1, b""),
        record(3, PART, 0, b""),
        record(3, PART, 0, b""),
        text(PART, "/opt/x.py"),
        text(PART, "hidden"),
        text(0, "inner"),
        instructions(&outer),
        instructions(&inner),
    ]
    .concat()
}

#[test]
fn a_code_object_out_of_memory_is_written_out() {
    let expected = "import os\nos.system('id')\ndef hidden():\n    return 'inner'\n";
    let written = write_out(&memory()).unwrap();
    assert_eq!((written.text.as_str(), written.file.as_deref()), (expected, Some("/opt/x.py")));
    assert_eq!(write_out(b"import os\n"), None);
}

#[test]
fn what_is_cut_anywhere_is_written_out_as_far_as_it_goes() {
    let memory = memory();
    let written = (0..memory.len()).filter_map(|end| write_out(&memory[..end]));
    assert!(written.map(|written| written.text.len()).max().unwrap() > 40);
}

#[test]
fn a_stack_that_doubles_with_each_instruction_is_bounded() {
    // LOAD_CONST, then DUP_TOP and BINARY_ADD.
    let instructions = [&[100, 0][..], &[4, 0, 23, 0].repeat(100_000)].concat();
    assert!(listing(&code(&instructions), Era::Eight).unwrap().len() < 2 << 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_instructions_are_followed(instructions: Vec<u8>, era in 0_usize..4) {
        let era = [Era::Old, Era::Six, Era::Eight, Era::Eleven][era];
        let _ = listing(&code(&instructions), era);
        // Those of each version, whether they fit or not.
        let Object::Code(code) = code(&instructions) else { return Ok(()) };
        for minor in era.versions() {
            let _ = listing::Listing::new(Some(&Instructions::of(minor))).whole(&code);
        }
    }

    #[test]
    fn any_records_are_read(flips in prop::collection::vec((0_usize..2_000, any::<u8>()), 0..20), end in 0_usize..2_000) {
        let mut bytes = memory();
        for (at, byte) in flips {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(end);
        let _ = write_out(&bytes);
    }
}
