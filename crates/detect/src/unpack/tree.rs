//! Parsing with bounds that count: tree-sitter calls back after each 100 operations, and for each stretch of text
//! that its lexers look at; a parser that was called back too often gives up. No clock is read.
//!
//! Owns: the bounds, and which texts were given up on. Refuses: what the tree means.

use super::session::Session;
use evidence::Sha256;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use tree_sitter::{Language as Grammar, ParseOptions, Parser, Tree};

/// What a call back counts while the parser recovers from an error: those operations cost more.
const RECOVERY_TICKS: u32 = 32;

/// Bytes that the lexer is given at once. Some scanners look from each token to the end of the text: an operation
/// says nothing of that, the stretches that are asked for do.
const STRETCH: usize = 4 << 10;

/// Bytes of the longest character in UTF-8.
const LONGEST_CHARACTER: usize = 4;

/// Shortest text that is remembered where it was given up on. Hashing it costs a hundredth of parsing it.
const SHORTEST_REMEMBERED: usize = 16 << 10;

/// Texts that each thread remembers.
const MOST_REMEMBERED: usize = 64;

/// A text that was given up on, since it takes more ticks than are allowed.
struct GivenUp {
    text: Sha256,
    grammar: Grammar,
    allowed: u32,
    cost: Cost,
}

/// What parsing took.
#[derive(Clone, Copy)]
struct Cost {
    ticks: u32,
    stretches: usize,
}

thread_local! {
    /// What campaigns repeat: a package's name differs, the packed statement is the same. A statement that takes all that may
    /// be spent and yields nothing is parsed once. The answer is that of parsing it again; only the time differs.
    static GIVEN_UP: RefCell<VecDeque<GivenUp>> = const { RefCell::new(VecDeque::new()) };
}

/// Parses, unless the session's ticks or the size's own run out before the end.
pub(super) fn parse(session: &mut Session, grammar: &Grammar, text: &[u8]) -> Option<Tree> {
    // A parser costs something before it reads its first byte.
    if !session.spend(100 + text.len() / 32) {
        return None;
    }
    // Ordinary code needs about one tick for each 100 bytes. Error recovery needs many times more.
    let allowed =
        u32::try_from(text.len() / 20).unwrap_or(u32::MAX).saturating_add(60).min(session.parse_ticks);
    let hash = (text.len() >= SHORTEST_REMEMBERED).then(|| Sha256::of(text));
    let left = session.parse_stretches;
    let known = hash.and_then(|hash| remembered(&hash, grammar, allowed, left));
    let (tree, cost) = match known {
        Some(cost) => (None, cost),
        None => parse_within(allowed, left, grammar, text),
    };
    session.parse_ticks = session.parse_ticks.saturating_sub(cost.ticks);
    session.parse_stretches = left.saturating_sub(cost.stretches);
    session.facts.is_parsed = true;
    if tree.is_none() {
        session.facts.is_incomplete = true;
        // Where the stretches ran out, more of them may be left another time.
        if let (Some(text), None, true) = (hash, known, cost.stretches < left) {
            remember(GivenUp { text, grammar: grammar.clone(), allowed, cost });
        }
    }
    tree
}

/// The tree, if it takes no more ticks than are allowed and fewer stretches than are left.
fn parse_within(allowed: u32, left: usize, grammar: &Grammar, text: &[u8]) -> (Option<Tree>, Cost) {
    let mut parser = Parser::new();
    if parser.set_language(grammar).is_err() {
        return (None, Cost { ticks: 0, stretches: 0 });
    }
    let mut ticks = 0_u32;
    // The lexer is told that the text ends where it asked for too much, so that it comes back soon.
    let stretches = Cell::new(left);
    let mut count = |state: &tree_sitter::ParseState| {
        ticks += if state.has_error() { RECOVERY_TICKS } else { 1 };
        if ticks > allowed || stretches.get() == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let options = ParseOptions::new().progress_callback(&mut count);
    let mut given = 0;
    let mut input = |at: usize, _| {
        stretches.set(stretches.get().saturating_sub(1));
        if stretches.get() > 0 {
            given = text.len().min(at.saturating_add(STRETCH));
        } else if at.saturating_add(LONGEST_CHARACTER) <= given {
            return &[][..];
        }
        // What a stretch ended with is given once more: the lexer asks again where that is no whole character, and reads
        // what it then gets, even if that is nothing at address zero.
        text.get(at..given).unwrap_or_default()
    };
    let tree = parser.parse_with_options(&mut input, None, Some(options));
    (tree.filter(|_| stretches.get() > 0), Cost { ticks, stretches: left - stretches.get() })
}

/// What it took to give this text up, if parsing it again would go the same way: stretches must be left all the while.
fn remembered(hash: &Sha256, grammar: &Grammar, allowed: u32, left: usize) -> Option<Cost> {
    let is_same = |one: &&GivenUp| one.text == *hash && one.allowed == allowed && one.grammar == *grammar;
    let cost = GIVEN_UP.with_borrow(|texts| texts.iter().find(is_same).map(|one| one.cost));
    cost.filter(|cost| cost.stretches < left)
}

fn remember(text: GivenUp) {
    GIVEN_UP.with_borrow_mut(|texts| {
        if texts.len() >= MOST_REMEMBERED {
            texts.pop_front();
        }
        texts.push_back(text);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What parsing a text leaves of the stretches, and whether there was a tree.
    fn parsed(text: &[u8], stretches: usize) -> (bool, usize, u32) {
        let mut session = Session::new();
        session.parse_stretches = stretches;
        let tree = parse(&mut session, &tree_sitter_python::LANGUAGE.into(), text);
        (tree.is_some(), session.parse_stretches, session.parse_ticks)
    }

    #[test]
    fn what_was_parsed_before_changes_no_answer() {
        let ordinary = b"x = f(1)\n".repeat(SHORTEST_REMEMBERED / 8);
        assert!(!parsed(&ordinary, 2).0);
        assert!(parsed(&ordinary, 2_500).0, "it was given up on for want of stretches, which are there now");
        let hopeless = b"def ) class ] in = ".repeat(SHORTEST_REMEMBERED / 16);
        let first = parsed(&hopeless, 2_500);
        assert!(
            !first.0 && (1..2_500).contains(&first.1) && first.2 < Session::new().parse_ticks,
            "{first:?}"
        );
        assert_eq!(parsed(&hopeless, 2_500), first);
        let few = parsed(&hopeless, 3);
        assert_eq!(std::thread::spawn(move || parsed(&hopeless, 3)).join().unwrap(), few);
    }

    #[test]
    fn a_character_that_a_stretch_cuts_is_survived_where_no_stretch_is_left() {
        for (character, before) in [("\u{20ac}", 1), ("\u{20ac}", 2), ("\u{1f40d}", 3)] {
            let mut text = vec![b'x'; STRETCH - before];
            text.extend(character.as_bytes());
            text.extend(b" y\n");
            for grammar in [tree_sitter_bash::LANGUAGE, tree_sitter_python::LANGUAGE] {
                for left in 1..5 {
                    let (tree, cost) = parse_within(1000, left, &grammar.into(), &text);
                    assert_eq!(tree.is_some(), cost.stretches < left, "{left} stretches, {before} bytes");
                }
            }
        }
    }
}
