//! The home on one machine: the store of `chaski serve` in a folder of its own, and a small host that leases entry by
//! entry, as the real one does.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use chaski_core::app::{self, Dispatcher, Ingress, Post, Receipt};
use chaski_core::envelope::Envelope;
use chaski_core::filter::{DeadLetterFilter, Page, Whose};
use chaski_core::ports::{
    Beside, Clock, DeadLetters, Enqueue, EnqueueError, Entry, Leased, Ledger, Pauses, Queues, Settle, SettleError,
    Settlement, Taken,
};
use chaski_core::problem::Problem;
use chaski_core::queue::QueueName;
use chaski_core::settings::Settings;
use chaski_embedded::{Options, Store};
use chaski_system::{SystemChance, SystemClock};
use tempfile::TempDir;

use super::faults::{Faults, FaultySettle};
use super::script::Script;
use super::{Batch, Buried, Capabilities, Home, Message, SETTINGS, Sighting, TIERS};

/// Entries that one turn leases at most.
const TURN: usize = 10;

/// A store of its own, with the use cases over it.
pub struct EmbeddedHome {
    store: Store,
    ingress: Ingress<FaultyQueues, SystemClock, SystemChance>,
    dispatcher: Dispatcher<Script, FaultySettle<ScriptedSettle>, SystemClock, Store>,
    clock: SystemClock,
    target: Script,
    faults: Faults,
    batches: Mutex<Vec<Batch>>,
    // Goes after the store.
    _folder: TempDir,
}

impl EmbeddedHome {
    /// Makes its folder, which goes with it.
    ///
    /// # Errors
    /// The folder can't be made or the store not be opened.
    pub fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let settings = Arc::new(Settings::read(SETTINGS, &|_| None)?);
        let clock = SystemClock::start();
        let options = Options { data: folder.path().to_owned(), ..Options::of(&settings) };
        let store = Store::open(options, Arc::new(clock))?;
        let (target, faults) = (Script::default(), Faults::default());
        let scripted = ScriptedSettle { store: store.clone(), faults: faults.clone() };
        let settle = FaultySettle { inner: scripted, faults: faults.clone() };
        let queues = FaultyQueues { store: store.clone(), faults: faults.clone() };
        Ok(Self {
            ingress: Ingress::new(settings.clone(), queues, clock, SystemChance),
            dispatcher: Dispatcher::new(settings, target.clone(), settle, clock, store.clone()),
            store,
            clock,
            target,
            faults,
            batches: Mutex::default(),
            _folder: folder,
        })
    }

    async fn handle(&self, leased: Leased) {
        let until = self.clock.elapsed() + Duration::from_secs(60);
        let mut back = self.dispatcher.run(std::slice::from_ref(&leased), until).await;
        if self.faults.delivers_again() {
            back = self.dispatcher.run(std::slice::from_ref(&leased), until).await;
        }
        let entry = Sighting { entry_id: leased.entry_id, group: leased.group, body: leased.body };
        let batch = Batch { queue: leased.queue, entries: vec![entry], back, heard: true };
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }
}

impl Home for EmbeddedHome {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            tiers: TIERS,
            // The store counts in whole milliseconds.
            tier_precision: Duration::from_millis(2),
            dedup_window: Duration::from_secs(24 * 60 * 60),
            atomic_settle: true,
        }
    }

    fn target(&self) -> &Script {
        &self.target
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn desk(&self) -> &(impl Ledger + Pauses) {
        &self.store
    }

    async fn accept(&self, messages: &[Message]) -> Vec<Result<Receipt, Problem>> {
        let texts: Vec<String> = messages.iter().map(Message::text).collect();
        let posts: Vec<Post<'_>> =
            texts.iter().map(|text| Post { text: text.as_bytes(), key: None, trace: None }).collect();
        self.ingress.accept_all(&app::Caller::default(), &posts).await
    }

    async fn put(&self, entry: &Entry) -> anyhow::Result<()> {
        self.store.enqueue(entry.clone()).await.context("the queue did not take a raw entry")?;
        Ok(())
    }

    async fn take(&self, queue: &QueueName) -> anyhow::Result<Option<Leased>> {
        Ok(self.store.try_lease(Some(queue)))
    }

    async fn settle(&self, leased: &Leased, settlement: &Settlement) -> anyhow::Result<()> {
        Ok(self.store.settle(leased, settlement, Beside::default()).await?)
    }

    async fn step(&self) -> anyhow::Result<usize> {
        let mut handled = 0;
        while handled < TURN
            && let Some(leased) = self.store.try_lease(None)
        {
            self.handle(leased).await;
            handled += 1;
        }
        Ok(handled)
    }

    async fn wake(&self) -> anyhow::Result<usize> {
        Ok(self.store.show_given_back())
    }

    async fn depths(&self) -> anyhow::Result<BTreeMap<QueueName, u64>> {
        Ok(self.store.queues().await?.into_iter().map(|queue| (queue.queue, queue.depth)).collect())
    }

    async fn dead_letters(&self) -> anyhow::Result<Vec<Buried>> {
        let page = Page { limit: 1_000, cursor: None };
        let listed = self.store.dead_letters(&DeadLetterFilter::default(), &page).await?;
        let mut buried = Vec::new();
        for short in listed.items {
            let (id, generation) = (short.letter.id, short.letter.generation);
            let found = self.store.dead_letter(&id, Some(generation), &Whose::default()).await?;
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
        let mut fates = Vec::new();
        for entry in entries {
            if refused.contains(&entry.group) || self.faults.refuses_entry(&entry.body) {
                refused.insert(entry.group);
                fates.push(Err(EnqueueError::Unavailable("refused by the script".to_owned())));
            } else {
                fates.push(self.store.enqueue(entry).await);
            }
        }
        fates
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
        self.store.settle(leased, settlement, beside).await
    }

    async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        self.store.give_back(entries).await;
    }
}
