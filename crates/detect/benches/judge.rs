//! How long a verdict takes, by size of the text, reasons included. `cargo bench -p detect`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use detect::Detector;
use evidence::Language;
use std::hint::black_box;

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

fn judge(criterion: &mut Criterion) {
    let detector = Detector::built_in();
    let mut group = criterion.benchmark_group("judge");
    group.sample_size(20);
    for language in [Language::Python, Language::Shell] {
        for bytes in [100, 5 << 10, 64 << 10, 1 << 20, 2 << 20] {
            let text = text(language, bytes);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::new(language.to_string(), bytes), &text, |bencher, text| {
                bencher.iter(|| detector.judge(language, (black_box(text), b"")));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
