//! What disguises cost: held-out texts judged plain and in each disguise, by the model that does not know them.
//!
//! Owns: the sample, which bounds the time. Refuses: texts that their model knows.

use crate::corpus::hash;
use crate::disguise::{Disguise, LONGEST_DISGUISED};
use crate::evaluation::first_of_clusters;
use crate::judging::{Examiner, Judge, Judged};
use crate::progress::in_parallel;
use crate::report::is_counted;
use crate::{EvalOptions, LearnError, Progress, Random, Stage};
use detect::Indicators;
use evidence::{Label, Language};
use serde::Serialize;

/// Benign texts of a fold and a language that pad malicious ones.
const PADDING: usize = 40;

/// What one disguise does in one language.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Robustness {
    /// The disguise's name.
    pub disguise: String,
    /// The language of the plain texts.
    pub language: Language,
    /// Whether the texts are malicious, and the shares recall; else they are benign, and the shares false alarms.
    pub is_malicious: bool,
    /// Texts that the disguise fits, each of another cluster.
    pub clusters: usize,
    /// Share that is called malicious as they are.
    pub plain: f64,
    /// Share that is called malicious in disguise.
    pub disguised: f64,
}

/// Texts of one language and label, with those that pad them.
struct Chosen<'j, 'c> {
    language: Language,
    is_malicious: bool,
    texts: Vec<&'j Judged<'c>>,
    /// For each judge, benign texts of the language that it does not know.
    padding: Vec<Vec<&'c [u8]>>,
}

/// Judges a sample of the texts in each disguise that figures are taken with.
pub(crate) fn measure(
    judges: &[Judge],
    judged: &[Judged<'_>],
    indicators: &Indicators,
    options: &EvalOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Robustness>, LearnError> {
    let mut chosen = Vec::new();
    for is_malicious in [true, false] {
        for language in [Language::Python, Language::Shell] {
            chosen.push(choose(judges, judged, language, is_malicious, options));
        }
    }
    let chosen_ref = &chosen;
    let of = |at: usize| {
        let fits = move |disguise: &&Disguise| disguise.applies_to(chosen_ref[at].is_malicious);
        Disguise::ALL.iter().filter(fits).map(move |&disguise| (at, disguise))
    };
    let tasks: Vec<_> = (0..chosen.len()).flat_map(of).collect();
    let seed = options.training.seed;
    let work = |at: usize, tell: &mut dyn FnMut(Progress)| {
        let (of, disguise) = tasks[at];
        Ok(in_disguise(&chosen[of], disguise, judges, indicators, seed, tell))
    };
    let measured = in_parallel(tasks.len(), options.training.thread_count(), work, progress)?;
    Ok(measured.into_iter().filter(|one| one.clusters > 0).collect())
}

fn choose<'j, 'c>(
    judges: &[Judge],
    judged: &'j [Judged<'c>],
    language: Language,
    is_malicious: bool,
    options: &EvalOptions,
) -> Chosen<'j, 'c> {
    let of_label = move |is_malicious: bool| {
        judged.iter().filter(move |one| {
            let sample = &one.record.sample;
            (sample.language, sample.is_malicious) == (language, is_malicious)
                && is_counted(sample)
                && sample.text.len() <= LONGEST_DISGUISED
        })
    };
    let mut texts = first_of_clusters(of_label(is_malicious));
    let mut random = Random::new(options.training.seed);
    random.shuffle(&mut texts);
    texts.truncate(options.disguised_clusters);
    let padding = (0..judges.len()).map(|judge| {
        let unknown = of_label(false).filter(|one| one.judge == judge);
        unknown.take(PADDING).map(|one| one.record.sample.text.as_slice()).collect()
    });
    Chosen { language, is_malicious, texts, padding: padding.collect() }
}

fn in_disguise(
    chosen: &Chosen<'_, '_>,
    disguise: Disguise,
    judges: &[Judge],
    indicators: &Indicators,
    seed: u64,
    progress: &mut dyn FnMut(Progress),
) -> Robustness {
    let Chosen { language, is_malicious, texts, padding } = chosen;
    let mut examiner = Examiner::new(indicators);
    let after = disguise.language_after(*language);
    let (mut fits, mut plain, mut disguised) = (0_u32, 0_u32, 0_u32);
    for (done, one) in (0..).zip(texts) {
        progress(Progress { stage: Stage::Disguising(*language), done, total: texts.len() as u64 });
        let own = u64::from_le_bytes(one.record.origin.sha256.0[..8].try_into().unwrap_or_default());
        let mut random = Random::new(seed ^ own ^ hash(disguise.name().as_bytes()));
        let judge = &judges[one.judge];
        let Some((_, points)) = judge.part(after) else { continue };
        let text = &one.record.sample.text;
        let Some(text) = disguise.apply(*language, text, &mut random, &padding[one.judge]) else { continue };
        let Some(margin) = examiner.margin(judge, after, &text) else { continue };
        fits += 1;
        plain += u32::from(one.label == Label::Malicious);
        disguised += u32::from(points.label(margin) == Label::Malicious);
    }
    let share = |count: u32| f64::from(count) / f64::from(fits.max(1));
    Robustness {
        disguise: disguise.name(),
        language: *language,
        is_malicious: *is_malicious,
        clusters: fits as usize,
        plain: share(plain),
        disguised: share(disguised),
    }
}
