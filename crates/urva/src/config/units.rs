//! Durations, sizes and scores as people write them: `10m`, `1 MiB`, `0.99`.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// A length of time, in whole seconds: `90s`, `10m`, `12h`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age(u64);

/// A number of bytes: `4096`, `64 KiB`, `1 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(u64);

/// A score of the model: above 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Score(f64);

/// A score is never NaN.
impl Eq for Score {}

const AGE_UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

const SIZE_UNITS: [(&str, u64); 3] = [("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// The largest size: no setting means gigabytes, and all of them bound memory.
const MAX_SIZE: u64 = 1 << 30;

/// The longest time: a hundred years.
const MAX_AGE: u64 = 36_525 * 86_400;

impl Age {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    pub(crate) const fn minutes(minutes: u64) -> Self {
        Self(minutes * 60)
    }

    pub(crate) const fn days(days: u64) -> Self {
        Self(days * 86_400)
    }

    pub(crate) const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        parse(text, &AGE_UNITS, false).filter(|seconds| *seconds <= MAX_AGE).map(Self)
    }
}

impl Size {
    pub(crate) const fn kibibytes(number: u64) -> Self {
        Self(number << 10)
    }

    pub(crate) const fn mebibytes(number: u64) -> Self {
        Self(number << 20)
    }

    pub(crate) fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        parse(text, &SIZE_UNITS, true).filter(|bytes| *bytes <= MAX_SIZE).map(Self)
    }
}

impl Score {
    pub(crate) const fn get(self) -> f64 {
        self.0
    }
}

/// A number and a unit. The unit may be missing where the number is 0, and where `bare` allows it.
fn parse(text: &str, units: &[(&str, u64)], bare: bool) -> Option<u64> {
    let digits = text.trim_start_matches(|character: char| character.is_ascii_digit());
    let number: u64 = text[..text.len() - digits.len()].parse().ok()?;
    match digits.trim_start() {
        "" if bare || number == 0 => Some(number),
        unit => {
            units.iter().find(|(name, _)| *name == unit).and_then(|(_, factor)| number.checked_mul(*factor))
        }
    }
}

/// The number in the largest unit that leaves no rest.
fn show(f: &mut fmt::Formatter<'_>, number: u64, units: &[(&str, u64)], space: &str) -> fmt::Result {
    let unit = units.iter().find(|(_, factor)| number > 0 && number.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => write!(f, "{}{space}{name}", number / factor),
        None => write!(f, "{number}"),
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0, &AGE_UNITS, "")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0, &SIZE_UNITS, " ")
    }
}

impl Serialize for Age {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AgeVisitor;
        impl Visitor<'_> for AgeVisitor {
            type Value = Age;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration of at most 100 years, such as \"90s\", \"10m\", \"12h\" or \"30d\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Age, E> {
                Age::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(AgeVisitor)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size of at most 1024 MiB, such as 4096, \"64 KiB\" or \"1 MiB\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
                let bytes = u64::try_from(number).ok().filter(|bytes| *bytes <= MAX_SIZE);
                bytes.map(Size).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
            }
        }
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScoreVisitor;
        impl Visitor<'_> for ScoreVisitor {
            type Value = Score;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a score above 0 and at most 1, such as 0.99")
            }
            fn visit_f64<E: de::Error>(self, score: f64) -> Result<Score, E> {
                let score_in_range = Some(score).filter(|score| *score > 0.0 && *score <= 1.0);
                score_in_range.map(Score).ok_or_else(|| E::invalid_value(de::Unexpected::Float(score), &self))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Score, E> {
                match number {
                    1 => Ok(Score(1.0)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(ScoreVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_people_write_them() {
        for (text, seconds) in [("0", 0), ("90s", 90), ("10m", 600), ("36h", 129_600), ("7 d", 604_800)] {
            assert_eq!(Age::parse(text), Some(Age(seconds)), "{text}");
        }
        for text in ["", "10", "m", "-1m", "1.5h", "10min", "99999999999999999999d", "36526d", "1m 2"] {
            assert_eq!(Age::parse(text), None, "{text}");
        }
        assert_eq!((Age(600).to_string(), Age(90).to_string()), ("10m".to_owned(), "90s".to_owned()));
        assert_eq!((Age(0).to_string(), Age(172_800).to_string()), ("0".to_owned(), "2d".to_owned()));
    }

    #[test]
    fn sizes_are_read_and_written_as_people_write_them() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("64 KiB", 65_536), ("1MiB", 1 << 20), ("7 B", 7)] {
            assert_eq!(Size::parse(text), Some(Size(bytes)), "{text}");
        }
        for text in ["", "1 GB", "-1", "2048 MiB", "99999999999999999999", "1 MiB x"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
        assert_eq!(Size::kibibytes(64).to_string(), "64 KiB");
        assert_eq!(Size(1_000_000).to_string(), "1000000 B");
    }
}
