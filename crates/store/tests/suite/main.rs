//! What a store promises, as cases: the same ones on both databases. Only `file` knows that a file is behind one, and only
//! `network` that a server is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::duplicate_mod, reason = "the same cases run on both databases")]

mod child;
mod file;
mod network;
#[path = "cases/mod.rs"]
mod on_postgres;
#[path = "cases/mod.rs"]
mod on_sqlite;
mod samples;
mod sandbox;
mod server;
