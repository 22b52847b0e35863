//! The finding as it leaves: the protocol's JSON and the words for people.

mod cases;
mod guidance;
mod scc;
