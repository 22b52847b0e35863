//! Lists, counts and groups of findings as documents.

use super::sandbox;
use crate::samples::{HOUR, NOON, container, execution};
use crate::sandbox::Sandbox;
use evidence::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::filter::Filter;
use store::{By, Grouping, Kind, Listed, Listing, Order, StoreError};

const SOMEBODY: By<'_> = By { actor: "test", at: Timestamp::from_seconds(NOON) };

fn listing(filter: &str) -> Listing {
    Listing {
        source: None,
        filter: Filter::parse(filter).unwrap(),
        order: Order::default(),
        limit: 1000,
        token: None,
        with_contents: false,
    }
}

/// Eight findings of a client, `c0` to `c7`, and four of urva's own.
async fn filled() -> Sandbox {
    let sandbox = sandbox().await;
    for number in 0..8_u64 {
        let document = json!({
            "category": format!("Category {}", number % 3),
            "state": if number % 4 == 0 { "INACTIVE" } else { "ACTIVE" },
            "severity": if number % 2 == 0 { "LOW" } else { "HIGH" },
            "eventTime": Timestamp::from_seconds(NOON + number * 10).to_string(),
            "createTime": Timestamp::from_seconds(NOON).to_string(),
            "resourceName": format!("//example.com/Hosts/{}", number % 2),
            "sourceProperties": {"Pod_Namespace": format!("ns{}", number / 4), "score": number, "share": 0.5, "nul": "a\0b"},
            "securityMarks": {"marks": {"team": format!("t{}", number % 3)}},
        });
        let resource = json!({"name": format!("//example.com/Hosts/{}", number % 2), "type": "example.Host"});
        sandbox
            .store
            .create_finding("client", &format!("c{number}"), document, resource, &SOMEBODY)
            .await
            .unwrap();
    }
    let batch: Vec<_> = (0..4)
        .map(|pid| execution(&format!("k{pid}"), &format!("print({pid})"), pid, 100 + u64::from(pid)))
        .collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    sandbox.store.complete_container(&container("k1", "web-0", "shop", "reg/web:1")).await.unwrap();
    sandbox
}

fn ids(listed: &Listed) -> Vec<String> {
    listed.findings.iter().map(|stored| stored.id.clone()).collect()
}

/// What the filter lets through of the client's findings, by their numbers.
async fn check(sandbox: &Sandbox, filter: &str, order: &str, expected: &[u32]) {
    let listing =
        Listing { source: Some("client".to_owned()), order: Order::parse(order).unwrap(), ..listing(filter) };
    let listed = sandbox.store.list(&listing).await.unwrap();
    let expected: Vec<String> = expected.iter().map(|number| format!("c{number}")).collect();
    assert_eq!((ids(&listed), listed.next), (expected.clone(), None), "{filter} by {order}");
    let count = sandbox.store.count(Some("client"), &listing.filter).await.unwrap();
    assert_eq!(count, expected.len() as u64, "{filter}");
}

#[tokio::test]
async fn a_list_is_filtered_and_sorted() {
    let sandbox = filled().await;
    check(&sandbox, "", "", &[7, 6, 5, 4, 3, 2, 1, 0]).await;
    check(&sandbox, "state=\"INACTIVE\"", "", &[4, 0]).await;
    check(&sandbox, "category=\"Category 1\" AND severity=\"HIGH\"", "event_time", &[1, 7]).await;
    check(&sandbox, "source_properties.score > 5", "", &[7, 6]).await;
    check(&sandbox, "resource.name:\"hosts/1\"", "", &[7, 5, 3, 1]).await;
    check(&sandbox, "resource.type=\"example.Host\" AND -state=\"ACTIVE\"", "", &[4, 0]).await;
    check(&sandbox, "source_properties.Pod_Namespace=\"ns0\"", "category desc, event_time", &[2, 1, 0, 3])
        .await;
    check(&sandbox, "", "security_marks.marks.team, name desc", &[6, 3, 0, 7, 4, 1, 5, 2]).await;
    check(&sandbox, "", "resource_name desc, event_time desc", &[7, 5, 3, 1, 6, 4, 2, 0]).await;
    check(&sandbox, "category=\"' OR 1=1 --\"", "", &[]).await;
}

