//! Times, durations and ranges of addresses: how filters write them, and how documents hold them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Milliseconds of a time in the protocol: years 1 to 9999.
const MILLISECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// A time, in both forms that databases compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instant {
    /// Nanoseconds since 1970; times beyond the range of the number are at its ends.
    pub(super) nanoseconds: i64,
    /// `2026-11-22T16:00:00.000000000`: in UTC, always so long, so that texts compare as times do.
    pub(super) key: String,
}

impl Instant {
    /// Reads RFC 3339 with any offset.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // What jiff reads beyond RFC 3339 is refused: a date alone, an offset without minutes, a zone's name.
        let strict = text.len() <= 64
            && text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.+TtZz".contains(&byte))
            && (text.ends_with(['Z', 'z']) || text.get(text.len().checked_sub(6)?..).is_some_and(is_offset));
        text.parse().ok().filter(|_| strict).and_then(Self::new)
    }

    pub(super) fn from_milliseconds(number: i64) -> Option<Self> {
        jiff::Timestamp::from_millisecond(number).ok().and_then(Self::new)
    }

    fn new(time: jiff::Timestamp) -> Option<Self> {
        if !MILLISECONDS.contains(&time.as_millisecond()) {
            return None;
        }
        let nanoseconds = time.as_nanosecond();
        let limit = if nanoseconds < 0 { i64::MIN } else { i64::MAX };
        let key = time_key(&format!("{time:.9}"))?;
        Some(Self { nanoseconds: i64::try_from(nanoseconds).unwrap_or(limit), key })
    }
}

fn is_offset(text: &str) -> bool {
    matches!(text.as_bytes(), [b'+' | b'-', hour, ten, b':', minute, one]
        if [hour, ten, minute, one].iter().all(|digit| digit.is_ascii_digit()))
}

/// The key of a time as documents hold it, in UTC with `Z` at its end; none for any other text.
pub(super) fn time_key(text: &str) -> Option<String> {
    let (date, rest) = text.split_at_checked(19)?;
    let shape =
        |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    let well_formed = date.bytes().zip(*b"0000-00-00T00:00:00").all(shape);
    let fraction = match rest.strip_suffix('Z')? {
        "" => "",
        rest => rest.strip_prefix('.').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?,
    };
    (well_formed && fraction.len() <= 9).then(|| format!("{date}.{fraction:0<9}"))
}

/// Seconds of a duration as the protocol writes it: `3600s`, `-1.500s`.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let number = text.strip_suffix('s')?;
    let digits = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = all_digits(whole) && all_digits(fraction) && whole.len() <= 12 && fraction.len() <= 9;
    if well_formed { number.parse().ok() } else { None }
}

/// The first and last address of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Range {
    V4(u32, u32),
    V6(u128, u128),
}

impl Range {
    /// Reads `ADDRESS/BITS`, or an address alone. Bits of the address beyond the prefix are not looked at.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(prefix_length(bits)?)),
            None => (text, None),
        };
        match Address::parse(address)? {
            Address::V4(number) => {
                let bits = bits.unwrap_or(32);
                let host = u32::MAX.checked_shr(bits).unwrap_or(0);
                (bits <= 32).then_some(Self::V4(number & !host, number | host))
            }
            Address::V6(number) => {
                let bits = bits.unwrap_or(128);
                let host = u128::MAX.checked_shr(bits).unwrap_or(0);
                (bits <= 128).then_some(Self::V6(number & !host, number | host))
            }
        }
    }

    /// Whether a text is an address of this range.
    pub(super) fn contains(&self, text: &str) -> bool {
        match (self, Address::parse(text)) {
            (Self::V4(first, last), Some(Address::V4(number))) => (first..=last).contains(&&number),
            (Self::V6(first, last), Some(Address::V6(number))) => (first..=last).contains(&&number),
            _ => false,
        }
    }
}

fn prefix_length(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

enum Address {
    V4(u32),
    V6(u128),
}

impl Address {
    /// IPv4 as four decimal numbers, IPv6 as groups of hexadecimal digits; not as a mix of both.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::V4(address.into()));
        }
        let address: Ipv6Addr = text.parse().ok().filter(|_| !text.contains('.'))?;
        Some(Self::V6(address.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rfc_3339_and_nothing_else() {
        let key = |text| Instant::parse(text).map(|time| time.key);
        assert_eq!(key("2026-11-22T16:00:00Z").as_deref(), Some("2026-11-22T16:00:00.000000000"));
        assert_eq!(key("2026-11-22T16:00:00.5+09:00").as_deref(), Some("2026-11-22T07:00:00.500000000"));
        for other in
            ["", "2026-11-22", "2026-11-22T16:00:00", "2026-11-22T16:00:00+09", "now", "-1-01-01T00:00:00Z"]
        {
            assert_eq!(key(other), None, "{other}");
        }
        assert_eq!(
            Instant::from_milliseconds(1_560_208_038_000).unwrap().key,
            "2019-06-10T23:07:18.000000000"
        );
        assert_eq!(Instant::from_milliseconds(i64::MAX), None);
    }

    #[test]
    fn a_stored_time_is_as_the_protocol_writes_it() {
        assert_eq!(time_key("2026-11-22T16:00:00.25Z").as_deref(), Some("2026-11-22T16:00:00.250000000"));
        for other in [
            "2026-11-22T16:00:00",
            "2026-11-22T16:00:00.2501234567Z",
            "2026-11-22 16:00:00Z",
            "ééééééééééééééééé",
        ] {
            assert_eq!(time_key(other), None, "{other}");
        }
    }

    #[test]
    fn a_range_has_its_first_and_last_address() {
        let inside = |range: &str, address| Range::parse(range).map(|range| range.contains(address));
        assert_eq!(inside("10.1.0.0/16", "10.1.255.255"), Some(true));
        assert_eq!(inside("10.1.0.0/16", "10.2.0.0"), Some(false));
        assert_eq!(inside("0.0.0.0/0", "255.255.255.255"), Some(true));
        assert_eq!(inside("2001:db8::/32", "2001:db8::1"), Some(true));
        assert_eq!(inside("::/0", "10.1.1.1"), Some(false));
        assert_eq!(inside("::/0", "::ffff:10.1.1.1"), Some(false), "a mix of both forms");
        for other in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "fe80::/129", "x"] {
            assert_eq!(inside(other, "10.0.0.1"), None, "{other}");
        }
    }
}
