//! `urva audit`: who changed what, and what it was before.

use crate::cli::{AuditArgs, Globals, LinesFormat};
use crate::waiting::wait_for;
use crate::{card, output};
use anyhow::Result;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use store::{AuditEntry, Store};

/// The most entries that are asked for at a time.
const PAGE: u32 = 1_000;

/// Carries out `urva audit`.
pub(crate) fn run(args: &AuditArgs, globals: &Globals) -> Result<ExitCode> {
    globals.load_config()?;
    wait_for(list(args, globals))?;
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &AuditArgs, globals: &Globals) -> Result<()> {
    let store = Store::open_read_only(globals.database()).await?;
    let mut out = std::io::stdout().lock();
    let (mut left, mut before) = (args.limit, None);
    while left > 0 {
        let entries = store.audit(args.object.as_deref(), before, left.min(PAGE)).await?;
        let Some(last) = entries.last() else { break };
        before = Some(last.number);
        left = left.saturating_sub(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        for entry in &entries {
            match args.format {
                LinesFormat::Text => writeln!(out, "{:>6}  {}", entry.number, line(entry))?,
                LinesFormat::Jsonl => output::write_json_line(&mut out, &document(entry))?,
            }
        }
    }
    Ok(())
}

/// An entry in one line.
pub(crate) fn line(entry: &AuditEntry) -> String {
    let shown = |value: &Option<Value>| value.as_ref().map(|value| card::shown_text(&value.to_string()));
    let what = match (shown(&entry.before), shown(&entry.after)) {
        (Some(before), Some(after)) => format!("{before} -> {after}"),
        (before, after) => before.or(after).unwrap_or_default(),
    };
    let words = [&entry.actor, &entry.action, &entry.object].map(|word| card::shown_text(word));
    format!("{}  {}  {what}", card::seconds(entry.at), words.join("  "))
}

fn document(entry: &AuditEntry) -> Value {
    json!({
        "number": entry.number,
        "time": entry.at.to_string(),
        "actor": entry.actor,
        "action": entry.action,
        "object": entry.object,
        "before": entry.before,
        "after": entry.after,
    })
}
