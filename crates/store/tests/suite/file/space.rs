//! What the file needs on disk.

use crate::samples::{HOUR, NOON, capture, execution, finding};
use crate::sandbox::Sandbox;
use evidence::Timestamp;
use store::{Removed, RetentionPolicy};

#[tokio::test]
async fn the_text_of_an_inline_script_is_stored_once_and_shown_twice() {
    let sandbox = Sandbox::on_sqlite().await;
    let text = "print('only here')\n".repeat(10_000);
    let mut capture = capture("a", &text, 1, 0);
    capture.script.kind = evidence::ScriptKind::Inline;
    capture.script.text_argument = Some(2);
    capture.process.args = vec!["python3".into(), "-c".into(), text.as_str().into(), "".into()];
    let inline = finding(capture);
    assert_eq!(sandbox.stored(&inline).await, inline);
    let Sandbox { folder, store, .. } = sandbox;
    store.close().await.unwrap();
    let size = std::fs::metadata(folder.path().join("urva.db")).unwrap().len();
    assert!(size < 2 * text.len() as u64, "{size} bytes for a text of {}", text.len());
}

#[tokio::test]
async fn many_findings_go_in_steps_and_give_their_space_back() {
    let sandbox = Sandbox::on_sqlite().await;
    let batch: Vec<_> =
        (0..1_200_u32).map(|pid| execution("a", &format!("{pid}{}", "#".repeat(4_000)), pid, 0)).collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    let policy = RetentionPolicy { max_findings: Some(10), ..RetentionPolicy::default() };
    let removed = sandbox.store.retain(&policy, Timestamp::from_seconds(NOON)).await.unwrap();
    assert_eq!(removed, Removed { findings: 1_190, scripts: 1_190, gaps: 0 });
    let path = sandbox.address.clone();
    sandbox.store.close().await.unwrap();
    let size = std::fs::metadata(path).unwrap().len();
    assert!(size < 500_000, "{size} bytes are left of 1,200 findings");
}
