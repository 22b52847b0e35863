//! Reads whatever may hold scripts (files, folders, corpora) as a stream of scripts in a fixed order.
//!
//! [`Reader`] is the way in: it is told what to read, and hands each script, each thing that cannot be read, and
//! each thing that is no script to its caller, one at a time.
//!
//! Owns: what is a script and of which language, and the bounds on what hostile input may cost.
//! Refuses: judging; writing anything that it reads to a file with a name. The same input gives the same stream.

mod corpus;
mod fault;
mod file;
mod item;
mod language;
mod limits;
mod line;
mod reader;
mod text;

pub use fault::Fault;
pub use item::{Item, Note, Script, Skipped};
pub use language::{guess, of_name, of_shebang};
pub use limits::Limits;
pub use reader::{Options, Reader, measure};
pub use text::Text;

/// Whether the caller wants more.
pub type Flow = std::ops::ControlFlow<()>;
