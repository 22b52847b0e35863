//! The model file: for each language one weight for each bucket, calibration and thresholds.
//!
//! Owns: the format, its checks, and the score of a set of buckets.
//! Refuses: text.
//!
//! Format, integers little-endian:
//! `"urvamodl"`, version u16, feature version u16, name length u8, name; then for Python and for shell:
//! bucket bits u8, and as f32 largest weight, bias, slope, offset, malicious threshold, suspicious
//! threshold, and the measured rate of false alarms at each of the two; one weight i8 for each bucket; at the end SHA-256 of all before.
//! A weight `q` stands for `sign(q) · (q / 127)² · largest`: small weights, which are most, keep more steps.

use crate::features::{BUCKET_BITS, BUCKETS, GRAMS, VERSION as FEATURE_VERSION};
use evidence::{Language, Sha256};
use thiserror::Error;

const MAGIC: &[u8; 8] = b"urvamodl";
const FORMAT_VERSION: u16 = 2;
const DIGEST_BYTES: usize = 32;

/// Why a model file cannot be used.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ModelError {
    /// The file is something else.
    #[error("this is not a urva model file: give one that `urva train` wrote")]
    Foreign,
    /// The file was written for another release.
    #[error("the model file has version {found}, this urva reads {wanted}: train it again with this urva")]
    Version {
        /// Format and feature version of the file, `FORMAT.FEATURES`.
        found: String,
        /// Those of this release.
        wanted: String,
    },
    /// The file ends too early.
    #[error("the model file is truncated: it has {found} bytes and needs {needed}; copy it again")]
    Truncated {
        /// Length of the file.
        found: usize,
        /// Length that its header asks for, as far as it can be read.
        needed: usize,
    },
    /// The file is longer than its header says.
    #[error("the model file has {0} bytes too many behind its end: copy it again")]
    TooLong(usize),
    /// The checksum does not match.
    #[error("the model file is corrupt, its checksum does not match: copy it again or train it anew")]
    Checksum,
    /// A value is out of range.
    #[error("the model file holds an impossible value, {0}: train it anew")]
    Value(&'static str),
    /// Thresholds that were asked for cannot be.
    #[error(
        "the thresholds do not fit: suspicious {suspicious} and malicious {malicious} must lie between 0 and 1, and the \
         suspicious one must not be the higher one"
    )]
    Thresholds {
        /// At and above it a text would be malicious.
        malicious: f32,
        /// At and above it a text would be suspicious.
        suspicious: f32,
    },
}

/// The parameters for one language, as they are trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// One weight for each bucket, quantised.
    pub weights: Vec<i8>,
    /// What a weight of 127 stands for.
    pub largest: f32,
    /// Added to each margin.
    pub bias: f32,
    /// Calibration: probability = 1 / (1 + exp(-(slope · margin + offset))) (Platt 1999).
    pub slope: f32,
    /// See `slope`.
    pub offset: f32,
    /// Probability at and above which a text is malicious.
    pub malicious_at: f32,
    /// Probability at and above which a text is suspicious.
    pub suspicious_at: f32,
    /// Share of held-out benign clusters that were called malicious by models of this method, 0 to 1.
    pub malicious_rate: f32,
    /// Share of held-out benign clusters that were called suspicious or malicious.
    pub suspicious_rate: f32,
}

/// A model that was read and checked.
#[derive(Debug, Clone)]
pub struct Model {
    id: String,
    python: Scorer,
    shell: Scorer,
}

/// Parameters with the table that undoes quantisation.
#[derive(Debug, Clone)]
pub struct Scorer {
    parameters: Parameters,
    weight_of: [f32; 256],
}

