//! Any text as a filter, an order and a grouping, as callers of the API send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use store::filter::{Filter, Grouping, Order};

fuzz_target!(|text: &str| {
    let document = json!({
        "category": text, "state": "ACTIVE", "eventTime": "2026-11-22T16:00:00Z",
        "sourceProperties": {"x": text, "y": [{"z": 1}, text]}, "securityMarks": {"marks": {"a": text}},
        "processes": [{"args": [text], "pid": "7"}], "resource": {"name": text},
    });
    match Filter::parse(text) {
        Ok(filter) => {
            let printed = filter.to_string();
            let again = Filter::parse(&printed).expect("a printed filter is a filter");
            assert_eq!(again, filter, "{printed}");
            assert_eq!(again.matches(&document), filter.matches(&document));
        }
        Err(error) => assert_eq!(text[..error.byte()].chars().count() + 1, error.character()),
    }
    assert!(Order::parse(text).is_ok() || Grouping::parse(text).is_err());
});
