//! A text that comes bit by bit: what lay in the pipe at first, joined with what was read from it; the head and
//! the tail of what is longer than the capture limit; and when there is enough that is new to be judged.
//!
//! Owns: these rules, in counts of bytes and times that are passed in.
//! Refuses: clocks, files, processes.

use evidence::Content;
use std::collections::VecDeque;

/// New bytes that are judged at once, whatever the pace; a short text is judged at the first pause.
const STEP_MIN: u64 = 4 * 1024;
/// Bytes up to which each stretch of a text beyond the limit is in the tail of some judgement. Of what follows, a text
/// that has grown by half is judged again.
const CLOSELY_MAX: u64 = 16 * 1024 * 1024;
/// A pause after which a complete line is judged.
const PAUSE_NS: u64 = 20_000_000;
/// A pause after which an incomplete line is judged.
const LONG_PAUSE_NS: u64 = 5_000_000_000;
/// What each byte of a text adds to both pauses: a long text that grows line by line takes no more than some hundredths
/// of a processor.
const PAUSE_NS_PER_BYTE: u64 = 15_000;

/// The text so far.
#[derive(Debug)]
pub(super) struct Growing {
    limit: usize,
    /// What lay in the pipe before the first read was seen; empty once it is joined.
    early: Vec<u8>,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Bytes that fell out between head and tail.
    omitted: u64,
    /// The position after the last byte that was read.
    position: u64,
    /// Bytes that were read and not seen.
    missing: u64,
    /// All bytes up to the last line break.
    lines: u64,
}

impl Growing {
    /// A text without a byte. Of one that becomes longer than `limit` bytes, head and tail are kept.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            early: Vec::new(),
            head: Vec::new(),
            tail: VecDeque::new(),
            omitted: 0,
            position: 0,
            missing: 0,
            lines: 0,
        }
    }

    /// Puts what lay in the pipe at a moment before what was read since about then.
    pub(super) fn precede(&mut self, mut early: Vec<u8>) {
        early.truncate(self.limit / 2);
        self.lines = self.lines.max(line_end(&early, 0).unwrap_or(0));
        self.early = early;
        if self.head.len() >= self.early.len() {
            self.join();
        }
    }

    /// Adds what was read at a position. A jump means that bytes are missing.
    pub(super) fn push(&mut self, position: u64, bytes: &[u8]) {
        self.missing += position.saturating_sub(self.position);
        self.position = position.saturating_add(bytes.len() as u64);
        let room = self.limit.saturating_sub(self.head.len());
        let is_whole = self.omitted == 0 && self.tail.is_empty();
        let (first, rest) = bytes.split_at(if is_whole { room.min(bytes.len()) } else { 0 });
        self.head.extend_from_slice(first);
        if !rest.is_empty() {
            self.spill(rest);
        }
        if !self.early.is_empty() && self.head.len() >= self.early.len() {
            self.join();
        }
        if let Some(end) = line_end(bytes, self.len() - bytes.len() as u64) {
            self.lines = end;
        }
    }

    /// Bytes so far, with those that are omitted.
    pub(super) fn len(&self) -> u64 {
        let joined = joined(&self.early, &self.head) + self.head.len();
        joined.max(self.early.len()) as u64 + self.omitted + self.tail.len() as u64
    }

    /// Bytes that were read since the reads are seen.
    pub(super) fn read(&self) -> u64 {
        self.position
    }

    /// Whether bytes were read that were not seen.
    pub(super) fn has_holes(&self) -> bool {
        self.missing > 0
    }

    /// Whether at least one line is complete beyond the first `length` bytes.
    pub(super) fn has_line_after(&self, length: u64) -> bool {
        self.lines > length
    }

    /// Bytes of memory.
    pub(super) fn weight(&self) -> usize {
        self.early.len() + self.head.len() + self.tail.len()
    }

    /// Keeps no more than `limit` bytes from now on.
    pub(super) fn shrink(&mut self, limit: usize) {
        if limit < self.limit {
            self.limit = limit;
            self.join();
            self.spill(&[]);
        }
    }

    /// The text as a capture holds it.
    pub(super) fn content(&self) -> Content {
        let head = merged(&self.early, &self.head);
        if self.omitted == 0 && head.len() + self.tail.len() <= self.limit {
            let tail: Vec<u8> = self.tail.iter().copied().collect();
            return Content::Whole([head, tail].concat().into());
        }
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.tail.is_empty() {
            // Only the join made it longer than the limit.
            let (first, last) = head.split_at(self.limit / 2);
            let cut = last.len().saturating_sub(self.limit - self.limit / 2);
            return Content::HeadAndTail {
                head: first.into(),
                tail: last[cut..].into(),
                omitted: cut as u64,
            };
        }
        Content::HeadAndTail { head: head.into(), tail: tail.into(), omitted: self.omitted }
    }

    /// Puts what lay in the pipe before what was read of it.
    fn join(&mut self) {
        let early = std::mem::take(&mut self.early);
        let before = joined(&early, &self.head);
        self.head.splice(0..0, early[..before].iter().copied());
        if self.head.len() > self.limit || !self.tail.is_empty() {
            self.spill(&[]);
        }
    }

    /// Moves what is beyond half the limit from the head to the tail, adds `rest` there, and lets the oldest go.
    fn spill(&mut self, rest: &[u8]) {
        let half = self.limit / 2;
        if self.head.len() > half {
            let moved = self.head.split_off(half);
            for byte in moved.into_iter().rev() {
                self.tail.push_front(byte);
            }
        }
        let kept = &rest[rest.len().saturating_sub(self.limit - half)..];
        self.omitted += (rest.len() - kept.len()) as u64;
        self.tail.extend(kept);
        let surplus = self.tail.len().saturating_sub(self.limit - half);
        self.omitted += surplus as u64;
        self.tail.drain(..surplus);
    }
}