impl Model {
    /// Reads a model file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut rest = Reader { bytes, at: 0 };
        if rest.bytes.get(..MAGIC.len()) != Some(MAGIC) {
            return Err(if MAGIC.starts_with(bytes) && !bytes.is_empty() {
                rest.truncated(64)
            } else {
                ModelError::Foreign
            });
        }
        rest.at = MAGIC.len();
        let versions = (u16::from_le_bytes(rest.take()?), u16::from_le_bytes(rest.take()?));
        if versions != (FORMAT_VERSION, FEATURE_VERSION) {
            let found = format!("{}.{}", versions.0, versions.1);
            return Err(ModelError::Version { found, wanted: format!("{FORMAT_VERSION}.{FEATURE_VERSION}") });
        }
        let [name_length] = rest.take()?;
        let name = String::from_utf8_lossy(rest.slice(usize::from(name_length))?).into_owned();
        let (python, shell) = (rest.parameters()?, rest.parameters()?);
        let content_end = rest.at;
        let digest: [u8; DIGEST_BYTES] = rest.take()?;
        if rest.at < bytes.len() {
            return Err(ModelError::TooLong(bytes.len() - rest.at));
        }
        if Sha256::of(&bytes[..content_end]).0 != digest {
            return Err(ModelError::Checksum);
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            return Err(ModelError::Value("its name"));
        }
        let hash = Sha256::of(bytes).to_string();
        Ok(Self {
            id: format!("{name}@{}", &hash[..12]),
            python: Scorer::new(python)?,
            shell: Scorer::new(shell)?,
        })
    }

    /// Writes a model file. The name is of ASCII letters, digits, `-`, `.` and `_`, at most 64.
    pub fn to_bytes(name: &str, python: &Parameters, shell: &Parameters) -> Result<Vec<u8>, ModelError> {
        let length = u8::try_from(name.len()).ok().filter(|&length| length <= 64);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend(FEATURE_VERSION.to_le_bytes());
        bytes.push(length.ok_or(ModelError::Value("its name"))?);
        bytes.extend(name.bytes());
        for one in [python, shell] {
            bytes.push(BUCKET_BITS.to_le_bytes()[0]);
            let fitted = [one.largest, one.bias, one.slope, one.offset];
            let points = [one.malicious_at, one.suspicious_at, one.malicious_rate, one.suspicious_rate];
            fitted.iter().chain(&points).for_each(|value| bytes.extend(value.to_le_bytes()));
            bytes.extend(one.weights.iter().map(|weight| weight.cast_unsigned()));
        }
        bytes.extend(Sha256::of(&bytes).0);
        Self::from_bytes(&bytes)?;
        Ok(bytes)
    }

    /// `NAME@FIRST-12-HEX-OF-ITS-SHA256`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Puts other thresholds in the place of the trained ones, for both languages. One that is not given stays, but
    /// the suspicious one is never above the malicious one.
    pub fn set_thresholds(
        &mut self,
        malicious: Option<f32>,
        suspicious: Option<f32>,
    ) -> Result<(), ModelError> {
        for scorer in [&mut self.python, &mut self.shell] {
            let parameters = &mut scorer.parameters;
            let malicious_at = malicious.unwrap_or(parameters.malicious_at);
            let suspicious_at = suspicious.unwrap_or(parameters.suspicious_at.min(malicious_at));
            if !(0.0..=1.0).contains(&suspicious_at) || !(suspicious_at..=1.0).contains(&malicious_at) {
                return Err(ModelError::Thresholds { malicious: malicious_at, suspicious: suspicious_at });
            }
            (parameters.malicious_at, parameters.suspicious_at) = (malicious_at, suspicious_at);
        }
        Ok(())
    }

    /// The part for one language.
    pub fn scorer(&self, language: Language) -> &Scorer {
        match language {
            Language::Python => &self.python,
            Language::Shell => &self.shell,
        }
    }
}

