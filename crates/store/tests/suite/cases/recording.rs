//! Which executions become one finding, and what that finding then says.

use super::sandbox;
use crate::samples::{HOUR, capture, container, execution, finding, with_hash};
use crate::sandbox::Sandbox;
use evidence::text::Untrusted;
use evidence::{Content, CoverageNote, Finding, Metadata, Reason, Script, ScriptKind, State};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use store::Outcome::{self, AlreadyKnown, New, Updated};
use store::Store;

/// Records one after the other with a window of an hour: what becomes of each, and its finding's count.
async fn check(executions: &[Finding], expected: &[(Outcome, u64)]) -> Sandbox {
    let sandbox = sandbox().await;
    let mut outcomes = Vec::new();
    for execution in executions {
        let recorded = sandbox.store.record(std::slice::from_ref(execution), HOUR).await.unwrap();
        outcomes.push((recorded[0].outcome, recorded[0].count));
    }
    assert_eq!(outcomes, expected);
    sandbox
}

#[tokio::test]
async fn the_same_script_again_in_the_same_container_is_one_finding() {
    let executions = [execution("a", "x", 1, 0), execution("a", "x", 2, 60), execution("a", "x", 3, 120)];
    let sandbox = check(&executions, &[(New, 1), (Updated, 2), (Updated, 3)]).await;
    let stored = sandbox.store.get(&executions[0].id).await.unwrap();
    assert_eq!(stored.count, 3);
    assert_eq!(stored.first_seen, executions[0].first_seen);
    assert_eq!(stored.last_seen, executions[2].last_seen);
    assert_eq!(
        stored.script().unwrap().capture.process,
        executions[2].script().unwrap().capture.process,
        "the capture is the latest one"
    );
}

#[tokio::test]
async fn another_container_text_or_category_is_another_finding() {
    let mut shell = execution("a", "x", 4, 3);
    shell.category = evidence::Category::MaliciousScriptExecuted;
    let executions = [execution("a", "x", 1, 0), execution("b", "x", 2, 1), execution("a", "y", 3, 2), shell];
    check(&executions, &[(New, 1), (New, 1), (New, 1), (New, 1)]).await;
}

#[tokio::test]
async fn a_process_of_the_host_has_no_container() {
    let mut capture = capture("", "x", 1, 0);
    capture.container = None;
    let sandbox = check(&[finding(capture.clone())], &[(New, 1)]).await;
    assert_eq!(sandbox.stored(&finding(capture)).await.script().unwrap().capture.container, None);
}

#[tokio::test]
async fn the_window_runs_from_the_last_execution() {
    let executions = [
        execution("a", "x", 1, 0),
        execution("a", "x", 2, 3600),
        execution("a", "x", 3, 7200),
        execution("a", "x", 4, 10_801),
    ];
    check(&executions, &[(New, 1), (Updated, 2), (Updated, 3), (New, 1)]).await;
}

#[tokio::test]
async fn a_report_that_comes_late_is_counted_and_the_capture_stays_the_latest() {
    let executions = [
        execution("a", "x", 1, 600),
        execution("a", "x", 2, 3000),
        execution("a", "x", 3, 900),
        execution("a", "x", 4, 0),
    ];
    let sandbox = check(&executions, &[(New, 1), (Updated, 2), (Updated, 3), (Updated, 4)]).await;
    let stored = sandbox.store.get(&executions[0].id).await.unwrap();
    assert_eq!(stored.script().unwrap().capture.process.pid, 2);
    assert_eq!((stored.first_seen, stored.last_seen), (executions[3].first_seen, executions[1].last_seen));
}

#[tokio::test]
async fn a_window_of_nothing_folds_nothing() {
    let sandbox = sandbox().await;
    let executions = [execution("a", "x", 1, 0), execution("a", "x", 2, 1)];
    let recorded = sandbox.store.record(&executions, Duration::ZERO).await.unwrap();
    assert_eq!(recorded.iter().map(|recorded| recorded.outcome).collect::<Vec<_>>(), [New, New]);
}

#[tokio::test]
async fn a_window_without_end_folds_all() {
    let sandbox = sandbox().await;
    let executions = [execution("a", "x", 1, 0), execution("a", "x", 2, 1_000_000_000)];
    let recorded = sandbox.store.record(&executions, Duration::MAX).await.unwrap();
    assert_eq!(recorded[1].outcome, Updated);
}

