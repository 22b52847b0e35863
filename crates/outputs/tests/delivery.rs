//! Delivery to real receivers, whatever they, the clock and the kernel do meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod receiver;

use evidence::Timestamp;
use outputs::{Backoff, Courier, Format, Key, Kind, Output, Round, Trust};
use receiver::{Answer, Receiver};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::filter::Filter;
use store::{By, Site, Store, Subscription, Wanted};
use tempfile::TempDir;

const NOON: Timestamp = Timestamp::from_seconds(1_795_262_400);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const DAY: u64 = 86_400;

/// A clock that stands until it is set.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn at_noon() -> Self {
        Self(Arc::new(AtomicU64::new(NOON.0)))
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }

    fn set(&self, at: Timestamp) {
        self.0.store(at.0, Ordering::SeqCst);
    }
}

/// A store with one output named `soc` that hears of everything.
struct Desk {
    folder: TempDir,
    store: Store,
    clock: Clock,
}

impl Desk {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = open(&folder.path().join("urva.db")).await;
        Self { folder, store, clock: Clock::at_noon() }
    }

    async fn find(&self, ids: impl IntoIterator<Item = String>) {
        find(&self.store, self.clock.now(), ids).await;
    }

    fn courier(&self, kind: Kind) -> Courier<impl Fn() -> Timestamp + use<>> {
        let clock = self.clock.clone();
        courier(kind, Arc::new(move || clock.now()))
    }

    /// Rounds while there is more to do at once.
    async fn rounds(&self, courier: &mut Courier<impl Fn() -> Timestamp>) -> Round {
        let mut sum = Round::default();
        loop {
            let round = courier.round(&self.store).await.unwrap();
            sum.delivered += round.delivered;
            sum.put_off += round.put_off;
            sum.given_up += round.given_up;
            if !round.has_more {
                return sum;
            }
        }
    }

    async fn waiting(&self) -> u64 {
        self.store.output_states().await.unwrap().first().map_or(0, |state| state.waiting)
    }
}

fn courier<C: Fn() -> Timestamp>(kind: Kind, clock: Arc<C>) -> Courier<C> {
    let max_age = Duration::from_secs(3 * DAY);
    let output = Output { name: "soc".to_owned(), kind, timeout: Duration::from_millis(300), max_age };
    Courier::new(output, &Trust::of_host().unwrap(), clock, Backoff(|| 0)).unwrap()
}

async fn open(path: &Path) -> Store {
    let wanted = Wanted::Matching(Filter::parse("").unwrap());
    let subscriptions = vec![Subscription { output: "soc".to_owned(), wanted, max_waiting: 100_000 }];
    let site = Site { subscriptions, ..Site::default() };
    loop {
        match Store::open_in(path, site.clone()).await {
            Ok(store) => return store,
            // Another process may write, and be slow.
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    }
}

async fn find(store: &Store, at: Timestamp, ids: impl IntoIterator<Item = String>) {
    for id in ids {
        let document = json!({
            "name": format!("projects/local/sources/7/locations/global/findings/{id}"),
            "resourceName": "//cluster",
            "category": "Test",
            "state": "ACTIVE",
            "severity": "HIGH",
            "eventTime": at.to_string(),
        });
        let by = By { actor: "test", at };
        let resource = json!({"name": "//cluster"});
        // Another process may write, and be slow.
        while let Err(error) = store.create_finding("7", &id, document.clone(), resource.clone(), &by).await {
            assert!(error.is_temporary(), "{error}");
        }
    }
}

fn numbers(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("n{number}"))
}

fn webhook(receiver: &Receiver) -> Kind {
    let key = Some(Key::parse(SECRET).unwrap());
    Kind::Webhook { url: receiver.url(), format: Format::Finding, key, token: None }
}

