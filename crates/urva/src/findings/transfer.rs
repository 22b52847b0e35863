//! `urva findings export` and `import`: everything that a database holds.

use crate::cli::{ExportArgs, Globals, ImportArgs};
use crate::config::Config;
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use store::Store;

pub(super) async fn export(args: &ExportArgs, globals: &Globals) -> Result<()> {
    let address = args.database.clone().unwrap_or_else(|| globals.database());
    let store = Store::open_read_only(address).await?;
    let rows = match &args.file {
        Some(file) => {
            // Texts of scripts, and hashes of tokens, are nobody else's business.
            let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
            let created = created.with_context(|| format!("creating {}", file.display()))?;
            let mut out = BufWriter::new(created);
            let rows = store.export(&mut out).await?;
            out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
            rows
        }
        None => store.export(&mut BufWriter::new(std::io::stdout().lock())).await?,
    };
    anstream::eprintln!("urva: {rows} rows were exported");
    Ok(())
}

pub(super) async fn import(args: &ImportArgs, config: &Config, globals: &Globals) -> Result<()> {
    let address = args.database.clone().unwrap_or_else(|| globals.database());
    let store = Store::open_in(address, config.site()).await?;
    let rows = match &args.file {
        Some(file) => {
            let opened = File::open(file).with_context(|| format!("opening {}", file.display()))?;
            store.import(&mut BufReader::new(opened)).await?
        }
        None => store.import(&mut BufReader::new(std::io::stdin().lock())).await?,
    };
    store.close().await?;
    anstream::eprintln!("urva: {rows} rows were imported");
    Ok(())
}
