//! Gives containers their names: asks the runtimes once for each container, beside the stream of captures.
//!
//! Owns: what the runtimes have said so far, bounded.
//! Refuses: keeping a capture waiting. What is known goes with it; what comes later follows as a message.

use super::outbox::Outbox;
use super::sensor_process::spawn;
use crate::clock;
use crate::config::Config;
use cluster::Runtimes;
use evidence::{Capture, Container, Message, Metadata, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Containers that are remembered; then all are forgotten, and asked for again.
const KNOWN_MAX: usize = 8192;
/// Questions that may wait. One that finds no room is asked again with the container's next capture.
const QUESTIONS_MAX: usize = 1024;
/// After this time a container that nobody knew is asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long answers are waited for when urva stops.
const FINISH_WITHIN: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Naming {
    known: Arc<Mutex<HashMap<String, Known>>>,
    questions: Mutex<Option<Sender<Container>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Known {
    /// As a question that is under way this is still pending.
    container: Container,
    asked_at: Timestamp,
}

/// A question that is to be asked once the capture is on its way.
pub(super) struct Question<'a> {
    naming: &'a Naming,
    container: Option<Container>,
}

impl Naming {
    /// Starts the thread that asks; the answers go into `outbox`.
    pub(super) fn start(config: &Config, outbox: Arc<Outbox>) -> anyhow::Result<Self> {
        let runtimes = Runtimes::discover(&config.runtime_settings());
        let (questions, asked) = channel(QUESTIONS_MAX);
        let known: Arc<Mutex<HashMap<String, Known>>> = Arc::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = spawn("urva-naming", {
            let known = Arc::clone(&known);
            move || runtime.block_on(answer(&runtimes, asked, &known, &outbox))
        })?;
        Ok(Self { known, questions: Mutex::new(Some(questions)), thread: Mutex::new(Some(thread)) })
    }

    /// Puts into the capture what is known of its container. What is to be asked is returned.
    pub(super) fn name(&self, capture: &mut Capture) -> Question<'_> {
        let mut question = Question { naming: self, container: None };
        let Some(container) = &mut capture.container else { return question };
        let now = clock::now();
        let mut known = lock(&self.known);
        let is_due = match known.get(&container.id) {
            Some(found) => {
                container.clone_from(&found.container);
                let is_unknown = matches!(found.container.metadata, Metadata::Missing(_));
                is_unknown && now.since(found.asked_at) > ASK_AGAIN_AFTER
            }
            None => true,
        };
        if is_due {
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            let asked = Container { metadata: Metadata::Pending, ..container.clone() };
            known.insert(container.id.clone(), Known { container: container.clone(), asked_at: now });
            question.container = Some(asked);
        }
        question
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
}

impl Question<'_> {
    /// Asks.
    pub(super) fn send(self) {
        let Some(container) = self.container else { return };
        let id = container.id.clone();
        let questions = lock(&self.naming.questions);
        if questions.as_ref().is_none_or(|questions| questions.try_send(container).is_err()) {
            lock(&self.naming.known).remove(&id);
        }
    }
}

async fn answer(
    runtimes: &Runtimes,
    mut asked: Receiver<Container>,
    known: &Mutex<HashMap<String, Known>>,
    outbox: &Outbox,
) {
    while let Some(container) = asked.recv().await {
        let found = runtimes.describe(&container.id, container.runtime).await;
        let found = merge(container, found);
        lock(known).insert(found.id.clone(), Known { container: found.clone(), asked_at: clock::now() });
        outbox.push(Message::Container(found));
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