#[tokio::test]
async fn a_finding_that_was_dealt_with_is_not_reopened() {
    let mut closed = execution("a", "x", 1, 0);
    closed.state = State::Inactive;
    let again = execution("a", "x", 2, 1);
    let sandbox = check(&[closed.clone(), again], &[(New, 1), (New, 1)]).await;
    assert_eq!(sandbox.store.get(&closed.id).await.unwrap().state, State::Inactive);
}

#[tokio::test]
async fn the_same_execution_reported_again_does_not_count() {
    let first = execution("a", "x", 1, 0);
    let mut later_sight = execution("a", "x", 2, 90);
    later_sight.script_mut().unwrap().capture.process.start_ticks = 12_345;
    let mut other_process = execution("a", "x", 1, 120);
    other_process.script_mut().unwrap().capture.process.start_ticks += 1;
    let mut seen_again = later_sight.clone();
    seen_again.script_mut().unwrap().capture.observed_at.0 += 5_000_000_000;
    check(
        &[first.clone(), first.clone(), later_sight, seen_again, first, other_process],
        &[(New, 1), (AlreadyKnown, 1), (Updated, 2), (AlreadyKnown, 2), (AlreadyKnown, 2), (Updated, 3)],
    )
    .await;
}

#[tokio::test]
async fn a_repeated_report_completes_the_capture_and_never_makes_it_poorer() {
    let poor = capture("a", "x", 1, 0);
    let rich = with_hash(poor.clone());
    let sandbox = sandbox().await;
    sandbox.stored(&finding(poor.clone())).await;
    assert_eq!(sandbox.stored(&finding(rich.clone())).await.script().unwrap().capture, rich);
    assert_eq!(sandbox.stored(&finding(poor)).await.script().unwrap().capture, rich);
}

#[tokio::test]
async fn a_late_hash_of_an_older_execution_leaves_the_latest_capture_alone() {
    let sandbox = sandbox().await;
    let older = capture("a", "x", 1, 0);
    let latest = capture("a", "x", 2, 5);
    sandbox.stored(&finding(older.clone())).await;
    sandbox.stored(&finding(latest.clone())).await;
    assert_eq!(sandbox.stored(&finding(with_hash(older))).await.script().unwrap().capture, latest);
}

#[tokio::test]
async fn one_batch_folds_within_itself() {
    let sandbox = sandbox().await;
    let batch: Vec<_> = (1..=64).map(|pid| execution("a", "x", pid, u64::from(pid))).collect();
    let recorded = sandbox.store.record(&batch, HOUR).await.unwrap();
    assert_eq!(recorded.len(), 64);
    assert_eq!((recorded[63].outcome, recorded[63].count), (Updated, 64));
    assert!(sandbox.store.record(&[], HOUR).await.unwrap().is_empty());
}

#[tokio::test]
async fn late_metadata_completes_each_finding_of_the_container() {
    let sandbox = sandbox().await;
    let batch = [execution("a", "x", 1, 0), execution("a", "y", 2, 0), execution("b", "x", 3, 0)];
    sandbox.store.record(&batch, HOUR).await.unwrap();
    let known = container("a", "web-0", "shop", "registry.example/web:1");
    assert_eq!(sandbox.store.complete_container(&known).await.unwrap(), 2);
    assert_eq!(sandbox.store.complete_container(&known).await.unwrap(), 0, "nothing left to change");
    assert_eq!(
        sandbox.store.get(&batch[1].id).await.unwrap().script().unwrap().capture.container,
        Some(known)
    );
    let other = sandbox.store.get(&batch[2].id).await.unwrap();
    assert_eq!(other.container().unwrap().metadata, Metadata::Pending);
}

#[tokio::test]
async fn known_metadata_is_not_replaced_by_less() {
    let sandbox = sandbox().await;
    let known = container("a", "web-0", "shop", "registry.example/web:1");
    let first = sandbox.stored(&execution("a", "x", 1, 0)).await;
    sandbox.store.complete_container(&known).await.unwrap();
    let mut missing = evidence::Container::pending("a", None);
    assert_eq!(sandbox.store.complete_container(&missing).await.unwrap(), 0);
    missing.metadata = Metadata::Missing("nobody knew it".to_owned());
    assert_eq!(sandbox.store.complete_container(&missing).await.unwrap(), 0);
    let again = sandbox.stored(&execution("a", "x", 2, 60)).await;
    assert_eq!((&again.id, again.count), (&first.id, 2));
    assert_eq!(again.script().unwrap().capture.container, Some(known));
}

