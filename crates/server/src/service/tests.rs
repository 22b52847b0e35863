//! Methods on a store of their own, with a clock that stands still unless it is set.

use super::*;
use crate::protocol::v2::finding::Mute;
use crate::protocol::v2::mute_config::MuteConfigType;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{By, Kind};
use tempfile::TempDir;
use tonic::Code;

static SECONDS: AtomicU64 = AtomicU64::new(1_795_262_400);
const PARENT: &str = "projects/local";

fn now() -> Timestamp {
    Timestamp::from_seconds(SECONDS.load(Ordering::Relaxed))
}

fn call() -> Call {
    Call { actor: "token 1 (test)".to_owned(), at: now(), is_confirmed: false }
}

/// A service of which nothing goes on by itself, and the name of a source of a client's.
struct Bench {
    _folder: TempDir,
    store: Arc<Store>,
    service: Service,
    source: String,
}

impl Bench {
    async fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let store = Arc::new(Store::open(folder.path().join("urva.db")).await.expect("a store"));
        let service = service(&store);
        let source = Source { display_name: "Scanner".to_owned(), ..Default::default() };
        let create = v2::CreateSourceRequest { parent: PARENT.to_owned(), source: Some(source) };
        let source = sources::create(&service, &call(), create).await.expect("a source").name;
        Self { _folder: folder, store, service, source }
    }

    async fn create(&self, id: &str, category: &str) -> Finding {
        let create = v2::CreateFindingRequest {
            parent: self.source.clone(),
            finding_id: id.to_owned(),
            finding: Some(finding(category)),
        };
        change::create(&self.service, &call(), create).await.expect("a finding")
    }

    async fn rule(&self, filter: &str, expiry: Option<Timestamp>) -> Result<MuteConfig, Refusal> {
        let mut rule = MuteConfig {
            filter: filter.to_owned(),
            expiry_time: expiry.map(crate::json::timestamp),
            ..Default::default()
        };
        rule.set_type(MuteConfigType::Dynamic);
        let (parent, mute_config_id) = (PARENT.to_owned(), "noise".to_owned());
        let create = v2::CreateMuteConfigRequest { parent, mute_config: Some(rule), mute_config_id };
        mute_configs::create(&self.service, &call(), create).await
    }

    async fn set_mute(&self, id: &str, mute: Mute) {
        let request =
            v2::SetMuteRequest { name: format!("{}/findings/{id}", self.source), mute: mute.into() };
        change::set_mute(&self.service, &call(), request).await.expect("a finding");
    }

    /// Carries out what is queued.
    async fn carry_out(&self) -> usize {
        let mut expired = HashSet::new();
        self.service.carry_out(&mut expired).await.expect("a store");
        expired.len()
    }

    async fn check(&self, id: &str, mute: Mute) {
        let source = self.source.rsplit('/').next().expect("an id");
        let document = self.store.finding(source, id).await.expect("a finding").document;
        assert_eq!(document["mute"], mute.as_str_name(), "{id}: {document}");
    }

    async fn update(&self, finding: Finding, paths: &[&str]) -> Result<Finding, Refusal> {
        let update_mask =
            prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        let request = v2::UpdateFindingRequest { finding: Some(finding), update_mask: Some(update_mask) };
        change::update(&self.service, &call(), request).await
    }
}

fn service(store: &Arc<Store>) -> Service {
    let scopes = Scopes { project: "local".to_owned(), ..Scopes::default() };
    Service::new(Arc::clone(store), now, scopes).served(Arc::default())
}

fn finding(category: &str) -> Finding {
    Finding {
        category: category.to_owned(),
        resource_name: "//x".to_owned(),
        event_time: Some(crate::json::timestamp(now())),
        ..Default::default()
    }
}

fn code(refusal: Refusal) -> Code {
    Status::from(refusal).code()
}

#[tokio::test]
async fn a_dynamic_rule_mutes_until_it_expires() {
    let bench = Bench::new().await;
    bench.create("a", "Noise").await;
    let expiry = now().plus(Duration::from_secs(60));
    bench.rule("category=\"Noise\"", Some(expiry)).await.expect("a rule");
    bench.check("a", Mute::Undefined).await;
    assert_eq!(bench.carry_out().await, 0, "it has not expired");
    bench.check("a", Mute::Muted).await;
    SECONDS.fetch_add(60, Ordering::Relaxed);
    assert_eq!(bench.carry_out().await, 1);
    bench.check("a", Mute::Undefined).await;
}

