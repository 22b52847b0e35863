//! Any text is read or refused, and what is read means the same once it is printed.

use crate::samples::finding;
use proptest::prelude::*;
use store::filter::Filter;

/// Pieces of filters, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "state", "category", "processes.pid", "source_properties.x", "contains(processes,", "elem", "(", ")", "-",
            "NOT ", " AND ", " OR ", "=", "!=", ":", "<=", "\"ACTIVE\"", "\"a\\\"", "5", "-1.5e3", "true", "*", ".", ",",
            "'", "\\u", "\\ud83d\\ude00", "é", "inIpRange(access.caller_ip,\"::/8\")",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![pieces(), any::<String>()]) {
        match Filter::parse(&text) {
            Ok(filter) => {
                let printed = filter.to_string();
                let again = Filter::parse(&printed).map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
                prop_assert_eq!(&again, &filter);
                prop_assert_eq!(again.matches(&finding()), filter.matches(&finding()));
            }
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.byte()));
                prop_assert_eq!(text[..error.byte()].chars().count() + 1, error.character());
                prop_assert!(!error.to_string().contains(char::is_control));
            }
        }
    }
}
