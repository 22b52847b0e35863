//! Reads whatever may hold scripts (files, folders, archives, container images, corpora) as a stream of scripts in a fixed order.
//!
//! [`Reader`] is the way in: it is told what to read, and hands each script, each thing that cannot be read, and
//! each thing that is no script to its caller, one at a time.
//!
//! Owns: what is a script and of which language, and the bounds on what hostile input may cost.
//! Refuses: judging; writing anything that it reads to a file with a name. The same input gives the same stream.

mod corpus;
mod decode;
mod fault;
mod file;
mod image;
mod item;
mod language;
mod layers;
mod limits;
mod line;
mod reader;
mod seekable;
mod shape;
mod tar;
mod text;
mod unpack;
mod zip;

pub use fault::Fault;
pub use item::{Item, Note, Script, Skipped};
pub use language::{guess, of_name, of_shebang};
pub use limits::Limits;
pub use reader::{Options, Reader, measure};
pub use text::Text;

/// Whether the caller wants more.
pub type Flow = std::ops::ControlFlow<()>;
