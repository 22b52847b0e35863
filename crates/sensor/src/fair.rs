//! A bounded queue in which nobody can take the others' place: one lane for each container.
//!
//! Owns: whose turn it is, and who loses where there is no room.
//! Refuses: knowing what waits in it. It blocks nobody and reads no clock.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Things that wait, in lanes. Each lane is served in turn, and in its own order. Where there is no room, the lane
/// that takes most of it loses its newest.
#[derive(Debug)]
pub struct Fair<K, T> {
    lanes: HashMap<K, Lane<T>>,
    /// Lanes in which something waits and that may be served, whose turn is next first.
    turns: VecDeque<K>,
    count: usize,
    bytes: usize,
    limits: Limits,
}

/// How much may wait, and how much of one lane may be in somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Things in all lanes together.
    pub count: usize,
    /// Bytes in all lanes together, as they are told to [`Fair::push`].
    pub bytes: usize,
    /// Things of one lane that are served at the same time: taken and not yet given back by [`Fair::done`].
    pub at_a_time: usize,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<(usize, T)>,
    bytes: usize,
    in_hands: usize,
    has_turn: bool,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, in_hands: 0, has_turn: false }
    }
}

impl<K: Clone + Eq + Hash, T> Fair<K, T> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), count: 0, bytes: 0, limits }
    }

    /// Adds something that takes so many bytes. Where there is no room for it, what was lost for it is returned, and of
    /// which lanes.
    pub fn push(&mut self, key: K, bytes: usize, item: T) -> Vec<(K, T)> {
        let lane = self.lanes.entry(key.clone()).or_default();
        lane.waiting.push_back((bytes, item));
        lane.bytes = lane.bytes.saturating_add(bytes);
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.give_turn(&key);
        let mut lost = Vec::new();
        while self.count > self.limits.count || self.bytes > self.limits.bytes {
            let Some(one) = self.lose() else { break };
            lost.push(one);
        }
        lost
    }

    /// What is served next, and its lane. `None` where nothing waits, or only in lanes of which enough is in hands.
    pub fn pop(&mut self) -> Option<(K, T)> {
        while let Some(key) = self.turns.pop_front() {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.has_turn = false;
            let Some((bytes, item)) = lane.waiting.pop_front() else {
                // It has lost what it had.
                self.forget_if_idle(&key);
                continue;
            };
            lane.bytes -= bytes;
            lane.in_hands += 1;
            self.count -= 1;
            self.bytes -= bytes;
            self.give_turn(&key);
            return Some((key, item));
        }
        None
    }

    /// Something that was taken out of this lane is dealt with.
    pub fn done(&mut self, key: &K) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.in_hands = lane.in_hands.saturating_sub(1);
        self.give_turn(key);
        self.forget_if_idle(key);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn give_turn(&mut self, key: &K) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if !lane.has_turn && !lane.waiting.is_empty() && lane.in_hands < self.limits.at_a_time {
            lane.has_turn = true;
            self.turns.push_back(key.clone());
        }
    }

    fn forget_if_idle(&mut self, key: &K) {
        let is_idle = |lane: &Lane<T>| !lane.has_turn && lane.in_hands == 0 && lane.waiting.is_empty();
        if self.lanes.get(key).is_some_and(is_idle) {
            self.lanes.remove(key);
        }
    }

    fn lose(&mut self) -> Option<(K, T)> {
        let is_too_large = self.bytes > self.limits.bytes;
        let size = |lane: &Lane<T>| if is_too_large { lane.bytes } else { lane.waiting.len() };
        let (key, lane) = self.lanes.iter_mut().max_by_key(|(_, lane)| size(lane))?;
        let key = key.clone();
        let (bytes, item) = lane.waiting.pop_back()?;
        lane.bytes -= bytes;
        self.count -= 1;
        self.bytes -= bytes;
        Some((key, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn queue(count: usize, bytes: usize, at_a_time: usize) -> Fair<char, u32> {
        Fair::new(Limits { count, bytes, at_a_time })
    }

    fn drain(queue: &mut Fair<char, u32>) -> String {
        std::iter::from_fn(|| queue.pop()).map(|(key, number)| format!("{key}{number} ")).collect()
    }

    #[test]
    fn lanes_take_turns_and_keep_their_order() {
        let mut queue = queue(100, 100, 100);
        for number in 0..4 {
            queue.push('a', 1, number);
        }
        queue.push('b', 1, 0);
        queue.push('c', 1, 0);
        queue.push('b', 1, 1);
        assert_eq!(drain(&mut queue), "a0 b0 c0 a1 b1 a2 a3 ");
        assert!(queue.is_empty());
    }

    #[test]
    fn where_there_is_no_room_the_longest_lane_loses_its_newest() {
        let mut queue = queue(3, 100, 100);
        for number in 0..3 {
            assert_eq!(queue.push('a', 1, number), []);
        }
        assert_eq!(queue.push('b', 1, 0), [('a', 2)]);
        assert_eq!(queue.push('a', 1, 9), [('a', 9)]);
        assert_eq!(drain(&mut queue), "a0 b0 a1 ");
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let mut queue = queue(100, 10, 100);
        queue.push('a', 8, 0);
        queue.push('b', 1, 0);
        assert_eq!(queue.push('b', 2, 1), [('a', 0)]);
        assert_eq!(queue.push('c', 11, 0), [('c', 0)], "what is larger than all room is lost itself");
        assert_eq!(drain(&mut queue), "b0 b1 ");
    }

    #[test]
    fn a_lane_of_which_enough_is_in_hands_waits() {
        let mut queue = queue(100, 100, 1);
        queue.push('a', 1, 0);
        queue.push('a', 1, 1);
        queue.push('b', 1, 0);
        assert_eq!(drain(&mut queue), "a0 b0 ");
        queue.done(&'b');
        assert_eq!(drain(&mut queue), "");
        queue.done(&'a');
        assert_eq!(drain(&mut queue), "a1 ");
        queue.done(&'a');
        assert!(queue.lanes.is_empty() && queue.turns.is_empty(), "an empty lane is forgotten");
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_or_is_returned(steps in prop::collection::vec((0u8..4, 0usize..9, any::<bool>()), 0..200)) {
            let mut queue = Fair::new(Limits { count: 8, bytes: 30, at_a_time: 2 });
            let (mut put, mut got, mut hands) = (0, 0, Vec::new());
            for (lane, bytes, is_push) in steps {
                if is_push {
                    put += 1;
                    got += queue.push(lane, bytes, ()).len();
                } else if let Some((lane, ())) = queue.pop() {
                    got += 1;
                    hands.push(lane);
                } else if let Some(lane) = hands.pop() {
                    queue.done(&lane);
                }
                prop_assert!(queue.count <= 8 && queue.bytes <= 30);
            }
            loop {
                while queue.pop().map(|(lane, ())| { got += 1; hands.push(lane) }).is_some() {}
                let Some(lane) = hands.pop() else { break };
                queue.done(&lane);
            }
            prop_assert_eq!(put, got);
            prop_assert!(queue.lanes.is_empty() && queue.turns.is_empty() && queue.bytes == 0);
        }
    }
}
