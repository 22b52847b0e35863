//! What people change, and the trail that it leaves.

use super::sandbox;
use crate::samples::{HOUR, NOON, container, execution};
use crate::sandbox::Sandbox;
use evidence::Timestamp;
use serde_json::{Value, json};
use store::filter::Filter;
use store::{By, Kind, Outcome, StoreError, Stored};

fn by(actor: &str, seconds: u64) -> By<'_> {
    By { actor, at: Timestamp::from_seconds(NOON + seconds) }
}

async fn set(
    sandbox: &Sandbox,
    source: &str,
    id: &str,
    field: &str,
    value: Value,
) -> Result<Stored, StoreError> {
    let change = |document: &mut Value| {
        document[field] = value;
        Ok::<(), ()>(())
    };
    Ok(sandbox.store.change_finding(source, id, &by("ann", 5), "UpdateFinding", change).await?.unwrap())
}

async fn rule(sandbox: &Sandbox, id: &str, kind: &str, filter: &str, expiry: Option<u64>) {
    let mut rule = json!({"name": format!("muteConfigs/{id}"), "type": kind, "filter": filter});
    if let Some(seconds) = expiry {
        rule["expiryTime"] = Timestamp::from_seconds(NOON + seconds).to_string().into();
    }
    sandbox.store.create_setting(Kind::MuteConfig, id, rule, &by("ann", 0)).await.unwrap();
}

#[tokio::test]
async fn what_people_set_outlives_what_urva_sees_later() {
    let sandbox = sandbox().await;
    let first = sandbox.stored(&execution("a", "x", 1, 0)).await;
    let id = first.id.as_str();
    let marks = json!({"name": "n", "marks": {"team": "blue"}});
    set(&sandbox, "urva", id, "securityMarks", marks.clone()).await.unwrap();
    set(&sandbox, "urva", id, "mute", json!("MUTED")).await.unwrap();
    set(&sandbox, "urva", id, "externalSystems", json!({"jira": {"status": "open"}})).await.unwrap();
    sandbox.stored(&execution("a", "x", 2, 60)).await;
    sandbox.store.complete_container(&container("a", "web-0", "shop", "reg/web:1")).await.unwrap();
    let stored = sandbox.store.finding("urva", id).await.unwrap().document;
    assert_eq!(stored["securityMarks"], marks);
    assert_eq!(
        (&stored["mute"], &stored["externalSystems"]["jira"]["status"]),
        (&json!("MUTED"), &json!("open"))
    );
    assert_eq!(stored["sourceProperties"]["Execution_Count"], "2");
    assert_eq!(stored["sourceProperties"]["Pod_Name"], "web-0");
    let muted = Filter::parse("mute=\"MUTED\" AND security_marks.marks.team=\"blue\"").unwrap();
    assert_eq!(sandbox.store.count(None, &muted).await.unwrap(), 1);
}

#[tokio::test]
async fn a_finding_that_was_closed_is_closed_for_recording_too() {
    let sandbox = sandbox().await;
    let first = sandbox.stored(&execution("a", "x", 1, 0)).await;
    set(&sandbox, "urva", first.id.as_str(), "state", json!("INACTIVE")).await.unwrap();
    assert_eq!(sandbox.store.get(&first.id).await.unwrap().state, evidence::State::Inactive);
    let again = sandbox.store.record(&[execution("a", "x", 2, 1)], HOUR).await.unwrap();
    assert_eq!(again[0].outcome, Outcome::New);
}