/// Where the last line break in `bytes` ends, counted from `offset` before them.
fn line_end(bytes: &[u8], offset: u64) -> Option<u64> {
    memchr::memrchr(b'\n', bytes).map(|at| offset + at as u64 + 1)
}

/// What was there before and what was read of it, or follows it, as one text.
pub(super) fn merged(early: &[u8], read: &[u8]) -> Vec<u8> {
    let before = joined(early, read);
    let rest = early.get(before + read.len()..).unwrap_or_default();
    [&early[..before], read, rest].concat()
}

/// How many bytes of `early` come before what was read: the fewest for which both agree where they overlap. In linear
/// time, since both may come from an attacker.
fn joined(early: &[u8], read: &[u8]) -> usize {
    if early.is_empty() || read.is_empty() {
        return early.len();
    }
    // The longest end of `early` that is a beginning of `read`, or all of `read` inside `early`: the failure function
    // of Knuth, Morris and Pratt over `read`, run along `early`.
    let pattern = &read[..read.len().min(early.len())];
    let mut failure = vec![0; pattern.len()];
    let mut matched = 0;
    for at in 1..pattern.len() {
        while matched > 0 && pattern[at] != pattern[matched] {
            matched = failure[matched - 1];
        }
        matched += usize::from(pattern[at] == pattern[matched]);
        failure[at] = matched;
    }
    matched = 0;
    for (at, byte) in early.iter().enumerate() {
        while matched > 0 && *byte != pattern[matched] {
            matched = failure[matched - 1];
        }
        matched += usize::from(*byte == pattern[matched]);
        if matched == pattern.len() {
            // All that was read so far lies in what was there before.
            return at + 1 - matched;
        }
    }
    early.len() - matched
}

/// When a text is judged again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Bytes that were judged the last time.
    judged: u64,
    /// Whether anything was.
    has_begun: bool,
}

