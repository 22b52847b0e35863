//! Everything out of one database and into the other.

use super::sandbox;
use crate::samples::{HOUR, NOON, container, execution};
use crate::sandbox::Sandbox;
use evidence::{Gap, GapKind, Timestamp};
use serde_json::json;
use store::{By, Kind, NewToken, RunStart, StoreError};

/// Something in each table.
async fn filled() -> Sandbox {
    let sandbox = sandbox().await;
    let store = &sandbox.store;
    let by = By { actor: "ann", at: Timestamp::from_seconds(NOON) };
    let batch: Vec<_> =
        (0..450).map(|pid| execution(&format!("c{}", pid % 7), &format!("print({pid})"), pid, 0)).collect();
    store.record(&batch, HOUR).await.unwrap();
    store.complete_container(&container("c1", "web-0", "shop", "reg/web:1")).await.unwrap();
    let document = json!({"category": "Ünïcode \u{0}", "sourceProperties": {"x": 1e300, "y": -0.0, "z": 1.5e-7, "w": 1e16, "long key": [1, null]}});
    store.create_finding("s", "f", document, json!({"name": "//x"}), &by).await.unwrap();
    store.create_setting(Kind::MuteConfig, "m", json!({"filter": "category=\"x\""}), &by).await.unwrap();
    let gap = Gap {
        kind: GapKind::Killed,
        from: by.at,
        to: by.at,
        lost: None,
        detail: "\0".to_owned(),
        container: None,
    };
    store.record_gap(&gap).await.unwrap();
    let start =
        RunStart { started_at: by.at, version: "0.1.0".into(), model: "m".into(), host: "h".into(), pid: 1 };
    store.begin_run(&start).await.unwrap();
    let token = NewToken {
        name: "t".into(),
        role: "viewer".into(),
        sha256: [7; 32],
        created_at: by.at,
        expires_at: by.at,
    };
    store.add_token(&token, "ann").await.unwrap();
    sandbox
}

async fn exported(sandbox: &Sandbox) -> Vec<u8> {
    let mut lines = Vec::new();
    let rows = sandbox.store.export(&mut lines).await.unwrap();
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count() as u64, rows + 2);
    lines
}

#[tokio::test]
async fn what_goes_to_the_other_database_and_back_is_the_same_byte_for_byte() {
    let here = filled().await;
    let lines = exported(&here).await;
    let other = if here.is_file() { Sandbox::on_postgres().await } else { Sandbox::on_sqlite().await };
    other.store.import(&mut &lines[..]).await.unwrap();
    let there = exported(&other).await;
    assert!(there == lines, "the other database says it otherwise");
    let back = sandbox().await;
    back.store.import(&mut &there[..]).await.unwrap();
    assert!(exported(&back).await == lines, "on the way back something changed");
    let finding = execution("c1", "print(1)", 1, 0);
    assert_eq!(back.store.get(&finding.id).await.unwrap(), here.store.get(&finding.id).await.unwrap());
    for store in [&back.store, &other.store] {
        // Numbers go on behind those that came along.
        let gap = here.store.gaps(Timestamp(0), 1).await.unwrap();
        store.record_gap(&gap[0]).await.unwrap();
        store.record(&[execution("c1", "print('new')", 9_999, 5)], HOUR).await.unwrap();
    }
}

#[tokio::test]
async fn only_a_whole_export_gets_into_an_empty_database() {
    let here = filled().await;
    let lines = exported(&here).await;
    let full = here.store.import(&mut &lines[..]).await;
    assert!(matches!(full, Err(StoreError::NotEmpty { .. })), "{full:?}");
    let empty = sandbox().await;
    let before = exported(&empty).await;
    let text = String::from_utf8(lines.clone()).unwrap();
    let all: Vec<&str> = text.lines().collect();
    let without_one = [&all[..5], &all[6..]].concat().join("\n");
    let swapped = text.replace("\"table\":\"gaps\"", "\"table\":\"nothing\"");
    for (damaged, words) in [
        (&lines[..lines.len() / 2], "line"),
        (&lines[..lines.len() - 20], "no JSON"),
        (without_one.as_bytes(), "missing"),
        (swapped.as_bytes(), "no row of a table"),
        (b"{}\n", "line 1"),
        (b"\xff\x00", "line 1"),
        (b"", "line 1"),
    ] {
        let refused = empty.store.import(&mut &damaged[..]).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Import { .. }), "{refused:?}");
        assert!(refused.to_string().contains(words), "{refused} does not say {words}");
        assert!(exported(&empty).await == before, "something of it was kept");
    }
    empty.store.import(&mut &lines[..]).await.unwrap();
}