#[tokio::test]
async fn what_urva_saw_is_not_changed_and_what_a_client_wrote_is() {
    let sandbox = sandbox().await;
    let own = sandbox.stored(&execution("a", "x", 1, 0)).await;
    let refused = set(&sandbox, "urva", own.id.as_str(), "category", json!("Nothing")).await;
    assert!(matches!(&refused, Err(StoreError::Fixed { field }) if field == "category"), "{refused:?}");
    let document = json!({"category": "One", "state": "ACTIVE", "resourceName": "//x"});
    create(&sandbox, &document).await.unwrap();
    let again = create(&sandbox, &document).await;
    assert!(matches!(again, Err(StoreError::AlreadyThere { .. })), "{again:?}");
    let changed = set(&sandbox, "s", "f", "category", json!("Two")).await.unwrap();
    assert_eq!(changed.document["category"], "Two");
    let two = Filter::parse("category=\"Two\"").unwrap();
    assert_eq!(sandbox.store.count(Some("s"), &two).await.unwrap(), 1);
    let missing = set(&sandbox, "s", "g", "category", json!("Two")).await;
    assert!(matches!(missing, Err(StoreError::NoSuchFinding { .. })), "{missing:?}");
    let refused =
        sandbox.store.change_finding("s", "f", &by("bob", 2), "UpdateFinding", |_| Err("no")).await.unwrap();
    assert_eq!(refused, Err("no"));
}

#[tokio::test]
async fn each_change_is_in_the_audit_trail_and_stays_there() {
    let sandbox = sandbox().await;
    let own = sandbox.stored(&execution("a", "x", 1, 0)).await;
    let id = own.id.as_str();
    set(&sandbox, "urva", id, "mute", json!("MUTED")).await.unwrap();
    set(&sandbox, "urva", id, "mute", json!("MUTED")).await.unwrap();
    rule(&sandbox, "r", "STATIC", "severity=\"LOW\"", None).await;
    sandbox.store.delete_setting(Kind::MuteConfig, "r", &by("bob", 9)).await.unwrap();
    let trail = sandbox.store.audit(None, None, 10).await.unwrap();
    let lines: Vec<_> =
        trail.iter().map(|entry| format!("{} {} {}", entry.actor, entry.action, entry.object)).collect();
    let finding = format!("findings/urva/{id}");
    assert_eq!(
        lines,
        ["bob Delete muteConfigs/r", "ann Create muteConfigs/r", &format!("ann UpdateFinding {finding}")],
        "what changes nothing leaves no entry"
    );
    assert_eq!(trail[2].before, Some(json!({"mute": "UNDEFINED"})));
    assert_eq!(trail[2].after, Some(json!({"mute": "MUTED"})));
    assert_eq!(trail[2].at, by("", 5).at);
    assert_eq!(sandbox.store.audit(Some(&finding), None, 10).await.unwrap(), trail[2..]);
    assert_eq!(sandbox.store.audit(None, Some(trail[0].number), 1).await.unwrap(), trail[1..2]);
    for statement in [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "UPDATE audit_limit SET at = -1",
        "DELETE FROM audit_limit",
    ] {
        let refused = sandbox.try_run(statement).await.unwrap_err();
        assert!(refused.contains("the audit trail is not changed"), "{statement}: {refused}");
    }
    assert_eq!(sandbox.store.audit(None, None, 10).await.unwrap(), trail);
}

#[tokio::test]
async fn settings_are_kept_by_kind_and_id() {
    let sandbox = sandbox().await;
    let store = &sandbox.store;
    let own = store.settings(Kind::Source, None, 10).await.unwrap();
    assert_eq!(own.iter().map(|source| source.id.as_str()).collect::<Vec<_>>(), ["urva"]);
    for id in ["b", "a", "c"] {
        store.create_setting(Kind::NotificationConfig, id, json!({"n": 1.0}), &by("ann", 0)).await.unwrap();
    }
    let again = store.create_setting(Kind::NotificationConfig, "a", json!({}), &by("ann", 0)).await;
    assert!(matches!(again, Err(StoreError::AlreadyThere { .. })), "{again:?}");
    let some = store.settings(Kind::NotificationConfig, Some("a"), 1).await.unwrap();
    assert_eq!((some.len(), some[0].id.as_str(), &some[0].document), (1, "b", &json!({"n": 1})));
    let ann = by("ann", 1);
    let changed = store.change_setting(Kind::NotificationConfig, "b", &ann, "Update", |document| {
        document["n"] = json!(2);
        Ok::<(), ()>(())
    });
    assert_eq!(changed.await.unwrap().unwrap(), json!({"n": 2}));
    assert_eq!(store.setting(Kind::NotificationConfig, "b").await.unwrap(), json!({"n": 2}));
    store.delete_setting(Kind::NotificationConfig, "b", &by("ann", 2)).await.unwrap();
    let gone = store.delete_setting(Kind::NotificationConfig, "b", &by("ann", 2)).await;
    assert!(matches!(gone, Err(StoreError::NoSuchSetting { .. })), "{gone:?}");
}

