//! The judge of script text: decode, features, model, calibration, threshold, reasons, for Python and shell.
//!
//! [`Detector`] is the way in. The same bytes get the same [`Verdict`] from the same model, always: nothing
//! here reads a file, a clock or a random number. Any bytes are a text; time is linear in their number.
//!
//! Refuses: I/O, and running what it reads.
//!
//! The steps can be replaced one by one: [`features`] knows no weights, [`model`] knows no text, and
//! reasons are found only after the label is settled.

pub mod features;
mod indicator_table;
mod indicators;
pub mod model;
pub mod reading;
mod reasons;
mod terms;
mod text;
pub mod unpack;

pub use indicators::{Indicators, TableError};
pub use model::ModelError;

use evidence::{Capture, Content, Label, Language, Verdict};
use features::Extractor;
use model::{Model, Values};

/// The trained model that is part of the program.
const BUILT_IN: &[u8] = include_bytes!("../../../model/urva.model");

/// Judges texts with one model.
#[derive(Debug)]
pub struct Detector {
    model: Model,
    indicators: Indicators,
}

/// The window of a text that speaks most for malice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peak {
    pub(crate) margin: f32,
    pub(crate) pieces: (usize, usize),
    pub(crate) values: Values,
}

impl Detector {
    /// With the model that is compiled in.
    #[allow(clippy::panic, reason = "the model is part of the program, and a test reads it")]
    pub fn built_in() -> Self {
        match Self::from_bytes(BUILT_IN) {
            Ok(detector) => detector,
            Err(error) => panic!("the model that was compiled in: {error}"),
        }
    }

    /// With the model file's bytes.
    pub fn from_bytes(model: &[u8]) -> Result<Self, ModelError> {
        let model = Model::from_bytes(model)?;
        let indicators = Indicators::compile().map_err(|_| ModelError::Value("its table of indicators"))?;
        Ok(Self { model, indicators })
    }

    /// `NAME@FIRST-12-HEX-OF-ITS-SHA256`.
    pub fn model_id(&self) -> &str {
        self.model.id()
    }

    /// Judges by other thresholds than the model's own, in both languages; see [`Model::set_thresholds`].
    pub fn set_thresholds(
        &mut self,
        malicious: Option<f32>,
        suspicious: Option<f32>,
    ) -> Result<(), ModelError> {
        self.model.set_thresholds(malicious, suspicious)
    }

    /// What the model holds.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The verdict on a capture; none where no text was captured.
    pub fn inspect(&self, capture: &Capture) -> Option<Verdict> {
        let content = &capture.script.content;
        if matches!(content, Content::NotCaptured(_)) {
            return None;
        }
        Some(self.judge(capture.interpreter.language(), content.parts()))
    }

    /// The verdict on a text in one or two parts: its head, and its tail where the middle is missing.
    pub fn judge(&self, language: Language, (head, tail): (&[u8], &[u8])) -> Verdict {
        let scorer = self.model.scorer(language);
        let parameters = scorer.parameters();
        let peak = self.peak(language, head, tail);
        let score = scorer.probability(peak.margin);
        let label = match score {
            _ if score >= parameters.malicious_at => Label::Malicious,
            _ if score >= parameters.suspicious_at => Label::Suspicious,
            _ => Label::Benign,
        };
        let reasons = match label {
            Label::Benign => Vec::new(),
            _ => reasons::find(scorer, &self.indicators, language, (head, tail), peak),
        };
        let model = self.model.id().to_owned();
        Verdict {
            label,
            score,
            threshold: parameters.malicious_at,
            language,
            model,
            reasons,
            layers: Vec::new(),
        }
    }

    /// The window of the highest margin.
    fn peak(&self, language: Language, head: &[u8], tail: &[u8]) -> Peak {
        let scorer = self.model.scorer(language);
        let mut peak = Peak { margin: f32::NEG_INFINITY, pieces: (0, 0), values: Values::of(&[]) };
        Extractor::new(language, &self.indicators).windows(head, tail, &mut |window| {
            let margin = scorer.margin(window.buckets);
            if margin > peak.margin {
                peak = Peak { margin, pieces: window.pieces, values: Values::of(window.buckets) };
            }
        });
        peak
    }
}
