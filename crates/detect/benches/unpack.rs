//! How long reading and unpacking take: ordinary code, packed code, and what is made to take long.
//! `cargo bench -p detect --bench unpack`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use detect::reading::read;
use detect::unpack::unpack;
use evidence::Language;
use std::hint::black_box;

const MEBIBYTE: usize = 1 << 20;

/// Ordinary Python in which every line differs.
fn ordinary() -> Vec<u8> {
    let lines = (0_u64..).map(|at| format!("    value_{at:x} = self.table.get('{at:o}', default={at})\n"));
    let mut text = String::from("def run(self):\n");
    lines.take(MEBIBYTE / 60).for_each(|line| text.push_str(&line));
    text.into_bytes()
}

fn texts() -> [(&'static str, Language, Vec<u8>); 6] {
    let packed = format!("import base64\nexec(base64.b64decode('{}'))\n", "cHJpbnQoIkhlbGxvIik7".repeat(100));
    [
        ("ordinary", Language::Python, ordinary()),
        ("packed", Language::Python, packed.into_bytes()),
        ("brackets", Language::Python, format!("exec({}", "([".repeat(MEBIBYTE / 2)).into_bytes()),
        (
            "never closed",
            Language::Python,
            format!("exec(a)\n{}", "x = (\n".repeat(MEBIBYTE / 6)).into_bytes(),
        ),
        ("broken", Language::Python, "exec(a b c g ] [ ) ( } { \n".repeat(MEBIBYTE / 26).into_bytes()),
        (
            "broken shell",
            Language::Shell,
            "eval a ) ( } { ]] [[ ;; & | \n".repeat(MEBIBYTE / 29).into_bytes(),
        ),
    ]
}

fn unpacking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unpack");
    group.sample_size(10);
    for (name, language, text) in texts() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &text, |bencher, text| {
            bencher.iter(|| unpack(language, &read(language, black_box(text)).text));
        });
    }
    group.finish();
}

criterion_group!(benches, unpacking);
criterion_main!(benches);