impl Pace {
    /// Whether it is time to judge, `idle` ns after the last byte came. `None`: not before there is more; else in how
    /// many nanoseconds at the latest, 0 being now.
    pub(super) fn due(&self, text: &Growing, idle: u64) -> Option<u64> {
        let length = text.len();
        let new = length.saturating_sub(self.judged);
        if new == 0 {
            return None;
        }
        if self.has_begun && new >= self.step(text.limit as u64) {
            return Some(0);
        }
        let pause = if text.has_line_after(self.judged) { PAUSE_NS } else { LONG_PAUSE_NS };
        let weight = length.min(text.limit as u64).saturating_mul(PAUSE_NS_PER_BYTE);
        // A first judgement waits for no more than a first pause.
        let pause = if self.has_begun { pause + weight } else { pause };
        if !self.has_begun && new >= STEP_MIN { Some(0) } else { Some(pause.saturating_sub(idle)) }
    }

    /// The text was judged as it is, and so many bytes that follow.
    pub(super) fn judged(&mut self, text: &Growing, ahead: usize) {
        self.judged = text.len() + ahead as u64;
        self.has_begun = true;
    }

    /// Whether it was judged at all.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether there is anything that was not judged.
    pub(super) fn is_behind(&self, text: &Growing) -> bool {
        !self.has_begun || text.len() > self.judged
    }