#[tokio::test]
async fn mute_rules_take_effect_on_what_is_recorded() {
    let sandbox = sandbox().await;
    rule(&sandbox, "by-namespace", "DYNAMIC", "source_properties.Pod_Namespace=\"shop\"", None).await;
    rule(&sandbox, "expired", "DYNAMIC", "severity=\"CRITICAL\"", Some(5)).await;
    rule(&sandbox, "not-understood", "STATIC", "colour=", None).await;
    rule(&sandbox, "by-resource", "STATIC", "resource.name:\"muted-host\"", None).await;
    let early = sandbox.stored(&execution("a", "early", 1, 0)).await;
    let document = sandbox.store.finding("urva", early.id.as_str()).await.unwrap().document;
    assert_eq!(
        (&document["mute"], &document["muteInitiator"]),
        (&json!("MUTED"), &json!("muteConfigs/expired"))
    );
    let late = sandbox.stored(&execution("b", "late", 2, 10)).await;
    let document = sandbox.store.finding("urva", late.id.as_str()).await.unwrap().document;
    assert_eq!(document["mute"], "UNDEFINED", "the rule has expired");
    sandbox.store.complete_container(&container("b", "web-0", "shop", "reg/web:1")).await.unwrap();
    let document = sandbox.store.finding("urva", late.id.as_str()).await.unwrap().document;
    assert_eq!(document["mute"], "MUTED", "the namespace is known now");
    assert_eq!(document["muteInfo"]["dynamicMuteRecords"][0]["muteConfig"], "muteConfigs/by-namespace");
    let given = json!({"category": "One", "resourceName": "//muted-host/1"});
    let resource = json!({"name": "//muted-host/1"});
    let created = sandbox.store.create_finding("s", "f", given, resource, &by("bob", 20)).await.unwrap();
    assert_eq!(created.document["muteInfo"]["staticMute"]["state"], "MUTED");
    let muted = Filter::parse("mute=\"MUTED\"").unwrap();
    assert_eq!(sandbox.store.count(None, &muted).await.unwrap(), 3);
}

