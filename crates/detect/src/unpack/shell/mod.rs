//! Unpacking shell.

use super::blobs;
use super::prefilter;
use super::session::Session;

/// Finds the layers of a shell text.
pub(super) fn unpack(session: &mut Session, text: &[u8]) {
    let hits = prefilter::shell(text);
    if hits.has_blob {
        blobs::find(session, text);
    }
}
