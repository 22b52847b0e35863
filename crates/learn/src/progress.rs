//! Where the work stands, and work that is done by several threads.
//!
//! Owns: which thread does what. Refuses: results that depend on it: they come in the order of the tasks.

use crate::LearnError;
use evidence::Language;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Where the work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Steps done of `total`.
    pub done: u64,
    /// See `done`.
    pub total: u64,
}

/// Steps of the work; those of training come again for each fold, and for several folds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading corpus files.
    Reading,
    /// Finding near-duplicates.
    Clustering,
    /// Beginning with a fold; the last one is the model itself.
    Fold(Language),
    /// Taking features from whole texts.
    Features(Language),
    /// Taking features from windows.
    Windows(Language),
    /// Solving for the weights.
    Solving(Language),
    /// Judging held-out texts.
    Judging(Language),
    /// Judging disguised texts.
    Disguising(Language),
    /// Counting.
    Reporting,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reading => f.write_str("reading the corpus"),
            Self::Clustering => f.write_str("finding near-duplicates"),
            Self::Fold(language) => write!(f, "{language}: next part"),
            Self::Features(language) => write!(f, "{language}: features of whole texts"),
            Self::Windows(language) => write!(f, "{language}: features of windows"),
            Self::Solving(language) => write!(f, "{language}: solving for the weights"),
            Self::Judging(language) => write!(f, "{language}: judging held-out texts"),
            Self::Disguising(language) => write!(f, "{language}: judging disguised texts"),
            Self::Reporting => f.write_str("counting"),
        }
    }
}

/// Parts that a task is divided into for whoever shows how far it is.
const PARTS: u64 = 100;

enum Event<T> {
    At(usize, Progress),
    Done(usize, Result<T, LearnError>),
}

/// Carries out `count` tasks on `threads` threads; the results come in the tasks' order. After an error no task begins.
pub(crate) fn in_parallel<T: Send>(
    count: usize,
    threads: usize,
    task: impl Fn(usize, &mut dyn FnMut(Progress)) -> Result<T, LearnError> + Sync,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<T>, LearnError> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut results: Vec<Option<Result<T, LearnError>>> = (0..count).map(|_| None).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            let (sender, next, task) = (sender.clone(), &next, &task);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        break;
                    }
                    // Whoever listens stays until all threads have ended.
                    let result = task(at, &mut |progress| drop(sender.send(Event::At(at, progress))));
                    if result.is_err() {
                        next.store(count, Ordering::Relaxed);
                    }
                    drop(sender.send(Event::Done(at, result)));
                }
            });
        }
        drop(sender);
        let mut parts = vec![0; count];
        for event in receiver {
            match event {
                Event::At(at, one) => {
                    parts[at] = part_done(one).max(parts[at]);
                    let total = PARTS * count as u64;
                    progress(Progress { stage: one.stage, done: parts.iter().sum(), total });
                }
                Event::Done(at, result) => {
                    parts[at] = PARTS;
                    results[at] = Some(result);
                }
            }
        }
    });
    // After an error some were never begun; the first error in the tasks' order is told.
    let (done, failed): (Vec<_>, Vec<_>) = results.into_iter().flatten().partition(Result::is_ok);
    match failed.into_iter().next() {
        Some(error) => error.map(|_| Vec::new()),
        None => done.into_iter().collect(),
    }
}

/// How far a task is, by the time that its stages take.
fn part_done(progress: Progress) -> u64 {
    let (start, end) = match progress.stage {
        Stage::Reading | Stage::Clustering | Stage::Fold(_) => (0, 0),
        Stage::Features(_) => (0, 30),
        Stage::Solving(_) => (30, 40),
        Stage::Windows(_) => (40, 80),
        Stage::Judging(_) | Stage::Disguising(_) | Stage::Reporting => (0, PARTS),
    };
    start + (end - start) * progress.done / progress.total.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(threads: usize) -> Result<Vec<usize>, LearnError> {
        let task = |at, tell: &mut dyn FnMut(Progress)| {
            tell(Progress { stage: Stage::Reporting, done: 1, total: 2 });
            Ok(at * at)
        };
        in_parallel(9, threads, task, &mut |progress| assert!(progress.done <= progress.total))
    }

    #[test]
    fn results_come_in_order_on_any_number_of_threads() {
        let expected: Vec<_> = (0..9).map(|at| at * at).collect();
        for threads in [1, 2, 5, 50] {
            assert_eq!(squares(threads).unwrap(), expected);
        }
    }

    #[test]
    fn an_error_ends_the_work() {
        let task = |at, _: &mut dyn FnMut(Progress)| match at {
            0 | 1 => Ok(at),
            _ => Err(LearnError::Option("enough")),
        };
        let error = in_parallel(1000, 2, task, &mut |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "enough");
    }
}