#[tokio::test]
async fn many_findings_are_changed_in_steps() {
    let sandbox = sandbox().await;
    let batch: Vec<_> = (0..450).map(|pid| execution("a", &pid.to_string(), pid, 0)).collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    let filter = Filter::parse("mute=\"UNDEFINED\"").unwrap();
    let (mut changed, mut after, mut calls) = (0, None, 0);
    loop {
        let mute = |document: &mut Value| document["mute"] = "MUTED".into();
        let step =
            sandbox.store.change_some(None, &filter, after, &by("ann", 0), "BulkMute", mute).await.unwrap();
        changed += step.0;
        after = step.1;
        calls += 1;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((changed, calls), (450, 4));
    assert_eq!(sandbox.store.count(None, &filter).await.unwrap(), 0);
    assert_eq!(sandbox.store.audit(None, None, 1000).await.unwrap().len(), 450);
}

async fn create(sandbox: &Sandbox, document: &Value) -> Result<Stored, StoreError> {
    sandbox.store.create_finding("s", "f", document.clone(), json!({"name": "//x"}), &by("bob", 1)).await
}

#[tokio::test]
async fn a_client_says_nothing_new_of_a_resource_that_others_share() {
    let sandbox = sandbox().await;
    let own = sandbox.stored(&execution("a", "x", 1, 0)).await;
    let resource = sandbox.store.finding("urva", own.id.as_str()).await.unwrap().resource;
    let name = resource["name"].as_str().unwrap().to_owned();
    let mut other = resource.clone();
    other["displayName"] = json!("defaced");
    let document = json!({"category": "One", "resourceName": name});
    let filed = sandbox.store.create_finding("s", "f", document, other, &by("eve", 1)).await.unwrap();
    assert_eq!(filed.resource, resource, "the answer says what is kept");
    set(&sandbox, "s", "f", "resourceName", json!("//elsewhere")).await.unwrap();
    set(&sandbox, "s", "f", "resourceName", json!(name)).await.unwrap();
    assert_eq!(sandbox.store.finding("urva", own.id.as_str()).await.unwrap().resource, resource);
}

#[tokio::test]
async fn a_resource_that_a_client_described_is_corrected_when_urva_finds_something_in_it() {
    let sandbox = sandbox().await;
    let name =
        sandbox.store.finding("urva", sandbox.stored(&execution("a", "x", 1, 0)).await.id.as_str()).await;
    let resource = name.unwrap().resource;
    sandbox.run("DELETE FROM findings; DELETE FROM resources").await;
    let store = store::Store::open(&sandbox.address).await.unwrap();
    let wrong = json!({"name": resource["name"], "displayName": "wrong"});
    let document = json!({"category": "One", "resourceName": resource["name"]});
    store.create_finding("s", "f", document, wrong, &by("eve", 1)).await.unwrap();
    let own = execution("a", "y", 2, 5);
    store.record(std::slice::from_ref(&own), HOUR).await.unwrap();
    assert_eq!(store.finding("s", "f").await.unwrap().resource, resource);
}

#[tokio::test]
async fn a_finding_does_not_grow_without_end_by_small_changes() {
    let sandbox = sandbox().await;
    let own = sandbox.stored(&execution("a", "x", 1, 0)).await;
    let mut refused = None;
    for number in 0..40 {
        let add = |document: &mut Value| {
            document["securityMarks"]["marks"][format!("k{number}")] = json!("x".repeat(50_000));
            Ok::<(), ()>(())
        };
        let changed = sandbox.store.change_finding("urva", own.id.as_str(), &by("ann", 5), "Mark", add).await;
        if let Err(error) = changed {
            refused = Some((number, error));
            break;
        }
    }
    let (number, error) = refused.expect("it grew without end");
    assert!(matches!(error, StoreError::TooLarge { bytes: 512_001.., .. }), "{error:?}");
    assert_eq!(sandbox.store.audit(None, None, 100).await.unwrap().len(), number);
    let long = json!({"category": "c".repeat(1_025), "resourceName": "//x"});
    let refused = create(&sandbox, &long).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooLong { field: "category", .. }), "{refused:?}");
}

#[tokio::test]
async fn who_looks_for_what_is_to_be_changed_waits_for_no_writer() {
    let sandbox = sandbox().await;
    sandbox.stored(&execution("a", "x", 1, 0)).await;
    let nothing = Filter::parse("category=\"Nothing\"").unwrap();
    let _writing = sandbox.writing().await;
    let changed = sandbox.store.change_some(None, &nothing, None, &by("ann", 1), "SetMute", |_| {}).await;
    assert_eq!(changed.unwrap(), (0, None));
}

/// Whoever is gone keeps nobody from writing: another process, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_given_up_half_way_lets_others_write() {
    let sandbox = sandbox().await;
    let first = sandbox.stored(&execution("a", "x", 1, 0)).await;
    let other = store::Store::open(&sandbox.address).await.unwrap();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for steps in 1..30_u32 {
        {
            let change = |document: &mut Value| {
                document["mute"] = json!(if steps % 2 == 0 { "MUTED" } else { "UNMUTED" });
                Ok::<(), ()>(())
            };
            let (store, by) = (&sandbox.store, by("ann", 5));
            let mut change =
                std::pin::pin!(store.change_finding("urva", first.id.as_str(), &by, "SetMute", change));
            for _ in 0..steps {
                if change.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        }
        let next = execution("b", &steps.to_string(), steps, 0);
        other.record(&[next], HOUR).await.unwrap();
    }
}
