//! The record of urva's own runs.

use super::sandbox;
use crate::samples::NOON;
use evidence::{Gap, GapKind, Timestamp};
use store::{Counters, Loss, Previous, RunStart};

fn start(seconds: u64) -> RunStart {
    RunStart {
        started_at: at(seconds),
        version: "0.1.0".to_owned(),
        model: "linear@0123456789ab".to_owned(),
        host: "node-1".to_owned(),
        pid: 4242,
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(NOON + seconds)
}

#[tokio::test]
async fn the_first_run_has_none_before_it() {
    let sandbox = sandbox().await;
    assert_eq!(sandbox.store.latest_run().await.unwrap(), None);
    assert_eq!(sandbox.store.begin_run(&start(0)).await.unwrap().previous, None);
}

#[tokio::test]
async fn a_run_that_was_killed_leaves_a_gap_from_its_last_sign_of_life() {
    let sandbox = sandbox().await;
    let run = sandbox.store.begin_run(&start(0)).await.unwrap();
    sandbox.store.heartbeat(run.id, at(10), &Counters::default()).await.unwrap();
    let previous = sandbox.store.begin_run(&start(60)).await.unwrap().previous.unwrap();
    assert_eq!(previous, Previous { alive_at: at(10), ended_in_order: false });
    let gap = previous.gap(at(60));
    assert_eq!((gap.kind, gap.from, gap.to, gap.lost), (GapKind::Killed, at(10), at(60), None));
}

#[tokio::test]
async fn a_run_that_was_stopped_says_so() {
    let sandbox = sandbox().await;
    let run = sandbox.store.begin_run(&start(0)).await.unwrap();
    let mut counters = Counters {
        captured: 9,
        judged: 8,
        malicious: 1,
        suspicious: 2,
        not_captured: 1,
        ..Counters::default()
    };
    counters.notes.insert("HEAD_AND_TAIL".to_owned(), 3);
    for (kind, lost) in
        [(GapKind::OverBudget, Some(u64::MAX)), (GapKind::OverBudget, Some(1)), (GapKind::Starved, None)]
    {
        counters.add_gap(&Gap { kind, from: at(1), to: at(2), lost, detail: String::new(), container: None });
    }
    assert_eq!(counters.losses[&GapKind::OverBudget], Loss { gaps: 2, lost: u64::MAX });
    assert_eq!(counters.lost(), Loss { gaps: 3, lost: u64::MAX });
    sandbox.store.end_run(run.id, at(20), &counters).await.unwrap();
    let latest = sandbox.store.latest_run().await.unwrap().unwrap();
    assert_eq!((latest.start, latest.ended_at, latest.counters), (start(0), Some(at(20)), counters));
    let previous = sandbox.store.begin_run(&start(60)).await.unwrap().previous.unwrap();
    assert_eq!(previous, Previous { alive_at: at(20), ended_in_order: true });
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_no_gap_that_ends_before_it_begins() {
    let previous = Previous { alive_at: at(100), ended_in_order: false };
    let gap = previous.gap(at(50));
    assert_eq!((gap.from, gap.to), (at(100), at(100)));
}