#[tokio::test]
async fn a_rule_that_changes_takes_its_findings_along() {
    let bench = Bench::new().await;
    for (id, category) in [("a", "Noise"), ("b", "Other"), ("c", "Noise"), ("d", "Both")] {
        bench.create(id, category).await;
    }
    let rule = bench.rule("category=\"Noise\" OR category=\"Both\"", None).await.expect("a rule");
    bench.carry_out().await;
    bench.set_mute("c", Mute::Unmuted).await;
    for filter in ["category=\"Nothing\"", "category=\"Other\" OR category=\"Both\""] {
        let changed = MuteConfig { name: rule.name.clone(), filter: filter.to_owned(), ..Default::default() };
        let request = v2::UpdateMuteConfigRequest { mute_config: Some(changed), update_mask: None };
        mute_configs::update(&bench.service, &call(), request).await.expect("a rule");
    }
    bench.carry_out().await;
    for (id, mute) in [("a", Mute::Undefined), ("b", Mute::Muted), ("c", Mute::Unmuted), ("d", Mute::Muted)] {
        bench.check(id, mute).await;
    }
    bench.set_mute("c", Mute::Undefined).await;
    bench.check("c", Mute::Undefined).await;
    let queued = bench.store.settings(Kind::Operation, None, 10).await.expect("a store");
    let described = MuteConfig { name: rule.name.clone(), description: "d".to_owned(), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["description".to_owned()] });
    let request = v2::UpdateMuteConfigRequest { mute_config: Some(described), update_mask };
    mute_configs::update(&bench.service, &call(), request).await.expect("a rule");
    let still = bench.store.settings(Kind::Operation, None, 10).await.expect("a store");
    assert_eq!(still, queued, "a description takes no effect on findings");
    let delete = v2::DeleteMuteConfigRequest { name: rule.name };
    mute_configs::delete(&bench.service, &call(), delete).await.expect("a rule");
    bench.carry_out().await;
    bench.check("b", Mute::Undefined).await;
}

#[tokio::test]
async fn an_expiry_that_is_over_is_refused_however_long_it_is() {
    let bench = Bench::new().await;
    for seconds in [-1, 0, 1, i64::try_from(now().0 / 1_000_000_000).expect("a time")] {
        let mut rule = MuteConfig { filter: "category=\"x\"".to_owned(), ..Default::default() };
        rule.set_type(MuteConfigType::Dynamic);
        rule.expiry_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let create = v2::CreateMuteConfigRequest {
            parent: PARENT.to_owned(),
            mute_config: Some(rule),
            mute_config_id: "over".to_owned(),
        };
        let refused = mute_configs::create(&bench.service, &call(), create).await.expect_err("over");
        assert!(refused.to_string().contains("is over"), "{seconds}: {refused}");
    }
    let year_3000 = Some(prost_types::Timestamp { seconds: 32_503_680_000, nanos: 0 });
    let rule = MuteConfig {
        filter: "category=\"x\"".to_owned(),
        r#type: 2,
        expiry_time: year_3000,
        ..Default::default()
    };
    let (parent, mute_config_id) = (PARENT.to_owned(), "late".to_owned());
    let create = v2::CreateMuteConfigRequest { parent, mute_config: Some(rule), mute_config_id };
    mute_configs::create(&bench.service, &call(), create).await.expect("a rule");
}

#[tokio::test]
async fn an_operation_outlives_the_server_that_it_was_asked_of() {
    let bench = Bench::new().await;
    bench.create("a", "Noise").await;
    let request = v2::BulkMuteFindingsRequest {
        parent: PARENT.to_owned(),
        filter: "category=\"Noise\"".to_owned(),
        ..Default::default()
    };
    let begun = bulk::mute(&bench.service, &call(), request).await.expect("an operation");
    assert!(!begun.done);
    let name = begun.name;
    let delete = || DeleteOperationRequest { name: name.clone() };
    let refused = bulk::delete(&bench.service, &call(), delete()).await.expect_err("under way");
    assert_eq!(code(refused), Code::FailedPrecondition);
    let again = service(&bench.store);
    again.carry_out(&mut HashSet::new()).await.expect("a store");
    bench.check("a", Mute::Muted).await;
    let get = GetOperationRequest { name: name.clone() };
    let found = bulk::get(&service(&bench.store), &call(), get).await.expect("an operation");
    assert!(found.done && found.result.is_some());
    let wait = WaitOperationRequest { name: name.clone(), timeout: None };
    assert!(bulk::wait(&bench.service, &call(), wait).await.expect("an operation").done);
    bulk::delete(&bench.service, &call(), delete()).await.expect("an operation");
    let gone = bulk::delete(&bench.service, &call(), delete()).await.expect_err("forgotten");
    assert_eq!(code(gone), Code::NotFound);
}

