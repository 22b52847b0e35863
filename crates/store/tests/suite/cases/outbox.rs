//! What outputs are told, and what becomes of it.

use super::sandbox;
use crate::samples::{HOUR, NOON, container, execution};
use crate::sandbox::Sandbox;
use evidence::Timestamp;
use serde_json::{Value as Json, json};
use store::filter::Filter;
use store::{By, Delivery, Event, Kind, Site, Store, Subscription, Wanted};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(NOON + seconds)
}

fn matching(output: &str, filter: &str) -> Subscription {
    let wanted = Wanted::Matching(Filter::parse(filter).unwrap());
    Subscription { output: output.to_owned(), wanted, max_waiting: 5 }
}

/// The same database, opened with outputs.
async fn with(sandbox: &Sandbox, subscriptions: Vec<Subscription>) -> Store {
    Store::open_in(&sandbox.address, Site { subscriptions, ..Site::default() }).await.unwrap()
}

/// All that waits for an output.
async fn waiting(store: &Store, output: &str) -> Vec<Delivery> {
    store.due(output, at(1800), 100).await.unwrap()
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|one| one.finding["name"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

fn document(name: &str, severity: &str) -> Json {
    json!({
        "name": format!("projects/local/sources/7/locations/global/findings/{name}"),
        "resourceName": "//cluster/a", "category": "Test", "state": "ACTIVE", "severity": severity,
        "eventTime": at(0).to_string(),
    })
}

async fn create(store: &Store, name: &str, severity: &str) {
    let by = By { actor: "test", at: at(0) };
    let resource = json!({"name": "//cluster/a"});
    store.create_finding("7", name, document(name, severity), resource, &by).await.unwrap();
}

async fn set(store: &Store, name: &str, field: &str, value: &str) {
    let by = By { actor: "test", at: at(60) };
    let change = |document: &mut Json| {
        document[field] = json!(value);
        Ok::<_, ()>(())
    };
    store.change_finding("7", name, &by, "Test", change).await.unwrap().unwrap();
}

#[tokio::test]
async fn without_outputs_nothing_is_kept() {
    let sandbox = sandbox().await;
    sandbox.stored(&execution("a", "x", 1, 0)).await;
    create(&sandbox.store, "one", "HIGH").await;
    assert!(sandbox.store.output_states().await.unwrap().is_empty());
}

#[tokio::test]
async fn each_output_hears_of_what_its_filter_means() {
    let sandbox = sandbox().await;
    let store = with(&sandbox, vec![matching("all", ""), matching("high", "severity=\"HIGH\"")]).await;
    create(&store, "one", "HIGH").await;
    create(&store, "two", "LOW").await;
    let all = waiting(&store, "all").await;
    assert_eq!(ids(&all), ["one", "two"]);
    assert_eq!(ids(&waiting(&store, "high").await), ["one"]);
    assert_eq!((all[0].event, all[0].at, all[0].tries), (Event::Created, at(0), 0));
    assert_eq!(all[0].finding, document("one", "HIGH"));
    assert_eq!(all[0].resource, json!({"name": "//cluster/a"}));
}

#[tokio::test]
async fn a_script_is_told_once_however_often_it_runs() {
    let sandbox = sandbox().await;
    let store = with(&sandbox, vec![matching("soc", "state=\"ACTIVE\"")]).await;
    for pid in 1..=3 {
        store.record(&[execution("a", "x", pid, u64::from(pid))], HOUR).await.unwrap();
    }
    store.record(&[execution("a", "x", 3, 3), execution("b", "x", 4, 4)], HOUR).await.unwrap();
    let told = waiting(&store, "soc").await;
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|one| one.event == Event::Created));
    assert_eq!(told[0].finding["sourceProperties"]["Execution_Count"], "3", "what waits is up to date");
}

#[tokio::test]
async fn a_name_that_comes_late_is_waited_for_and_told() {
    let sandbox = sandbox().await;
    let in_shop = "source_properties.Pod_Namespace=\"shop\"";
    let store = with(&sandbox, vec![matching("soc", ""), matching("shop", in_shop)]).await;
    store.record(&[execution("a", "x", 1, 0)], HOUR).await.unwrap();
    assert!(store.due("soc", at(1), 10).await.unwrap().is_empty(), "two seconds for the runtime to answer");
    assert!(waiting(&store, "shop").await.is_empty());
    store.complete_container(&container("a", "web-1", "shop", "registry/web:1")).await.unwrap();
    let told = store.due("soc", at(2), 10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].finding["sourceProperties"]["Pod_Name"], "web-1");
    let told = waiting(&store, "shop").await;
    assert_eq!((told.len(), told[0].event), (1, Event::Created));
}

