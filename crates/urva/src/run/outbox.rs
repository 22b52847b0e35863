//! What the sensor has said and the detector has not yet stored.
//!
//! Owns: the messages between capture and disk, bounded in number and bytes, and whose turn it is: containers take
//! turns, and only so much is under way at a time that a container that says little waits for little. A message
//! leaves when the detector says that it is stored. When the detector ends and is started again, everything that was
//! under way is sent again; a message at which it ended [`ATTEMPTS_MAX`] times is given up, and a gap says so.
//! Refuses: losing silently, and keeping anybody waiting. When the outbox is full, the container that fills it loses
//! its newest message, and a gap says how many.

use super::link::{FRAME_MAX, frame_of};
use crate::clock;
use anyhow::{Context, ensure};
use evidence::{Container, Gap, GapKind, Message, Timestamp};
use sensor::fair::{Fair, Limits};
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Messages that may wait, and bytes: as they cross the socket.
const LIMITS: Limits = Limits { count: 8192, bytes: 32 * 1024 * 1024, at_a_time: usize::MAX };
/// Messages that may be under way, sent and not stored: as many as the detector stores at once. Whoever comes next
/// waits for these, whatever else waits behind them.
const UNDER_WAY_MAX: usize = 64;
/// Bytes that may be under way, or one message: what takes long to judge is long.
const UNDER_WAY_BYTES_MAX: usize = 256 * 1024;
/// Containers whose losses are told apart until there is room to tell them.
const LOST_MAX: usize = 1024;
/// How often the detector may end at a message before it is given up.
const ATTEMPTS_MAX: u8 = 2;

/// See the module.
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// By container; the host's, and what concerns no container, under the empty name.
    waiting: Fair<String, Entry>,
    /// Sent over the present socket and not stored, by number.
    under_way: VecDeque<Entry>,
    under_way_bytes: usize,
    /// Was under way when a detector ended.
    again: VecDeque<Entry>,
    /// What there was no room for, by container.
    lost: HashMap<String, Lost>,
    last_number: u64,
    /// Counts the sockets; a writer whose socket is no longer the present one gets nothing.
    socket: u64,
    /// The number of the socket, once nobody listens at its other end.
    hung_up: u64,
    is_closed: bool,
}

struct Entry {
    /// Given when it is sent.
    number: u64,
    /// The message without its number, as it crosses the socket.
    encoded: Vec<u8>,
    container: Option<Container>,
    is_canary: bool,
    /// How often it was under way when the detector ended.
    attempts: u8,
}

struct Lost {
    container: Option<Container>,
    since: Timestamp,
    count: u64,
}

