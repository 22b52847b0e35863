//! What filters mean, as cases, and that documents, SQLite and PostgreSQL agree on it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod documented;
mod errors;
mod fields;
mod matching;
mod printing;
mod robust;
mod samples;
