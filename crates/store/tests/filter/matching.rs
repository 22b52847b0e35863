//! What conditions mean for one document.

use crate::samples::finding;
use serde_json::json;
use store::filter::Filter;

/// Whether each filter lets the sample through.
fn check(filter: &str, expected: bool) {
    let read = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    assert_eq!(read.matches(&finding()), expected, "{filter}");
}

fn matching(filters: &[&str]) {
    filters.iter().for_each(|filter| check(filter, true));
}

fn missing(filters: &[&str]) {
    filters.iter().for_each(|filter| check(filter, false));
}

#[test]
fn nothing_written_means_everything() {
    matching(&["", "  \n "]);
    assert!(Filter::parse(" ").unwrap().is_empty() && Filter::parse("").unwrap().matches(&json!(null)));
}

#[test]
fn a_text_is_equal_or_has_another_in_it() {
    matching(&[
        r#"category = "Execution: Malicious Python executed""#,
        r#"category="Execution: Malicious Python executed""#,
        "category = 'Execution: Malicious Python executed'",
        r#"category:"python""#,
        r#"category != "python""#,
        r#"category:"""#,
        r#"category:"PYTHON EXEC""#,
        r#"category = "\u0045xecution: Malicious Python executed""#,
        r#"resource_name:"/clusters/SHOP""#,
    ]);
    missing(&[
        r#"category = "execution: malicious python executed""#,
        r#"category = "python""#,
        r#"category:"ruby""#,
    ]);
}

