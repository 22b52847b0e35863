//! Work on many findings, which goes on after its call was answered, and can be asked for.
//!
//! Owns: the queue of such work, which lies in the store, so that a restart forgets nothing of it; and carrying it out, one after the other.
//! Refuses: doing half of it. What ended early is done again from the beginning, which changes nothing a second time.

use super::findings::filter;
use super::{Call, Service, explain, mute_configs, page};
use crate::name::{Collection, MemberName, ScopeName};
use crate::protocol::longrunning::operation::Result as Outcome;
use crate::protocol::longrunning::{
    DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, ListOperationsResponse, Operation,
    WaitOperationRequest,
};
use crate::protocol::rpc;
use crate::protocol::v2::bulk_mute_findings_request::MuteState;
use crate::protocol::v2::{BulkMuteFindingsRequest, BulkMuteFindingsResponse};
use crate::refusal::{Refusal, any};
use evidence::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use store::filter::Filter;
use store::mute_info::{Decision, decide};
use store::{By, Kind, Setting, StoreError};
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::Status;

/// Work that is remembered, and bulk mutes that are waited for.
const KEPT: usize = 1_000;
const QUEUED: usize = 100;
/// How often a call that waits looks again where another process does the work, and how long it waits at the most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const WAIT_LIMIT: Duration = Duration::from_secs(20);
/// What the ids of work on a mute rule begin with. Others are numbers.
const OF_RULE: &str = "rule-";

/// Tells that there is work, and that some is done.
#[derive(Default)]
pub(crate) struct Bell {
    queued: Notify,
    done: Notify,
}

impl Bell {
    /// Waits until something is queued, for so long at the most.
    pub(super) async fn wait(&self, at_most: Duration) {
        let _ = timeout(at_most, self.queued.notified()).await;
    }
}

/// Work as the store keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    actor: String,
    at: Timestamp,
    work: Work,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<Done>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Work {
    /// Findings of this filter are decided about.
    Mute { filter: String, mute: String },
    /// Findings are brought to what a mute rule says now, or to its being gone.
    Rule { id: String },
}

#[derive(Debug, Serialize, Deserialize)]
enum Done {
    Well,
    Failed { code: i32, message: String },
}

impl Kept {
    fn read(setting: &Setting) -> Option<Self> {
        let kept = serde_json::from_value(setting.document.clone());
        kept.inspect_err(|error| tracing::error!("the operation {} cannot be read: {error}", setting.id)).ok()
    }

    fn write(&self) -> Result<Value, Refusal> {
        serde_json::to_value(self).map_err(|error| {
            tracing::error!("an operation cannot be written: {error}");
            Refusal::Internal
        })
    }

    fn by(&self) -> By<'_> {
        By { actor: &self.actor, at: self.at }
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
        MuteState::Undefined => Decision::Undefined,
        MuteState::Muted | MuteState::Unspecified => Decision::Muted,
    };
    let filter = filter("filter", &request.filter)?.to_string();
    check_room(service).await?;
    let work = Work::Mute { filter, mute: mute.as_str().to_owned() };
    let document = Kept { actor: call.actor.clone(), at: call.at, work, done: None }.write()?;
    // The time, or the next number where that is taken.
    for number in call.at.0.. {
        let id = number.to_string();
        let added = service.store.add_operation(&id, &document).await;
        if added.map_err(|error| explain(error, "operations"))? {
            service.bell.queued.notify_one();
            return operation(service, &Setting { id, document });
        }
    }
    Err(Refusal::Internal)
}

/// Refuses one more where too many wait.
async fn check_room(service: &Service) -> Result<(), Refusal> {
    let all = all(service).await.map_err(|error| explain(error, "operations"))?;
    if all.iter().filter(|setting| Kept::read(setting).is_some_and(|kept| kept.done.is_none())).count()
        < QUEUED
    {
        return Ok(());
    }
    let description = format!("{QUEUED} operations are under way: wait until one is done");
    Err(Refusal::TooMany { description })
}

/// Forgets the oldest that are done, where there are too many.
async fn forget_old(service: &Service) -> Result<(), StoreError> {
    let all = all(service).await?;
    let done = all.iter().filter(|setting| Kept::read(setting).is_none_or(|kept| kept.done.is_some()));
    for Setting { id, document } in done.take(all.len().saturating_sub(KEPT)) {
        service.store.end_operation(id, document, None).await?;
    }
    Ok(())
}

/// Changes a mute rule, and has the findings brought to what it says then. That is queued before, so that nothing is forgotten where
/// urva ends in between, and after, where it may have been carried out too early.
pub(super) async fn with_rule<T>(
    service: &Service,
    call: &Call,
    rule: Option<&str>,
    change: impl Future<Output = T>,
) -> Result<T, Refusal> {
    let Some(id) = rule else { return Ok(change.await) };
    queue_rule(service, call, id).await?;
    let changed = change.await;
    queue_rule(service, call, id).await?;
    service.bell.queued.notify_one();
    Ok(changed)
}

async fn queue_rule(service: &Service, call: &Call, id: &str) -> Result<(), Refusal> {
    let work = Work::Rule { id: id.to_owned() };
    let document = Kept { actor: call.actor.clone(), at: call.at, work, done: None }.write()?;
    let put = service.store.put_operation(&format!("{OF_RULE}{id}"), &document).await;
    put.map_err(|error| explain(error, id))
}

