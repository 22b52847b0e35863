//! `urva findings mute`, `unmute`, `close`, `reopen` and `mark`: the same methods that the API has, on one finding or many.

use super::{named, select};
use crate::card::shown_text;
use crate::cli::{ChangeArgs, Globals, MarkArgs};
use crate::clock;
use crate::config::Config;
use crate::{ask, by_hand};
use anyhow::{Context, Result, ensure};
use server::Local;
use server::protocol::v2::finding::{Mute, State};
use server::protocol::v2::security_center_server::SecurityCenter;
use server::protocol::v2::{
    SecurityMarks, SetFindingStateRequest, SetMuteRequest, UpdateSecurityMarksRequest,
};
use std::collections::HashMap;
use std::sync::Arc;
use store::filter::Filter;
use store::{Listing, Order, Store};

/// The most findings that are looked for at a time.
const PAGE: u32 = 1_000;

/// What to do with each finding.
pub(super) enum Change<'a> {
    Mute(Mute),
    State(State),
    Marks(&'a MarkArgs),
}

impl Change<'_> {
    /// What happens to so many findings.
    fn verb(&self) -> &'static str {
        match self {
            Self::Mute(Mute::Muted) => "muted",
            Self::Mute(_) => "unmuted",
            Self::State(State::Inactive) => "closed",
            Self::State(_) => "reopened",
            Self::Marks(_) => "marked",
        }
    }
}

pub(super) async fn change(
    args: &ChangeArgs,
    change: &Change<'_>,
    config: &Config,
    globals: &Globals,
) -> Result<()> {
    let store = Arc::new(Store::open_in(globals.database(), config.site()).await?);
    let names = meant(&store, args).await?;
    let is_sure = args.yes || !args.ids.is_empty();
    ask::whether_to_go_on(
        &format!("{} findings will be {}.", names.len(), change.verb()),
        "give --yes",
        is_sure,
    )?;
    let local = by_hand::methods(Arc::clone(&store), config);
    for name in &names {
        apply(&local, name, change).await.with_context(|| shown_text(name))?;
    }
    let findings = if names.len() == 1 { "finding was" } else { "findings were" };
    anstream::eprintln!("urva: {} {findings} {}", names.len(), change.verb());
    Ok(())
}

/// The names of the findings that the arguments mean.
async fn meant(store: &Store, args: &ChangeArgs) -> Result<Vec<String>> {
    let filter = select::filter(&args.which, clock::now())?;
    if filter.is_empty() {
        ensure!(
            !args.ids.is_empty(),
            "say which findings: their ids, or --filter and the other options of `urva findings list`"
        );
        let mut names = Vec::new();
        for id in &args.ids {
            names.push(name_of(&named(store, id).await?.document)?);
        }
        return Ok(names);
    }
    ensure!(args.ids.is_empty(), "give either ids or options that choose findings, not both");
    all(store, filter).await
}

async fn all(store: &Store, filter: Filter) -> Result<Vec<String>> {
    let mut listing = Listing {
        source: None,
        filter,
        order: Order::parse("")?,
        limit: PAGE,
        token: None,
        with_contents: false,
    };
    let mut names = Vec::new();
    loop {
        let page = store.list(&listing).await?;
        for stored in &page.findings {
            names.push(name_of(&stored.document)?);
        }
        if page.next.is_none() {
            return Ok(names);
        }
        listing.token = page.next;
    }
}

fn name_of(document: &serde_json::Value) -> Result<String> {
    let name = document.get("name").and_then(serde_json::Value::as_str);
    Ok(name.context("a finding of the database has no name")?.to_owned())
}

async fn apply(local: &Local, name: &str, change: &Change<'_>) -> Result<()> {
    let (methods, name) = (local.methods(), name.to_owned());
    let done = match change {
        Change::Mute(mute) => {
            let request = SetMuteRequest { name, mute: (*mute).into() };
            methods.set_mute(local.request(request)).await.map(drop)
        }
        Change::State(state) => {
            let request = SetFindingStateRequest { name, state: (*state).into() };
            methods.set_finding_state(local.request(request)).await.map(drop)
        }
        Change::Marks(args) => {
            methods.update_security_marks(local.request(marks(&name, args))).await.map(drop)
        }
    };
    done.map_err(|status| anyhow::anyhow!("{}", status.message()))
}

/// Marks to set, and those to take away: named in the mask and not given.
fn marks(finding: &str, args: &MarkArgs) -> UpdateSecurityMarksRequest {
    let set: HashMap<String, String> = args.set.iter().cloned().collect();
    let keys = args.set.iter().map(|(key, _)| key).chain(&args.remove);
    UpdateSecurityMarksRequest {
        update_mask: Some(server::field_mask(keys.map(|key| format!("marks.{key}")))),
        security_marks: Some(SecurityMarks {
            name: format!("{finding}/securityMarks"),
            marks: set,
            ..SecurityMarks::default()
        }),
    }
}
