//! `urva findings show`.

use super::list::result;
use super::named;
use super::row::Row;
use crate::cli::{Format, Globals, ShowArgs};
use crate::config::Config;
use crate::{audit, card, output};
use anyhow::Result;
use evidence::FindingId;
use serde_json::Value;
use std::io::Write;
use store::{AuditEntry, Store, StoreError, Stored};

/// Executions that are asked for to show the latest ones.
const EXECUTIONS_SHOWN: u32 = 10;
/// Changes that are shown, the newest ones.
const CHANGES_SHOWN: u32 = 10;

pub(super) async fn show(args: &ShowArgs, config: &Config, globals: &Globals) -> Result<()> {
    let store = Store::open_read_only(globals.database()).await?;
    let stored = named(&store, &args.id).await?;
    match args.format {
        Format::Json => output::write_json(&mut std::io::stdout().lock(), &result(&stored))?,
        Format::Text => {
            let mut page = match own_card(&store, &stored, config).await? {
                Some(card) => card,
                None => facts(&stored),
            };
            let object = format!("findings/{}/{}", stored.source, stored.id);
            let changes = store.audit(Some(&object), None, CHANGES_SHOWN).await?;
            page += &handling(&stored, &changes);
            anstream::stdout().lock().write_all(page.as_bytes())?;
        }
    }
    Ok(())
}

/// All about a finding of urva's own.
async fn own_card(store: &Store, stored: &Stored, config: &Config) -> Result<Option<String>> {
    let Some(id) = FindingId::parse(&stored.id) else { return Ok(None) };
    let finding = match store.get(&id).await {
        Err(StoreError::NotFound { .. }) => return Ok(None),
        found => found?,
    };
    let executions = store.executions(&finding.id, EXECUTIONS_SHOWN).await?;
    Ok(Some(card::card(&finding, &executions, &config.place(), output::width())))
}

/// What is known of a finding that somebody else filed.
fn facts(stored: &Stored) -> String {
    let row = Row::of(stored);
    let mut text =
        format!("{}  {}\n", card::shown_text(row.text("category")), card::shown_text(row.text("severity")));
    for field in
        ["name", "resourceName", "eventTime", "createTime", "description", "externalUri", "nextSteps"]
    {
        if !row.text(field).is_empty() {
            text += &format!("  {field:<14}{}\n", card::shown_text(row.text(field)));
        }
    }
    text
}

/// What people made of it.
fn handling(stored: &Stored, changes: &[AuditEntry]) -> String {
    let document = &stored.document;
    let mut text = format!("\nHandling\n  {:<12}{}\n", "state", Row::of(stored).state());
    let marks = document.pointer("/securityMarks/marks").and_then(Value::as_object);
    for (key, value) in marks.into_iter().flatten() {
        let value = card::shown_text(value.as_str().unwrap_or_default());
        text += &format!("  {:<12}{} = {value}\n", "mark", card::shown_text(key));
    }
    let rules = document.pointer("/muteInfo/dynamicMuteRecords").and_then(Value::as_array);
    for rule in rules.into_iter().flatten().filter_map(|rule| rule.get("muteConfig")?.as_str()) {
        text += &format!("  {:<12}{}\n", "muted by", card::shown_text(rule));
    }
    for change in changes {
        text += &format!("  {:<12}{}\n", "change", audit::line(change));
    }
    text
}