#[tokio::test]
async fn metadata_that_comes_with_a_later_execution_is_kept() {
    let sandbox = sandbox().await;
    sandbox.stored(&execution("a", "x", 1, 0)).await;
    let known = container("a", "web-0", "shop", "registry.example/web:1");
    let mut later = capture("a", "x", 2, 1);
    later.container = Some(known.clone());
    assert_eq!(sandbox.stored(&finding(later)).await.script().unwrap().capture.container, Some(known));
}

#[tokio::test]
async fn a_finding_comes_back_as_it_was() {
    let sandbox = sandbox().await;
    let mut whole = execution("a", "import os", 1, 0);
    whole.script_mut().unwrap().verdict.reasons.push(Reason {
        indicator: "runs a command".to_owned(),
        line: Some(1),
        end_line: None,
        layer: None,
        excerpt: "import os".to_owned(),
        weight: 1.25,
        technique: Some(evidence::Technique::Python),
    });
    assert_eq!(sandbox.stored(&whole).await, whole);
}

#[tokio::test]
async fn a_cut_text_and_a_whole_one_of_the_same_bytes_stay_apart() {
    let sandbox = sandbox().await;
    let mut cut = capture("a", "", 1, 0);
    cut.script.content = Content::HeadAndTail { head: "head".into(), tail: "tail".into(), omitted: u64::MAX };
    cut.coverage.insert(CoverageNote::HeadAndTail);
    let whole = capture("b", "headtail", 2, 0);
    let (cut, whole) = (finding(cut), finding(whole));
    assert_eq!(cut.content_sha256, whole.content_sha256);
    assert_eq!(sandbox.stored(&cut).await, cut);
    assert_eq!(sandbox.stored(&whole).await, whole);
    assert_eq!(sandbox.store.get(&cut.id).await.unwrap(), cut);
}

#[tokio::test]
async fn bytes_of_any_kind_survive() {
    let sandbox = sandbox().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let hostile = || Untrusted(every_byte.clone());
    let mut capture = capture("a\0'\"; DROP TABLE findings; --\u{202e}", "", 1, 0);
    capture.script.content = Content::Whole(hostile());
    capture.script.path = Some(Untrusted(vec![b'/'; 4096]));
    capture.script.module = Some(hostile());
    capture.script.drift = evidence::Drift::Volume(hostile());
    capture.process.args = vec![hostile(), Untrusted::default(), Untrusted(vec![0xff; 131_072])];
    capture.process.environment = vec![hostile()];
    capture.process.comm = Untrusted(b"\xff\n\x1b[2J".to_vec());
    capture.process.cwd = hostile();
    capture.process.start_ticks = u64::MAX;
    capture.process.pid = u32::MAX;
    let hostile = finding(capture);
    assert_eq!(sandbox.stored(&hostile).await, hostile);
    assert_eq!(sandbox.store.executions(&hostile.id, 10).await.unwrap(), [hostile.execution()]);
}

#[tokio::test]
async fn numbers_that_are_none_lose_no_finding() {
    let sandbox = sandbox().await;
    let mut odd = execution("a", "x", 1, 0);
    odd.script_mut().unwrap().verdict.score = f32::NAN;
    odd.script_mut().unwrap().verdict.threshold = f32::INFINITY;
    let stored = sandbox.stored(&odd).await;
    let verdict = &stored.script().unwrap().verdict;
    assert_eq!((verdict.score, verdict.threshold), (0.0, f32::MAX));
}

#[tokio::test]
async fn only_the_newest_executions_are_kept_and_the_count_is_true() {
    let sandbox = sandbox().await;
    let executions: Vec<_> = (1..=1_500_u32).map(|pid| execution("a", "x", pid, u64::from(pid))).collect();
    for batch in executions.chunks(100) {
        sandbox.store.record(batch, HOUR).await.unwrap();
    }
    let id = &executions[0].id;
    assert_eq!(sandbox.store.get(id).await.unwrap().count, 1_500);
    let kept = sandbox.store.executions(id, u32::MAX).await.unwrap();
    assert!((1_000..1_064).contains(&kept.len()), "{} executions", kept.len());
    assert_eq!(kept[0], executions[1_499].execution(), "the newest first");
    let again = sandbox.store.record(&executions[1_499..], HOUR).await.unwrap();
    assert_eq!((again[0].outcome, again[0].count), (AlreadyKnown, 1_500));
}

