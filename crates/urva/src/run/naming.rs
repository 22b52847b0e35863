//! Gives containers their names: asks the runtimes once for each container, beside the stream of captures.
//!
//! Owns: what the runtimes have said so far, bounded.
//! Refuses: keeping a capture waiting for more than a moment. What is known goes with it; what comes later follows
//! as a message.

use super::outbox::Outbox;
use super::sensor_process::spawn;
use crate::clock;
use crate::config::Config;
use cluster::Runtimes;
use evidence::{Container, Message, Metadata, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

/// Containers that are remembered; then all are forgotten, and asked for again.
const KNOWN_MAX: usize = 8192;
/// Questions that may wait. One that finds no room is asked again with the container's next capture.
const QUESTIONS_MAX: usize = 1024;
/// Questions that are under way at the same time.
const AT_A_TIME_MAX: usize = 16;
/// After this time a container that nobody knew is asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long answers are waited for when urva stops.
const FINISH_WITHIN: Duration = Duration::from_millis(200);

/// How long the first capture of a container waits for the answer: the runtimes need 1 ms as a rule, and a finding
/// that names its Pod at once is worth more than one that does so a moment later.
const WAIT_FOR_ANSWER: Duration = Duration::from_millis(5);

/// See the module.
pub(super) struct Naming {
    known: Arc<Known>,
    questions: Mutex<Option<Sender<Container>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Known {
    containers: Mutex<HashMap<String, Entry>>,
    answered: Condvar,
}

struct Entry {
    /// Pending as long as the question is under way.
    container: Container,
    asked_at: Timestamp,
    /// A capture went out without the answer: it has to follow as a message.
    is_owed: bool,
}

impl Naming {
    /// Starts the thread that asks; the answers go into `outbox`.
    pub(super) fn start(config: &Config, outbox: Arc<Outbox>) -> anyhow::Result<Self> {
        let runtimes = Runtimes::discover(&config.runtime_settings());
        let (questions, asked) = channel(QUESTIONS_MAX);
        let known: Arc<Known> = Arc::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = spawn("urva-naming", {
            let known = Arc::clone(&known);
            move || runtime.block_on(answer(Arc::new(runtimes), asked, known, outbox))
        })?;
        Ok(Self { known, questions: Mutex::new(Some(questions)), thread: Mutex::new(Some(thread)) })
    }

    /// Puts in place what is known of the container, and asks where nothing is.
    pub(super) fn name(&self, container: &mut Option<Container>) {
        let Some(container) = container else { return };
        let is_new = self.ask_unless_known(container);
        let mut known = lock(&self.known.containers);
        if is_new {
            let id = container.id.clone();
            let is_open = |known: &mut HashMap<String, Entry>| known.get(&id).is_some_and(Entry::is_pending);
            known = match self.known.answered.wait_timeout_while(known, WAIT_FOR_ANSWER, is_open) {
                Ok((known, _)) => known,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        if let Some(entry) = known.get(&container.id) {
            container.clone_from(&entry.container);
        }
    }

    /// The capture is on its way. Where it went without the answer, that follows: now, or when it comes.
    pub(super) fn follow_up(&self, container: Option<Container>, outbox: &Outbox) {
        let Some(container) = container.filter(|container| container.metadata == Metadata::Pending) else {
            return;
        };
        let mut known = lock(&self.known.containers);
        match known.get_mut(&container.id) {
            Some(entry) if entry.is_pending() => entry.is_owed = true,
            Some(entry) => {
                let answer = entry.container.clone();
                drop(known);
                outbox.push(&Message::Container(answer));
            }
            None => {}
        }
    }

    /// Waits a moment for the answers that are under way. No question is taken any more.
    pub(super) fn finish(&self) {
        lock(&self.questions).take();
        let Some(thread) = lock(&self.thread).take() else { return };
        let step = FINISH_WITHIN / 20;
        for _ in 0..20 {
            if thread.is_finished() {
                return;
            }
            std::thread::sleep(step);
        }
    }

    /// Returns whether this is the container's first capture.
    fn ask_unless_known(&self, container: &Container) -> bool {
        let now = clock::now();
        let mut known = lock(&self.known.containers);
        if known.get(&container.id).is_some_and(|entry| !entry.is_due(now)) {
            return false;
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let is_asked =
            lock(&self.questions).as_ref().is_some_and(|asked| asked.try_send(container.clone()).is_ok());
        if is_asked {
            let entry = Entry { container: container.clone(), asked_at: now, is_owed: false };
            known.insert(container.id.clone(), entry);
        }
        is_asked
    }
}

impl Entry {
    fn is_pending(&self) -> bool {
        self.container.metadata == Metadata::Pending
    }

    /// Whether it is time to ask again.
    fn is_due(&self, now: Timestamp) -> bool {
        let is_unknown = matches!(self.container.metadata, Metadata::Missing(_));
        is_unknown && now.since(self.asked_at) > ASK_AGAIN_AFTER
    }
}

/// Several questions at a time: a runtime that hangs keeps nobody waiting for another.
async fn answer(
    runtimes: Arc<Runtimes>,
    mut asked: Receiver<Container>,
    known: Arc<Known>,
    outbox: Arc<Outbox>,
) {
    let mut under_way = JoinSet::new();
    while let Some(container) = asked.recv().await {
        if under_way.len() >= AT_A_TIME_MAX {
            under_way.join_next().await;
        }
        let (runtimes, known, outbox) = (Arc::clone(&runtimes), Arc::clone(&known), Arc::clone(&outbox));
        under_way.spawn(async move {
            let found = runtimes.describe(&container.id, container.runtime).await;
            known.put(merge(container, found), &outbox);
        });
    }
    while under_way.join_next().await.is_some() {}
}

impl Known {
    /// Remembers an answer, and sends it after the captures that went without it.
    fn put(&self, found: Container, outbox: &Outbox) {
        let entry = Entry { container: found.clone(), asked_at: clock::now(), is_owed: false };
        let before = lock(&self.containers).insert(found.id.clone(), entry);
        self.answered.notify_all();
        if before.is_some_and(|before| before.is_owed) {
            outbox.push(&Message::Container(found));
        }
    }
}

/// What the cgroup's path told stays where the runtimes do not tell more.
fn merge(path: Container, mut found: Container) -> Container {
    found.runtime = found.runtime.or(path.runtime);
    found.pod = match (path.pod, found.pod) {
        (Some(path), Some(mut found)) => {
            found.uid = found.uid.or(path.uid);
            Some(found)
        }
        (path, found) => found.or(path),
    };
    found
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
