//! What a store promises, as cases. Only `opening`, `weather` and `killing` know that a file is behind it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod child;
mod killing;
mod opening;
mod querying;
mod recording;
mod retaining;
mod runs;
mod samples;
mod weather;
