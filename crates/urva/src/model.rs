//! The model that judges: the one that the config or an option names, or the one that is built in.
//!
//! Owns: reading a model file. Refuses: knowing what stands in it.

use crate::config::DetectorConfig;
use anyhow::{Context, Result, ensure};
use detect::Detector;
use evidence::text::escape;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes of the largest model file that is read.
const LARGEST: u64 = 256 << 20;

/// The detector of the config's section, with its thresholds. A model that is given by an option goes before the config's.
pub(crate) fn detector(config: &DetectorConfig, option: Option<&Path>) -> Result<Detector> {
    let mut detector = match (option, &config.model) {
        (Some(path), _) => from_file(path)?,
        (None, Some(path)) => from_file(path).context("the key detector.model of the config")?,
        (None, None) => Detector::built_in(),
    };
    config.set_thresholds(&mut detector).context("the keys in [detector] of the config")?;
    Ok(detector)
}

/// The bytes of a model file. Opening a FIFO would wait for somebody to write, so it must be a regular file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let read = || {
        let metadata = std::fs::metadata(path)?;
        ensure!(metadata.is_file(), "it is not a regular file");
        ensure!(metadata.len() <= LARGEST, "it has {} bytes, more than any model of urva", metadata.len());
        Ok(std::fs::read(path)?)
    };
    read().with_context(|| format!("cannot read the model {}", name(path)))
}

fn from_file(path: &Path) -> Result<Detector> {
    let bytes = read(path)?;
    Detector::from_bytes(&bytes).with_context(|| format!("{} is no model for this urva", name(path)))
}

fn name(path: &Path) -> String {
    escape(path.as_os_str().as_bytes()).to_string()
}
