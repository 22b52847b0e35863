//! `urva backup` and `urva restore`: a copy of the database while urva runs, and back when it does not.

use crate::by_hand;
use crate::cli::{BackupArgs, Globals, RestoreArgs};
use crate::clock;
use crate::waiting::wait_for;
use anyhow::Result;
use evidence::text::escape;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use store::{By, StateLock, Store};

/// Carries out `urva backup`.
pub(crate) fn backup(args: &BackupArgs, globals: &Globals) -> Result<ExitCode> {
    let address = args.database.clone().unwrap_or_else(|| globals.database());
    let bytes = wait_for(async {
        let store = Store::open_read_only(address).await?;
        Ok(store.back_up(&args.file).await?)
    })?;
    anstream::eprintln!("urva: {} is a copy of the database, {bytes} bytes, read through", shown(&args.file));
    Ok(ExitCode::SUCCESS)
}

/// Carries out `urva restore`.
pub(crate) fn restore(args: &RestoreArgs, globals: &Globals) -> Result<ExitCode> {
    let config = globals.load_config()?;
    let _lock = StateLock::acquire(&globals.state)?;
    let by = By { actor: &by_hand::actor(), at: clock::now() };
    let replaced =
        wait_for(async { Ok(store::restore(&args.file, &globals.database(), config.site(), &by).await?) })?;
    anstream::eprintln!("urva: {} was put back into {}", shown(&args.file), shown(&globals.state));
    if let Some(replaced) = replaced {
        anstream::eprintln!(
            "urva: what was there before is {}: remove it when all is well",
            shown(&replaced)
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_bytes()).to_string()
}
