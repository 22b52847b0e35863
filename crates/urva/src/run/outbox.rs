//! What the sensor has said and the detector has not yet stored.
//!
//! Owns: the messages between capture and disk, bounded in number and bytes. A message leaves when the detector
//! says that it is stored. When the detector ends and is started again, everything that it had not stored is
//! sent again; a message at which it ended [`ATTEMPTS_MAX`] times is given up, and a gap says so.
//! Refuses: losing silently. When the outbox is full, whoever wants to add waits.

use super::link::frame;
use evidence::{Gap, GapKind, Message, Numbered, Timestamp};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Messages that may wait.
const MESSAGES_MAX: usize = 4096;
/// Bytes that may wait, the frames as they cross the socket.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often the detector may end at a message before it is given up.
const ATTEMPTS_MAX: u8 = 2;

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// How many of `waiting`, from the front, went over the present socket.
    sent: usize,
    bytes: usize,
    last_number: u64,
    /// Counts the sockets; a writer whose socket is no longer the present one gets nothing.
    socket: u64,
    /// The number of the socket, once nobody listens at its other end.
    hung_up: u64,
    is_closed: bool,
}

struct Entry {
    number: u64,
    frame: Arc<[u8]>,
    /// How often it was under way when the detector ended.
    attempts: u8,
}

/// What happened to the messages that were under way when the detector ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Resent {
    /// They are sent again.
    pub(super) again: usize,
    /// The detector ended at them too often.
    pub(super) given_up: usize,
}

impl Outbox {
    /// Adds a message; waits while there is no room. After [`Outbox::close`] it is dropped.
    pub(super) fn push(&self, message: Message) {
        let mut state = self.lock();
        while !state.is_closed && state.is_full() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.push(message);
        self.changed.notify_all();
    }

    /// Adds a message even where there is no room: for the few that those who make room must not wait for.
    pub(super) fn push_at_once(&self, message: Message) {
        self.lock().push(message);
        self.changed.notify_all();
    }