#[tokio::test]
async fn what_was_tried_is_not_told_otherwise_later() {
    let sandbox = sandbox().await;
    let store = with(&sandbox, vec![matching("soc", "")]).await;
    store.record(&[execution("a", "x", 1, 0)], HOUR).await.unwrap();
    let told = waiting(&store, "soc").await;
    store.failed(&told[0], "away", Some(at(10)), at(5)).await.unwrap();
    store.complete_container(&container("a", "web-1", "shop", "registry/web:1")).await.unwrap();
    let again = waiting(&store, "soc").await;
    assert_eq!((again.len(), again[0].tries, again[0].error.as_deref()), (1, 1, Some("away")));
    assert_eq!(again[0].finding, told[0].finding);
}

#[tokio::test]
async fn changes_of_state_severity_and_mute_are_told_and_no_others() {
    let sandbox = sandbox().await;
    let store =
        with(&sandbox, vec![matching("all", ""), matching("open", "state=\"ACTIVE\" AND -mute=\"MUTED\"")])
            .await;
    create(&store, "one", "HIGH").await;
    set(&store, "one", "description", "told by nobody").await;
    set(&store, "one", "state", "INACTIVE").await;
    set(&store, "one", "state", "ACTIVE").await;
    set(&store, "one", "mute", "MUTED").await;
    let told = waiting(&store, "all").await;
    let events: Vec<Event> = told.iter().map(|one| one.event).collect();
    assert_eq!(events, [Event::Created, Event::Changed, Event::Changed, Event::Changed]);
    assert_eq!(told[0].finding["description"], "told by nobody");
    assert_eq!(told[1].finding["state"], "INACTIVE");
    assert_eq!((told[3].finding["mute"].as_str(), told[3].at), (Some("MUTED"), at(60)));
    let told = waiting(&store, "open").await;
    let events: Vec<Event> = told.iter().map(|one| one.event).collect();
    assert_eq!(events, [Event::Created, Event::Created], "opened again is new to who hears of what is open");
}

#[tokio::test]
async fn many_that_are_changed_at_once_are_told() {
    let sandbox = sandbox().await;
    let store = with(&sandbox, vec![matching("soc", "mute=\"MUTED\"")]).await;
    create(&store, "one", "HIGH").await;
    create(&store, "two", "HIGH").await;
    let by = By { actor: "test", at: at(60) };
    let all = Filter::parse("").unwrap();
    store
        .change_some(None, &all, None, &by, "BulkMute", |document| document["mute"] = json!("MUTED"))
        .await
        .unwrap();
    assert_eq!(ids(&waiting(&store, "soc").await), ["one", "two"]);
}

#[tokio::test]
async fn a_topic_hears_what_notification_configs_of_it_ask_for() {
    let sandbox = sandbox().await;
    let topic = |name: &str| Wanted::Topic(format!("projects/p/topics/{name}"));
    let subscription = |output: &str, name: &str| Subscription {
        output: output.to_owned(),
        wanted: topic(name),
        max_waiting: 5,
    };
    let store = with(&sandbox, vec![subscription("pubsub", "t"), subscription("other", "u")]).await;
    let by = By { actor: "test", at: at(0) };
    for (id, name, filter) in
        [("high", "t", "severity=\"HIGH\""), ("all", "t", ""), ("low", "u", "severity=\"LOW\"")]
    {
        let config = json!({
            "name": format!("projects/p/notificationConfigs/{id}"),
            "pubsubTopic": format!("projects/p/topics/{name}"),
            "streamingConfig": {"filter": filter},
        });
        store.create_setting(Kind::NotificationConfig, id, config, &by).await.unwrap();
    }
    create(&store, "one", "HIGH").await;
    let told = waiting(&store, "pubsub").await;
    let configs: Vec<_> = told.iter().map(|one| one.config.as_deref().unwrap()).collect();
    assert_eq!(configs, ["projects/p/notificationConfigs/all", "projects/p/notificationConfigs/high"]);
    assert!(waiting(&store, "other").await.is_empty());
    store.delete_setting(Kind::NotificationConfig, "all", &by).await.unwrap();
    create(&store, "two", "LOW").await;
    assert_eq!(ids(&waiting(&store, "pubsub").await), ["one", "one"]);
    assert_eq!(ids(&waiting(&store, "other").await), ["two"]);
}

