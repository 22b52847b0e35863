//! Texts and evidence, compressed by zstd for the database.

use sqlx::error::BoxDynError;
use std::cell::RefCell;
use zstd::bulk::Compressor;

/// The level that costs least; texts of a few KiB hardly get smaller by more work.
const LEVEL: i32 = 1;

/// What is larger than this when it is unpacked was never packed here.
const SIZE_LIMIT: u64 = 1 << 30;

thread_local! {
    /// Making one costs more than compressing a usual text.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses; what comes out says how long it was.
pub(crate) fn pack(bytes: &[u8]) -> Result<Vec<u8>, sqlx::Error> {
    let packed = COMPRESSOR.with_borrow_mut(|kept| {
        let mut compressor = match kept.take() {
            Some(compressor) => compressor,
            None => Compressor::new(LEVEL)?,
        };
        let packed = compressor.compress(bytes);
        *kept = Some(compressor);
        packed
    });
    packed.map_err(|error| sqlx::Error::Encode(error.into()))
}

/// The bytes as they were before.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, BoxDynError> {
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    let size = size.filter(|size| *size <= SIZE_LIMIT).ok_or("what was compressed is damaged")?;
    Ok(zstd::bulk::decompress(packed, usize::try_from(size)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back_and_nothing_else_does() {
        for text in [&b""[..], b"x", &[7; 100_000]] {
            assert_eq!(unpack(&pack(text).unwrap()).unwrap(), text);
        }
        let mut packed = pack(&[7; 1_000]).unwrap();
        packed.truncate(8);
        for damaged in [&packed[..], b"", b"not compressed at all"] {
            unpack(damaged).unwrap_err();
        }
    }
}