    /// The next frame for this socket; waits for it. `None` once there is another socket or nobody at this one, or the
    /// outbox is closed and all is sent.
    pub(super) fn next(&self, socket: u64) -> Option<Arc<[u8]>> {
        let mut state = self.lock();
        loop {
            if state.socket != socket || state.hung_up == socket {
                return None;
            }
            if state.may_send() {
                let frame = Arc::clone(&state.waiting[state.sent].frame);
                state.sent += 1;
                return Some(frame);
            }
            if state.is_closed && state.sent == state.waiting.len() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Everything up to this number is on disk.
    pub(super) fn stored(&self, number: u64) {
        let mut state = self.lock();
        while state.waiting.front().is_some_and(|entry| entry.number <= number) {
            if let Some(entry) = state.waiting.pop_front() {
                state.bytes -= entry.frame.len();
                state.sent = state.sent.saturating_sub(1);
            }
        }
        self.changed.notify_all();
    }

    /// Nobody listens at this socket any more: what it was to carry waits for the next one.
    pub(super) fn hang_up(&self, socket: u64) {
        self.lock().hung_up = socket;
        self.changed.notify_all();
    }

    /// There is a new socket: what was under way is sent again. Returns the socket's number for [`Outbox::next`].
    pub(super) fn reconnect(&self, now: Timestamp) -> (u64, Resent) {
        let mut state = self.lock();
        let resent = state.rewind(now);
        state.socket += 1;
        self.changed.notify_all();
        (state.socket, resent)
    }

    /// Nothing more will be added.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.waiting.len() >= MESSAGES_MAX || self.bytes >= BYTES_MAX
    }

    /// After the detector ended, messages that were under way go one at a time, so that the one at fault shows.
    fn may_send(&self) -> bool {
        let is_alone = self.waiting.iter().take(self.sent).all(|entry| entry.attempts == 0);
        match self.waiting.get(self.sent) {
            Some(next) => self.sent == 0 || (is_alone && next.attempts == 0),
            None => false,
        }
    }

    fn push(&mut self, message: Message) {
        if self.is_closed {
            return;
        }
        let number = self.last_number + 1;
        let numbered = Numbered { number, message };
        let encoded = frame(&numbered).or_else(|error| {
            tracing::error!("a message could not be encoded: {error:#}");
            frame(&Numbered { number, message: Message::Gap(too_large(&numbered.message)) })
        });
        let Ok(frame) = encoded else { return };
        self.last_number = number;
        self.bytes += frame.len();
        self.waiting.push_back(Entry { number, frame: frame.into(), attempts: 0 });
    }

    fn rewind(&mut self, now: Timestamp) -> Resent {
        let mut resent = Resent::default();
        for entry in self.waiting.iter_mut().take(self.sent) {
            entry.attempts += 1;
            if entry.attempts > ATTEMPTS_MAX {
                resent.given_up += 1;
                self.bytes -= entry.frame.len();
                entry.give_up(now);
                self.bytes += entry.frame.len();
            } else {
                resent.again += 1;
            }
        }
        self.sent = 0;
        resent
    }
}

/// What stands in the place of a message that no frame can hold.
fn too_large(message: &Message) -> Gap {
    let (Message::Capture(capture) | Message::Completed(capture)) = message else {
        return Gap {
            kind: GapKind::UndecodableEvent,
            from: Timestamp(0),
            to: Timestamp(0),
            lost: None,
            detail: "a message was too large for the detector".to_owned(),
        };
    };
    let at = capture.observed_at;
    let detail = "a capture was too large for the detector".to_owned();
    Gap { kind: GapKind::UndecodableEvent, from: at, to: at, lost: Some(1), detail }
}

impl Entry {
    /// A gap takes the message's place and number.
    fn give_up(&mut self, now: Timestamp) {
        let gap = Gap {
            kind: GapKind::CaptureGivenUp,
            from: now,
            to: now,
            lost: Some(1),
            detail: format!("the detector ended {} times while it judged this capture", self.attempts),
        };
        if let Ok(frame) = frame(&Numbered { number: self.number, message: Message::Gap(gap) }) {
            self.frame = frame.into();
            self.attempts = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::{Container, Runtime};

    fn outbox(messages: usize) -> Outbox {
        let outbox = Outbox::default();
        for number in 0..messages {
            let container = Container::pending(format!("c{number}"), Some(Runtime::Runc));
            outbox.push(Message::Container(container));
        }
        outbox
    }

    fn read(frame: &[u8]) -> Numbered {
        super::super::link::read_frame(&mut &frame[..]).unwrap().unwrap()
    }

    #[test]
    fn what_is_stored_is_forgotten() {
        let outbox = outbox(3);
        let (socket, _) = outbox.reconnect(Timestamp(0));
        for number in 1..=3 {
            assert_eq!(read(&outbox.next(socket).unwrap()).number, number);
        }
        outbox.stored(2);
        assert_eq!(outbox.reconnect(Timestamp(0)).1, Resent { again: 1, given_up: 0 });
        outbox.stored(3);
        assert_eq!(outbox.lock().bytes, 0);
    }

    #[test]
    fn what_was_under_way_is_sent_again_one_at_a_time() {
        let outbox = outbox(3);
        let (first, _) = outbox.reconnect(Timestamp(0));
        outbox.next(first).unwrap();
        outbox.next(first).unwrap();
        let (second, resent) = outbox.reconnect(Timestamp(0));
        assert_eq!(resent, Resent { again: 2, given_up: 0 });
        assert!(outbox.next(first).is_none(), "the old socket gets nothing any more");
        assert_eq!(read(&outbox.next(second).unwrap()).number, 1);
        assert!(!outbox.lock().may_send(), "the second waits until the first is stored");
        outbox.stored(1);
        assert_eq!(read(&outbox.next(second).unwrap()).number, 2);
        outbox.stored(2);
        assert_eq!(read(&outbox.next(second).unwrap()).number, 3);
    }

    #[test]
    fn a_message_that_ends_the_detector_each_time_is_given_up() {
        let outbox = outbox(2);
        for attempt in 0..=ATTEMPTS_MAX {
            let (socket, _) = outbox.reconnect(Timestamp(0));
            let sent = read(&outbox.next(socket).unwrap());
            assert!(matches!(sent.message, Message::Container(_)), "attempt {attempt}");
        }
        let (socket, resent) = outbox.reconnect(Timestamp(5));
        assert_eq!(resent.given_up, 1);
        let Numbered { number: 1, message: Message::Gap(gap) } = read(&outbox.next(socket).unwrap()) else {
            panic!("a gap takes the place of the message")
        };
        assert_eq!((gap.kind, gap.lost), (GapKind::CaptureGivenUp, Some(1)));
    }

    #[test]
    fn a_full_outbox_makes_the_next_wait() {
        let outbox = Arc::new(outbox(MESSAGES_MAX));
        let (socket, _) = outbox.reconnect(Timestamp(0));
        let adder = std::thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || outbox.push(Message::Container(Container::pending("late", None)))
        });
        outbox.next(socket).unwrap();
        assert!(!adder.is_finished() && outbox.lock().waiting.len() == MESSAGES_MAX);
        outbox.stored(1);
        adder.join().unwrap();
        assert_eq!(outbox.lock().waiting.len(), MESSAGES_MAX);
    }

    #[test]
    fn a_detector_that_is_gone_keeps_no_writer_waiting() {
        let outbox = outbox(2);
        let (first, _) = outbox.reconnect(Timestamp(0));
        outbox.next(first).unwrap();
        let (second, _) = outbox.reconnect(Timestamp(0));
        outbox.next(second).unwrap();
        outbox.close();
        outbox.hang_up(second);
        assert!(
            outbox.next(second).is_none(),
            "the second message waits for an answer to the first that never comes"
        );
    }

    #[test]
    fn a_gap_is_added_to_a_full_outbox_without_waiting() {
        let outbox = outbox(MESSAGES_MAX);
        outbox.push_at_once(Message::Container(Container::pending("gap", None)));
        assert_eq!(outbox.lock().waiting.len(), MESSAGES_MAX + 1);
    }

    #[test]
    fn a_closed_outbox_ends_when_all_is_sent() {
        let outbox = outbox(1);
        let (socket, _) = outbox.reconnect(Timestamp(0));
        outbox.close();
        assert!(outbox.next(socket).is_some());
        assert!(outbox.next(socket).is_none());
    }
}