/// The caller gives up after each number of steps in turn; the driver's thread goes on for a while.
#[tokio::test]
async fn a_record_that_is_given_up_half_way_is_recorded_wholly_or_not_at_all() {
    let sandbox = sandbox().await;
    let mut context = Context::from_waker(Waker::noop());
    for steps in 0..40 {
        let batch =
            [execution("a", &format!("x{steps}"), steps, 0), execution("b", &format!("y{steps}"), steps, 0)];
        {
            let mut record = pin!(sandbox.store.record(&batch, HOUR));
            for _ in 0..steps {
                if record.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        let next = execution("c", &steps.to_string(), steps, 0);
        assert_eq!(sandbox.stored(&next).await, next, "after {steps} steps");
        let first = sandbox.store.get(&batch[0].id).await;
        let second = sandbox.store.get(&batch[1].id).await;
        assert_eq!(first.is_ok(), second.is_ok(), "after {steps} steps");
    }
}

#[tokio::test]
async fn the_store_can_be_used_from_any_task() {
    let sandbox = sandbox().await;
    let store = Arc::new(sandbox.store);
    let tasks: Vec<_> = (0..8)
        .map(|pid| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.record(&[execution("a", "x", pid, 0)], HOUR).await.unwrap() })
        })
        .collect();
    let mut counts = Vec::new();
    for task in tasks {
        counts.push(task.await.unwrap()[0].count);
    }
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// A finding of a text that comes over a pipe.
fn streamed(container: &str, text: &str, pid: u32, seconds: u64) -> Finding {
    let mut capture = capture(container, text, pid, seconds);
    capture.script = Script::new(ScriptKind::Stdin, Content::Whole(text.into()));
    finding(capture)
}

#[tokio::test]
async fn a_text_that_grows_stays_one_finding_and_shows_all_of_it() {
    let sandbox = sandbox().await;
    let first = sandbox.stored(&streamed("a", "one\n", 1, 0)).await;
    let grown = streamed("a", "one\ntwo\n", 1, 0);
    assert_eq!(sandbox.stored(&grown).await, grown);
    assert_eq!(grown.id, first.id);
    assert_eq!(sandbox.stored(&first).await, grown, "less does not replace more");
    let mut longer = capture("a", "", 1, 0);
    let content = Content::HeadAndTail { head: "one\n".into(), tail: "ten\n".into(), omitted: 100 };
    longer.script = Script::new(ScriptKind::Stdin, content);
    let longer = finding(longer);
    assert_eq!(sandbox.stored(&longer).await, longer);
    let all = sandbox.store.find(&store::Query::default()).await.unwrap();
    assert_eq!((all.items.len(), all.items[0].count), (1, 1));
}

#[tokio::test]
async fn the_beginning_of_a_known_text_is_a_further_execution_of_it() {
    let sandbox = sandbox().await;
    let whole = sandbox.stored(&streamed("a", "one\ntwo\n", 1, 0)).await;
    let again = sandbox.stored(&streamed("a", "one\n", 2, 5)).await;
    assert_eq!((again.id.clone(), again.count), (whole.id.clone(), 2));
    assert_eq!(again.subject, whole.subject, "its text is shown whole");
    let complete = sandbox.stored(&streamed("a", "one\ntwo\n", 2, 5)).await;
    assert_eq!((complete.id, complete.count), (whole.id.clone(), 2));
    let other = sandbox.stored(&streamed("a", "one\nthree\n", 3, 6)).await;
    assert_ne!(other.id, whole.id);
    let elsewhere = sandbox.stored(&streamed("b", "one\n", 4, 6)).await;
    assert_ne!(elsewhere.id, whole.id);
}

/// Two writers see executions of the same script, and some of them twice, since agents send again what they have no answer for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_count_each_execution_once() {
    let sandbox = sandbox().await;
    let executions: Vec<Finding> = (0..200).map(|pid| execution("a", "x", pid, u64::from(pid))).collect();
    let writer = |part: Vec<Finding>| {
        let address = sandbox.address.clone();
        tokio::spawn(async move {
            let store = Store::open(&address).await.unwrap();
            for batch in part.chunks(5) {
                store.record(batch, HOUR).await.unwrap();
            }
        })
    };
    let writers = [writer(executions[..120].to_vec()), writer(executions[80..].to_vec())];
    for writer in writers {
        writer.await.unwrap();
    }
    let page = sandbox.store.find(&store::Query::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|finding| finding.count).collect::<Vec<_>>(), [200]);
}