impl Scorer {
    /// Checks the parameters.
    pub fn new(parameters: Parameters) -> Result<Self, ModelError> {
        let one = &parameters;
        if one.weights.len() != BUCKETS {
            return Err(ModelError::Value("the number of weights"));
        }
        if ![one.largest, one.bias, one.slope, one.offset].iter().all(|value| value.is_finite())
            || one.slope <= 0.0
        {
            return Err(ModelError::Value("a weight, or a slope that is not positive"));
        }
        if !(0.0..=1.0).contains(&one.suspicious_at) || !(one.suspicious_at..=1.0).contains(&one.malicious_at)
        {
            return Err(ModelError::Value("a threshold"));
        }
        if ![one.malicious_rate, one.suspicious_rate].iter().all(|rate| (0.0..=1.0).contains(rate)) {
            return Err(ModelError::Value("a rate of false alarms"));
        }
        let weight_of = std::array::from_fn(|index| decode(index, one.largest));
        Ok(Self { parameters, weight_of })
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The weight of one bucket; 0 beyond the table.
    #[inline]
    pub fn weight(&self, bucket: u32) -> f32 {
        let quantised = self.parameters.weights.get(bucket as usize).copied().unwrap_or(0);
        self.weight_of[usize::from(quantised.cast_unsigned())]
    }

    /// Sum of the weights over the buckets, each times its value, plus the bias.
    pub fn margin(&self, buckets: &[u32]) -> f32 {
        let values = Values::of(buckets);
        let sum: f32 = buckets.iter().map(|&bucket| values.of_bucket(bucket) * self.weight(bucket)).sum();
        self.parameters.bias + sum
    }

    /// Probability that a text of this margin is malicious.
    #[allow(clippy::cast_possible_truncation, reason = "a score is told in f32")]
    pub fn probability(&self, margin: f32) -> f32 {
        self.exact_probability(margin) as f32
    }

    /// The same with the digits that tell high scores apart.
    pub fn exact_probability(&self, margin: f32) -> f64 {
        let odds = f64::from(self.parameters.slope) * f64::from(margin) + f64::from(self.parameters.offset);
        1.0 / (1.0 + (-odds).exp())
    }
}

/// Quantises weights as the format wants them; returns them with what 127 stands for.
#[allow(clippy::cast_possible_truncation, reason = "the value is clamped to the range of i8")]
pub fn quantise(weights: &[f32]) -> (Vec<i8>, f32) {
    let largest =
        weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs())).max(f32::MIN_POSITIVE);
    let one = |weight: &f32| {
        ((weight.abs() / largest).sqrt() * 127.0 * weight.signum()).round().clamp(-127.0, 127.0)
    };
    (weights.iter().map(|weight| one(weight) as i8).collect(), largest)
}

/// The value that a set bucket has in a window. Grams together have length 1, and indicators nearly so: one
/// indicator must be heard among thousands of grams, and the first one must not shout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    gram: f32,
    indicator: f32,
}

/// Added to the number of indicators, so that a lone one has a third of the length of many.
const INDICATOR_DAMPING: usize = 8;

/// Length of the indicators beside that of the grams.
const INDICATOR_LENGTH: f32 = 0.8;

impl Values {
    /// For a window with these buckets.
    pub fn of(buckets: &[u32]) -> Self {
        let grams = buckets.iter().filter(|&&bucket| bucket < GRAMS).count();
        let indicators = buckets.len() - grams;
        Self {
            gram: 1.0 / root(grams.max(1)),
            indicator: INDICATOR_LENGTH / root(indicators + INDICATOR_DAMPING),
        }
    }

    /// The value of one of the buckets.
    #[inline]
    pub fn of_bucket(self, bucket: u32) -> f32 {
        if bucket < GRAMS { self.gram } else { self.indicator }
    }

    /// Square of the length of the window's vector.
    pub fn squared_length(self, buckets: &[u32]) -> f32 {
        buckets.iter().map(|&bucket| self.of_bucket(bucket).powi(2)).sum()
    }
}

#[allow(clippy::cast_precision_loss, reason = "24 bits are enough for a length")]
fn root(count: usize) -> f32 {
    (count as f32).sqrt()
}

fn decode(index: usize, largest: f32) -> f32 {
    let quantised = u8::try_from(index).map_or(0, u8::cast_signed);
    let part = f32::from(quantised) / 127.0;
    part * part.abs() * largest
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], ModelError> {
        let end = self.at.saturating_add(length);
        let slice = self.bytes.get(self.at..end).ok_or_else(|| self.truncated(end + DIGEST_BYTES))?;
        self.at = end;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let needed = self.at + N;
        self.slice(N)?.try_into().map_err(|_| self.truncated(needed))
    }

    fn number(&mut self) -> Result<f32, ModelError> {
        Ok(f32::from_le_bytes(self.take()?))
    }

    fn parameters(&mut self) -> Result<Parameters, ModelError> {
        let [bits] = self.take()?;
        if u32::from(bits) != BUCKET_BITS {
            return Err(ModelError::Value("the number of buckets"));
        }
        let [largest, bias, slope, offset] = [self.number()?, self.number()?, self.number()?, self.number()?];
        let [malicious_at, suspicious_at, malicious_rate, suspicious_rate] =
            [self.number()?, self.number()?, self.number()?, self.number()?];
        let weights = self.slice(BUCKETS)?.iter().map(|byte| byte.cast_signed()).collect();
        Ok(Parameters {
            weights,
            largest,
            bias,
            slope,
            offset,
            malicious_at,
            suspicious_at,
            malicious_rate,
            suspicious_rate,
        })
    }

    fn truncated(&self, needed: usize) -> ModelError {
        ModelError::Truncated { found: self.bytes.len(), needed }
    }
}
