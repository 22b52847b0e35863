//! `urva findings`: shows findings, and changes what people may change of them.
//!
//! Owns: which findings are meant, and how they are written. Refuses: deciding what a change means; the API's own methods do.

mod change;
mod list;
mod row;
mod select;
mod show;
mod transfer;

use crate::card::shown_text;
use crate::cli::{FindingsCommand, Globals};
use crate::waiting::wait_for;
use anyhow::{Result, bail};
use change::Change;
use server::protocol::v2::finding::{Mute, State};
use std::process::ExitCode;
use store::{Named, Store, Stored};

/// Carries out `urva findings …`.
pub(crate) fn run(command: &FindingsCommand, globals: &Globals) -> Result<ExitCode> {
    let config = globals.load_config()?;
    wait_for(async {
        match command {
            FindingsCommand::List(args) => list::list(args, globals).await,
            FindingsCommand::Group(args) => list::group(args, globals).await,
            FindingsCommand::Show(args) => show::show(args, &config, globals).await,
            FindingsCommand::Mute(args) => {
                change::change(args, &Change::Mute(Mute::Muted), &config, globals).await
            }
            FindingsCommand::Unmute(args) => {
                change::change(args, &Change::Mute(Mute::Unmuted), &config, globals).await
            }
            FindingsCommand::Close(args) => {
                change::change(args, &Change::State(State::Inactive), &config, globals).await
            }
            FindingsCommand::Reopen(args) => {
                change::change(args, &Change::State(State::Active), &config, globals).await
            }
            FindingsCommand::Mark(args) => {
                change::change(&args.which, &Change::Marks(args), &config, globals).await
            }
            FindingsCommand::Export(args) => transfer::export(args, globals).await,
            FindingsCommand::Import(args) => transfer::import(args, &config, globals).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The one finding whose id begins so.
async fn named(store: &Store, id: &str) -> Result<Stored> {
    match store.named(id).await? {
        Named::One(stored) => Ok(*stored),
        Named::Nothing => {
            bail!("no finding has an id that begins with {id}: `urva findings list` shows what there is")
        }
        Named::Several(found) => {
            let found: Vec<String> = found
                .iter()
                .map(|(source, id)| format!("{} (source {})", shown_text(id), shown_text(source)))
                .collect();
            bail!("several findings have ids that begin with {id}: {}", found.join(", "))
        }
    }
}