#[tokio::test]
async fn a_damaged_row_is_named_and_hides_no_other() {
    let sandbox = sandbox().await;
    let batch: Vec<_> = (0..30).map(|pid| execution("a", &pid.to_string(), pid, 0)).collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    let id = &batch[7].id;
    for damage in ["x'00'", "substr(body, 1, 40)"] {
        let damage = match sandbox.is_file() {
            true => damage.to_owned(),
            false => damage.replace("x'00'", "'\\x00'"),
        };
        sandbox.run(&format!(
            "UPDATE documents SET body = {damage} WHERE finding = (SELECT seq FROM findings WHERE id = '{id}')"
        ))
        .await;
        let page = sandbox.store.find(&store::Query::default()).await.unwrap();
        assert_eq!((page.items.len(), page.unreadable), (29, vec![id.clone()]));
        let error = sandbox.store.get(id).await.unwrap_err();
        assert!(matches!(&error, store::StoreError::Unreadable { .. }), "{error:?}");
        assert!(error.to_string().contains(id.as_str()), "{error}");
        sandbox.store.record(&batch, HOUR).await.unwrap();
        assert_eq!(sandbox.store.get(id).await.unwrap(), batch[7], "a new report repairs it");
    }
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_keeps_nobody_from_recording() {
    let sandbox = sandbox().await;
    let add = "INSERT INTO settings (kind, id, document) VALUES ('muteConfigs', 'odd', ";
    for document in if sandbox.is_file() { ["'{broken'", "'7'"] } else { ["'\"text\"'", "'7'"] } {
        sandbox.run(&format!("{add}{document})")).await;
        let rule = serde_json::json!({"type": "STATIC", "filter": "state=\"ACTIVE\""});
        let by = store::By { actor: "ann", at: evidence::Timestamp(1) };
        sandbox.store.create_setting(store::Kind::MuteConfig, "works", rule, &by).await.unwrap();
        let own = sandbox.stored(&execution("a", document, 1, 0)).await;
        let stored = sandbox.store.finding("urva", own.id.as_str()).await.unwrap();
        assert_eq!(stored.document["mute"], "MUTED", "the other rules work");
        sandbox.store.delete_setting(store::Kind::MuteConfig, "works", &by).await.unwrap();
        sandbox.run("DELETE FROM settings WHERE id = 'odd'").await;
    }
    let own = sandbox.stored(&execution("a", "no rule is left", 2, 0)).await;
    assert_eq!(sandbox.store.finding("urva", own.id.as_str()).await.unwrap().document["mute"], "UNDEFINED");
}

#[tokio::test]
async fn a_rule_of_another_process_takes_effect_at_once() {
    let sandbox = sandbox().await;
    sandbox.stored(&execution("a", "before", 1, 0)).await;
    let other = Store::open(&sandbox.address).await.unwrap();
    let rule = serde_json::json!({"type": "STATIC", "filter": "state=\"ACTIVE\""});
    let by = store::By { actor: "ann", at: evidence::Timestamp(1) };
    other.create_setting(store::Kind::MuteConfig, "m", rule, &by).await.unwrap();
    let own = sandbox.stored(&execution("a", "after", 2, 0)).await;
    assert_eq!(sandbox.store.finding("urva", own.id.as_str()).await.unwrap().document["mute"], "MUTED");
}

#[tokio::test]
async fn evidence_that_is_missing_hides_nothing_and_stops_nobody() {
    let sandbox = sandbox().await;
    let batch: Vec<_> = (0..3).map(|pid| execution("a", &pid.to_string(), pid, 0)).collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    let id = &batch[1].id;
    sandbox
        .run(&format!(
            "UPDATE documents SET body = NULL WHERE finding = (SELECT seq FROM findings WHERE id = '{id}')"
        ))
        .await;
    let page = sandbox.store.find(&store::Query::default()).await.unwrap();
    assert_eq!((page.items.len(), page.unreadable), (2, vec![id.clone()]));
    assert_eq!(sandbox.stored(&batch[1]).await, batch[1], "a new report repairs it");
}