#[test]
fn capital_letters_beyond_ascii_are_other_letters() {
    let filter = Filter::parse(r#"description:"É""#).unwrap();
    assert!(!filter.matches(&json!({"description": "é"})) && filter.matches(&json!({"description": "É"})));
}

#[test]
fn an_enum_is_one_of_its_names() {
    matching(&[
        r#"state = "ACTIVE""#,
        r#"state:"active""#,
        r#"state != "INACTIVE""#,
        r#"severity:"CRIT""#,
        r#"mute = "MUTE_UNSPECIFIED""#,
        r#"NOT mute = "MUTED""#,
        r#"mitre_attack.primary_techniques:"SCRIPTING""#,
    ]);
    // `:` of a whole name is that name only, though INACTIVE has ACTIVE in it.
    let filter = Filter::parse(r#"state:"ACTIVE""#).unwrap();
    assert!(!filter.matches(&json!({"state": "INACTIVE"})));
}

#[test]
fn times_compare_in_any_zone_and_in_milliseconds() {
    matching(&[
        r#"event_time = "2026-11-22T16:00:00.250Z""#,
        r#"event_time = "2026-11-23T01:00:00.25+09:00""#,
        r#"event_time > "2026-11-22T16:00:00Z""#,
        r#"event_time < "2026-11-22T16:00:00.250000001Z""#,
        "event_time = 1795363200250",
        "create_time >= 1795359600000",
        r#"create_time < "2026-11-22T15:00:00.1Z""#,
        r#"-mute_update_time < "2999-01-01T00:00:00Z""#,
    ]);
    missing(&[
        r#"create_time > "2026-11-22T15:00:00Z""#,
        "event_time < 0",
        r#"mute_update_time < "2999-01-01T00:00:00Z""#,
    ]);
}

#[test]
fn numbers_and_truth_have_no_quotes() {
    matching(&[
        "processes.pid = 4711",
        "processes.pid > 4710 AND processes.pid < 4712",
        "processes.binary.size >= 6831704",
        "attack_exposure.score < 3",
        "attack_exposure.score = 2.5",
        "vulnerability.cve.cvssv3.base_score >= 9.8e0",
        "processes.script.partially_hashed = true",
        "vulnerability.cve.zero_day = false",
    ]);
    missing(&["processes.pid = 4712", "processes.pid > 9223372036854775806", "attack_exposure.score > 2.5"]);
}

#[test]
fn an_absent_field_is_its_default_where_its_group_is_there() {
    matching(&[
        "processes.pid = 0",
        r#"description = """#,
        "vulnerability.cve.upstream_fix_available = false",
    ]);
    missing(&[
        "kernel_rootkit.unexpected_ftrace_handler = false",
        "cloud_armor.requests.ratio < 1",
        r#"job.name = """#,
    ]);
    matching(&["NOT kernel_rootkit.unexpected_ftrace_handler = false", r#"job.name != "x""#]);
}

#[test]
fn or_binds_tighter_than_and() {
    // With AND binding tighter, each of these would be the other way round.
    missing(&[r#"state = "ACTIVE" OR state = "ACTIVE" AND severity = "LOW""#]);
    matching(&[r#"state = "ACTIVE" AND severity = "LOW" OR severity = "CRITICAL""#]);
    matching(&[r#"state = "ACTIVE" OR (state = "ACTIVE" AND severity = "LOW")"#]);
    missing(&[r#"NOT state = "ACTIVE" OR severity = "LOW""#]);
    matching(&[r#"-(state = "INACTIVE" OR severity = "LOW")"#, r#"NOT NOT - -state = "ACTIVE""#]);
}

#[test]
fn a_list_is_any_of_its_elements() {
    matching(&[
        r#"processes.name = "sh""#,
        r#"processes.args = "-c""#,
        r#"processes.libraries.path:"two""#,
        r#"kubernetes.pods.labels.value = "front""#,
        r#"kubernetes.pods.ns = "shop""#,
        r#"indicator.domains:"evil""#,
    ]);
    // Any element is meant on both sides of AND, not the same one.
    matching(&[r#"processes.name = "sh" AND processes.pid = 4711"#]);
    missing(&[r#"processes.name != "sh""#, r#"kubernetes.nodes.name = """#]);
}

#[test]
fn contains_means_one_element_and_contains_only_each() {
    matching(&[
        r#"contains(processes, name = "python3" AND pid = 4711)"#,
        r#"contains(kubernetes.pods, contains(labels, name = "app" AND value = "web"))"#,
        r#"contains(kubernetes.pods.labels, name = "tier")"#,
        r#"contains(indicator.ip_addresses, elem:"10.")"#,
        r#"containsOnly(kubernetes.pods, ns = "shop")"#,
        r#"contains_only(processes, -name = "bash")"#,
        r#"contains(processes, NOT contains(args, elem:""))"#,
        r#"contains(resource.folders, resource_folder = "folders/11")"#,
    ]);
    missing(&[
        r#"contains(processes, name = "sh" AND pid = 4711)"#,
        r#"containsOnly(processes, name = "sh")"#,
        r#"containsOnly(connections, protocol = "TCP")"#,
        r#"contains(connections, NOT protocol = "TCP")"#,
    ]);
}

#[test]
fn addresses_lie_in_ranges() {
    matching(&[
        r#"inIpRange(access.caller_ip, "192.0.2.0/24")"#,
        r#"in_ip_range(indicator.ip_addresses, "2001:db8::/32")"#,
        r#"contains(indicator.ip_addresses, inIpRange(elem, "10.0.0.0/8"))"#,
    ]);
    missing(&[
        r#"inIpRange(access.caller_ip, "192.0.3.0/24")"#,
        r#"inIpRange(access.principal_email, "0.0.0.0/0")"#,
    ]);
}

#[test]
fn fields_have_both_spellings_and_the_older_names() {
    matching(&[
        r#"resourceName:"shop""#,
        r#"mitreAttack.primaryTactic = "EXECUTION""#,
        r#"sourceProperties.Pod_Name = "web-1""#,
        r#"resource.project_display_name = "Shop-Prod""#,
        r#"resource.projectDisplayName:"prod""#,
        r#"resource.gcp_metadata.project_display_name:"shop""#,
        r#"resource.folders.resource_folder = "folders/11""#,
        r#"resource.display_name = "shop" AND resource.type:"cluster""#,
    ]);
}

#[test]
fn source_properties_are_of_any_type() {
    matching(&[
        r#"source_properties.Pod_Name = "web-1""#,
        "source_properties.Score > 0.98",
        "source_properties.Execution_Count >= 12",
        "source_properties.Execution_Count = 12",
        r#"source_properties.Execution_Count = "12""#,
        "source_properties.Capture_Complete = true",
        r#"source_properties."a.b \"c\"" = "odd""#,
        r#"source_properties.Reasons.indicator:"shell""#,
        "source_properties.Reasons.weight > 1",
        r#"source_properties.Notes = "late""#,
        r#"source_properties:"Score""#,
        "source_properties.Reasons:*",
    ]);
    missing(&[
        "source_properties.Pod_Name = 1",
        r#"source_properties.Score = "0.9871""#,
        "source_properties.Empty:*",
        "source_properties.Nowhere = false",
        r#"source_properties.pod_name = "web-1""#,
        r#"source_properties:"score""#,
        "source_properties.Pod_Name.more:*",
    ]);
}

#[test]
fn marks_know_no_capital_letters() {
    matching(&[
        r#"security_marks.marks.team = "BLUE""#,
        r#"securityMarks.marks.TEAM:"bl""#,
        r#"security_marks.marks.on-call = "yes""#,
        r#"security_marks.marks:"ON-CALL""#,
        r#"-security_marks.marks.other = "x""#,
    ]);
    missing(&[r#"security_marks.marks.team = "green""#, r#"security_marks.marks:"none""#]);
}

#[test]
fn external_systems_have_keys() {
    matching(&[
        r#"external_systems.jira.status = "open""#,
        r#"external_systems.jira.assignees != "x""#,
        "external_systems:*",
    ]);
    missing(&[r#"external_systems.demisto.status = "open""#, r#"external_systems.demisto.status = """#]);
}

#[test]
fn a_star_means_that_there_is_something() {
    matching(&[
        "access:*",
        "indicator.domains:*",
        "severity:*",
        "NOT mute:*",
        "NOT description:*",
        "event_time:*",
    ]);
    missing(&["kernel_rootkit:*", "connections:*", "contacts:*", "access.user_name:*"]);
}
