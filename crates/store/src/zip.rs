//! Texts and evidence, compressed by zstd for the database.

use sqlx::error::BoxDynError;
use std::cell::RefCell;
use std::io::Read;
use zstd::bulk::Compressor;

/// The level that costs least; texts of a few KiB hardly get smaller by more work.
const LEVEL: i32 = 1;

/// What is larger than this when it is unpacked was never packed here: a text is a few MiB at the most, and so is the evidence.
const SIZE_LIMIT: u64 = 64 << 20;

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

/// The first bytes as they were before; fewer where there are no more. No more is unpacked than that.
pub(crate) fn unpack_beginning(packed: &[u8], length: usize) -> Result<Vec<u8>, BoxDynError> {
    let limit = u64::try_from(length)?.min(SIZE_LIMIT);
    let mut beginning = Vec::new();
    zstd::stream::read::Decoder::with_buffer(packed)?.take(limit).read_to_end(&mut beginning)?;
    Ok(beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_alone_is_unpacked() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = pack(&text).unwrap();
        for length in [0, 1, 70_000, text.len(), text.len() + 1] {
            assert_eq!(unpack_beginning(&packed, length).unwrap(), text[..length.min(text.len())]);
        }
        // What comes behind does not matter.
        assert_eq!(unpack_beginning(&packed[..packed.len() / 2], 1_000).unwrap(), text[..1_000]);
        unpack_beginning(b"not compressed at all", 1).unwrap_err();
    }

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