#[tokio::test]
async fn pages_hold_together_while_findings_are_inserted() {
    let sandbox = filled().await;
    for order in [
        "",
        "category",
        "category desc, name",
        "resource_name, severity desc",
        "source_properties.Pod_Name",
        "exfiltration.total_exfiltrated_bytes, mute_update_time desc",
        "resource.display_name desc, parent_display_name",
    ] {
        let mut page =
            Listing { order: Order::parse(order).unwrap(), limit: 3, ..listing("-name:\"nothing\"") };
        let mut seen = Vec::new();
        let mut later = Vec::new();
        loop {
            let listed = sandbox.store.list(&page).await.unwrap();
            seen.extend(ids(&listed));
            let Some(next) = listed.next else { break };
            page.token = Some(next);
            let pid = u32::try_from(1000 + seen.len()).unwrap();
            let new = execution(&format!("{order}{pid}"), "print('late')", pid, 1_000);
            later.push(new.id.as_str().to_owned());
            sandbox.store.record(&[new], HOUR).await.unwrap();
        }
        let once: BTreeSet<_> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "{order}: nothing twice");
        let all = ids(&sandbox.store.list(&listing("")).await.unwrap());
        let missing: Vec<_> = all.iter().filter(|id| !once.contains(id) && !later.contains(id)).collect();
        assert!(missing.is_empty(), "{order}: {missing:?}");
    }
}

#[tokio::test]
async fn a_token_of_another_query_is_refused() {
    let sandbox = filled().await;
    let mut page = Listing { limit: 2, ..listing("") };
    let token = sandbox.store.list(&page).await.unwrap().next.unwrap();
    page.token = Some(token.clone());
    sandbox.store.list(&page).await.unwrap();
    let others = [
        Listing { filter: Filter::parse("state=\"ACTIVE\"").unwrap(), ..page.clone() },
        Listing { order: Order::parse("name").unwrap(), ..page.clone() },
        Listing { source: Some("client".to_owned()), ..page.clone() },
        Listing { token: Some(format!("{token}00")), ..page.clone() },
        Listing { token: Some("forged".to_owned()), ..page.clone() },
    ];
    for other in &others {
        let refused = sandbox.store.list(other).await;
        assert!(matches!(refused, Err(StoreError::PageToken)), "{other:?}: {refused:?}");
    }
    let by = Grouping::parse("category").unwrap();
    let refused = sandbox.store.group(None, &page.filter, &by, 2, Some(&token)).await;
    assert!(matches!(refused, Err(StoreError::PageToken)), "{refused:?}");
}

#[tokio::test]
async fn a_document_is_the_protocols_finding_and_its_contents_are_what_its_hash_is_of() {
    let sandbox = filled().await;
    let mut all = listing("source_properties.Pod_Name=\"web-0\" AND kubernetes.pods.ns=\"shop\"");
    all.with_contents = true;
    let found = &sandbox.store.list(&all).await.unwrap().findings[0];
    assert_eq!(found.source, "urva");
    assert_eq!(found.document["category"], "Execution: Malicious Python executed");
    assert_eq!(
        found.document["name"],
        format!("projects/local/sources/urva/locations/global/findings/{}", found.id)
    );
    for name in ["name", "canonicalName"] {
        let by_name = format!("{name}={}", found.document[name]);
        assert_eq!(
            ids(&sandbox.store.list(&listing(&by_name)).await.unwrap()),
            std::slice::from_ref(&found.id)
        );
        let other = by_name.replace("/sources/", "/sources/other");
        assert!(sandbox.store.list(&listing(&other)).await.unwrap().findings.is_empty());
    }
    let script = &found.document["processes"][0]["script"];
    assert_eq!(script["contents"], "print(1)");
    let hash = evidence::Sha256::of(b"print(1)").to_string();
    assert_eq!(script["sha256"], hash);
    assert_eq!(found.resource["type"], "google.container.Cluster");
    all.with_contents = false;
    let bare = &sandbox.store.list(&all).await.unwrap().findings[0];
    assert_eq!(bare.document["processes"][0]["script"]["contents"], Value::Null);
    assert_eq!(sandbox.store.finding("urva", &found.id).await.unwrap(), *found);
    let missing = sandbox.store.finding("client", &found.id).await;
    assert!(matches!(missing, Err(StoreError::NoSuchFinding { .. })), "{missing:?}");
}

