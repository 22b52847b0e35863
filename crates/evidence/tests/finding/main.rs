//! The finding as it leaves: the protocol's JSON and the words for people.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod cases;
mod guidance;
mod scc;
