//! Work on many findings, which goes on after its call was answered, and can be asked for.
//!
//! Owns: muting in bulk, and what dynamic mute rules do to findings that are there already.
//! Refuses: remembering work across a restart of the server. What was changed stays changed, and the call can be made again.

use super::change::apply_mute;
use super::findings::filter;
use super::{Call, Service, page};
use crate::name::{Collection, MemberName, ScopeName};
use crate::protocol::longrunning::operation::Result as Outcome;
use crate::protocol::longrunning::{
    DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, ListOperationsResponse, Operation,
    WaitOperationRequest,
};
use crate::protocol::rpc;
use crate::protocol::v2::bulk_mute_findings_request::MuteState;
use crate::protocol::v2::finding::Mute;
use crate::protocol::v2::{BulkMuteFindingsRequest, BulkMuteFindingsResponse};
use crate::refusal::{Refusal, any};
use evidence::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::StoreError;
use store::filter::Filter;
use tonic::Status;

/// Work that is remembered, and that goes on at the same time.
const KEPT: usize = 1_000;
const AT_ONCE: usize = 8;
/// How often a call that waits looks again, and how long it waits at the most.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// All work of this server, by its number.
#[derive(Default)]
pub(crate) struct Works(Mutex<BTreeMap<u64, Option<Outcome>>>);

/// Does its part to one finding.
type Change = Box<dyn Fn(&mut Value, &Call) + Send + Sync>;

/// What is to be done with findings.
pub(super) struct Work {
    action: &'static str,
    filter: Filter,
    change: Change,
}

impl Work {
    fn mute(filter: Filter, mute: Mute) -> Self {
        let change = move |document: &mut Value, call: &Call| apply_mute(document, mute, call);
        Self { action: "BulkMuteFindings", filter, change: Box::new(change) }
    }

    /// What a dynamic rule does to findings that are there.
    pub(super) fn follow(rule: String, text: &str) -> Result<Self, Refusal> {
        let change = move |document: &mut Value, call: &Call| {
            let mut records = records(document);
            if !records.iter().any(|record| record["muteConfig"] == json!(rule)) {
                records.push(json!({"muteConfig": rule, "matchTime": call.at.to_string()}));
                settle(document, records, &rule, call);
            }
        };
        let filter = filter("mute_config.filter", text)?;
        Ok(Self { action: "FollowMuteConfig", filter, change: Box::new(change) })
    }

    /// What a dynamic rule that is gone leaves behind is taken back.
    pub(super) fn withdraw(rule: String) -> Result<Self, Refusal> {
        let change = move |document: &mut Value, call: &Call| {
            let mut records = records(document);
            let count = records.len();
            records.retain(|record| record["muteConfig"] != json!(rule));
            if records.len() < count {
                settle(document, records, &rule, call);
            }
        };
        let filter = filter("mute_config.filter", "mute=\"MUTED\"")?;
        Ok(Self { action: "WithdrawMuteConfig", filter, change: Box::new(change) })
    }
}

/// The dynamic rules that a finding meets.
fn records(document: &Value) -> Vec<Value> {
    let records = document.pointer("/muteInfo/dynamicMuteRecords").and_then(Value::as_array);
    records.cloned().unwrap_or_default()
}

/// Writes the rules that a finding meets, and what follows from them where nobody has decided about it.
fn settle(document: &mut Value, records: Vec<Value>, rule: &str, call: &Call) {
    let mute = if records.is_empty() { Mute::Undefined } else { Mute::Muted };
    document["muteInfo"]["dynamicMuteRecords"] = Value::Array(records);
    let is_decided = document.pointer("/muteInfo/staticMute").is_some();
    if !is_decided && document["mute"] != json!(mute.as_str_name()) {
        document["mute"] = json!(mute.as_str_name());
        document["muteInitiator"] = json!(rule);
        document["muteUpdateTime"] = json!(call.at.to_string());
    }
}

/// `BulkMuteFindings`.
pub(super) async fn mute(
    service: &Service,
    call: &Call,
    request: BulkMuteFindingsRequest,
) -> Result<Operation, Refusal> {
    let parent = ScopeName::parse("parent", &request.parent)?;
    service.scopes.check(&parent.scope)?;
    let mute = match request.mute_state() {
        MuteState::Undefined => Mute::Undefined,
        MuteState::Muted | MuteState::Unspecified => Mute::Muted,
    };
    let number = begin(service, call, Ok(Work::mute(filter("filter", &request.filter)?, mute)))?;
    operation(service, number)
}

/// Begins some work; returns its number.
pub(super) fn begin(service: &Service, call: &Call, work: Result<Work, Refusal>) -> Result<u64, Refusal> {
    let work = work?;
    let number = service.works.begin(call.at)?;
    let (service, call) = (service.clone(), call.clone());
    tokio::spawn(async move {
        let outcome = match carry_out(&service, &call, &work).await {
            Ok(changed) => {
                tracing::info!(changed, action = work.action, "findings were changed");
                Outcome::Response(any(&BulkMuteFindingsResponse {}))
            }
            Err(error) => {
                let status = Status::from(super::explain(error, work.action));
                Outcome::Error(rpc::Status {
                    code: status.code() as i32,
                    message: status.message().to_owned(),
                    details: Vec::new(),
                })
            }
        };
        service.works.lock().insert(number, Some(outcome));
    });
    Ok(number)
}

