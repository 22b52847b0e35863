//! Scripts that imitate attacks without doing harm, and their benign twins.
//!
//! They lie in `samples/` in base64, so that the checkout holds nothing that looks like malware and can be run,
//! and are written out into containers only. What they would fetch or reach is port 9 of their own loopback,
//! where nobody listens; what they decode and run is a print.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

/// The text of `samples/NAME.b64`: `malicious.` or `benign.`, then its name, then `.py` or `.sh`.
pub fn sample(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(format!("{name}.b64"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let packed: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(packed).with_context(|| format!("decode {}", path.display()))?;
    Ok(String::from_utf8(bytes)?)
}

/// The same sample as another text, so that each case has a finding of its own: a last line names the case.
pub fn variant(name: &str, case: &str) -> Result<String> {
    Ok(format!("{}\n# {case}\n", sample(name)?.trim_end()))
}
