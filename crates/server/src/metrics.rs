//! What the server counts, in Prometheus' text format.
//!
//! Owns: the metrics and their names, which `docs/metrics.md` explains.
//! Refuses: labels that a client could make up.

use crate::protocol;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::time::Duration;
use tonic::Code;

/// Seconds by which the times of answers are counted.
const SECONDS: [f64; 8] = [0.005, 0.01, 0.02, 0.06, 0.15, 0.5, 2.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: String,
}

/// All metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    methods: HashSet<String>,
    calls: Family<Call, Counter>,
    seconds: Family<Method, Histogram, fn() -> Histogram>,
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) requests_refused: Counter,
    pub(crate) tokens_refused: Counter,
    pub(crate) unreadable: Counter,
    restarts: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("urva_server"),
            methods: protocol::services()
                .flat_map(|service| {
                    service.methods().map(|method| method.name().to_owned()).collect::<Vec<_>>()
                })
                .collect(),
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            requests_refused: Counter::default(),
            tokens_refused: Counter::default(),
            unreadable: Counter::default(),
            restarts: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("calls", "Calls that were answered, by method and code", self.calls.clone());
        registry.register("call_seconds", "How long calls took, by method", self.seconds.clone());
        registry.register("connections", "Connections that are open", self.connections.clone());
        let refused = "Connections that were closed because too many were open";
        registry.register("connections_refused", refused, self.connections_refused.clone());
        let refused = "Requests that were refused because too many were worked on, or took too long";
        registry.register("requests_refused", refused, self.requests_refused.clone());
        let refused = "Requests without a valid token";
        registry.register("tokens_refused", refused, self.tokens_refused.clone());
        let left_out = "Findings and settings that were left out of a list, since they cannot be read back";
        registry.register("unreadable", left_out, self.unreadable.clone());
        let again = "How often the server was started again, since urva was started";
        registry.register("restarts", again, self.restarts.clone());
    }

    /// The server was started again so often before.
    pub fn started_again(&self, times: u64) {
        self.restarts.inc_by(times);
    }

    /// Counts a call of `method`, which may be anything that a client wrote.
    pub(crate) fn count(&self, method: &str, code: Code, took: Duration) {
        let method = if self.methods.contains(method) { method } else { "other" }.to_owned();
        self.calls.get_or_create(&Call { method: method.clone(), code: protocol::code_name(code) }).inc();
        self.seconds.get_or_create(&Method { method }).observe(took.as_secs_f64());
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_method_and_a_method_that_is_made_up_is_another() {
        let metrics = Metrics::default();
        metrics.count("ListFindings", Code::Ok, Duration::from_millis(7));
        metrics.count("x\"} 1", Code::Unimplemented, Duration::ZERO);
        let text = metrics.text();
        for line in [
            "urva_server_calls_total{method=\"ListFindings\",code=\"OK\"} 1",
            "urva_server_calls_total{method=\"other\",code=\"UNIMPLEMENTED\"} 1",
            "urva_server_call_seconds_bucket{le=\"0.01\",method=\"ListFindings\"} 1",
            "urva_server_tokens_refused_total 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn each_metric_is_documented() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = std::fs::read_to_string(page).expect("docs/metrics.md");
        let metrics = Metrics::default();
        metrics.count("ListFindings", Code::Ok, Duration::ZERO);
        for line in metrics.text().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').expect("a type");
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            assert!(page.contains(&format!("`{name}")), "{name} is not documented");
        }
    }
}