#[tokio::test]
async fn a_clients_document_comes_back_as_it_was_given() {
    let sandbox = filled().await;
    let found = sandbox.store.finding("client", "c3").await.unwrap();
    let properties = &found.document["sourceProperties"];
    assert_eq!(properties.to_string(), r#"{"Pod_Namespace":"ns0","nul":"a�b","score":3,"share":0.5}"#);
    assert_eq!(found.resource, json!({"name": "//example.com/Hosts/1", "type": "example.Host"}));
}

#[tokio::test]
async fn groups_are_counted() {
    let sandbox = filled().await;
    let group = async |filter: &str, by: &str| {
        let (filter, by) = (Filter::parse(filter).unwrap(), Grouping::parse(by).unwrap());
        let grouped = sandbox.store.group(None, &filter, &by, 100, None).await.unwrap();
        assert_eq!(grouped.total, grouped.groups.len() as u64);
        let shown = |(name, value): &(String, Value)| format!("{name}={}", value.as_str().unwrap_or("null"));
        let line = |group: &store::Group| {
            format!("{} {}", group.properties.iter().map(shown).collect::<Vec<_>>().join(" "), group.count)
        };
        grouped.groups.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(group("severity=\"LOW\"", "state").await, ["state=ACTIVE 2", "state=INACTIVE 2"]);
    assert_eq!(
        group("", "category, source_properties.Pod_Namespace").await[..3],
        [
            "category=Category 0 sourceProperties.Pod_Namespace=ns0 2",
            "category=Category 0 sourceProperties.Pod_Namespace=ns1 1",
            "category=Category 1 sourceProperties.Pod_Namespace=ns0 1",
        ]
    );
    assert_eq!(
        group("", "access.principal_email, mute_update_time").await,
        ["access.principalEmail=null muteUpdateTime=null 12"]
    );
    assert_eq!(group("parent:\"client\"", "securityMarks.marks.team").await, Vec::<String>::new());
    assert_eq!(
        group("resource.name:\"Hosts\"", "security_marks.marks.team").await[2],
        "securityMarks.marks.team=t2 2"
    );
    assert_eq!(
        group("event_time > \"2026-11-21T12:00:55Z\" AND severity=\"LOW\"", "eventTime").await,
        ["eventTime=2026-11-21T12:01:00Z 1"]
    );
}

#[tokio::test]
async fn groups_come_in_pages() {
    let sandbox = filled().await;
    let (filter, by) = (Filter::parse("").unwrap(), Grouping::parse("category,state").unwrap());
    let all = sandbox.store.group(None, &filter, &by, 0, None).await.unwrap();
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let page = sandbox.store.group(None, &filter, &by, 2, token.as_deref()).await.unwrap();
        assert_eq!(page.total, all.total);
        seen.extend(page.groups);
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, all.groups);
    assert_eq!(seen.iter().map(|group| group.count).sum::<u64>(), 12);
}

/// The condition of SQL and the evaluation of the document say the same of each finding.
#[tokio::test]
async fn filters_mean_in_sql_what_they_mean_of_a_document() {
    let sandbox = filled().await;
    compare(&sandbox).await;
    // What is not one short text is in no column.
    let document = json!({"sourceProperties": {"Pod_Namespace": ["shop", "z"], "Pod_Name": {"a": "web-0"}, "Container_Name": "n".repeat(5000)}});
    sandbox
        .store
        .create_finding("client", "long", document, json!({"name": "//x"}), &SOMEBODY)
        .await
        .unwrap();
    compare(&sandbox).await;
}

async fn compare(sandbox: &Sandbox) {
    let all = sandbox.store.list(&listing("")).await.unwrap().findings;
    for filter in [
        "category:\"category\"",
        "mute=\"UNDEFINED\"",
        "mute=\"MUTE_UNSPECIFIED\"",
        "-source_properties.Pod_Namespace=\"shop\"",
        "source_properties.Pod_Name:*",
        "source_properties.Pod_Name=\"\"",
        "source_properties.Container_Image_Uri:\"REG\"",
        "create_time < \"2026-11-21T12:01:00Z\" OR state=\"INACTIVE\"",
        "event_time >= 1795262450000",
        "resource_name:\"clusters\"",
        "resource.gcp_metadata.project_display_name=\"local\"",
        "containers.name=\"web-0-main\" OR security_marks.marks.TEAM=\"T1\"",
        "processes.script.path=\"/tmp/x.py\" AND NOT contains(processes.args, elem=\"python3\")",
        "source_properties.share = 0.5 AND source_properties.nul:\"a\"",
        "indicator.uris:*",
        "source_properties.Pod_Namespace=\"shop\"",
        "source_properties.Container_Name:\"nnn\"",
    ] {
        let parsed = Filter::parse(filter).unwrap();
        let expected: Vec<&String> = all
            .iter()
            .filter(|stored| {
                let mut whole = stored.document.clone();
                whole["resource"] = stored.resource.clone();
                parsed.matches(&whole)
            })
            .map(|stored| &stored.id)
            .collect();
        let listed = sandbox.store.list(&listing(filter)).await.unwrap();
        assert_eq!(ids(&listed).iter().collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[test]
fn orders_and_groupings_that_make_no_sense_are_refused() {
    let refused = |order: &str| Order::parse(order).unwrap_err().to_string();
    assert!(refused("colour").contains("`colour` is not a field"));
    assert!(refused("name sideways").contains("asc, desc or a comma"));
    assert!(refused("name desc desc").contains("end of the field"));
    assert!(refused(&"name,".repeat(9)).contains("more than 8 fields"));
    assert!(refused("security_marks.marks.").contains("a name after the dot"));
    assert!(refused("security_marks.marks.a\"') --").contains("asc, desc or a comma"));
    assert!(Grouping::parse("  ").unwrap_err().to_string().contains("expected a field"));
    assert!(refused("\u{1b}[31m").contains("u{1b}"));
}

#[tokio::test]
async fn long_texts_that_a_list_is_sorted_by_make_short_tokens() {
    let sandbox = sandbox().await;
    let by = By { actor: "ann", at: Timestamp::from_seconds(NOON) };
    for number in 0..6 {
        let text = format!("{}{}", "ä".repeat(100_000), 9 - number);
        let document = json!({"category": "One", "resourceName": "//x", "description": text});
        sandbox
            .store
            .create_finding("s", &number.to_string(), document, json!({"name": "//x"}), &by)
            .await
            .unwrap();
    }
    let mut listing = Listing { order: Order::parse("description").unwrap(), limit: 2, ..listing("") };
    let mut seen = Vec::new();
    loop {
        let page = sandbox.store.list(&listing).await.unwrap();
        seen.extend(page.findings.iter().map(|finding| finding.id.clone()));
        let Some(next) = page.next else { break };
        assert!(next.len() < 128 * 1024, "{} bytes", next.len());
        listing.token = Some(next);
    }
    seen.sort();
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5"]);
    let by_description = Grouping::parse("description").unwrap();
    let mut token = None;
    let mut counts = Vec::new();
    loop {
        let page =
            sandbox.store.group(None, &listing.filter, &by_description, 1, token.as_deref()).await.unwrap();
        counts.extend(page.groups.iter().map(|group| group.count));
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(counts, [6], "what begins the same for so long is one group");
}

#[tokio::test]
async fn settings_of_a_full_page_and_one_more_are_seen() {
    let sandbox = sandbox().await;
    let add = match sandbox.is_file() {
        true => {
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1200) INSERT INTO settings SELECT 'muteConfigs', CAST(x + 10000 AS TEXT), '{}' FROM n"
        }
        false => {
            "INSERT INTO settings SELECT 'muteConfigs', CAST(x + 10000 AS TEXT), '{}' FROM generate_series(1, 1200) AS n (x)"
        }
    };
    sandbox.run(add).await;
    assert_eq!(sandbox.store.settings(Kind::MuteConfig, None, 1_001).await.unwrap().len(), 1_001);
}
