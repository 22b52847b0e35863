//! What is said of filters that cannot be understood: each message in full, with the place.

use store::filter::Filter;

fn check(filter: &str, expected: &str) {
    let error = Filter::parse(filter).unwrap_err();
    assert_eq!(error.to_string(), expected, "{filter}");
    assert!(filter.is_char_boundary(error.byte()), "{filter}");
}

#[test]
fn an_unknown_field_is_named_with_its_place_and_what_is_like_it() {
    check(
        r#"state="ACTIVE" AND sevrity="LOW""#,
        "`sevrity` is not a field of a finding; did you mean `severity`? (at character 20)",
    );
    check(
        r#"processes.script.sha265 = "ab""#,
        "`sha265` is not a field of File; did you mean `sha256`? (at character 18)",
    );
    check(
        r#"mitreAttack.primaryTactics="X""#,
        "`primaryTactics` is not a field of MitreAttack; did you mean `primaryTactic`? (at character 13)",
    );
    check(r#"gibberish:"x""#, "`gibberish` is not a field of a finding (at character 1)");
    check(
        r#"resource.nam="x""#,
        "`nam` is not a field of a resource; did you mean `name`? (at character 10)",
    );
}

#[test]
fn a_place_is_counted_in_characters_and_in_bytes() {
    let error = Filter::parse(r#"category="日本語" AND 日本="x""#).unwrap_err();
    assert_eq!((error.character(), error.byte()), (20, 25));
    assert_eq!(error.to_string(), "expected a field, a function or `(`, found `日本` (at character 20)");
}

#[test]
fn what_is_missing_is_said() {
    check(
        r#"state"#,
        "expected one of = != : < <= > >= or a dot after the field, found the end (at character 6)",
    );
    check(
        r#"state="#,
        "expected a value: a text in quotes, a number, true or false, found the end (at character 7)",
    );
    check(r#"state="ACTIVE" AND"#, "expected a field, a function or `(`, found the end (at character 19)");
    check(
        r#"state="ACTIVE" category="x""#,
        "expected AND, OR or the end, found `category` (at character 16)",
    );
    check(r#"state="ACTIVE" and category="x""#, "`and` has small letters: write AND (at character 16)");
    check(r#"(state="ACTIVE" or category="x")"#, "`or` has small letters: write OR (at character 17)");
    check(r#"(state="ACTIVE""#, "expected AND, OR or `)`, found the end (at character 16)");
    check(r#"state="ACTIVE")"#, "expected AND, OR or the end, found `)` (at character 15)");
    check(r#"= "x""#, "expected a field, a function or `(`, found `=` (at character 1)");
    check(r#""category" = "x""#, r#"expected a field, a function or `(`, found `"` (at character 1)"#);
    check(r#"category. = "x""#, "expected a name after the dot, found ` ` (at character 10)");
    check(
        r#"category == "x""#,
        "expected a value: a text in quotes, a number, true or false, found `=` (at character 11)",
    );
    check(r#"contains(processes)"#, "expected a comma and what to look for, found `)` (at character 19)");
    check(r#"NOT"#, "expected a field, a function or `(`, found the end (at character 4)");
    check(r#"()"#, "expected a field, a function or `(`, found `)` (at character 2)");
}

#[test]
fn values_have_the_type_of_their_field() {
    check(
        r#"state=ACTIVE"#,
        r#"`ACTIVE` is no value: a text stands in quotes, as in "ACTIVE" (at character 7)"#,
    );
    check(
        r#"event_time > 2026-11-22T00:00:00Z"#,
        r#"`2026-11-22T00:00:00Z` is no value: a text stands in quotes, as in "2026-11-22T00:00:00Z" (at character 14)"#,
    );
    check(
        r#"event_time > "2026-11-22""#,
        r#"`2026-11-22` is not a time: write it as "2026-11-22T16:00:00Z" or in milliseconds since 1970 (at character 14)"#,
    );
    check(
        r#"event_time > 99999999999999999"#,
        r#"`99999999999999999` is not a time: write it as "2026-11-22T16:00:00Z" or in milliseconds since 1970 (at character 14)"#,
    );
    check(
        r#"event_time > true"#,
        "`event_time` is a time: expected a time in quotes, or milliseconds since 1970, found `true` (at character 14)",
    );
    check(r#"category = 5"#, "`category` is a text: expected a text in quotes, found `5` (at character 12)");
    check(
        r#"processes.pid = "5""#,
        r#"`processes.pid` is a whole number: expected a whole number without quotes, found the text "5" (at character 17)"#,
    );
    check(
        r#"processes.pid = 1.5"#,
        "`processes.pid` is a whole number: expected a whole number without quotes, found `1.5` (at character 17)",
    );
    check(
        r#"processes.pid = 99999999999999999999"#,
        "the number `99999999999999999999` is out of range (at character 17)",
    );
    check(r#"attack_exposure.score > 1e999"#, "the number `1e999` is out of range (at character 25)");
    check(
        r#"vulnerability.cve.zero_day = "true""#,
        r#"`vulnerability.cve.zero_day` is true or false: expected true or false without quotes, found the text "true" (at character 30)"#,
    );
    check(
        r#"severity = "CRITCAL""#,
        r#"`severity` never has the value "CRITCAL"; did you mean `CRITICAL`? It is one of SEVERITY_UNSPECIFIED, CRITICAL, HIGH, MEDIUM, LOW (at character 12)"#,
    );
    check(
        r#"mitre_attack.primary_tactic = "x""#,
        r#"`mitre_attack.primary_tactic` never has the value "x". It is one of TACTIC_UNSPECIFIED, RECONNAISSANCE, RESOURCE_DEVELOPMENT, EXECUTION, COMMAND_AND_CONTROL, INITIAL_ACCESS, PERSISTENCE, DEFENSE_EVASION, PRIVILEGE_ESCALATION, CREDENTIAL_ACCESS, DISCOVERY, LATERAL_MOVEMENT, … (at character 31)"#,
    );
    check(
        r#"state = "active""#,
        r#"`state` never has the value "active"; did you mean `ACTIVE`? It is one of STATE_UNSPECIFIED, ACTIVE, INACTIVE (at character 9)"#,
    );
    check(
        r#"category > "x""#,
        "`category` is a text, which cannot be compared by `>`: use = != : (at character 10)",
    );
    check(
        r#"event_time:"2026""#,
        "`event_time` is a time, which cannot be compared by `:`: use = != < <= > >= (at character 11)",
    );
    check(
        r#"category = *"#,
        "expected a value: a text in quotes, a number, true or false, found `*` (at character 12)",
    );
    check(
        r#"source_properties.x > "5""#,
        r#"`source_properties.x` is a value of any type: expected a number without quotes, found the text "5" (at character 23)"#,
    );
    check(
        r#"cloud_armor.duration > "1h""#,
        r#"`1h` is not a duration: write seconds as "3600s" (at character 24)"#,
    );
    check(
        r#"inIpRange(access.caller_ip, "10.0.0.0/99")"#,
        r#"`10.0.0.0/99` is not a range of addresses: write it as "10.0.0.0/8" or "2001:db8::/32" (at character 29)"#,
    );
    check(
        r#"inIpRange(event_time, "10.0.0.0/8")"#,
        "`event_time` is a time, which cannot be compared by `inIpRange()`: use = != < <= > >= (at character 11)",
    );
}

#[test]
fn fields_are_named_to_their_end() {
    check(
        r#"access = "x""#,
        "`access` has parts: name one of them, as in `access.principal_email` (at character 1)",
    );
    check(r#"category.sub = "x""#, "`category` is a text and has no part `sub` (at character 10)");
    check(
        r#"source_properties = "x""#,
        "`source_properties` has keys of your own: name one, as in `source_properties.NAME` (at character 1)",
    );
    check(
        r#"contains(source_properties, elem = "x")"#,
        "`source_properties` is not repeated: compare it without contains() (at character 10)",
    );
    check(
        r#"contains(category, elem = "x")"#,
        "`category` is not repeated: compare it without contains() (at character 10)",
    );
    check(
        r#"contains(processes, elem = "x")"#,
        "`elem` has parts: name them in contains(), `elem` is for lists of plain values (at character 21)",
    );
    check(r#"contains(processes, category = "x")"#, "`category` is not a field of Process (at character 21)");
    check(
        r#"contains(indicator.domains, x = "x")"#,
        "`x` is not a field of this list's elements; did you mean `elem`? (at character 29)",
    );
    check(r#"elem = "x""#, "`elem` is only known within contains() and containsOnly() (at character 1)");
    check(
        r#"containz(processes, name = "x")"#,
        "there is no function `containz`; did you mean `contains`? (at character 1)",
    );
    check(
        r#"source_properties.a.b.c.d.e.f.g.h.i.j = 1"#,
        "the field has more than 10 parts (at character 37)",
    );
}

#[test]
fn texts_end_and_their_escapes_are_known() {
    check(r#"category = "x"#, r#"the text in quotes has no end: close it with " (at character 12)"#);
    check(
        r#"category = "a\qb""#,
        r#"`\q` is no escape: write `\\` for a backslash, or one of \" \' \n \r \t \uXXXX (at character 14)"#,
    );
    check(
        r#"category = "\ud800""#,
        r#"`\ud800` is no escape: write `\\` for a backslash, or one of \" \' \n \r \t \uXXXX (at character 13)"#,
    );
    check(r#"category = "\u0000""#, "a text cannot have the character NUL in it (at character 13)");
    check("category = \"a\0b\"", "a text cannot have the character NUL in it (at character 14)");
}

#[test]
fn what_would_harm_a_terminal_is_escaped_and_cut() {
    check(
        "category = \u{1b}[2J",
        r#"expected a value: a text in quotes, a number, true or false, found `\u{1b}` (at character 12)"#,
    );
    check(
        &format!("category.{} = 1", "x".repeat(100)),
        "`category` is a text and has no part `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` (at character 10)",
    );
}

#[test]
fn ten_thousand_parentheses_are_too_many() {
    check(
        &format!("{}state=\"ACTIVE\"{}", "(".repeat(10_000), ")".repeat(10_000)),
        "more than 32 parentheses or functions stand within each other: write it flatter (at character 33)",
    );
    check(
        &"(".repeat(10_000),
        "more than 32 parentheses or functions stand within each other: write it flatter (at character 33)",
    );
    check(
        &"contains(processes,".repeat(33),
        "more than 32 parentheses or functions stand within each other: write it flatter (at character 617)",
    );
    check(
        &format!("{}name:*{}", "(".repeat(32), ")".repeat(31)),
        "expected AND, OR or `)`, found the end (at character 70)",
    );
}

#[test]
fn an_expression_has_bounds() {
    let many = vec!["name:*"; 501].join(" OR ");
    check(&many, "the expression has more than 500 conditions: split it (at character 5001)");
    assert!(Filter::parse(many.rsplit_once(" OR ").unwrap().0).is_ok());
    let long = format!("category = \"{}\"", "x".repeat(40_000));
    check(&long, "the expression has 40013 bytes, 32768 are the most: split it (at character 32769)");
    assert!(Filter::parse(&format!("{}name:*", "- NOT ".repeat(5_000))).is_ok());
    let ranges = vec!["inIpRange(access.caller_ip, '::/0')"; 51].join(" OR ");
    check(&ranges, "the expression has more than 500 conditions: split it (at character 1951)");
    let each = format!("containsOnly(processes, {})", vec!["name:*"; 250].join(" OR "));
    check(&each, "the expression has more than 500 conditions: split it (at character 2515)");
}