#[tokio::test]
async fn what_is_too_much_is_lost_the_oldest_first_and_counted() {
    let sandbox = sandbox().await;
    let store = with(&sandbox, vec![matching("soc", ""), matching("other", "")]).await;
    for name in ["1", "2", "3", "4", "5", "6", "7"] {
        create(&store, name, "HIGH").await;
    }
    assert_eq!(ids(&waiting(&store, "soc").await), ["3", "4", "5", "6", "7"]);
    let states = store.output_states().await.unwrap();
    assert_eq!(states.iter().map(|state| (state.waiting, state.lost)).collect::<Vec<_>>(), [(5, 2), (5, 2)]);
    sandbox.run("DELETE FROM deliveries WHERE output = 'other'").await;
    let seven: Vec<_> = waiting(&store, "soc").await.iter().map(|one| one.id).collect();
    store.delivered("soc", &seven, at(9)).await.unwrap();
    let state = store.output_states().await.unwrap().pop().unwrap();
    assert_eq!((state.name.as_str(), state.sent, state.waiting, state.sent_at), ("soc", 5, 0, Some(at(9))));
    // What nobody waits for is gone: the number of the next notice would be refused otherwise.
    sandbox.run("CREATE UNIQUE INDEX only_one ON notices ((1))").await;
    create(&store, "8", "HIGH").await;
}

#[tokio::test]
async fn dead_letters_are_seen_sent_again_and_dropped() {
    let sandbox = sandbox().await;
    let store = with(&sandbox, vec![matching("soc", ""), matching("mail", "")]).await;
    create(&store, "one", "HIGH").await;
    create(&store, "two", "HIGH").await;
    for output in ["soc", "mail"] {
        for delivery in waiting(&store, output).await {
            store.failed(&delivery, &"é".repeat(1000), None, at(5)).await.unwrap();
        }
    }
    let dead = store.dead_letters(None, None, 100).await.unwrap();
    assert_eq!(ids(&dead), ["one", "one", "two", "two"]);
    assert_eq!(dead[0].error.as_deref(), Some("é".repeat(250).as_str()));
    assert_eq!(store.dead_letters(Some("mail"), Some(dead[1].id), 9).await.unwrap().len(), 1);
    assert_eq!(store.dead_letter(dead[0].id).await.unwrap().as_ref(), Some(&dead[0]));
    assert_eq!(store.send_again(None, Some("mail"), at(7)).await.unwrap(), 2);
    assert_eq!(store.dead_letters(None, None, 100).await.unwrap().len(), 2);
    assert_eq!(waiting(&store, "mail").await.iter().map(|one| one.tries).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(store.drop_dead(None, None).await.unwrap(), 2);
    assert_eq!(store.drop_dead(None, None).await.unwrap(), 0);
    assert_eq!(store.dead_letter(dead[0].id).await.unwrap(), None);
}

#[tokio::test]
async fn what_waits_for_an_output_that_is_gone_is_given_up() {
    let sandbox = sandbox().await;
    let store = with(&sandbox, vec![matching("old", ""), matching("soc", "")]).await;
    create(&store, "one", "HIGH").await;
    assert_eq!(store.give_up_all_but(&["soc", "new"]).await.unwrap(), 1);
    assert_eq!(store.give_up_all_but(&["soc"]).await.unwrap(), 0);
    assert_eq!(store.dead_letters(None, None, 9).await.unwrap()[0].output, "old");
    assert_eq!(waiting(&store, "soc").await.len(), 1);
    assert_eq!(store.give_up_all_but(&[]).await.unwrap(), 1);
}

#[tokio::test]
async fn findings_that_go_leave_what_was_told_of_them() {
    let sandbox = sandbox().await;
    let store = with(&sandbox, vec![matching("soc", "")]).await;
    create(&store, "one", "HIGH").await;
    let policy = store::RetentionPolicy { max_age: Some(HOUR), ..Default::default() };
    store.retain(&policy, at(2 * 3600)).await.unwrap();
    assert_eq!(ids(&waiting(&store, "soc").await), ["one"]);
}

#[tokio::test]
async fn what_waits_moves_with_the_database() {
    let (from, to) = (sandbox().await, sandbox().await);
    let store = with(&from, vec![matching("soc", "")]).await;
    create(&store, "one", "HIGH").await;
    let mut lines = Vec::new();
    store.export(&mut lines).await.unwrap();
    to.store.import(&mut lines.as_slice()).await.unwrap();
    assert_eq!(waiting(&to.store, "soc").await, waiting(&store, "soc").await);
    let store = with(&to, vec![matching("soc", "")]).await;
    create(&store, "two", "HIGH").await;
    assert_eq!(ids(&waiting(&store, "soc").await), ["one", "two"]);
}
