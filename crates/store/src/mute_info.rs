//! What a finding's document says of being muted: what somebody decided, which dynamic rules it meets, and what follows from
//! both. The one place for all who mute: rules at recording, rules that come later, people, one by one or in bulk.
//!
//! Refuses: asking which findings are meant.

use crate::audit::By;
use serde_json::{Map, Value as Json, json};

/// What somebody, or a static rule, decides about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Muted, whatever dynamic rules say.
    Muted,
    /// Not muted, whatever dynamic rules say.
    Unmuted,
    /// Nothing: dynamic rules have the say again.
    Undefined,
}

impl Decision {
    /// As the protocol names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Muted => "MUTED",
            Self::Unmuted => "UNMUTED",
            Self::Undefined => "UNDEFINED",
        }
    }

    /// Reads the protocol's name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Muted, Self::Unmuted, Self::Undefined].into_iter().find(|one| one.as_str() == text)
    }
}

/// Writes down what somebody decides, and that it was they, though nothing may follow from it.
pub fn decide(document: &mut Json, decision: Decision, by: &By<'_>) {
    let Some(info) = info(document) else { return };
    if decision == Decision::Undefined {
        info.remove("staticMute");
    } else {
        let made = json!({"state": decision.as_str(), "applyTime": by.at.to_string()});
        info.insert("staticMute".to_owned(), made);
    }
    let mute = follows(document);
    sign(document, mute, by);
}

/// Whether somebody, or a static rule, has decided about it.
pub(crate) fn is_decided(document: &Json) -> bool {
    document.pointer("/muteInfo/staticMute").is_some()
}

/// A static rule decides, where nobody has before. `by` is the rule.
pub(crate) fn decide_once(document: &mut Json, by: &By<'_>) {
    if is_decided(document) {
        return;
    }
    let Some(info) = info(document) else { return };
    info.insert("staticMute".to_owned(), json!({"state": "MUTED", "applyTime": by.at.to_string()}));
    settle(document, by);
}

/// The finding meets a dynamic rule. `by` is the rule, by its whole name, and since when.
pub fn meet(document: &mut Json, by: &By<'_>) {
    let Some(info) = info(document) else { return };
    let records = info.entry("dynamicMuteRecords").or_insert_with(|| json!([]));
    let Some(records) = records.as_array_mut() else { return };
    if records.iter().any(|record| record.get("muteConfig") == Some(&json!(by.actor))) {
        return;
    }
    records.push(json!({"muteConfig": by.actor, "matchTime": by.at.to_string()}));
    settle(document, by);
}

/// The finding meets a dynamic rule no more. The rule is known by its id, the last part of its name.
pub fn leave(document: &mut Json, rule_id: &str, by: &By<'_>) {
    let Some(records) = document.pointer_mut("/muteInfo/dynamicMuteRecords").and_then(Json::as_array_mut)
    else {
        return;
    };
    let is_of_rule = |record: &Json| {
        let name = record.get("muteConfig").and_then(Json::as_str);
        name.is_some_and(|name| name.rsplit('/').next() == Some(rule_id))
    };
    let count = records.len();
    records.retain(|record| !is_of_rule(record));
    if records.len() < count {
        settle(document, by);
    }
}

fn info(document: &mut Json) -> Option<&mut Map<String, Json>> {
    let info = document.as_object_mut()?.entry("muteInfo").or_insert_with(|| json!({}));
    if !info.is_object() {
        *info = json!({});
    }
    info.as_object_mut()
}

/// What the decision and the rules come to.
fn follows(document: &Json) -> &'static str {
    let decided = document.pointer("/muteInfo/staticMute/state").and_then(Json::as_str);
    let records = document.pointer("/muteInfo/dynamicMuteRecords").and_then(Json::as_array);
    match decided.and_then(Decision::parse) {
        Some(decision) => decision.as_str(),
        None if records.is_some_and(|records| !records.is_empty()) => Decision::Muted.as_str(),
        None => Decision::Undefined.as_str(),
    }
}

/// Writes what follows, where it is something else than before.
fn settle(document: &mut Json, by: &By<'_>) {
    let mute = follows(document);
    if document.get("mute").and_then(Json::as_str) != Some(mute) {
        sign(document, mute, by);
    }
}

fn sign(document: &mut Json, mute: &str, by: &By<'_>) {
    let Some(members) = document.as_object_mut() else { return };
    members.insert("mute".to_owned(), mute.into());
    members.insert("muteInitiator".to_owned(), by.actor.into());
    members.insert("muteUpdateTime".to_owned(), by.at.to_string().into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::Timestamp;

    const RULE: By<'_> = By { actor: "projects/p/muteConfigs/noise", at: Timestamp::from_seconds(10) };
    const OTHER: By<'_> = By { actor: "projects/p/muteConfigs/noise-2", at: Timestamp::from_seconds(20) };
    const ANN: By<'_> = By { actor: "ann", at: Timestamp::from_seconds(30) };

    #[track_caller]
    fn check(document: &Json, mute: &str, initiator: &str) {
        assert_eq!(document["mute"], mute, "{document}");
        assert_eq!(document["muteInitiator"], initiator, "{document}");
    }

    #[test]
    fn a_decision_stands_above_rules_until_it_is_taken_back() {
        let mut document = json!({"mute": "UNDEFINED"});
        meet(&mut document, &RULE);
        check(&document, "MUTED", RULE.actor);
        decide(&mut document, Decision::Unmuted, &ANN);
        check(&document, "UNMUTED", "ann");
        meet(&mut document, &OTHER);
        check(&document, "UNMUTED", "ann");
        decide(&mut document, Decision::Undefined, &ANN);
        check(&document, "MUTED", "ann");
        leave(&mut document, "noise", &ANN);
        check(&document, "MUTED", "ann");
        leave(&mut document, "noise-2", &OTHER);
        check(&document, "UNDEFINED", OTHER.actor);
    }

    #[test]
    fn a_rule_that_is_gone_leaves_nothing_behind_a_decision() {
        let mut document = json!({});
        meet(&mut document, &RULE);
        decide(&mut document, Decision::Unmuted, &ANN);
        leave(&mut document, "noise", &OTHER);
        check(&document, "UNMUTED", "ann");
        decide(&mut document, Decision::Undefined, &ANN);
        check(&document, "UNDEFINED", "ann");
    }

    #[test]
    fn a_static_rule_decides_once_and_a_rule_is_met_once() {
        let mut document = json!({"muteInfo": 7});
        decide_once(&mut document, &RULE);
        decide_once(&mut document, &OTHER);
        check(&document, "MUTED", RULE.actor);
        meet(&mut document, &RULE);
        meet(&mut document, &RULE);
        assert_eq!(document["muteInfo"]["dynamicMuteRecords"].as_array().unwrap().len(), 1);
        check(&document, "MUTED", RULE.actor);
    }
}