    fn step(&self, limit: u64) -> u64 {
        let half = (self.judged / 2).max(STEP_MIN);
        if self.judged > limit && self.judged <= CLOSELY_MAX { half.min(limit / 2) } else { half }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is captured of `read` in these pieces, after `early` was seen in the pipe.
    #[track_caller]
    fn check(limit: usize, early: &str, read: &[&str], expected: &str) {
        let mut text = Growing::new(limit);
        text.precede(early.into());
        let mut position = 0;
        for bytes in read {
            text.push(position, bytes.as_bytes());
            position += bytes.len() as u64;
        }
        let content = text.content();
        let (head, tail) = content.parts();
        let omitted = match &content {
            Content::HeadAndTail { omitted, .. } => format!("[{omitted}]"),
            _ => String::new(),
        };
        let shown = [&String::from_utf8_lossy(head), &*omitted, &String::from_utf8_lossy(tail)].concat();
        assert_eq!(shown, expected);
        let omitted: u64 = omitted.trim_matches(['[', ']']).parse().unwrap_or(0);
        assert_eq!(text.len(), (head.len() + tail.len()) as u64 + omitted);
    }

    #[test]
    fn what_lay_in_the_pipe_is_joined_with_what_is_read() {
        check(100, "", &["echo 1\n", "echo 2\n"], "echo 1\necho 2\n");
        check(100, "echo 1\n", &[], "echo 1\n");
        check(100, "echo 1\n", &["echo 1\n", "echo 2\n"], "echo 1\necho 2\n");
        check(100, "echo 1\necho 2\n", &["echo 1\n"], "echo 1\necho 2\n");
        check(100, "echo 1\necho 2\n", &["\n"], "echo 1\necho 2\n");
        check(100, "echo 1\n", &["o 1\necho 2\n"], "echo 1\necho 2\n");
        check(100, "echo 1\n", &["echo 2\n"], "echo 1\necho 2\n");
        check(100, "echo 1\n", &["e", "c", "h", "o", " ", "1", "\n", "x"], "echo 1\nx");
        check(100, "aaaa", &["aaaaaa"], "aaaaaa");
    }

    #[test]
    fn of_a_long_text_head_and_tail_are_kept() {
        check(10, "", &["0123456789"], "0123456789");
        check(10, "", &["0123456789", "abc"], "01234[3]89abc");
        check(10, "", &["0123456789abcdefghij", "k", "l"], "01234[12]hijkl");
        check(10, "", &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a"], "01234[1]6789a");
        check(10, "0123", &["0123456789ab"], "01234[2]789ab");
        check(10, "xyz", &["0123456789ab"], "xyz01[5]789ab");
    }

    #[test]
    fn a_jump_in_the_positions_is_a_hole() {
        let mut text = Growing::new(100);
        text.push(0, b"echo 1\n");
        assert!(!text.has_holes());
        text.push(9, b"echo 2\n");
        assert!(text.has_holes());
        assert_eq!(text.content().parts().0, b"echo 1\necho 2\n");
    }

    #[test]
    fn a_text_is_judged_at_pauses_when_it_has_grown_and_at_no_other_time() {
        let mut text = Growing::new(1 << 20);
        let mut pace = Pace::default();
        assert_eq!(pace.due(&text, 0), None);
        text.push(0, b"echo");
        assert_eq!(pace.due(&text, 0), Some(LONG_PAUSE_NS), "no line is complete");
        text.push(4, b" 1\n");
        assert_eq!(pace.due(&text, 0), Some(PAUSE_NS));
        assert_eq!(pace.due(&text, PAUSE_NS), Some(0));
        pace.judged(&text, 0);
        assert_eq!(pace.due(&text, 1 << 40), None, "nothing is new");
        text.push(7, &vec![b'#'; usize::try_from(STEP_MIN).unwrap()]);
        assert_eq!(pace.due(&text, 0), Some(0), "it has grown by much");
        pace.judged(&text, 0);
        text.push(7 + STEP_MIN, b"\n");
        let pause = pace.due(&text, 0).unwrap();
        assert!(pause > PAUSE_NS && pause < 2 * PAUSE_NS + text.len() * PAUSE_NS_PER_BYTE, "{pause}");
    }

    #[test]
    fn fifty_mebibytes_are_judged_a_few_dozen_times_and_kept_within_the_limit() {
        let limit = 1 << 20;
        let (mut text, mut pace, mut times) = (Growing::new(limit), Pace::default(), 0);
        let chunk = [b"#".repeat(8191), b"\n".to_vec()].concat();
        for number in 0..6400 {
            text.push(number * 8192, &chunk);
            if pace.due(&text, 0) == Some(0) {
                pace.judged(&text, 0);
                times += 1;
            }
        }
        assert!((20..60).contains(&times), "{times}");
        assert_eq!(text.weight(), limit);
        assert_eq!(text.len(), 6400 * 8192);
    }

    #[test]
    fn a_text_that_must_shrink_keeps_head_and_tail() {
        let mut text = Growing::new(100);
        text.precede(b"01234".to_vec());
        text.push(0, b"0123456789abcdefghij");
        text.shrink(10);
        let content = text.content();
        assert_eq!(content.parts(), (&b"01234"[..], &b"fghij"[..]));
        assert_eq!(text.len(), 20);
    }

    proptest! {
        #[test]
        fn any_split_of_a_text_gives_the_same(
            text in prop::collection::vec(0u8..4, 0..60), early in 0usize..60, lost in 0usize..20,
            pieces in prop::collection::vec(1usize..9, 60), limit in 4usize..80,
        ) {
            // The process had read `lost` of what lay in the pipe before its reads were seen.
            let early = &text[..early.min(text.len()).min(limit / 2)];
            let mut rest = &text[lost.min(early.len())..];
            let mut growing = Growing::new(limit);
            growing.precede(early.to_vec());
            let mut position = 0;
            for piece in pieces {
                let (now, later) = rest.split_at(piece.min(rest.len()));
                growing.push(position, now);
                position += now.len() as u64;
                rest = later;
            }
            let content = growing.content();
            let (head, tail) = content.parts();
            prop_assert!(head.len() + tail.len() <= limit);
            prop_assert!(growing.weight() <= limit + limit / 2);
            if let Content::Whole(whole) = &content {
                // What repeats itself may be joined at the wrong place, but nothing of what was read is lost.
                let read = &text[lost.min(early.len())..];
                prop_assert!(memchr::memmem::find(whole, read).is_some());
                prop_assert!(whole.len() >= early.len());
            }
            prop_assert!(text.ends_with(tail) || tail.len() < limit - limit / 2);
        }
    }
}
