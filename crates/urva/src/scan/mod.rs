//! `urva scan`: judges the scripts in what it is given, and reports them in the order in which they were found.
//!
//! Owns: the exit code. Reading is `artifact`'s, judging is `detect`'s.

mod args;
mod jsonl;
mod outcome;
mod pipeline;
mod progress;
mod sarif;
mod text;

pub(crate) use args::ScanArgs;

use crate::cli::{ERROR, Globals};
use crate::model;
use anyhow::Result;
use args::ScanFormat;
use artifact::{Flow, Item, Limits, Options, Reader};
use outcome::Summary;
use progress::Progress;
use std::ops::ControlFlow::Continue;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;

/// Exit code where something was found.
const FOUND: u8 = 1;

/// Carries out `urva scan`.
pub(crate) fn run(args: &ScanArgs, globals: &Globals) -> Result<ExitCode> {
    let detector = model::detector(&globals.load_config()?.detector, args.model.as_deref())?;
    let limits = Limits { text: args.max_size, ..Limits::default() };
    let options = Options { limits, language: args.language(), all_layers: args.all_layers };
    let started = crate::clock::now();
    let read = AtomicU64::new(0);
    let progress = Progress::start(args, &read);
    let mut summary = Summary::default();
    let written = {
        let mut report: Box<dyn Report> = match args.format {
            ScanFormat::Text => Box::new(text::TextReport::new(args.all, &progress)),
            ScanFormat::Jsonl => Box::new(jsonl::JsonLines::new()),
            ScanFormat::Sarif => Box::new(sarif::Sarif::new()),
        };
        let produce = |sink: &mut dyn FnMut(Item) -> Flow| produce(args, &options, &read, sink);
        let judged = pipeline::run(&detector, args.threads(), produce, &mut |outcome| {
            summary.add(outcome);
            progress.judged(&summary);
            report.write(outcome)
        });
        judged.and_then(|()| report.finish(&summary))
    };
    progress.clear();
    written?;
    if args.format == ScanFormat::Text {
        text::speed(&summary, crate::clock::now().0.saturating_sub(started.0));
    }
    Ok(exit_code(args, &summary))
}

/// One way of writing what was found.
trait Report {
    /// One thing, in order.
    fn write(&mut self, outcome: &outcome::Outcome) -> Result<()>;
    /// Everything has been written.
    fn finish(&mut self, summary: &Summary) -> Result<()>;
}

/// What was found outweighs what could not be read: else an unreadable file beside it would hide a malicious one
/// from whoever looks at the code alone.
fn exit_code(args: &ScanArgs, summary: &Summary) -> ExitCode {
    match summary {
        _ if summary.worst.is_some_and(|label| args.fail_on.includes(label)) => FOUND.into(),
        _ if summary.unread > 0 => ERROR.into(),
        _ => ExitCode::SUCCESS,
    }
}

fn produce(args: &ScanArgs, options: &Options, read: &AtomicU64, sink: &mut dyn FnMut(Item) -> Flow) -> Flow {
    let mut reader = Reader::new(options, read, sink);
    for path in &args.paths {
        if path.as_os_str() == "-" {
            reader.stream("-", &mut std::io::stdin().lock())?;
        } else {
            reader.path(path)?;
        }
    }
    for path in &args.corpora {
        reader.corpus(path)?;
    }
    Continue(())
}