/// All work, the oldest first, that on rules last.
async fn all(service: &Service) -> Result<Vec<Setting>, StoreError> {
    let mut all: Vec<Setting> = Vec::new();
    loop {
        let after = all.last().map(|setting| setting.id.clone());
        let page = service.store.settings(Kind::Operation, after.as_deref(), 1_000).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Carries out all that is queued. What the store is not there for is tried again the next time.
pub(super) async fn carry_out(service: &Service) -> Result<(), StoreError> {
    for setting in all(service).await? {
        let Some(mut kept) = Kept::read(&setting).filter(|kept| kept.done.is_none()) else { continue };
        let outcome = match &kept.work {
            Work::Mute { filter, mute } => mute_all(service, filter, mute, &kept.by()).await,
            Work::Rule { id } => mute_configs::settle(service, id, &kept.by()).await,
        };
        kept.done = Some(match outcome {
            Ok(changed) => {
                tracing::info!(changed, operation = setting.id, "an operation is done");
                Done::Well
            }
            Err(error) if error.is_temporary() => return Err(error),
            Err(error) => {
                let status = Status::from(explain(error, &setting.id));
                Done::Failed { code: status.code() as i32, message: status.message().to_owned() }
            }
        });
        // What cannot be written is forgotten, rather than done again and again.
        let ended = kept.write().ok();
        // A rule that was changed meanwhile is queued anew, and looked at again.
        service.store.end_operation(&setting.id, &setting.document, ended.as_ref()).await?;
        service.bell.done.notify_waiters();
    }
    forget_old(service).await
}

async fn mute_all(service: &Service, filter: &str, mute: &str, by: &By<'_>) -> Result<u64, StoreError> {
    let (Ok(filter), Some(decision)) = (Filter::parse(filter), Decision::parse(mute)) else {
        tracing::error!("a bulk mute that was queued is not understood any more");
        return Ok(0);
    };
    let change = |document: &mut Value| decide(document, decision, by);
    change_all(service, &filter, by, "BulkMuteFindings", change).await
}

/// Changes all findings that are meant, in one transaction after the other, so that others are not kept from writing for long.
pub(super) async fn change_all(
    service: &Service,
    filter: &Filter,
    by: &By<'_>,
    action: &str,
    change: impl Fn(&mut Value),
) -> Result<u64, StoreError> {
    let (mut changed, mut after) = (0, None);
    loop {
        let (count, next) = service.store.change_some(None, filter, after, by, action, &change).await?;
        changed += count;
        match next {
            Some(_) => after = next,
            None => return Ok(changed),
        }
    }
}

fn operation(service: &Service, setting: &Setting) -> Result<Operation, Refusal> {
    let kept = Kept::read(setting).ok_or(Refusal::Internal)?;
    let result = kept.done.map(|done| match done {
        Done::Well => Outcome::Response(any(&BulkMuteFindingsResponse {})),
        Done::Failed { code, message } => Outcome::Error(rpc::Status { code, message, details: Vec::new() }),
    });
    let name = format!("{}/operations/{}", service.scopes.root(), setting.id);
    Ok(Operation { name, metadata: None, done: result.is_some(), result })
}

/// The operation of this name, as the store has it.
async fn find(service: &Service, text: &str) -> Result<Setting, Refusal> {
    let MemberName { scope, id, .. } = MemberName::parse("name", text, Collection::Operations)?;
    service.scopes.check(&scope)?;
    let document = service.store.setting(Kind::Operation, &id).await;
    Ok(Setting { document: document.map_err(|error| explain(error, text))?, id })
}

/// `GetOperation`.
pub(super) async fn get(
    service: &Service,
    _: &Call,
    request: GetOperationRequest,
) -> Result<Operation, Refusal> {
    operation(service, &find(service, &request.name).await?)
}

/// `ListOperations`.
pub(super) async fn list(
    service: &Service,
    _: &Call,
    request: ListOperationsRequest,
) -> Result<ListOperationsResponse, Refusal> {
    if !request.filter.is_empty() {
        return Err(Refusal::malformed("filter", "operations cannot be filtered: leave it out"));
    }
    let parent = request.name.strip_suffix("/operations").unwrap_or(&request.name);
    service.scopes.check(&ScopeName::parse("name", parent)?.scope)?;
    let read = |setting: &Setting| operation(service, setting).map_err(|error| error.to_string());
    let (operations, next_page_token) =
        page::of(service, Kind::Operation, request.page_size, &request.page_token, read).await?;
    Ok(ListOperationsResponse { operations, next_page_token, unreachable: Vec::new() })
}

/// `DeleteOperation`: forgets work that is done.
pub(super) async fn delete(
    service: &Service,
    _: &Call,
    request: DeleteOperationRequest,
) -> Result<(), Refusal> {
    let setting = find(service, &request.name).await?;
    if !operation(service, &setting)?.done {
        return Err(Refusal::NotNow {
            description: "the operation is under way: wait until it is done".to_owned(),
        });
    }
    let forgotten = service.store.end_operation(&setting.id, &setting.document, None).await;
    forgotten.map(drop).map_err(|error| explain(error, &request.name))
}

/// `WaitOperation`. Where nobody carries out what is queued, this does.
pub(super) async fn wait(
    service: &Service,
    _: &Call,
    request: WaitOperationRequest,
) -> Result<Operation, Refusal> {
    if !service.carries_on {
        carry_out(service).await.map_err(|error| explain(error, &request.name))?;
    }
    let asked = request.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or(WAIT_LIMIT);
    let wait = async {
        loop {
            let done = service.bell.done.notified();
            let found = operation(service, &find(service, &request.name).await?)?;
            if found.done {
                return Ok(found);
            }
            let _ = timeout(LOOK_EVERY, done).await;
        }
    };
    match timeout(asked.min(WAIT_LIMIT), wait).await {
        Ok(found) => found,
        // An operation that is still under way is answered as it is.
        Err(_) => operation(service, &find(service, &request.name).await?),
    }
}
