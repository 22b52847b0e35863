//! Asking whoever sits before the terminal.

use anyhow::{Result, bail, ensure};
use std::io::{IsTerminal, Write};

/// Asks whether to go on, unless that was said already. `remedy` is for those whom nobody can ask.
///
/// # Errors
/// Where the answer is no, or nobody is there.
pub(crate) fn whether_to_go_on(what: &str, remedy: &str, is_sure: bool) -> Result<()> {
    if is_sure {
        return Ok(());
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("{what} Nobody is there to be asked: {remedy}");
    }
    anstream::eprint!("{what} Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was changed");
    Ok(())
}
