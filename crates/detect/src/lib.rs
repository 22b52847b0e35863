//! The judge of script text: decode, features, model, calibration, threshold, reasons, for Python and shell.
//!
//! [`Detector`] is the way in. The same bytes get the same [`Verdict`] from the same model, always: nothing
//! here reads a file or a clock. Any bytes are a text; time is bounded by their number.
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

use evidence::{Capture, Content, Label, Language, Reason, Sha256, Unseen, Verdict};
use features::Extractor;
use model::{Model, Values};
use reading::Form;
use std::borrow::Cow;
use unpack::{Facts, Layer, Unpacked};

/// The trained model that is part of the program.
const BUILT_IN: &[u8] = include_bytes!("../../../model/urva.model");

/// Judges texts with one model.
#[derive(Debug)]
pub struct Detector {
    model: Model,
    indicators: Indicators,
}

/// A text as it is judged: read as its interpreter does, with the texts that it carries.
#[derive(Debug, Clone)]
pub struct Opened<'t> {
    /// The text itself.
    pub text: Cow<'t, [u8]>,
    /// What it carries, each layer after the one that holds it.
    pub layers: Vec<Layer>,
    /// What was seen on the way.
    pub facts: Facts,
}

impl Opened<'_> {
    /// The text and its layers, as far as they are in this language.
    pub fn texts_in(&self, own: Language, wanted: Language) -> impl Iterator<Item = &[u8]> {
        let text = (own == wanted).then_some(&*self.text);
        let layers = self.layers.iter().filter(move |layer| layer.language == wanted);
        text.into_iter().chain(layers.map(|layer| layer.text.as_slice()))
    }
}

/// Reads a text and unpacks what it carries.
pub fn open(language: Language, bytes: &[u8]) -> Opened<'_> {
    let reading = reading::read(language, bytes);
    let text = match reading.form {
        Form::Bytecode => {
            unpack::marshal::listing(bytes).map_or(reading.text, |text| Cow::Owned(text.into_bytes()))
        }
        Form::Text | Form::Elf => reading.text,
    };
    let Unpacked { layers, facts } = unpack::unpack(language, &text);
    Opened { text, layers, facts }
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

    /// The verdict on a text in one or two parts: its head, and its tail where the middle is missing. Each
    /// layer that it carries is judged as well, and the worst counts.
    pub fn judge(&self, language: Language, (head, tail): (&[u8], &[u8])) -> Verdict {
        let opened = open(language, head);
        let mut extractor = Extractor::new(language, &self.indicators);
        let own = self.peak(&mut extractor, &opened.text, tail);
        // Most texts carry nothing in the other language.
        let mut foreign = None;
        let mut peak_of = |layer: &Layer| {
            let extractor = match layer.language == language {
                true => &mut extractor,
                false => foreign.get_or_insert_with(|| Extractor::new(layer.language, &self.indicators)),
            };
            self.peak(extractor, &layer.text, b"")
        };
        let layers: Vec<Peak> = opened.layers.iter().map(&mut peak_of).collect();
        let worst_layer = (0..layers.len()).max_by(|&a, &b| layers[a].margin.total_cmp(&layers[b].margin));
        let decisive = worst_layer.map(|at| (at, layers[at])).filter(|(_, layer)| layer.margin > own.margin);
        let scorer = self.model.scorer(language);
        let parameters = scorer.parameters();
        let score = scorer.probability(decisive.map_or(own.margin, |(_, layer)| layer.margin));
        let label = match score {
            _ if score >= parameters.malicious_at => Label::Malicious,
            _ if score >= parameters.suspicious_at => Label::Suspicious,
            _ => Label::Benign,
        };
        let reasons = match label {
            Label::Benign => Vec::new(),
            _ => self.reasons(language, &opened, tail, own, decisive),
        };
        let model = self.model.id().to_owned();
        let layers = opened.layers.iter().zip(&layers);
        let layers = layers.map(|(layer, peak)| described(layer, scorer.probability(peak.margin))).collect();
        let unseen = unseen(&opened.facts);
        Verdict { label, score, threshold: parameters.malicious_at, language, model, reasons, layers, unseen }
    }

    /// The reasons of the decisive layer, then those of the text itself.
    fn reasons(
        &self,
        language: Language,
        opened: &Opened<'_>,
        tail: &[u8],
        own: Peak,
        decisive: Option<(usize, Peak)>,
    ) -> Vec<Reason> {
        let of = |language, text: &[u8], tail: &[u8], peak| {
            reasons::find(self.model.scorer(language), &self.indicators, language, (text, tail), peak)
        };
        let Some((at, peak)) = decisive else { return of(language, &opened.text, tail, own) };
        let Some(layer) = opened.layers.get(at) else { return Vec::new() };
        let mut reasons = of(layer.language, &layer.text, b"", peak);
        reasons.iter_mut().for_each(|reason| reason.layer = u32::try_from(at).ok());
        reasons.truncate(reasons::MOST_REASONS / 2);
        reasons.extend(of(language, &opened.text, tail, own));
        reasons.truncate(reasons::MOST_REASONS);
        reasons
    }

    /// The window of the highest margin.
    fn peak(&self, extractor: &mut Extractor<'_>, head: &[u8], tail: &[u8]) -> Peak {
        let scorer = self.model.scorer(extractor.language());
        let mut peak = Peak { margin: f32::NEG_INFINITY, pieces: (0, 0), values: Values::of(&[]) };
        extractor.windows(head, tail, &mut |window| {
            let margin = scorer.margin(window.buckets);
            if margin > peak.margin {
                peak = Peak { margin, pieces: window.pieces, values: Values::of(window.buckets) };
            }
        });
        peak
    }
}

fn unseen(facts: &Facts) -> Vec<Unseen> {
    let parts = [(facts.is_incomplete, Unseen::Layers), (facts.is_packed, Unseen::PackedPayload)];
    parts.into_iter().filter_map(|(is_unseen, part)| is_unseen.then_some(part)).collect()
}

fn described(layer: &Layer, score: f32) -> evidence::Layer {
    evidence::Layer {
        origin: layer.origin(),
        parent: layer.parent.and_then(|parent| u32::try_from(parent).ok()),
        language: layer.language,
        sha256: Sha256::of(&layer.text),
        size: layer.text.len() as u64,
        score,
    }
}