/// One transaction after the other, so that others are not kept from writing for long.
async fn carry_out(service: &Service, call: &Call, work: &Work) -> Result<u64, StoreError> {
    let by = call.by();
    let (mut changed, mut after) = (0, None);
    loop {
        let change = |document: &mut Value| (work.change)(document, call);
        let some = service.store.change_some(None, &work.filter, after, &by, work.action, change);
        let (count, next) = some.await?;
        changed += count;
        match next {
            Some(_) => after = next,
            None => return Ok(changed),
        }
    }
}

impl Works {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Option<Outcome>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for new work: the time, or the next one where that is taken.
    fn begin(&self, at: Timestamp) -> Result<u64, Refusal> {
        let mut all = self.lock();
        if all.values().filter(|outcome| outcome.is_none()).count() >= AT_ONCE {
            let description = format!("{AT_ONCE} operations are under way: wait until one is done");
            return Err(Refusal::TooMany { description });
        }
        while all.len() >= KEPT {
            let Some(oldest) = all.iter().find(|(_, outcome)| outcome.is_some()).map(|(number, _)| *number)
            else {
                break;
            };
            all.remove(&oldest);
        }
        let number = all.last_key_value().map_or(at.0, |(last, _)| at.0.max(last.saturating_add(1)));
        all.insert(number, None);
        Ok(number)
    }
}

fn name_of(service: &Service, number: u64) -> String {
    format!("{}/operations/{number}", service.scopes.root())
}

fn operation(service: &Service, number: u64) -> Result<Operation, Refusal> {
    let name = name_of(service, number);
    let outcome = service.works.lock().get(&number).cloned();
    let outcome = outcome.ok_or_else(|| Refusal::NotFound { name: name.clone() })?;
    Ok(Operation { name, metadata: None, done: outcome.is_some(), result: outcome })
}

/// The number in a name; one that cannot be a number is of no operation.
fn number_of(service: &Service, text: &str) -> Result<u64, Refusal> {
    let name = MemberName::parse("name", text, Collection::Operations)?;
    service.scopes.check(&name.scope)?;
    name.id.parse().map_err(|_| Refusal::NotFound { name: text.to_owned() })
}

/// `GetOperation`.
pub(super) async fn get(
    service: &Service,
    _: &Call,
    request: GetOperationRequest,
) -> Result<Operation, Refusal> {
    operation(service, number_of(service, &request.name)?)
}

/// `ListOperations`.
pub(super) async fn list(
    service: &Service,
    _: &Call,
    request: ListOperationsRequest,
) -> Result<ListOperationsResponse, Refusal> {
    const LIST: &str = "operations";
    let parent = request.name.strip_suffix("/operations").unwrap_or(&request.name);
    service.scopes.check(&ScopeName::parse("name", parent)?.scope)?;
    if !request.filter.is_empty() {
        return Err(Refusal::malformed("filter", "operations cannot be filtered: leave it out"));
    }
    let size = page::size(request.page_size)?;
    let after = page::last(LIST, &request.page_token)?.and_then(|last| last.parse::<u64>().ok());
    let numbers: Vec<u64> = service.works.lock().keys().copied().collect();
    let behind = numbers.into_iter().filter(|number| after.is_none_or(|after| *number > after));
    let mut numbers: Vec<String> = behind.take(size as usize + 1).map(|number| number.to_string()).collect();
    let next_page_token = page::cut(&mut numbers, size, LIST, |number| number);
    let operations = numbers.iter().filter_map(|number| operation(service, number.parse().ok()?).ok());
    Ok(ListOperationsResponse { operations: operations.collect(), next_page_token, unreachable: Vec::new() })
}

/// `DeleteOperation`: forgets work that is done.
pub(super) async fn delete(
    service: &Service,
    _: &Call,
    request: DeleteOperationRequest,
) -> Result<(), Refusal> {
    let number = number_of(service, &request.name)?;
    if !operation(service, number)?.done {
        return Err(Refusal::NotNow {
            description: "the operation is under way: wait until it is done".to_owned(),
        });
    }
    service.works.lock().remove(&number);
    Ok(())
}

/// `WaitOperation`.
pub(super) async fn wait(
    service: &Service,
    _: &Call,
    request: WaitOperationRequest,
) -> Result<Operation, Refusal> {
    let number = number_of(service, &request.name)?;
    let asked = request.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or(WAIT_LIMIT);
    let wait = async {
        while !operation(service, number)?.done {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok::<(), Refusal>(())
    };
    // An operation that is still under way is answered as it is.
    if let Ok(looked) = tokio::time::timeout(asked.min(WAIT_LIMIT), wait).await {
        looked?;
    }
    operation(service, number)
}
