//! The home on one machine: the store of `chaski serve` in a folder of its own, and a small host that leases entry by
//! entry, as the real one does.

use std::collections::{BTreeMap, HashSet};
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use chaski_core::app::{self, Dispatcher, Ingress, Post, Receipt};
use chaski_core::envelope::Envelope;
use chaski_core::filter::{DeadLetterFilter, Page, Whose};
use chaski_core::identity;
use chaski_core::ports::{
    Beside, Bodies, Clock, DeadLetters, Enqueue, EnqueueError, Entry, Leased, Ledger, Pauses, Queues, Settle,
    SettleError, Settlement, Taken,
};
use chaski_core::problem::Problem;
use chaski_core::queue::QueueName;
use chaski_core::settings::Settings;
use chaski_embedded::{DATABASE, Options, Store};
use chaski_system::SystemChance;
use futures_util::future::join_all;
use tempfile::TempDir;

use super::clock::HandClock;
use super::faults::{Faults, FaultySettle};
use super::script::Script;
use super::{Batch, Buried, Capabilities, Home, Message, POLL, SETTINGS, Sighting, TIERS};

/// What of an upload comes at once.
const UPLOAD_PIECE_BYTES: usize = 65_536;
/// Entries that one turn leases at most.
const TURN: usize = 50;

/// A store of its own, with the use cases over it, and a clock that only stories move.
pub struct EmbeddedHome {
    settings: Arc<Settings>,
    running: Mutex<Arc<Running>>,
    clock: HandClock,
    target: Script,
    faults: Faults,
    batches: Mutex<Vec<Batch>>,
}

/// What a crash ends.
struct Running {
    store: Store,
    ingress: Ingress<FaultyQueues, HandClock, SystemChance, Store>,
    dispatcher: Dispatcher<Script, FaultySettle<ScriptedSettle>, HandClock, Store, Store>,
    // Goes after the store.
    folder: TempDir,
}

impl EmbeddedHome {
    /// Makes its folder, which goes with it.
    ///
    /// # Errors
    /// The folder can't be made or the store not be opened.
    pub fn open() -> anyhow::Result<Self> {
        let settings = Arc::new(Settings::read(SETTINGS, &|_| None)?);
        let clock = HandClock::default();
        let (target, faults) = (Script::new(Arc::new(clock.clone())), Faults::default());
        let running = Running::open(tempfile::tempdir()?, &settings, &clock, &target, &faults)?;
        let running = Mutex::new(Arc::new(running));
        Ok(Self { settings, running, clock, target, faults, batches: Mutex::default() })
    }

    fn running(&self) -> Arc<Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn handle(&self, running: &Running, leased: Leased) {
        let until = self.clock.elapsed() + Duration::from_secs(60);
        let mut back = running.dispatcher.run(std::slice::from_ref(&leased), until).await;
        if self.faults.delivers_again() {
            back = running.dispatcher.run(std::slice::from_ref(&leased), until).await;
        }
        let entry = Sighting { entry_id: leased.entry_id, group: leased.group, body: leased.body };
        let batch = Batch { queue: leased.queue, entries: vec![entry], back, heard: true };
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }
}

impl Running {
    fn open(
        folder: TempDir,
        settings: &Arc<Settings>,
        clock: &HandClock,
        target: &Script,
        faults: &Faults,
    ) -> anyhow::Result<Self> {
        let options = Options { data: folder.path().to_owned(), ..Options::of(settings) };
        let store = Store::open(options, Arc::new(clock.clone()))?;
        let scripted = ScriptedSettle { store: store.clone(), faults: faults.clone() };
        let settle = FaultySettle { inner: scripted, faults: faults.clone() };
        let queues = FaultyQueues { store: store.clone(), faults: faults.clone() };
        let ingress = Ingress::new(settings.clone(), queues, clock.clone(), SystemChance);
        let dispatcher = Dispatcher::new(settings.clone(), target.clone(), settle, clock.clone(), store.clone());
        Ok(Self {
            ingress: ingress.with_bodies(store.clone()),
            dispatcher: dispatcher.with_bodies(store.clone()),
            store,
            folder,
        })
    }
}

/// What a kill leaves: the file and its log as they are, while nothing is written and the store is open.
fn remains(of: &Path) -> anyhow::Result<TempDir> {
    let left = tempfile::tempdir()?;
    for name in [DATABASE.to_owned(), format!("{DATABASE}-wal")] {
        let from = of.join(&name);
        if from.exists() {
            std::fs::copy(from, left.path().join(name))?;
        }
    }
    Ok(left)
}

