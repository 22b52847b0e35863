//! How long a verdict takes, reasons included: by size of one text, spread over many, and loading the model.
//! `cargo bench -p detect --bench judge`.

#![allow(clippy::unwrap_used, reason = "a bench stops at what it does not expect")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use detect::Detector;
use evidence::Language;
use std::hint::black_box;
use std::time::Duration;

const MODEL: &[u8] = include_bytes!("../../../model/urva.model");

/// Texts of each size and language over which the spread is measured.
const TEXTS: u64 = 400;

/// One text in so many carries an attack.
const ATTACK_IN: u64 = 8;

/// Ordinary shell and Python of the wanted size; every line differs, as in a real script.
fn text(language: Language, bytes: usize) -> Vec<u8> {
    let mut text = String::new();
    for at in 0_u64.. {
        if text.len() >= bytes {
            break;
        }
        let word = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        text.push_str(&match language {
            Language::Python => {
                format!("    value_{word:x} = self.table.get('{word:o}', default={at})  # {word:x}\n")
            }
            Language::Shell => {
                format!("[ -n \"$VAR_{word:x}\" ] && install -m 644 conf/{word:o}.conf \"$DIR/{word:x}\"\n")
            }
        });
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// The imitations of the test data in one language, the everyday ones and the attacks.
fn imitations(language: Language) -> [Vec<Vec<u8>>; 2] {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut found = [Vec::new(), Vec::new()];
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".b64") && name.contains(&format!(".{language}.").to_lowercase()) {
            let encoded: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
            found[usize::from(!name.starts_with("benign"))].push(STANDARD.decode(encoded).unwrap());
        }
    }
    assert!(found.iter().all(|texts| !texts.is_empty()), "the test data is missing");
    found
}

/// Texts of one size, put together out of imitations and ordinary code, each in another order.
fn spread(language: Language, bytes: usize) -> Vec<Vec<u8>> {
    let [everyday, attacks] = imitations(language);
    let ordinary = text(language, bytes);
    let pick = |texts: &[Vec<u8>], seed: u64| {
        let at = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % texts.len();
        texts[at].clone()
    };
    let one = |number: u64| {
        let mut text = Vec::new();
        if number.is_multiple_of(ATTACK_IN) {
            text.extend(pick(&attacks, number));
        }
        for seed in number * 1_000.. {
            text.push(b'\n');
            text.extend(pick(&everyday, seed));
            text.push(b'\n');
            let from = usize::try_from(seed * 97).unwrap() % ordinary.len();
            text.extend(ordinary[from..].split_inclusive(|&byte| byte == b'\n').skip(1).take(12).flatten());
            if text.len() >= bytes {
                break;
            }
        }
        text.truncate(bytes);
        text
    };
    (0..TEXTS).map(one).collect()
}

#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
fn time(of: impl Fn()) -> Duration {
    let started = std::time::Instant::now();
    of();
    started.elapsed()
}

/// Prints how verdicts on many texts of one size spread; each text counts with the fastest of three.
fn print_spread(detector: &Detector, language: Language, texts: &[Vec<u8>]) {
    let fastest = |text: &Vec<u8>| {
        let run = |_| time(|| drop(black_box(detector.judge(language, (black_box(text), b"")))));
        (0..3).map(run).min().unwrap_or_default()
    };
    let mut times: Vec<Duration> = texts.iter().map(fastest).collect();
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let size = texts[0].len();
    println!(
        "{language}, {size} bytes: median {:?}, 99th percentile {:?}, slowest {:?}",
        at(50),
        at(99),
        at(100)
    );
}

fn judge(criterion: &mut Criterion) {
    let detector = Detector::built_in();
    let mut group = criterion.benchmark_group("judge");
    group.sample_size(20);
    for language in [Language::Python, Language::Shell] {
        for bytes in [100, 2 << 10, 64 << 10, 1 << 20] {
            let text = text(language, bytes);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::new(language.to_string(), bytes), &text, |bencher, text| {
                bencher.iter(|| detector.judge(language, (black_box(text), b"")));
            });
        }
    }
    group.finish();
}

fn judge_many(criterion: &mut Criterion) {
    let detector = Detector::built_in();
    let mut group = criterion.benchmark_group("judge many");
    group.sample_size(10);
    for language in [Language::Python, Language::Shell] {
        for bytes in [2 << 10, 64 << 10] {
            let texts = spread(language, bytes);
            print_spread(&detector, language, &texts);
            group.throughput(Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum()));
            group.bench_with_input(
                BenchmarkId::new(language.to_string(), bytes),
                &texts,
                |bencher, texts| {
                    bencher.iter(|| {
                        texts.iter().for_each(|text| {
                            black_box(detector.judge(language, (black_box(text), b"")));
                        });
                    });
                },
            );
        }
    }
    group.finish();
}

fn load(criterion: &mut Criterion) {
    criterion.bench_function("load the model", |bencher| {
        bencher.iter(|| Detector::from_bytes(black_box(MODEL)));
    });
}

criterion_group!(benches, load, judge, judge_many);
criterion_main!(benches);