/// What happened to the messages that were under way when the detector ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Resent {
    /// They are sent again.
    pub(super) again: usize,
    /// The detector ended at them too often.
    pub(super) given_up: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        let state = State {
            waiting: Fair::new(LIMITS),
            under_way: VecDeque::new(),
            under_way_bytes: 0,
            again: VecDeque::new(),
            lost: HashMap::new(),
            last_number: 0,
            socket: 0,
            hung_up: 0,
            is_closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl Outbox {
    /// Adds a message; where there is no room, the container that fills the outbox loses one. After [`Outbox::close`]
    /// the message is dropped.
    pub(super) fn push(&self, message: &Message) {
        let mut state = self.lock();
        if !state.is_closed {
            state.push(message);
        }
        self.changed.notify_all();
    }

    /// The next frame for this socket; waits for it. `None` once there is another socket or nobody at this one, or the
    /// outbox is closed and all is sent.
    pub(super) fn next(&self, socket: u64) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if state.socket != socket || state.hung_up == socket {
                return None;
            }
            if let Some(frame) = state.send() {
                return Some(frame);
            }
            if state.is_closed && state.has_sent_all() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Everything up to this number is on disk. Returns whether a canary was among it.
    pub(super) fn stored(&self, number: u64) -> bool {
        let mut state = self.lock();
        let mut is_canary = false;
        while state.under_way.front().is_some_and(|entry| entry.number <= number) {
            if let Some(entry) = state.under_way.pop_front() {
                state.under_way_bytes -= entry.encoded.len();
                is_canary |= entry.is_canary;
            }
        }
        self.changed.notify_all();
        is_canary
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
    fn push(&mut self, message: &Message) {
        let encoded = encode(message).or_else(|error| {
            tracing::error!("a message could not be encoded: {error:#}");
            encode(&Message::Gap(too_large(message)))
        });
        let Ok(encoded) = encoded else { return };
        let container = container_of(message).cloned();
        let lane = container.as_ref().map_or_else(String::new, |container| container.id.clone());
        let bytes = encoded.len();
        let is_canary = matches!(message, Message::Canary);
        let entry = Entry { number: 0, encoded, container, is_canary, attempts: 0 };
        for (lane, entry) in self.waiting.push(lane, bytes, entry) {
            self.lose(lane, entry);
        }
    }

    fn lose(&mut self, lane: String, entry: Entry) {
        let is_room = self.lost.len() < LOST_MAX || self.lost.contains_key(&lane);
        let (lane, container) = if is_room { (lane, entry.container) } else { (String::new(), None) };
        let fresh = Lost { container, since: clock::now(), count: 0 };
        self.lost.entry(lane).or_insert(fresh).count += 1;
    }

    /// The next frame, where one may be sent. After the detector ended, messages that were under way go one at a time,
    /// so that the one at fault shows.
    fn send(&mut self) -> Option<Vec<u8>> {
        let is_alone = self.under_way.iter().all(|entry| entry.attempts == 0);
        let is_room = self.under_way.len() < UNDER_WAY_MAX && self.under_way_bytes < UNDER_WAY_BYTES_MAX;
        if !is_alone || !is_room || !(self.under_way.is_empty() || self.again.is_empty()) {
            return None;
        }
        self.tell_losses();
        let mut entry = self.again.pop_front().or_else(|| {
            let (lane, entry) = self.waiting.pop()?;
            self.waiting.done(&lane);
            Some(entry)
        })?;
        self.last_number += 1;
        entry.number = self.last_number;
        let frame = frame_of(entry.number, &entry.encoded);
        self.under_way_bytes += entry.encoded.len();
        self.under_way.push_back(entry);
        Some(frame)
    }

    /// Tells what was lost once there is room again: one gap for each container.
    fn tell_losses(&mut self) {
        if self.lost.is_empty() || self.waiting.len() > LIMITS.count / 2 {
            return;
        }
        let now = clock::now();
        for (_, Lost { container, since, count }) in std::mem::take(&mut self.lost) {
            self.push(&Message::Gap(Gap {
                kind: GapKind::CaptureQueueFull,
                from: since,
                to: now,
                lost: Some(count),
                detail: "captures could not wait until the detector had stored those before them".to_owned(),
                container,
            }));
        }
    }

    fn has_sent_all(&self) -> bool {
        self.again.is_empty() && self.waiting.is_empty() && self.lost.is_empty()
    }

    fn rewind(&mut self, now: Timestamp) -> Resent {
        let mut resent = Resent::default();
        let mut under_way: VecDeque<Entry> = std::mem::take(&mut self.under_way);
        self.under_way_bytes = 0;
        for entry in &mut under_way {
            entry.attempts += 1;
            if entry.attempts > ATTEMPTS_MAX {
                resent.given_up += 1;
                entry.give_up(now);
            } else {
                resent.again += 1;
            }
        }
        // What was to be sent again and was not yet comes after what was.
        under_way.append(&mut self.again);
        self.again = under_way;
        resent
    }
}

/// A message without its number. The longest number takes ten bytes.
fn encode(message: &Message) -> anyhow::Result<Vec<u8>> {
    let encoded = postcard::to_stdvec(message).context("encoding a message")?;
    let length = encoded.len();
    ensure!(length + 10 <= FRAME_MAX, "a message of {length} bytes is longer than the {FRAME_MAX} allowed");
    Ok(encoded)
}

fn container_of(message: &Message) -> Option<&Container> {
    match message {
        Message::Capture(capture) | Message::Completed(capture) => capture.container.as_ref(),
        Message::Gap(gap) => gap.container.as_ref(),
        Message::Container(container) => Some(container),
        Message::Canary | Message::LetGo { .. } => None,
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
            container: None,
        };
    };
    let at = capture.observed_at;
    let detail = "a capture was too large for the detector".to_owned();
    let container = capture.container.clone();
    Gap { kind: GapKind::UndecodableEvent, from: at, to: at, lost: Some(1), detail, container }
}

impl Entry {
    /// A gap takes the message's place.
    fn give_up(&mut self, now: Timestamp) {
        let gap = Gap {
            kind: GapKind::CaptureGivenUp,
            from: now,
            to: now,
            lost: Some(1),
            detail: format!("the detector ended {} times while it judged this capture", self.attempts),
            container: self.container.clone(),
        };
        if let Ok(encoded) = encode(&Message::Gap(gap)) {
            self.encoded = encoded;
            self.attempts = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::{Numbered, Runtime};
    use std::sync::Arc;

    fn message(container: &str) -> Message {
        Message::Container(Container::pending(container, Some(Runtime::Runc)))
    }

    fn outbox(messages: usize) -> Outbox {
        let outbox = Outbox::default();
        for number in 0..messages {
            outbox.push(&message(&format!("c{number}")));
        }
        outbox
    }

    fn read(frame: &[u8]) -> Numbered {
        super::super::link::read_frame(&mut &frame[..]).unwrap().unwrap()
    }

    /// The container that the next message is of; none where nothing may be sent now.
    fn next(outbox: &Outbox) -> Option<String> {
        let frame = outbox.lock().send()?;
        Some(container_of(&read(&frame).message).map_or_else(String::new, |container| container.id.clone()))
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
        let (socket, _) = outbox.reconnect(Timestamp(0));
        outbox.next(socket).unwrap();
        outbox.stored(4);
        let state = outbox.lock();
        assert_eq!((state.under_way.len(), state.under_way_bytes), (0, 0));
    }

    #[test]
    fn what_was_under_way_is_sent_again_one_at_a_time() {
        let outbox = outbox(3);
        let (first, _) = outbox.reconnect(Timestamp(0));
        outbox.next(first).unwrap();
        outbox.next(first).unwrap();
        let (_, resent) = outbox.reconnect(Timestamp(0));
        assert_eq!(resent, Resent { again: 2, given_up: 0 });
        assert!(outbox.next(first).is_none(), "the old socket gets nothing any more");
        for (number, container) in [(3, "c0"), (4, "c1"), (5, "c2")] {
            assert_eq!(next(&outbox).as_deref(), Some(container));
            assert_eq!(next(&outbox), None, "the next one waits until this one is stored");
            outbox.stored(number);
        }
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
        let Numbered { message: Message::Gap(gap), .. } = read(&outbox.next(socket).unwrap()) else {
            panic!("a gap takes the place of the message")
        };
        assert_eq!((gap.kind, gap.lost), (GapKind::CaptureGivenUp, Some(1)));
        assert_eq!(gap.container.unwrap().id, "c0");
    }

    #[test]
    fn containers_take_turns() {
        let outbox = Outbox::default();
        for container in ["loud", "loud", "loud", "quiet"] {
            outbox.push(&message(container));
        }
        let order: Vec<String> = std::iter::from_fn(|| next(&outbox)).collect();
        assert_eq!(order, ["loud", "quiet", "loud", "loud"]);
    }

    #[test]
    fn only_so_much_is_under_way() {
        let outbox = outbox(2 * UNDER_WAY_MAX);
        for _ in 0..UNDER_WAY_MAX {
            next(&outbox).unwrap();
        }
        assert_eq!(next(&outbox), None);
        outbox.stored(1);
        assert!(next(&outbox).is_some());

        let outbox = Outbox::default();
        let mut large = Container::pending("large", None);
        large.name = Some("x".repeat(UNDER_WAY_BYTES_MAX));
        for _ in 0..2 {
            outbox.push(&Message::Container(large.clone()));
        }
        assert!(next(&outbox).is_some() && next(&outbox).is_none());
    }

    #[test]
    fn whoever_fills_the_outbox_loses_and_a_gap_says_how_much() {
        let outbox = Outbox::default();
        for _ in 0..LIMITS.count {
            outbox.push(&message("loud"));
        }
        for _ in 0..3 {
            outbox.push(&message("quiet"));
        }
        let (socket, _) = outbox.reconnect(Timestamp(0));
        outbox.close();
        let mut quiet = 0;
        let mut gaps = Vec::new();
        while let Some(frame) = outbox.next(socket) {
            let Numbered { number, message } = read(&frame);
            outbox.stored(number);
            quiet += usize::from(container_of(&message).is_some_and(|container| container.id == "quiet"));
            if let Message::Gap(gap) = message {
                gaps.push((gap.kind, gap.lost, gap.container.unwrap().id));
            }
        }
        assert_eq!(quiet, 3);
        assert_eq!(gaps, [(GapKind::CaptureQueueFull, Some(3), "loud".to_owned())]);
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
    fn a_closed_outbox_ends_when_all_is_sent() {
        let outbox = Arc::new(outbox(1));
        let (socket, _) = outbox.reconnect(Timestamp(0));
        outbox.close();
        assert!(outbox.next(socket).is_some());
        assert!(outbox.next(socket).is_none());
    }
}
