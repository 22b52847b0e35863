//! Puts the parts of one text together again.
//!
//! Owns: the texts of which some parts are still to come, bounded in number. When the bound is reached the oldest is
//! given up and counted.

use super::executions::ExecKey;
use crate::wire::{TextHeader, WireError, decode_text, value};
use std::collections::BTreeMap;

/// Texts that may be incomplete at the same time: one for each thread that is in the probe, so some for each CPU.
const PENDING_MAX: usize = 32;

/// A text that was about to be compiled.
#[derive(Debug)]
pub(crate) struct Text {
    /// The numbers of its last record.
    pub(crate) header: TextHeader,
    pub(crate) bytes: Parts,
}

/// The bytes of a text as far as they came.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) head: Vec<u8>,
    /// Bytes between head and tail.
    pub(crate) omitted: u64,
    pub(crate) tail: Vec<u8>,
}

impl Parts {
    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Adds the bytes that begin at this offset of the text. Returns false for what does not follow the others.
    fn add(&mut self, offset: u64, bytes: &[u8], is_tail: bool) -> bool {
        if is_tail && self.tail.is_empty() {
            self.omitted = offset.saturating_sub(self.head.len() as u64);
        }
        let (place, part) = match is_tail {
            true => (self.head.len() as u64 + self.omitted, &mut self.tail),
            false => (0, &mut self.head),
        };
        let is_next = place + part.len() as u64 == offset;
        if is_next {
            part.extend_from_slice(bytes);
        }
        is_next
    }
}

impl Text {
    /// The process: its id and its start in 1/100 s since boot.
    pub(crate) fn process(&self) -> (u32, u64) {
        (self.header.pid, self.header.start_time / 10_000_000)
    }

    /// The exec that its process runs.
    pub(super) fn exec(&self) -> ExecKey {
        let header = &self.header;
        // One that was not told of is known by what /proc says of the process.
        let start = header.exec_start / 10_000_000 * 10_000_000;
        (header.exec_pid, if self.is_told() { header.exec_time } else { start })
    }

    /// Whether the probe has told of that exec.
    pub(super) fn is_told(&self) -> bool {
        self.header.exec_time != 0
    }

    /// About how many bytes of memory it takes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    /// Whether one of `value::TEXT_*` is set.
    pub(crate) fn has(&self, flag: u32) -> bool {
        self.header.flags & flag != 0
    }
}

/// Records in, texts out.
#[derive(Debug, Default)]
pub(crate) struct TextAssembler {
    /// By time, so that the first is the oldest.
    pending: BTreeMap<(u64, u32), Parts>,
    given_up: u64,
}

impl TextAssembler {
    /// Takes one record; returns the text that it completes.
    pub(crate) fn push(&mut self, record: &[u8]) -> Result<Option<Text>, WireError> {
        let (header, part) = decode_text(record)?;
        let key = (header.time, header.thread);
        let mut bytes = self.pending.remove(&key).unwrap_or_default();
        // A hole means that a record was lost: what follows cannot be placed, and the probe has counted it.
        if !bytes.add(header.offset, part, header.flags & value::TEXT_TAIL != 0) {
            return Ok(None);
        }
        if header.flags & value::TEXT_LAST != 0 {
            return Ok(Some(Text { header, bytes }));
        }
        self.pending.insert(key, bytes);
        if self.pending.len() > PENDING_MAX {
            self.pending.pop_first();
            self.given_up += 1;
        }
        Ok(None)
    }

    /// Texts that were given up since the last call.
    pub(crate) fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::bytes_of;
    use proptest::prelude::*;

    fn record(thread: u32, offset: u64, part: &[u8], flags: u32) -> Vec<u8> {
        let header = TextHeader {
            kind: value::EVENT_TEXT,
            thread,
            offset,
            flags,
            length: u32::try_from(part.len()).unwrap(),
            ..TextHeader::default()
        };
        [&bytes_of(&header)[..], part].concat()
    }

    fn push(assembler: &mut TextAssembler, record: &[u8]) -> Option<Vec<u8>> {
        assembler.push(record).unwrap().map(|text| text.bytes.head)
    }

    #[test]
    fn parts_of_several_threads_are_put_together() {
        let mut assembler = TextAssembler::default();
        assert_eq!(push(&mut assembler, &record(1, 0, b"ab", 0)), None);
        assert_eq!(push(&mut assembler, &record(2, 0, b"x", value::TEXT_LAST)).unwrap(), b"x");
        assert_eq!(push(&mut assembler, &record(1, 2, b"cd", 0)), None);
        assert_eq!(push(&mut assembler, &record(1, 4, b"", value::TEXT_LAST)).unwrap(), b"abcd");
        assert!(assembler.pending.is_empty());
    }

    #[test]
    fn a_text_with_a_hole_is_none_and_leaves_nothing() {
        let mut assembler = TextAssembler::default();
        assert_eq!(push(&mut assembler, &record(1, 0, b"ab", 0)), None);
        assert_eq!(push(&mut assembler, &record(1, 4, b"ef", value::TEXT_LAST)), None);
        assert!(assembler.pending.is_empty());
    }

    #[test]
    fn a_tail_comes_behind_what_is_omitted() {
        let mut assembler = TextAssembler::default();
        let tail = value::TEXT_TAIL;
        assert_eq!(push(&mut assembler, &record(1, 0, b"ab", 0)), None);
        assert_eq!(push(&mut assembler, &record(1, 10, b"yz", tail)), None);
        let last = assembler.push(&record(1, 12, b"!", tail | value::TEXT_LAST)).unwrap().unwrap();
        assert_eq!(last.bytes, Parts { head: b"ab".to_vec(), omitted: 8, tail: b"yz!".to_vec() });
        assert_eq!(push(&mut assembler, &record(1, 0, b"ab", 0)), None);
        assert_eq!(push(&mut assembler, &record(1, 10, b"yz", tail)), None);
        assert_eq!(push(&mut assembler, &record(1, 13, b"!", tail | value::TEXT_LAST)), None, "a hole");
        assert!(assembler.pending.is_empty());
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut assembler = TextAssembler::default();
        for thread in 0..40 {
            assert_eq!(push(&mut assembler, &record(thread, 0, b"a", 0)), None);
        }
        assert_eq!((assembler.pending.len(), assembler.take_given_up()), (PENDING_MAX, 8));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>, offset: u64, length: u32) {
            let mut assembler = TextAssembler::default();
            let _ = assembler.push(&bytes);
            let header = TextHeader { kind: value::EVENT_TEXT, offset, length, ..TextHeader::default() };
            let _ = assembler.push(&[&bytes_of(&header)[..], &bytes].concat());
        }
    }
}
