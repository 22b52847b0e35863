//! What is true of a database in a file alone.

mod killing;
mod opening;
mod space;
mod weather;
