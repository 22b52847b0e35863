//! Delivery to one output: what is due is sent, one after the other, until it has arrived or is given up.
//!
//! Owns: when something is tried, and when it is given up.
//! Refuses: the clock and randomness, which are passed in. Where the clock jumps, nothing is lost: at worst something is tried early.

use crate::backoff::{Backoff, LONGEST_ASKED};
use crate::transport::{Failure, Transport};
use crate::{Output, Trust};
use evidence::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use store::{Delivery, DeliveryId, Store, StoreError};

/// What is sent before it is taken from the outbox together. After a kill, so much may come twice.
const BATCH: u32 = 64;

/// Something is not given up before so many tries, however old it seems: a clock that jumps ahead ages everything.
const LEAST_TRIES: u32 = 8;

/// Who takes what waits for one output to its receiver.
pub struct Courier<C> {
    output: Output,
    transport: Transport,
    clock: Arc<C>,
    backoff: Backoff,
    /// Failures since something was last delivered.
    failures: u32,
    paused_until: Option<Timestamp>,
}

/// What a round has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    /// Messages that arrived.
    pub delivered: usize,
    /// Messages that are tried again later.
    pub put_off: usize,
    /// Messages that were given up.
    pub given_up: usize,
    /// Whether there is more to do at once.
    pub has_more: bool,
}

impl<C: Fn() -> Timestamp> Courier<C> {
    /// Prepares delivery; nothing is sent yet.
    ///
    /// # Errors
    /// As for [`Transport::new`].
    pub fn new(output: Output, trust: &Trust, clock: Arc<C>, backoff: Backoff) -> Result<Self, String> {
        let transport = Transport::new(&output, trust)?;
        Ok(Self { output, transport, clock, backoff, failures: 0, paused_until: None })
    }

    /// The output's name.
    pub fn name(&self) -> &str {
        &self.output.name
    }

    /// Sends what is due, up to the first failure. After one the output is left alone for a while, longer each time.
    ///
    /// # Errors
    /// Where the database fails. What had arrived by then may come again.
    pub async fn round(&mut self, store: &Store) -> Result<Round, StoreError> {
        let now = (self.clock)();
        if self.is_paused(now) {
            return Ok(Round::default());
        }
        let due = store.due(&self.output.name, now, BATCH).await?;
        let mut failed = None;
        let mut sent: Vec<&Delivery> = Vec::new();
        for delivery in &due {
            match self.transport.send(delivery, (self.clock)()).await {
                Ok(()) => sent.push(delivery),
                Err(failure) => {
                    failed = Some((delivery, failure));
                    break;
                }
            }
        }
        let settled = if due.is_empty() { Ok(()) } else { self.transport.settle().await };
        if let Err(failure) = settled
            && self.transport.settles_later()
            && let Some(first) = sent.first()
        {
            // None of them counts; the first one carries the failure.
            failed = Some((*first, failure));
            sent.clear();
        }
        let mut round =
            Round { delivered: sent.len(), has_more: due.len() == BATCH as usize, ..Round::default() };
        if !sent.is_empty() {
            let ids: Vec<DeliveryId> = sent.iter().map(|delivery| delivery.id).collect();
            store.delivered(&self.output.name, &ids, (self.clock)()).await?;
            self.recover();
        }
        if let Some((delivery, failure)) = failed {
            self.fail(store, delivery, &failure, &mut round).await?;
        }
        Ok(round)
    }

    /// A pause that is longer than any was begun before somebody set the clock back.
    fn is_paused(&self, now: Timestamp) -> bool {
        self.paused_until.is_some_and(|until| now < until && until.since(now) <= LONGEST_ASKED)
    }

    fn recover(&mut self) {
        if self.failures > 0 {
            tracing::info!(output = self.output.name, "an output takes findings again");
        }
        (self.failures, self.paused_until) = (0, None);
    }

    async fn fail(
        &mut self,
        store: &Store,
        delivery: &Delivery,
        failure: &Failure,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let now = (self.clock)();
        let tries = delivery.tries.saturating_add(1);
        let is_old = now.since(delivery.at) >= self.output.max_age && tries >= LEAST_TRIES;
        let due_at = match failure {
            Failure::Never { .. } => None,
            Failure::Later { .. } if is_old => None,
            Failure::Later { after, .. } => Some(later(now, self.backoff.after(tries, *after))),
        };
        store.failed(delivery, failure.error(), due_at, now).await?;
        match due_at {
            Some(_) => round.put_off += 1,
            None => round.given_up += 1,
        }
        if let Failure::Later { error, after } = failure {
            if self.failures == 0 {
                tracing::warn!(output = self.output.name, "an output fails and is tried again: {error}");
            }
            self.failures = self.failures.saturating_add(1);
            self.paused_until = Some(later(now, self.backoff.after(self.failures, *after)));
            round.has_more = false;
        } else {
            tracing::warn!(output = self.output.name, "an output refuses a message: {}", failure.error());
            round.has_more = true;
        }
        Ok(())
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
}