fn name_in(body: &[u8]) -> String {
    let body: Json = serde_json::from_slice(body).unwrap();
    body["finding"]["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_found_is_posted_once_in_its_order_and_signed() {
    let (desk, receiver) = (Desk::new().await, Receiver::start(Answer::Code(204, None)).await);
    desk.find(numbers(100)).await;
    let round = desk.rounds(&mut desk.courier(webhook(&receiver))).await;
    assert_eq!(round.delivered, 100);
    let came = receiver.came();
    assert_eq!(
        came.iter().map(|came| name_in(&came.body)).collect::<Vec<_>>(),
        numbers(100).collect::<Vec<_>>()
    );
    for came in &came {
        let expected = Key::parse(SECRET).unwrap().sign(&came.id, NOON, &came.body);
        assert_eq!(came.signature.as_deref(), Some(expected.as_str()));
        assert_eq!(came.timestamp, "1795262400");
    }
    assert_eq!(came.iter().map(|came| &came.id).collect::<BTreeSet<_>>().len(), 100);
    assert_eq!(desk.waiting().await, 0);
}

#[tokio::test]
async fn an_hour_of_500_loses_nothing_and_is_no_storm() {
    let (desk, receiver) = (Desk::new().await, Receiver::start(Answer::Code(500, None)).await);
    desk.find(numbers(20)).await;
    let mut courier = desk.courier(webhook(&receiver));
    for _ in 0..3600 {
        desk.rounds(&mut courier).await;
        desk.clock.pass(1);
    }
    let failed = receiver.came().len();
    assert!((10..60).contains(&failed), "{failed} tries in an hour");
    assert_eq!(desk.waiting().await, 20);
    let state = desk.store.output_states().await.unwrap().remove(0);
    assert_eq!(state.error.unwrap().0, "answered 500: as you wish\\n");
    receiver.answer(Answer::Code(200, None));
    let mut delivered = 0;
    for _ in 0..600 {
        delivered += desk.rounds(&mut courier).await.delivered;
        desk.clock.pass(1);
    }
    assert_eq!((delivered, desk.waiting().await), (20, 0));
    // Whoever came again came under the same id.
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for came in receiver.came() {
        ids.entry(name_in(&came.body)).or_default().insert(came.id);
    }
    assert!(ids.len() == 20 && ids.values().all(|ids| ids.len() == 1), "{ids:?}");
}

#[tokio::test]
async fn who_hangs_or_refuses_is_tried_again_later() {
    let desk = Desk::new().await;
    desk.find(numbers(1)).await;
    let silent = Receiver::start(Answer::Silence).await;
    let mut courier = desk.courier(webhook(&silent));
    assert_eq!(desk.rounds(&mut courier).await, Round { put_off: 1, ..Round::default() });
    assert_eq!(desk.rounds(&mut courier).await, Round::default(), "not before its time");
    desk.clock.pass(1);
    silent.answer(Answer::Code(200, None));
    assert_eq!(desk.rounds(&mut courier).await.delivered, 1);

    desk.find(["closed".to_owned()]).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = outputs::Url::parse(&format!("http://127.0.0.1:{nobody}/")).unwrap();
    let mut courier = desk.courier(Kind::Webhook { url, format: Format::Scc, key: None, token: None });
    assert_eq!(desk.rounds(&mut courier).await.put_off, 1);
    let error = desk.store.output_states().await.unwrap().remove(0).error.unwrap().0;
    assert!(error.starts_with("cannot connect: "), "{error}");
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let desk = Desk::new().await;
    desk.find(numbers(1)).await;
    let receiver = Receiver::start(Answer::Code(429, Some(("retry-after", "120".to_owned())))).await;
    let mut courier = desk.courier(webhook(&receiver));
    desk.rounds(&mut courier).await;
    receiver.answer(Answer::Code(200, None));
    desk.clock.pass(119);
    assert_eq!(desk.rounds(&mut courier).await.delivered, 0);
    desk.clock.pass(1);
    assert_eq!(desk.rounds(&mut courier).await.delivered, 1);
}

#[tokio::test]
async fn what_is_refused_for_good_is_a_dead_letter_that_can_be_sent_again() {
    let (desk, receiver) = (Desk::new().await, Receiver::start(Answer::Code(422, None)).await);
    desk.find(numbers(3)).await;
    let mut courier = desk.courier(webhook(&receiver));
    assert_eq!(desk.rounds(&mut courier).await, Round { given_up: 3, ..Round::default() });
    let dead = desk.store.dead_letters(Some("soc"), None, 10).await.unwrap();
    assert_eq!(dead.len(), 3);
    assert_eq!((dead[0].tries, dead[0].error.as_deref()), (1, Some("answered 422: as you wish\\n")));
    receiver.answer(Answer::Code(200, None));
    assert_eq!(desk.rounds(&mut courier).await, Round::default(), "the dead stay dead");
    assert_eq!(desk.store.send_again(Some(dead[0].id), None, desk.clock.now()).await.unwrap(), 1);
    assert_eq!(desk.store.drop_dead(Some(dead[1].id), None).await.unwrap(), 1);
    assert_eq!(desk.rounds(&mut courier).await.delivered, 1);
    let state = desk.store.output_states().await.unwrap().remove(0);
    assert_eq!((state.sent, state.failed, state.dead, state.waiting), (1, 3, 1, 0));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (desk, elsewhere) = (Desk::new().await, Receiver::start(Answer::Code(200, None)).await);
    desk.find(numbers(1)).await;
    let to = format!("http://127.0.0.1:{}/", elsewhere.port);
    for code in [301, 302, 307, 308] {
        let receiver = Receiver::start(Answer::Code(code, Some(("location", to.clone())))).await;
        assert_eq!(desk.rounds(&mut desk.courier(webhook(&receiver))).await.put_off, 1);
        desk.clock.pass(600);
    }
    assert!(elsewhere.came().is_empty());
}

#[tokio::test]
async fn a_clock_that_jumps_loses_nothing_and_keeps_nothing_waiting() {
    let (desk, receiver) = (Desk::new().await, Receiver::start(Answer::Code(503, None)).await);
    desk.find(numbers(1)).await;
    let mut courier = desk.courier(webhook(&receiver));
    desk.rounds(&mut courier).await;
    // A year ahead: what seems old was hardly tried.
    desk.clock.pass(365 * DAY);
    assert_eq!(desk.rounds(&mut courier).await, Round { put_off: 1, ..Round::default() });
    // And back: what is put off until then does not wait for a year.
    desk.clock.set(NOON);
    receiver.answer(Answer::Code(200, None));
    assert_eq!(desk.rounds(&mut courier).await.delivered, 1);
}

#[tokio::test]
async fn what_is_tried_for_too_long_is_given_up() {
    let (desk, receiver) = (Desk::new().await, Receiver::start(Answer::Code(503, None)).await);
    desk.find(numbers(1)).await;
    let mut courier = desk.courier(webhook(&receiver));
    let mut given_up = 0;
    for _ in 0..5 * 24 {
        given_up += desk.rounds(&mut courier).await.given_up;
        desk.clock.pass(3600);
    }
    assert_eq!((given_up, receiver.came().len()), (1, 73));
}

#[tokio::test]
async fn a_huge_finding_is_cut_and_says_so() {
    let (desk, receiver) = (Desk::new().await, Receiver::start(Answer::Code(200, None)).await);
    let huge = json!({
        "name": "projects/local/sources/7/locations/global/findings/huge", "resourceName": "//cluster",
        "state": "ACTIVE", "category": "Test", "processes": [{"args": vec!["<\"\\\u{1}ä>".repeat(10_000); 3]}],
    });
    let by = By { actor: "test", at: NOON };
    desk.store.create_finding("7", "huge", huge, json!({"name": "//cluster"}), &by).await.unwrap();
    assert_eq!(desk.rounds(&mut desk.courier(webhook(&receiver))).await.delivered, 1);
    let body = receiver.came().remove(0).body;
    assert!(body.len() <= 256 << 10, "{} bytes", body.len());
    let body: Json = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["finding"]["sourceProperties"]["Message_Cut"], true);
    assert_eq!(body["finding"]["name"], "projects/local/sources/7/locations/global/findings/huge");
}