#[tokio::test]
async fn one_who_waits_where_nobody_else_works_does_the_work() {
    let bench = Bench::new().await;
    bench.create("a", "Noise").await;
    bench.rule("category=\"Noise\"", None).await.expect("a rule");
    let alone = Service::new(
        Arc::clone(&bench.store),
        now,
        Scopes { project: "local".to_owned(), ..Scopes::default() },
    );
    let wait = WaitOperationRequest { name: format!("{PARENT}/operations/rule-noise"), timeout: None };
    assert!(bulk::wait(&alone, &call(), wait).await.expect("an operation").done);
    bench.check("a", Mute::Muted).await;
}

#[tokio::test]
async fn a_change_leaves_a_finding_that_can_be_read() {
    let bench = Bench::new().await;
    let mut given = finding("Noise");
    given.processes = vec![v2::Process { name: "sh".to_owned(), ..Default::default() }];
    given.name = bench.create("a", "Noise").await.name;
    bench.update(given.clone(), &["processes"]).await.expect("a finding");
    for path in ["processes.name", "processes.script.sha256", "kubernetes.pods.ns"] {
        let refused = bench.update(given.clone(), &[path]).await.expect_err(path);
        assert!(refused.to_string().contains("lies in a list"), "{refused}");
    }
    let allowed = v2::ip_rules::Rules::Allowed(v2::Allowed::default());
    let denied = v2::ip_rules::Rules::Denied(v2::Denied::default());
    given.ip_rules = Some(v2::IpRules { rules: Some(allowed), ..Default::default() });
    bench.update(given.clone(), &["ip_rules"]).await.expect("a finding");
    given.ip_rules = Some(v2::IpRules { rules: Some(denied), ..Default::default() });
    let refused = bench.update(given.clone(), &["ip_rules.denied"]).await.expect_err("both");
    assert!(refused.to_string().contains("no finding"), "{refused}");
    let request = v2::ListFindingsRequest { parent: bench.source.clone(), ..Default::default() };
    let listed = findings::list(&bench.service, &call(), request).await.expect("a list");
    let found = listed.list_findings_results[0].finding.clone().expect("a finding");
    assert_eq!(found.processes[0].name, "sh");
}

#[tokio::test]
async fn what_cannot_be_read_hides_nothing_else() {
    let bench = Bench::new().await;
    bench.create("a", "Noise").await;
    let id = bench.source.rsplit('/').next().expect("an id");
    let spoilt = json!({"category": "x", "processes": {}, "resourceName": "//x"});
    let by = By { actor: "test", at: now() };
    bench.store.create_finding(id, "b", spoilt, json!({"name": "//x"}), &by).await.expect("a finding");
    bench.store.create_setting(Kind::Source, "0", json!({"displayName": 7}), &by).await.expect("a setting");
    let request = v2::ListFindingsRequest { parent: bench.source.clone(), ..Default::default() };
    let listed = findings::list(&bench.service, &call(), request).await.expect("a list");
    assert_eq!(listed.list_findings_results.len(), 1);
    let request = v2::ListSourcesRequest { parent: PARENT.to_owned(), ..Default::default() };
    let listed = sources::list(&bench.service, &call(), request).await.expect("a list");
    assert_eq!(listed.sources.len(), 2);
    assert!(bench.service.metrics.text().contains("urva_server_unreadable_total 2"));
}

#[tokio::test]
async fn nobody_but_urva_has_findings_in_its_source() {
    let bench = Bench::new().await;
    let parent = format!("{PARENT}/sources/urva");
    let create = v2::CreateFindingRequest {
        parent: parent.clone(),
        finding_id: "a".to_owned(),
        finding: Some(finding("Noise")),
    };
    let refused = change::create(&bench.service, &call(), create).await.expect_err("urva's own");
    assert_eq!(code(refused), Code::FailedPrecondition);
    let mut given = finding("Noise");
    given.name = format!("{parent}/findings/a");
    let refused = bench.update(given, &[]).await.expect_err("urva's own");
    assert_eq!(code(refused), Code::FailedPrecondition);
}

#[tokio::test]
async fn what_json_cannot_write_is_the_callers_mistake() {
    let bench = Bench::new().await;
    let number = |number| prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(number)) };
    for value in [number(f64::NAN), number(f64::INFINITY)] {
        let mut given = finding("Noise");
        given.source_properties.insert("x".to_owned(), value);
        let create = v2::CreateFindingRequest {
            parent: bench.source.clone(),
            finding_id: "a".to_owned(),
            finding: Some(given),
        };
        let refused = change::create(&bench.service, &call(), create).await.expect_err("no JSON");
        assert_eq!(code(refused), Code::InvalidArgument);
    }
    let mut given = finding("Noise");
    given.event_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    given.name = format!("{}/findings/a", bench.source);
    assert_eq!(code(bench.update(given, &[]).await.expect_err("no time")), Code::InvalidArgument);
}
