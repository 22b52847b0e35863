//! `urva doctor`: what works on this host and what does not, and what to do about it.
//!
//! Three steps, apart so that the middle one can be tested with any host: [`facts`] looks at the host and changes
//! nothing, [`judge`] makes a row of each thing that urva needs or can use, and [`page`] writes the rows.

pub(crate) mod capabilities;
mod facts;
mod judge;
mod page;
mod programs;
mod state;

use crate::cli::{DoctorArgs, ERROR, Format, Globals};
use crate::output;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// One thing that urva needs or can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    /// Whether `urva run` is of no use without it.
    needed: bool,
    state: State,
    found: String,
    /// What to do, or what urva does instead. Always there where it does not work.
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// It does not work, and urva does without it.
    NotAvailable,
    /// It does not work, and urva cannot do without it.
    Fails,
}

/// Carries out `urva doctor`. The exit code is [`ERROR`] where something that is needed does not work.
pub(crate) fn run(args: &DoctorArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    let rows = judge::rows(&facts::gather(globals)?);
    match args.format {
        Format::Text => {
            anstream::stdout().lock().write_all(page::page(&rows, output::width()).as_bytes())?;
        }
        Format::Json => output::write_json(&mut std::io::stdout().lock(), &rows)?,
    }
    let fails = rows.iter().any(|row| row.state == State::Fails);
    Ok(if fails { ERROR.into() } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests;
