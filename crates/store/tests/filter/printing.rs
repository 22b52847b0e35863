//! A filter written again is the same filter.

use store::filter::Filter;

fn check(filter: &str, expected: &str) {
    let read = Filter::parse(filter).unwrap();
    assert_eq!(read.to_string(), expected);
    assert_eq!(Filter::parse(expected).unwrap(), read);
}

#[test]
fn a_filter_has_one_form() {
    check(" ", "");
    check("-state='ACTIVE'", r#"NOT state = "ACTIVE""#);
    check(
        r#"resourceName:"a\"b" AND (severity="LOW" OR severity="HIGH")"#,
        r#"resource_name : "a\"b" AND severity = "LOW" OR severity = "HIGH""#,
    );
    check(
        r#"(state="ACTIVE" AND mute="MUTED") OR state:"IN""#,
        r#"(state = "ACTIVE" AND mute = "MUTED") OR state : "IN""#,
    );
    check(
        r#"contains(kubernetes.pods,-name:"x")AND containsOnly(indicator.domains,elem:"a")"#,
        r#"contains(kubernetes.pods, NOT name : "x") AND containsOnly(indicator.domains, elem : "a")"#,
    );
    check(r#"sourceProperties."a.b".c>1.50"#, r#"source_properties."a.b".c > 1.5"#);
    check("resource.parent_name:*", "resource.gcp_metadata.parent : *");
    check(r#"in_ip_range(access.callerIp,"::1")"#, r#"inIpRange(access.caller_ip, "::1")"#);
    check("NOT (NOT access:*)", "NOT (NOT access : *)");
}