#[tokio::test]
async fn an_output_whose_folder_is_gone_waits_for_it() {
    let desk = Desk::new().await;
    desk.find(numbers(3)).await;
    let folder = desk.folder.path().join("later");
    let path = folder.join("findings.jsonl");
    let kind = Kind::File { path: path.clone(), format: Format::Finding, max_bytes: 1 << 20, kept: 1 };
    let mut courier = desk.courier(kind);
    assert_eq!(desk.rounds(&mut courier).await.put_off, 1);
    std::fs::create_dir(&folder).unwrap();
    desk.clock.pass(1);
    assert_eq!(desk.rounds(&mut courier).await.delivered, 3);
    let lines = std::fs::read_to_string(path).unwrap();
    assert_eq!(lines.lines().count(), 3);
}

/// Where the second process finds its database; see [`sender_killed_while_it_sends`].
const ROLE: &str = "URVA_OUTPUTS_TEST_CHILD";

/// Sends until it is killed.
async fn send_for_ever(folder: &Path) -> ! {
    let store = open(&folder.join("urva.db")).await;
    let clock = Clock::at_noon();
    clock.pass(3600);
    let port: u16 = std::fs::read_to_string(folder.join("port")).unwrap().parse().unwrap();
    let url = outputs::Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let clock = Arc::new(move || clock.now());
    let mut couriers = [
        courier(Kind::Webhook { url, format: Format::Finding, key: None, token: None }, Arc::clone(&clock)),
        {
            let path = folder.join("findings.jsonl");
            let kind = Kind::File { path, format: Format::Finding, max_bytes: 1 << 20, kept: 1000 };
            let max_age = Duration::from_secs(DAY);
            let output = Output { name: "file".to_owned(), kind, timeout: Duration::from_secs(9), max_age };
            Courier::new(output, &Trust::of_host().unwrap(), clock, Backoff(|| 0)).unwrap()
        },
    ];
    loop {
        for courier in &mut couriers {
            if let Err(error) = courier.round(&store).await {
                assert!(error.is_temporary(), "{error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sender_killed_while_it_sends() {
    if let Some(folder) = std::env::var_os(ROLE) {
        send_for_ever(&PathBuf::from(folder)).await;
    }
    let folder = TempDir::new().unwrap();
    let all = Wanted::Matching(Filter::parse("").unwrap());
    let subscription =
        |name: &str| Subscription { output: name.to_owned(), wanted: all.clone(), max_waiting: 100_000 };
    let site = Site { subscriptions: vec![subscription("soc"), subscription("file")], ..Site::default() };
    let store = Store::open_in(folder.path().join("urva.db"), site).await.unwrap();
    let receiver = Receiver::start(Answer::Code(200, None)).await;
    std::fs::write(folder.path().join("port"), receiver.port.to_string()).unwrap();
    let (mut found, mut kills) = (0, 0);
    // Each life ends at some point of a burst; the last one may go on until all is done.
    for life in 0..20 {
        let mut sender = Command::new(std::env::current_exe().unwrap())
            .args(["sender_killed_while_it_sends", "--exact", "--nocapture"])
            .env(ROLE, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let target = receiver.came().len() + 5 + life * 3;
        while receiver.came().len() < target {
            find(&store, NOON, (found..found + 10).map(|number| format!("n{number}"))).await;
            found += 10;
            assert_eq!(sender.try_wait().unwrap(), None, "the sender ended by itself");
            // Both write to one file; who is killed shall get a turn.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sender.kill().unwrap();
        sender.wait().unwrap();
        kills += 1;
    }
    let clock = Clock::at_noon();
    clock.pass(7200);
    let clock = Arc::new(move || clock.now());
    let path = folder.path().join("findings.jsonl");
    let kind = Kind::File { path: path.clone(), format: Format::Finding, max_bytes: 1 << 20, kept: 1000 };
    let file = Output {
        name: "file".to_owned(),
        kind,
        timeout: Duration::from_secs(9),
        max_age: Duration::from_secs(DAY),
    };
    let mut to_file =
        Courier::new(file, &Trust::of_host().unwrap(), Arc::clone(&clock), Backoff(|| 0)).unwrap();
    let mut to_hook = courier(webhook(&receiver), clock);
    while to_hook.round(&store).await.unwrap().has_more || to_file.round(&store).await.unwrap().has_more {}
    to_file.round(&store).await.unwrap();

    let expected: BTreeSet<String> = (0..found).map(|number| format!("n{number}")).collect();
    let came: Vec<String> = receiver.came().iter().map(|came| name_in(&came.body)).collect();
    assert_eq!(came.iter().cloned().collect::<BTreeSet<_>>(), expected, "nothing is lost");
    let mut written = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("findings.jsonl") {
            let text = std::fs::read_to_string(path).unwrap();
            written.extend(text.lines().map(|line| name_in(line.as_bytes())));
        }
    }
    assert_eq!(written.iter().cloned().collect::<BTreeSet<_>>(), expected, "nothing is lost");
    let states = store.output_states().await.unwrap();
    assert!(states.iter().all(|state| state.waiting + state.dead + state.lost == 0), "{states:?}");
    println!("{kills} kills, {found} findings, {} posted, {} written", came.len(), written.len());
}
