//! Where at a function's beginning a probe is cheap.
//!
//! Owns: knowing the instructions that the kernel imitates, rather than having the processor execute a copy of them and stop
//! after it, which costs several times as much. Functions that are built for control-flow enforcement begin with `endbr64`,
//! which it does not imitate; the `push` behind it, or the jump behind some moves, it does.
//! Refuses: going past anything that changes the stack, or a register that holds an argument that is looked at.

use super::ReadAt;

/// Bytes of a function that are looked at.
const LOOKED_AT: usize = 40;
const RSP: u8 = 4;
const RSI: u8 = 6;
const RDI: u8 = 7;

/// Bytes between the function's beginning at `offset` in the file and the place for a probe; 0 where there is no better one.
/// `arguments` says how many of the first two must still be in their registers there.
pub fn cheap_place(file: &dyn ReadAt, offset: u64, arguments: usize) -> u64 {
    let mut bytes = [0; LOOKED_AT];
    let read = file.read_at(&mut bytes, offset).unwrap_or(0);
    bytes.get(..read).and_then(|bytes| place_in(bytes, arguments)).unwrap_or(0)
}

fn place_in(bytes: &[u8], arguments: usize) -> Option<u64> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let kept = [RSP, RDI, RSI];
    let kept = kept.get(..=arguments.min(2))?;
    let mut rest = bytes;
    loop {
        let length = match rest {
            [0x50..=0x57, ..] | [0x41, 0x50..=0x57, ..] | [0xe9 | 0xeb, ..] => {
                return u64::try_from(bytes.len() - rest.len()).ok();
            }
            [0xf3, 0x0f, 0x1e, 0xfa, ..] => 4,
            // mov and xor between registers, with and without the prefix that names the upper ones.
            [prefix @ 0x40..=0x4f, 0x89 | 0x31, operands @ 0xc0..=0xff, ..]
                if !kept.contains(&(operands & 7 | (prefix & 1) << 3)) =>
            {
                3
            }
            [0x89 | 0x31, operands @ 0xc0..=0xff, ..] if !kept.contains(&(operands & 7)) => 2,
            _ => return None,
        };
        rest = rest.get(length..)?;
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::place_in;

    fn check(bytes: &[u8], arguments: usize, expected: Option<u64>) {
        assert_eq!(place_in(bytes, arguments), expected, "{bytes:x?}");
    }

    #[test]
    fn a_push_is_cheap_wherever_it_stands() {
        check(b"\x55\x48\x89\xe5", 2, Some(0));
        check(b"\x41\x57\x49\x89\xff", 2, Some(0));
        check(b"\xf3\x0f\x1e\xfa\x41\x55\x49\x89\xfd", 2, Some(4));
    }

    #[test]
    fn moves_are_passed_where_the_arguments_stay() {
        // mov r8,r9; mov rcx,r8; mov rdx,rcx; mov esi,edx; xor esi,esi; jmp
        let moves = b"\xf3\x0f\x1e\xfa\x4d\x89\xc1\x49\x89\xc8\x48\x89\xd1\x89\xf2\x31\xf6\xe9\0\0\0\0";
        check(moves, 1, Some(17));
        check(moves, 2, None);
        // mov rsi,rdi; push
        check(b"\x48\x89\xf7\x55", 1, None);
        // mov rax,r15; push: the upper register is another one.
        check(b"\x49\x89\xc7\x55", 2, Some(3));
    }

    #[test]
    fn nothing_else_is_passed() {
        check(b"\x48\x83\xec\x10\x6a\0", 1, None);
        check(b"\xf3\x0f\x1e\xfa\x48\x83\xec\x08\x55", 1, None);
        check(b"\xf3\x0f\x1e\xfa", 1, None);
        check(b"", 0, None);
    }
}
