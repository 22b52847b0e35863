//! What unpacking finds in a corpus, and how fast: `zstd -dc CORPUS.jsonl.zst | cargo run --release -p detect
//! --example unpack [-- --show ID]`.

use detect::unpack::unpack;
use evidence::Language;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::BufRead;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Totals {
    texts: usize,
    bytes: usize,
    parsed: usize,
    incomplete: usize,
    with_layers: usize,
    time: Duration,
    slowest: (Duration, String, usize),
}

#[allow(clippy::disallowed_methods, reason = "measures how long unpacking takes")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let shown = arguments.iter().position(|one| one == "--show").and_then(|at| arguments.get(at + 1));
    let mut totals = Totals::default();
    let mut packed: BTreeMap<String, bool> = BTreeMap::new();
    let mut missed: BTreeMap<String, String> = BTreeMap::new();
    let mut steps: BTreeMap<&str, usize> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let record: serde_json::Value = serde_json::from_str(&line?)?;
        let field = |name: &str| record.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        let text = field("text").as_bytes();
        if shown.is_some_and(|id| id != field("id")) {
            continue;
        }
        let language = if field("lang") == "python" { Language::Python } else { Language::Shell };
        let started = Instant::now();
        let reading = detect::reading::read(language, text);
        let unpacked = unpack(language, &reading.text);
        let taken = started.elapsed();
        totals.time += taken;
        totals.texts += 1;
        totals.bytes += text.len();
        totals.parsed += usize::from(unpacked.facts.is_parsed);
        totals.incomplete += usize::from(unpacked.facts.is_incomplete);
        totals.with_layers += usize::from(!unpacked.layers.is_empty());
        if taken > Duration::from_millis(60) {
            eprintln!("slow {taken:?} {} {}", field("id"), text.len());
        }
        if taken > totals.slowest.0 {
            totals.slowest = (taken, field("id").to_owned(), text.len());
        }
        let used: BTreeSet<_> = unpacked.layers.iter().flat_map(|layer| &layer.steps).collect();
        used.into_iter().for_each(|step| *steps.entry(step.words()).or_default() += 1);
        if is_packed(field("text")) {
            let cluster = field("cluster").to_owned();
            let is_found = !unpacked.layers.is_empty();
            if !is_found {
                missed.entry(cluster.clone()).or_insert_with(|| field("id").to_owned());
            }
            *packed.entry(cluster).or_default() |= is_found;
        }
        if shown.is_some() {
            println!("{:#?}", unpacked.facts);
            for layer in &unpacked.layers {
                let head: Vec<u8> = layer.text.iter().copied().take(1500).collect();
                println!(
                    "== {} executed={} {:?} parent={:?} {} bytes\n{}",
                    layer.origin(),
                    layer.is_executed,
                    layer.language,
                    layer.parent,
                    layer.text.len(),
                    head.escape_ascii()
                );
            }
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "megabytes for people")]
    let speed = totals.bytes as f64 / 1e6 / totals.time.as_secs_f64();
    println!(
        "{} texts, {} bytes, {speed:.1} MB/s, parsed {}, incomplete {}, with layers {}, slowest {:?}",
        totals.texts, totals.bytes, totals.parsed, totals.incomplete, totals.with_layers, totals.slowest
    );
    let found = packed.values().filter(|found| **found).count();
    println!("packed clusters {}, with a layer {found}", packed.len());
    println!("{steps:?}");
    for (cluster, id) in missed.iter().filter(|(cluster, _)| packed.get(*cluster) == Some(&false)) {
        println!("missed {cluster} {id}");
    }
    Ok(())
}

/// Whether the text executes something and decodes something.
fn is_packed(text: &str) -> bool {
    let decodes = ["base64", "zlib", "marshal", "fromhex", "codecs", "Fernet"];
    ["exec(", "eval("].iter().any(|one| text.contains(one)) && decodes.iter().any(|one| text.contains(one))
}
