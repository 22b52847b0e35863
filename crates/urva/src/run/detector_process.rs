//! The unprivileged half: judges what the sensor captured, stores what is malicious, and says what is stored.
//!
//! Owns: the stream from the sensor, the order of judging, storing, showing, acknowledging.
//! Refuses: privileges. It is confined before it reads the first byte; see [`super::confine`].
//!
//! Guarantee: a finding is on disk before it is shown, and before the sensor hears that it may forget it. What
//! comes while the disk is busy is judged together and stored in one transaction.

use super::announce::{Announcer, Style};
use super::confine;
use super::held::HeldFindings;
use super::judge::Judge;
use super::lineage::Lineage;
use super::link::{self, Judged, Stored};
use super::sensor_process::spawn;
use crate::card;
use crate::cli::{DATABASE, Globals, RunFormat};
use crate::clock;
use crate::config::Config;
use anyhow::Context;
use detect::unpack::bytecode::{WrittenOut, write_out};
use evidence::{
    Capture, Compiled, CompiledBy, Container, Content, Finding, Gap, GapKind, Label, Message, Numbered,
    Script, Timestamp,
};
use std::io::{BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use store::{Counters, Recorded, RunId, RunStart, Store};

/// Messages that are judged and stored together at the most.
const BATCH_MAX: usize = 64;
/// Messages that wait to be judged; the rest waits in the sensor's outbox.
const WAITING_MAX: usize = 256;
/// How often the record of this run is brought up to date. Each time costs one write to the disk.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);
/// How often findings that are too old are removed.
const RETAIN_EVERY: Duration = Duration::from_secs(3600);
/// How long to wait before a write that failed is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Runs the detector process until the sensor closes the socket, which is standard input. `is_replacement` says
/// that urva has been watching all the time.
pub(super) fn run(
    config: &Config,
    globals: &Globals,
    format: RunFormat,
    is_replacement: bool,
) -> anyhow::Result<()> {
    let judge = Judge::load(config)?;
    let style = Style::new(config, format);
    let ids = confine::detector_ids(config.detector.user.as_deref())?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().context("taking over standard input")?;
    let confinement = confine::confine(ids, &globals.state, &[]).context("confining the detector")?;
    if !confinement.landlock {
        tracing::warn!(
            "this kernel has no Landlock: the detector is confined by user, capabilities and seccomp only"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let store = Store::open_in(Path::new("/").join(DATABASE), config.site()).await;
        let store = store.with_context(|| format!("the state folder {}", globals.state.display()))?;
        let announcer = Announcer::start(style)?;
        let session = Session::begin(store, config, judge, announcer, is_replacement).await?;
        serve(UnixStream::from(socket), session).await
    })
}

async fn serve(mut socket: UnixStream, mut session: Session<'_>) -> anyhow::Result<()> {
    link::greet(&mut socket)?;
    let (sender, messages) = sync_channel(WAITING_MAX);
    // A frame's length and the frame itself are then one read.
    let mut incoming = BufReader::with_capacity(link::FRAME_USUAL, socket.try_clone()?);
    spawn("urva-incoming", move || {
        loop {
            match link::read_frame::<Numbered>(&mut incoming) {
                Ok(Some(message)) => {
                    if sender.send(message).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => return tracing::error!("the conversation with the sensor ended: {error:#}"),
            }
        }
    })?;
    while let Some(batch) = next_batch(&messages) {
        session.take(&batch, &mut socket).await?;
    }
    session.end().await
}

/// All messages that are there, at least one; empty when it is time for a heartbeat; `None` at the end.
fn next_batch(messages: &Receiver<Numbered>) -> Option<Vec<Numbered>> {
    let mut batch = match messages.recv_timeout(HEARTBEAT_EVERY) {
        Ok(first) => vec![first],
        Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
        Err(RecvTimeoutError::Disconnected) => return None,
    };
    batch.extend(messages.try_iter().take(BATCH_MAX - 1));
    Some(batch)
}

/// The capture with what its code object does in the place of the code object; `None` for other captures.
fn written_out(capture: &Capture) -> Option<Capture> {
    let compiled = capture.compiled.as_ref().filter(|compiled| compiled.by == CompiledBy::PythonCode)?;
    let (head, tail) = capture.script.content.parts();
    let WrittenOut { text, file } = write_out(head).unwrap_or_default();
    let is_whole = matches!(capture.script.content, Content::Whole(_));
    let text = text.into_bytes().into();
    let content = match is_whole {
        true => Content::Whole(text),
        false => Content::HeadAndTail { head: text, tail: tail.into(), omitted: 1 },
    };
    let compiled = Compiled { name: file.map(|file| file.into_bytes().into()), ..compiled.clone() };
    let script = Script { content, ..capture.script.clone() };
    Some(Capture { compiled: Some(compiled), script, ..capture.clone() })
}

/// What a batch leads to.
#[derive(Default)]
struct Outcome {
    findings: Vec<Finding>,
    gaps: Vec<Gap>,
    containers: Vec<Container>,
    /// Keys of texts that the sensor need not send again.
    harmless: Vec<u64>,
    /// Processes that wait for the verdict on their text.
    judged: Vec<Judged>,
    /// Processes that did not wait as long as it took.
    let_go: Vec<(u32, u64)>,
}

/// One run of the detector on one store.
struct Session<'a> {
    store: Store,
    config: &'a Config,
    judge: Judge,
    lineage: Lineage,
    announcer: Announcer,
    held: HeldFindings,
    run: RunId,
    counters: Counters,
    heartbeat_at: Timestamp,
    retained_at: Timestamp,
    /// The supervisor was killed: this run does not end in order.
    is_orphan: bool,
}

impl<'a> Session<'a> {
    async fn begin(
        store: Store,
        config: &'a Config,
        judge: Judge,
        announcer: Announcer,
        is_replacement: bool,
    ) -> anyhow::Result<Self> {
        let now = clock::now();
        let start = RunStart {
            started_at: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: judge.model_id().to_owned(),
            host: config.place().node,
            pid: std::process::id(),
        };
        let begun = store.begin_run(&start).await?;
        if let Some(previous) = begun.previous.filter(|_| !is_replacement) {
            let gap = previous.gap(now);
            store.record_gap(&gap).await?;
            if let Some(finding) = Finding::of_gap(&gap) {
                let recorded = store.record(std::slice::from_ref(&finding), Duration::ZERO).await?;
                recorded.into_iter().for_each(|recorded| announcer.announce(finding.clone(), recorded));
            }
        }
        let counters = Counters::default();
        let (heartbeat_at, retained_at) = (now, Timestamp(0));
        Ok(Self {
            store,
            config,
            judge,
            lineage: Lineage::default(),
            announcer,
            held: HeldFindings::default(),
            run: begun.id,
            counters,
            heartbeat_at,
            retained_at,
            is_orphan: false,
        })
    }

    /// Judges, stores, shows and acknowledges a batch.
    async fn take(&mut self, batch: &[Numbered], socket: &mut UnixStream) -> anyhow::Result<()> {
        let mut outcome = self.judge_all(batch);
        // The process has nothing else to do meanwhile: what comes waits in the sensor.
        while let Err(error) = self.store_all(&mut outcome).await {
            tracing::error!("findings cannot be stored, trying again until they can: {error}");
            std::thread::sleep(TRY_AGAIN_AFTER);
        }
        if let Some(last) = batch.last() {
            let stored = link::frame(&Stored {
                number: last.number,
                harmless: outcome.harmless,
                judged: outcome.judged,
            })?;
            // A sensor that is gone needs no acknowledgement.
            let _ = socket.write_all(&stored);
        }
        self.keep_house().await;
        Ok(())
    }

    fn judge_all(&mut self, batch: &[Numbered]) -> Outcome {
        let mut outcome = Outcome::default();
        for Numbered { message, .. } in batch {
            match message {
                Message::Gap(gap) => {
                    self.counters.add_gap(gap);
                    outcome.findings.extend(Finding::of_gap(gap));
                    self.is_orphan |= gap.kind == GapKind::SupervisorEnded;
                    outcome.gaps.push(gap.clone());
                }
                Message::Canary => {}
                Message::LetGo { pid, start_ticks } => outcome.let_go.push((*pid, *start_ticks)),
                Message::Container(container) => outcome.containers.push(container.clone()),
                Message::Capture(capture) | Message::Completed(capture) => {
                    // What is completed was counted when it came first.
                    let mut unused = Counters::default();
                    let is_first = matches!(message, Message::Capture(_));
                    let counters = if is_first { &mut self.counters } else { &mut unused };
                    let written = written_out(capture);
                    let capture = written.as_ref().unwrap_or(capture);
                    let verdict = self.judge.inspect(capture, counters);
                    let is_harmless = verdict.as_ref().is_some_and(|verdict| verdict.label == Label::Benign);
                    let is_malicious =
                        verdict.as_ref().is_some_and(|verdict| verdict.label == Label::Malicious);
                    // A process can be held for each part of what it reads; a file is hashed after it was let go.
                    if capture.held && (is_first || capture.script.is_streamed()) {
                        let evidence::Process { pid, start_ticks, .. } = capture.process;
                        outcome.judged.push(Judged { pid, start_ticks, is_malicious });
                    }
                    let key = capture.compiled.as_ref().map(|compiled| compiled.key);
                    outcome.harmless.extend(key.filter(|key| is_harmless && *key != 0));
                    let finding = self.lineage.take(capture, verdict, &self.config.redaction());
                    let held = (capture.held && is_malicious).then_some(self.config.hold.action.into());
                    outcome.findings.extend(finding.map(|finding| finding.with_hold(held)));
                }
            }
        }
        outcome
    }

    /// Stores what is left of an outcome. What is stored is taken out of it, so that it can be called again.
    async fn store_all(&mut self, outcome: &mut Outcome) -> Result<(), store::StoreError> {
        let window = self.config.findings.fold_window.duration();
        let recorded = self.store.record(&outcome.findings, window).await?;
        for (finding, recorded) in std::mem::take(&mut outcome.findings).into_iter().zip(recorded) {
            self.held.remember(&finding, &recorded.id);
            if self.announcer.wants(&recorded) {
                self.announcer.announce(self.as_stored(finding, &recorded).await, recorded);
            }
        }
        while let Some((pid, start_ticks)) = outcome.let_go.last() {
            let corrected = self.held.correct(&self.store, *pid, *start_ticks).await?;
            self.store.record(corrected.as_slice(), window).await?;
            outcome.let_go.pop();
        }
        while let Some(gap) = outcome.gaps.last() {
            self.store.record_gap(gap).await?;
            let place = card::container_name(gap.container.as_ref());
            tracing::warn!(kind = %gap.kind, lost = gap.lost, "{place}: {}", gap.detail);
            outcome.gaps.pop();
        }
        while let Some(container) = outcome.containers.last() {
            self.store.complete_container(container).await?;
            outcome.containers.pop();
        }
        Ok(())
    }

    /// The finding as the store has it: a further execution belongs to one of another name and an earlier beginning.
    async fn as_stored(&self, finding: Finding, recorded: &Recorded) -> Finding {
        if recorded.outcome != store::Outcome::Updated {
            return finding;
        }
        self.store.get(&recorded.id).await.unwrap_or_else(|error| {
            tracing::error!("a finding is shown without its earlier executions: {error}");
            Finding { id: recorded.id.clone(), count: recorded.count, ..finding }
        })
    }

    /// What has to be done from time to time. A failure is logged, and tried again at the next time.
    async fn keep_house(&mut self) {
        let now = clock::now();
        if now.since(self.heartbeat_at) >= HEARTBEAT_EVERY {
            self.heartbeat_at = now;
            if let Err(error) = self.store.heartbeat(self.run, now, &self.counters).await {
                tracing::error!("the record of this run is out of date: {error}");
            }
        }
        if now.since(self.retained_at) >= RETAIN_EVERY {
            self.retained_at = now;
            if let Err(error) = self.store.retain(&self.config.retention(), now).await {
                tracing::error!("old findings were not removed: {error}");
            }
        }
    }

    async fn end(self) -> anyhow::Result<()> {
        self.announcer.finish();
        let now = clock::now();
        if self.is_orphan {
            self.store.heartbeat(self.run, now, &self.counters).await?;
        } else {
            self.store.end_run(self.run, now, &self.counters).await?;
        }
        self.store.close().await?;
        Ok(())
    }
}
