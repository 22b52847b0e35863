//! The status in Prometheus' text format 0.0.4, which the textfile collector of its node exporter reads:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>. docs/metrics.md describes each metric; a test compares.
//!
//! Written by hand: the usual library leaves what stands in a label unescaped, and its lines have no order.

use super::Status;
use evidence::Timestamp;
use std::fmt::Write;
use store::OutputState;

/// A label's name and value; a metric without one has an empty name.
type Label<'a> = (&'static str, &'a str);

const NONE: Label<'static> = ("", "");

/// The status as text, and how far each output is.
pub(super) fn encode(status: &Status, outputs: &[OutputState]) -> String {
    let mut text = Text(String::new());
    gauges(&mut text, status);
    counters(&mut text, status);
    of_outputs(&mut text, outputs);
    text.0
}

fn gauges(text: &mut Text, status: &Status) {
    text.describe("build_info", "gauge", "The version of urva and the model that judges; always 1");
    let labels: [Label<'_>; 2] = [("version", &status.version), ("model", &status.model)];
    text.sample("build_info", &labels, "1");
    let mut gauge = |name, help, value: &str| {
        text.describe(name, "gauge", help);
        text.sample(name, &[], value);
    };
    gauge("up", "1 while urva watches, else 0", if status.watches { "1" } else { "0" });
    gauge("start_time_seconds", "When the run began, since the epoch", &seconds(status.started_at));
    gauge("counted_until_seconds", "When it last counted, since the epoch", &seconds(status.alive_at));
}

fn counters(text: &mut Text, status: &Status) {
    let counters = &status.counters;
    let executed = counters.captured.saturating_sub(counters.compiled);
    text.counter(
        "texts_seen",
        "Scripts that were executed, and texts that they compiled while they ran",
        [(("origin", "executed"), executed), (("origin", "compiled"), counters.compiled)],
    );
    let benign = counters.judged.saturating_sub(counters.malicious + counters.suspicious);
    let verdicts = [
        (("label", "malicious"), counters.malicious),
        (("label", "suspicious"), counters.suspicious),
        (("label", "benign"), benign),
    ];
    text.counter("verdicts", "Texts that were judged", verdicts);
    let others = counters.held.saturating_sub(counters.held_malicious);
    text.counter(
        "texts_held",
        "Texts whose process was stopped until they were judged",
        [(("label", "malicious"), counters.held_malicious), (("label", "other"), others)],
    );
    text.counter(
        "texts_without_content",
        "Executions whose text was not captured",
        [(NONE, counters.not_captured)],
    );
    let notes = counters.notes.iter().map(|(note, number)| (("note", note.as_str()), *number));
    text.counter("coverage_notes", "Captures by what is missing or doubtful in them", notes);
    let losses = || counters.losses.iter().map(|(kind, loss)| (("kind", kind.as_str()), loss));
    let gaps = losses().map(|(kind, loss)| (kind, loss.gaps));
    text.counter("gaps", "Stretches of time in which something was lost", gaps);
    let lost = losses().map(|(kind, loss)| (kind, loss.lost));
    text.counter("executions_lost", "Executions that are known to be lost in gaps", lost);
}

fn of_outputs(text: &mut Text, outputs: &[OutputState]) {
    let of = |count: fn(&OutputState) -> u64| {
        outputs.iter().map(move |state| (("output", state.name.as_str()), count(state)))
    };
    text.counter("output_sent", "Messages that outputs have taken", of(|state| state.sent));
    text.counter("output_failures", "Tries that failed", of(|state| state.failed));
    text.counter("output_lost", "Messages that were dropped since too many waited", of(|state| state.lost));
    text.gauge("output_waiting", "Messages that wait to be delivered", of(|state| state.waiting));
    text.gauge("output_dead_letters", "Messages that could not be delivered", of(|state| state.dead));
}

struct Text(String);

impl Text {
    fn describe(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP urva_{name} {help}.\n# TYPE urva_{name} {kind}");
    }

    fn counter<'a>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Label<'a>, u64)>) {
        self.samples(&format!("{name}_total"), "counter", help, samples);
    }

    fn gauge<'a>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Label<'a>, u64)>) {
        self.samples(name, "gauge", help, samples);
    }

    fn samples<'a>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Label<'a>, u64)>,
    ) {
        self.describe(name, kind, help);
        for (label, number) in samples {
            let labels = if label.0.is_empty() { &[][..] } else { &[label] };
            self.sample(name, labels, &number.to_string());
        }
    }

    fn sample(&mut self, name: &str, labels: &[Label<'_>], value: &str) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "urva_{name}{labels} {value}");
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Seconds since the epoch, to the millisecond.
fn seconds(time: Timestamp) -> String {
    let milliseconds = time.0 / 1_000_000;
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::super::tests::status;
    use super::*;
    use std::collections::BTreeSet;

    fn outputs() -> Vec<OutputState> {
        let state = |name: &str| OutputState { name: name.to_owned(), ..OutputState::default() };
        vec![
            OutputState { waiting: 1, dead: 2, sent: 300, failed: 4, lost: 5, ..state("soc") },
            state("mail"),
        ]
    }

    #[test]
    fn each_counter_is_written_with_its_labels() {
        insta::assert_snapshot!(encode(&status(), &outputs()));
    }

    #[test]
    fn what_somebody_named_cannot_make_a_metric_of_its_own() {
        let model = "a\"} 1\nurva_up 1\n# \\".to_owned();
        let text = encode(&Status { watches: false, model, ..status() }, &[]);
        let up: Vec<&str> = text.lines().filter(|line| line.starts_with("urva_up ")).collect();
        assert_eq!(up, ["urva_up 0"], "{text}");
    }

    #[test]
    fn the_docs_name_each_metric() {
        let text = encode(&status(), &outputs());
        let written: BTreeSet<&str> = text
            .lines()
            .filter(|line| line.starts_with("urva_"))
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        let docs = include_str!("../../../../docs/metrics.md");
        // Those of the server are its own to compare.
        let named: BTreeSet<&str> = docs
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(['{', '`']).next())
            .filter(|name| name.starts_with("urva_") && !name.starts_with("urva_server_"))
            .collect();
        assert_eq!(written, named);
    }
}
