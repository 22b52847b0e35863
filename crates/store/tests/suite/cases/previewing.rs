//! What a mute rule would have muted.

use super::sandbox;
use crate::samples::{HOUR, NOON, container, execution};
use crate::sandbox::Sandbox;
use evidence::Timestamp;
use serde_json::json;
use store::filter::Filter;
use store::{By, MutePreview, MutedExample, MutedNamespace};

const SOMEBODY: By<'_> = By { actor: "test", at: Timestamp::from_seconds(NOON) };

/// Three findings of urva's own in two namespaces and none, of severity CRITICAL, and one of a client that is not.
async fn filled() -> Sandbox {
    let sandbox = sandbox().await;
    let batch: Vec<_> = (0..4)
        .map(|pid| execution(&format!("k{pid}"), &format!("print({pid})"), pid, u64::from(pid) * 10))
        .collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    for (id, pod, namespace) in [("k0", "web-0", "shop"), ("k1", "web-1", "shop"), ("k2", "db-0", "bank")] {
        sandbox.store.complete_container(&container(id, pod, namespace, "reg/web:1")).await.unwrap();
    }
    let document = json!({
        "category": "Noise", "state": "ACTIVE", "severity": "LOW", "resourceName": "//x",
        "eventTime": Timestamp::from_seconds(NOON + 5).to_string(), "sourceProperties": {"Pod_Namespace": "shop"},
    });
    sandbox.store.create_finding("client", "c", document, json!({"name": "//x"}), &SOMEBODY).await.unwrap();
    sandbox
}

async fn preview(sandbox: &Sandbox, filter: &str, since: u64) -> MutePreview {
    let filter = Filter::parse(filter).unwrap();
    sandbox.store.preview_mute(&filter, Timestamp::from_seconds(NOON + since)).await.unwrap()
}

fn namespace(name: &str, findings: u64, critical: u64) -> MutedNamespace {
    MutedNamespace { name: name.to_owned(), findings, critical }
}

#[tokio::test]
async fn a_rule_is_shown_with_what_it_is_about() {
    let sandbox = filled().await;
    let all = preview(&sandbox, "state=\"ACTIVE\"", 0).await;
    assert_eq!((all.findings, all.critical), (5, 4));
    assert_eq!(all.namespaces, [namespace("shop", 3, 2), namespace("", 1, 1), namespace("bank", 1, 1)]);
    assert_eq!((all.namespace_count, all.critical_namespace_count, all.is_wide()), (3, 3, true));
    assert_eq!(all.examples.len(), 5);
    let times: Vec<u64> =
        all.examples.iter().map(|example| example.event_time.0 / 1_000_000_000 - NOON).collect();
    assert_eq!(times, [30, 20, 10, 5, 0], "the newest first");
    let expected = MutedExample {
        source: "client".to_owned(),
        id: "c".to_owned(),
        category: "Noise".to_owned(),
        severity: "LOW".to_owned(),
        event_time: Timestamp::from_seconds(NOON + 5),
        namespace: "shop".to_owned(),
        pod: String::new(),
        container: String::new(),
        image: String::new(),
    };
    assert_eq!(all.examples[3], expected);
    assert_eq!((all.examples[1].pod.as_str(), all.examples[1].image.as_str()), ("db-0", "reg/web:1"));
}

#[tokio::test]
async fn what_is_older_or_not_meant_does_not_count() {
    let sandbox = filled().await;
    let late = preview(&sandbox, "state=\"ACTIVE\"", 10).await;
    assert_eq!((late.findings, late.namespace_count), (3, 3));
    let one = preview(&sandbox, "source_properties.Pod_Namespace=\"shop\"", 0).await;
    assert_eq!((one.findings, one.critical, one.critical_namespace_count), (3, 2, 1));
    assert!(!one.is_wide());
    let harmless = preview(&sandbox, "severity=\"LOW\"", 0).await;
    assert_eq!((harmless.findings, harmless.critical, harmless.critical_namespace_count), (1, 0, 0));
    let by_document = preview(&sandbox, "processes.script.sha256=\"none\"", 0).await;
    assert_eq!(by_document, MutePreview::default());
    let by_resource = preview(&sandbox, "resource.name=\"//x\"", 0).await;
    assert_eq!(by_resource.findings, 1);
}

#[tokio::test]
async fn only_so_many_namespaces_are_named_and_all_are_counted() {
    let sandbox = sandbox().await;
    for number in 0..25 {
        let document = json!({
            "category": "Noise", "severity": "CRITICAL", "resourceName": "//x",
            "eventTime": Timestamp::from_seconds(NOON).to_string(),
            "sourceProperties": {"Pod_Namespace": format!("ns{number:02}")},
        });
        let id = format!("c{number}");
        sandbox
            .store
            .create_finding("client", &id, document, json!({"name": "//x"}), &SOMEBODY)
            .await
            .unwrap();
    }
    let all = preview(&sandbox, "category=\"Noise\"", 0).await;
    assert_eq!((all.findings, all.namespace_count, all.critical_namespace_count), (25, 25, 25));
    assert_eq!((all.namespaces.len(), all.namespaces[0].name.as_str(), all.examples.len()), (20, "ns00", 5));
}
