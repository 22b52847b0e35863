//! Parsing with a bound that counts: tree-sitter calls back after each 100 operations, and a parser that was
//! called back too often gives up. No clock is read.

use super::session::Session;
use std::ops::ControlFlow;
use tree_sitter::{Language as Grammar, ParseOptions, Parser, Tree};

/// What a call back counts while the parser recovers from an error: those operations cost more.
const RECOVERY_TICKS: u32 = 32;

/// Parses, unless the session's ticks or the size's own run out before the end.
pub(super) fn parse(session: &mut Session, grammar: &Grammar, text: &[u8]) -> Option<Tree> {
    // A parser costs something before it reads its first byte.
    if !session.spend(100 + text.len() / 32) {
        return None;
    }
    let mut parser = Parser::new();
    parser.set_language(grammar).ok()?;
    // Ordinary code needs about one tick for each 100 bytes. Error recovery needs many times more.
    let allowed =
        u32::try_from(text.len() / 20).unwrap_or(u32::MAX).saturating_add(60).min(session.parse_ticks);
    let mut ticks = 0_u32;
    let mut count = |state: &tree_sitter::ParseState| {
        ticks += if state.has_error() { RECOVERY_TICKS } else { 1 };
        if ticks > allowed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut count);
    let mut input = |at: usize, _| text.get(at..).unwrap_or_default();
    let tree = parser.parse_with_options(&mut input, None, Some(options));
    session.parse_ticks = session.parse_ticks.saturating_sub(ticks);
    session.facts.is_parsed = true;
    if tree.is_none() {
        session.facts.is_incomplete = true;
    }
    tree
}