impl Home for EmbeddedHome {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            tiers: TIERS,
            // The store counts in whole milliseconds.
            tier_precision: Duration::from_millis(2),
            dedup_window: Duration::from_secs(24 * 60 * 60),
            atomic_settle: true,
            wait_precision: Duration::from_secs(1),
            rounds_to_tiers: false,
            knows_duplicates: true,
            key_window: self.settings.serve.retention.keys,
            bodies_last: self.settings.serve.retention.delivered,
            counts_sequence: true,
            has_ledger: true,
            orders_lag: Duration::ZERO,
            flow_burst: Duration::from_secs(1),
            crowd: (100, 50),
        }
    }

    fn target(&self) -> &Script {
        &self.target
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn desk(&self) -> impl Deref<Target: Ledger + Pauses + DeadLetters> {
        Box::new(self.running().store.clone())
    }

    fn bodies(&self) -> impl Deref<Target: Bodies> {
        Box::new(self.running().store.clone())
    }

    async fn upload(&self, body: Vec<u8>) -> anyhow::Result<String> {
        let (reference, store) = (identity::body_reference("", &SystemChance), self.running().store.clone());
        store.promise(&reference, self.clock.now()).await?;
        let mut upload = store.receive(&reference).await?;
        for piece in body.chunks(UPLOAD_PIECE_BYTES) {
            upload.write(piece).await?;
        }
        upload.finish().await?;
        Ok(reference)
    }

    async fn accept_from(&self, caller: &app::Caller, messages: &[Message]) -> Vec<Result<Receipt, Problem>> {
        let texts: Vec<String> = messages.iter().map(Message::text).collect();
        let posts: Vec<Post<'_>> =
            texts.iter().map(|text| Post { text: text.as_bytes(), key: None, trace: None }).collect();
        self.running().ingress.accept_all(caller, &posts).await
    }

    async fn put(&self, entry: &Entry) -> anyhow::Result<()> {
        self.running().store.enqueue(entry.clone()).await.context("the queue did not take a raw entry")?;
        Ok(())
    }

    async fn take(&self, queue: &QueueName) -> anyhow::Result<Option<Leased>> {
        Ok(self.running().store.try_lease(Some(queue)))
    }

    async fn settle(&self, leased: &Leased, settlement: &Settlement) -> anyhow::Result<()> {
        Ok(self.running().store.settle(leased, settlement, Beside::default()).await?)
    }

    async fn step(&self) -> anyhow::Result<usize> {
        let running = self.running();
        let mut turn = Vec::new();
        while turn.len() < TURN
            && let Some(leased) = running.store.try_lease(None)
        {
            turn.push(self.handle(&running, leased));
        }
        Ok(join_all(turn).await.len())
    }

    async fn wake(&self) -> anyhow::Result<usize> {
        Ok(self.running().store.show_given_back())
    }

    async fn advance(&self, span: Duration) -> anyhow::Result<()> {
        self.clock.advance(span);
        self.running().store.look_at_the_clock();
        Ok(())
    }

    async fn rest(&self) -> anyhow::Result<()> {
        // The store's threads have their turn before the time goes on.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.advance(POLL).await
    }

    async fn crash(&self) -> anyhow::Result<()> {
        let left = remains(self.running().folder.path())?;
        let next = Running::open(left, &self.settings, &self.clock, &self.target, &self.faults)?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    async fn depths(&self) -> anyhow::Result<BTreeMap<QueueName, u64>> {
        Ok(self.running().store.queues().await?.into_iter().map(|queue| (queue.queue, queue.depth)).collect())
    }

    async fn dead_letters(&self) -> anyhow::Result<Vec<Buried>> {
        let page = Page { limit: 1_000, cursor: None };
        let running = self.running();
        let store = &running.store;
        let listed = store.dead_letters(&DeadLetterFilter::default(), &page).await?;
        let mut buried = Vec::new();
        for short in listed.items {
            let (id, generation) = (short.letter.id, short.letter.generation);
            let found = store.dead_letter(&id, Some(generation), &Whose::default()).await?;
            let letter = found.context("a listed dead letter is not found")?.letter;
            buried.push(Buried {
                id: letter.id,
                generation: letter.generation,
                subject: letter.subject,
                class: letter.last_error.class,
                attempts: letter.attempts.iter().map(|attempt| attempt.n).collect(),
                message: letter.message,
            });
        }
        Ok(buried)
    }

    fn batches(&self) -> Vec<Batch> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The store's queues, that refuse what the script names, as the port allows: an entry and what follows it in its
/// group.
struct FaultyQueues {
    store: Store,
    faults: Faults,
}

impl Enqueue for FaultyQueues {
    async fn enqueue(&self, entry: Entry) -> Result<Taken, EnqueueError> {
        if self.faults.refuses_entry(&entry.body) {
            return Err(EnqueueError::Unavailable("refused by the script".to_owned()));
        }
        self.store.enqueue(entry).await
    }

    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let mut refused: HashSet<String> = HashSet::new();
        let (mut takes, mut taken) = (Vec::new(), Vec::new());
        for entry in entries {
            let goes = !refused.contains(&entry.group) && !self.faults.refuses_entry(&entry.body);
            takes.push(goes);
            if goes {
                taken.push(entry);
            } else {
                refused.insert(entry.group);
            }
        }
        let mut fates = self.store.enqueue_all(taken).await.into_iter();
        let not_taken = || Err(EnqueueError::Unavailable("refused by the script".to_owned()));
        takes.into_iter().map(|goes| if goes { fates.next() } else { None }.unwrap_or_else(not_taken)).collect()
    }
}

/// The store's settling, that refuses what the script names.
struct ScriptedSettle {
    store: Store,
    faults: Faults,
}

impl Settle for ScriptedSettle {
    async fn settle(&self, leased: &Leased, settlement: &Settlement, beside: Beside<'_>) -> Result<(), SettleError> {
        let group = if Envelope::read(&leased.body).is_ok() { leased.group.as_str() } else { "" };
        if *settlement != Settlement::Done && self.faults.refuses_settlement_of(group) {
            return Err(SettleError("refused by the script".to_owned()));
        }
        if beside.callback.is_some() && self.faults.refuses_callback() {
            return Err(SettleError("its callback was refused by the script".to_owned()));
        }
        self.store.settle(leased, settlement, beside).await
    }

    async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        self.store.give_back(entries).await;
    }
}
