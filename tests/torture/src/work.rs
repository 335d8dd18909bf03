//! The work that is done until the power goes or the disk fails: all that changes a store, with a mark before each
//! change is asked for and one when it is answered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chaski_core::app::callback_of_text;
use chaski_core::dead_letter::DeadLetter;
use chaski_core::envelope::Envelope;
use chaski_core::filter::Whose;
use chaski_core::identity;
use chaski_core::ledger::MessageState;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{
    Backup, Beside, Cancelled, Clock, Control, DeadLetters, Enqueue, Entry, Hold, Leased, Ledger, Pauses, Replayed,
    Settle, Settlement,
};
use chaski_core::queue::{QueueName, Tier};
use chaski_core::time::Timestamp;
use chaski_embedded::{DATABASE, OpenError, Options, Store};
use fastrand::Rng;
use futures_util::future::join_all;
use rusqlite::{Connection, OpenFlags};

use crate::body;
use crate::book::Fact;
use crate::message::{START, SUBJECTS, TestClock, attempt, delayed, entry, id_of, is_strict, joined, letter, options};
use crate::trace::Mark;
use crate::tracer::Tracer;

/// Nothing that is waited for takes longer, or the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: i64 = 1_000;
const DAY: i64 = 24 * 3_600 * SECOND;

#[derive(Debug, Clone)]
struct Message {
    subject: String,
    state: MessageState,
    generation: u32,
    attempts: usize,
    /// Before this nothing of it is seen.
    due: i64,
    /// Its number in its strict line.
    sequence: Option<u64>,
    /// Whether it tells of another one's end: then it stands in a line of its own.
    tells: bool,
}

impl Message {
    fn new(subject: &str, generation: u32) -> Self {
        let (subject, state) = (subject.to_owned(), MessageState::Pending);
        Self { subject, state, generation, attempts: 0, due: START, sequence: None, tells: false }
    }

    fn fact(&self) -> Fact {
        Fact::Message { state: self.state, generation: self.generation, attempts: self.attempts }
    }
}

/// What came of a step; an error is the store's word that it did not do it.
type Step = Result<(), String>;

/// A store at work on a traced disk.
pub struct Work {
    /// The store; none between two.
    pub store: Option<Store>,
    options: Options,
    vfs: String,
    tracer: Arc<Tracer>,
    clock: Arc<TestClock>,
    chance: Rng,
    messages: BTreeMap<String, Message>,
    paused: BTreeMap<String, String>,
    /// Subjects whose line is held, and until when.
    held: BTreeMap<String, i64>,
    copies: usize,
    beside: PathBuf,
}

impl Work {
    /// Opens a store in the folder through this VFS; `name` sets its messages apart from others'.
    ///
    /// # Errors
    /// The store's.
    pub fn open(
        folder: &Path,
        vfs: &str,
        tracer: &Arc<Tracer>,
        chance: Rng,
        change: impl FnOnce(&mut Options),
    ) -> Result<Self, OpenError> {
        let mut options = Options { vfs: Some(vfs.to_owned()), ..options(&folder.join("data")) };
        change(&mut options);
        let mut work = Self {
            store: None,
            options,
            vfs: vfs.to_owned(),
            tracer: tracer.clone(),
            clock: TestClock::at(START),
            chance,
            messages: BTreeMap::new(),
            paused: BTreeMap::new(),
            held: BTreeMap::new(),
            copies: 0,
            beside: folder.to_owned(),
        };
        work.reopen()?;
        Ok(work)
    }

    fn reopen(&mut self) -> Result<(), OpenError> {
        self.store = Some(Store::open(self.options.clone(), self.clock.clone())?);
        self.tracer.mark(Mark::Opened);
        Ok(())
    }

    fn store(&self) -> Store {
        self.store.clone().expect("a store is open")
    }

    /// Closes the store.
    pub fn close(&mut self) {
        if let Some(store) = self.store.take() {
            store.close();
        }
    }

    fn ask(&self, key: &str, then: Fact) {
        self.tracer.mark(Mark::Asked { key: key.to_owned(), then });
    }

    fn answered(&self, key: &str) {
        self.tracer.mark(Mark::Answered { key: key.to_owned() });
    }

    /// One round of mixed work.
    ///
    /// # Errors
    /// The store has said no.
    pub async fn round(&mut self) -> Step {
        let few = self.chance.usize(1..9);
        self.enqueue(few).await?;
        let few = self.chance.usize(1..8);
        self.deliver(few).await?;
        match self.chance.usize(0..14) {
            0 => self.replay().await,
            1 => self.cancel().await,
            2 | 3 => self.pause_or_resume().await,
            4 | 5 => self.pass(12 * SECOND),
            6 => self.fold("PASSIVE"),
            7 => self.fold("RESTART"),
            10 => self.fold("TRUNCATE"),
            8 => self.back_up().await,
            9 => self.begin_again(0),
            _ => Ok(()),
        }
    }

    /// Takes so many messages in, side by side.
    ///
    /// # Errors
    /// The store has said no.
    pub async fn enqueue(&mut self, count: usize) -> Step {
        let store = self.store();
        let entries: Vec<Entry> = (0..count).map(|_| self.next_entry()).collect();
        let taking = entries.iter().map(async |entry| {
            let id = entry.listing.as_ref().map(|listing| listing.id.clone()).unwrap_or_default();
            let entry = match body::has_one(&id) {
                true => body::naming(entry.clone(), body::keep(&store, &*self.clock, &id).await?),
                false => entry.clone(),
            };
            self.ask(&id, pending(1));
            let taken = store.enqueue(entry).await;
            if taken.is_ok() {
                self.answered(&id);
            }
            taken.map(|_| id).map_err(|error| error.to_string())
        });
        let taken = join_all(taking).await;
        let mut failure = Ok(());
        for (taken, entry) in taken.into_iter().zip(&entries) {
            match taken {
                Ok(id) => {
                    let subject = entry.listing.as_ref().map(|listing| listing.subject.clone()).unwrap_or_default();
                    let due = entry.due.map_or(START, Timestamp::millis);
                    self.messages.insert(id, Message { due, ..Message::new(&subject, 1) });
                }
                Err(why) => failure = Err(why),
            }
        }
        failure
    }

    fn next_entry(&mut self) -> Entry {
        let id = format!("{:08x}-{}", self.chance.u32(..), self.chance.u32(0..10));
        let subject = format!("s{}", self.chance.usize(0..SUBJECTS));
        let bytes = [0, 100, 1_000, 9_000][self.chance.usize(0..4)];
        let entry = entry(&id, &subject, 1, bytes);
        match self.chance.usize(0..6) {
            0 => delayed(entry, self.now() + self.chance.i64(1..40) * SECOND),
            _ => entry,
        }
    }

    /// Leases up to so many, and settles them side by side, each in its way.
    ///
    /// # Errors
    /// The store has said no.
    pub async fn deliver(&mut self, count: usize) -> Step {
        let store = self.store();
        let now = self.now();
        let is_ready = |message: &Message| {
            let held = !message.tells && self.held.get(&message.subject).is_some_and(|due| *due > now);
            let paused = self.paused.contains_key(&message.subject);
            message.state == MessageState::Pending && message.due <= now && !held && !paused
        };
        let mut leases = Vec::new();
        if self.messages.values().any(is_ready) {
            let leased = tokio::select! {
                leased = store.lease() => leased,
                error = store.failed() => return Err(error.to_string()),
                () = tokio::time::sleep(PATIENCE) => return Err("nothing was leased".to_owned()),
            };
            leases.push(leased);
        }
        while leases.len() < count
            && let Some(leased) = store.try_lease(None)
        {
            leases.push(leased);
        }
        let ways: Vec<(Leased, usize)> = leases.into_iter().map(|leased| (leased, self.chance.usize(0..10))).collect();
        let settling = ways.iter().map(async |(leased, way)| self.settle(&store, leased, *way).await);
        let settled = join_all(settling).await;
        let mut failure = Ok(());
        for settled in settled {
            match settled {
                Ok(settled) => self.note(settled),
                Err(why) => failure = Err(why),
            }
        }
        failure
    }

    fn note(&mut self, Settled { id, message, told, held }: Settled) {
        match held {
            Some(due) => drop(self.held.insert(message.subject.clone(), due)),
            None if message.state.is_end() && message.sequence.is_some() => drop(self.held.remove(&message.subject)),
            None => {}
        }
        self.messages.extend(told);
        self.messages.insert(id, message);
    }

    fn now(&self) -> i64 {
        self.clock.now().millis()
    }

    async fn settle(&self, store: &Store, leased: &Leased, way: usize) -> Result<Settled, String> {
        let (id, generation) = id_of(leased);
        let mut message =
            self.messages.get(&id).cloned().ok_or_else(|| format!("{id} was leased, and nobody knows it"))?;
        if generation != message.generation {
            return Err(format!("{id} was leased in generation {generation}, and is in {}", message.generation));
        }
        if way == 0 {
            store.give_back(&[(leased, Duration::ZERO)]).await;
            return Ok(Settled { id, message, told: None, held: None });
        }
        if leased.queue == QueueName::Wake {
            self.ask(&id, message.fact());
            let joins = Settlement::Move(joined(leased));
            store.settle(leased, &joins, Beside::default()).await.map_err(|error| error.to_string())?;
            self.answered(&id);
            return Ok(Settled { id, message, told: None, held: None });
        }
        let strict = is_strict(leased);
        let held = (strict && matches!(way, 1..=2)).then(|| self.now() + 10 * SECOND);
        let (state, settlement) = match (way, held) {
            (1..=2, Some(due)) => (MessageState::Retrying, hold(leased, due)?),
            (1..=2, None) => (MessageState::Retrying, Settlement::Move(again(leased))),
            (3, _) => (MessageState::Dead, Settlement::Bury(Box::new(letter(leased)))),
            _ => (MessageState::Delivered, Settlement::Done),
        };
        message.state = state;
        message.attempts += 1;
        if strict && message.sequence.is_none() {
            message.sequence = store.sequence(leased, &id, generation).await;
        }
        let callback = self.callback(&leased.body, state);
        let status = if state == MessageState::Delivered { 200 } else { 500 };
        let count = message.sequence.map(|sequence| (format!("count {}", message.subject), sequence));
        self.ask(&id, message.fact());
        count.iter().for_each(|(key, sequence)| self.ask(key, Fact::Counted(*sequence)));
        let told = callback.as_ref().map(|callback| self.ask_to_tell(callback, &id, &message));
        let report = attempt(message.attempts, leased, status);
        let beside = Beside {
            attempt: Some(&report),
            callback: callback.as_ref(),
            sequence: message.sequence,
            ..Beside::default()
        };
        store.settle(leased, &settlement, beside).await.map_err(|error| error.to_string())?;
        self.answered(&id);
        count.iter().for_each(|(key, _)| self.answered(key));
        told.iter().for_each(|(id, _)| self.answered(id));
        Ok(Settled { id, message, told, held })
    }

    /// The message that tells of this end, where the text asks for one.
    fn callback(&self, text: &str, end: MessageState) -> Option<Entry> {
        end.is_end().then(|| callback_of_text(text, end, &self.options.routes, self.clock.now()))?
    }

    /// Notes that this message is asked for with the end of that one.
    fn ask_to_tell(&self, callback: &Entry, of: &str, ended: &Message) -> (String, Message) {
        let id = callback.listing.as_ref().map(|listing| listing.id.clone()).unwrap_or_default();
        let (of, generation) = (of.to_owned(), ended.generation);
        self.tracer.mark(Mark::Tells { callback: id.clone(), of, generation });
        self.ask(&id, pending(1));
        (id, Message { tells: true, ..Message::new(&ended.subject, 1) })
    }

    fn any(&mut self, state: MessageState) -> Option<(String, Message)> {
        let of: Vec<_> = self.messages.iter().filter(|(_, message)| message.state == state).collect();
        self.chance.choice(of).map(|(id, message)| (id.clone(), message.clone()))
    }

    async fn replay(&mut self) -> Step {
        let Some((id, mut message)) = self.any(MessageState::Dead) else { return Ok(()) };
        let store = self.store();
        let found = store.dead_letter(&id, None, &Whose::default()).await.map_err(|error| error.to_string())?;
        let letter = found.ok_or_else(|| format!("{id} is dead, and has no dead letter"))?.letter;
        message = Message { tells: message.tells, ..Message::new(&message.subject, message.generation + 1) };
        self.ask(&id, message.fact());
        let next = next_of(&letter, &id, &message);
        let next = match body::named_by(&letter.message) {
            Some(kept) => body::naming(next, kept),
            None => next,
        };
        let replayed = store.replay(&letter, &next).await.map_err(|error| error.to_string())?;
        if replayed != Replayed::Sent {
            return Err(format!("{id} was not sent again: {replayed:?}"));
        }
        self.answered(&id);
        self.messages.insert(id, message);
        Ok(())
    }

    async fn cancel(&mut self) -> Step {
        // One that waits, in its line or for its time, or is held there.
        let which = if self.chance.bool() { MessageState::Pending } else { MessageState::Retrying };
        let Some((id, mut message)) = self.any(which) else { return Ok(()) };
        message.state = MessageState::Cancelled;
        let text = entry(&id, &message.subject, message.generation, 0).body;
        let callback = if message.tells { None } else { self.callback(&text, MessageState::Cancelled) };
        self.ask(&id, message.fact());
        let told = callback.as_ref().map(|callback| self.ask_to_tell(callback, &id, &message));
        let fate = self.store().cancel(&id, &Whose::default()).await.map_err(|error| error.to_string())?;
        if fate != Cancelled::Now {
            return Err(format!("{id} was not cancelled: {fate:?}"));
        }
        self.answered(&id);
        told.iter().for_each(|(id, _)| self.answered(id));
        self.note(Settled { id, message, told, held: None });
        Ok(())
    }

    async fn pause_or_resume(&mut self) -> Step {
        let subject = format!("s{}", self.chance.usize(0..3));
        let key = format!("pause {subject}");
        let store = self.store();
        if let Some(id) = self.paused.get(&subject).cloned() {
            self.ask(&key, Fact::Absent);
            store.resume(&id).await.map_err(|error| error.to_string())?;
            self.paused.remove(&subject);
        } else {
            self.ask(&key, Fact::Paused);
            let scope = PauseScope::Subject { tenant: String::new(), subject: subject.clone() };
            let (pause, _) = store.pause(&scope).await.map_err(|error| error.to_string())?;
            self.paused.insert(subject, pause.id);
        }
        self.answered(&key);
        Ok(())
    }

    fn pass(&self, span: i64) -> Step {
        self.clock.pass(span);
        self.store().look_at_the_clock();
        Ok(())
    }

    /// Folds the log into the file beside the writer, as the keeper does with a long one.
    fn fold(&self, how: &str) -> Step {
        let connection = self.connect().map_err(|error| error.to_string())?;
        // That others are in the way is no failure; one of the disk shows in the writer.
        let _ = connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()));
        Ok(())
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let path = self.options.data.join(DATABASE);
        let connection = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), self.vfs.as_str())?;
        connection.execute_batch("PRAGMA synchronous = FULL")?;
        Ok(connection)
    }

    async fn back_up(&mut self) -> Step {
        self.copies += 1;
        let to = self.beside.join(format!("copy-{}", self.copies));
        self.store().backup(&to).await.map_err(|error| error.to_string())?;
        std::fs::remove_file(to).map_err(|error| error.to_string())
    }

    fn begin_again(&mut self, span: i64) -> Step {
        self.close();
        self.clock.pass(span);
        self.reopen().map_err(|error| error.to_string())
    }

    /// Begins again when the retention of what has ended is over, and waits until that is gone.
    ///
    /// # Errors
    /// The store has said no, or forgets nothing.
    pub async fn forget_what_has_ended(&mut self) -> Step {
        let over = |message: &Message| matches!(message.state, MessageState::Delivered | MessageState::Cancelled);
        let gone: Vec<String> =
            self.messages.iter().filter(|(_, message)| over(message)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.ask(id, Fact::Absent));
        self.begin_again(8 * DAY)?;
        let store = self.store();
        if let Some(last) = gone.last() {
            let whose = Whose::default();
            let waiting = async {
                while !matches!(store.message(last, &whose, Duration::ZERO).await, Ok(None) | Err(_)) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| "nothing was forgotten".to_owned())?;
        }
        // One step of the retention takes them all, if they are not many.
        if gone.len() < 500 {
            gone.iter().for_each(|id| self.answered(id));
        }
        gone.iter().for_each(|id| drop(self.messages.remove(id)));
        Ok(())
    }
}

fn pending(generation: u32) -> Fact {
    Fact::Message { state: MessageState::Pending, generation, attempts: 0 }
}

/// What came of a lease.
struct Settled {
    id: String,
    message: Message,
    /// The message that tells of its end.
    told: Option<(String, Message)>,
    /// Until when its line is held.
    held: Option<i64>,
}

/// It stays at the head of its line.
fn hold(leased: &Leased, due: i64) -> Result<Settlement, String> {
    let envelope = Envelope::read(&leased.body).map_err(|error| error.to_string())?;
    Ok(Settlement::Hold(Box::new(Hold { envelope, due: Timestamp::from_millis(due) })))
}

/// The next generation of a dead message.
fn next_of(letter: &DeadLetter, id: &str, message: &Message) -> Entry {
    let again = entry(id, &message.subject, message.generation, 100);
    if !message.tells {
        return again;
    }
    // One that tells of an end asks for nothing itself.
    let text = String::from_utf8_lossy(&letter.message);
    let mut body: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    body["meta"]["generation"] = message.generation.into();
    Entry { body: body.to_string(), group: identity::callback_group_id("", &message.subject), ..again }
}

/// What goes on in a tier.
fn again(leased: &Leased) -> Entry {
    Entry {
        queue: QueueName::Tier(Tier::Fast),
        body: leased.body.clone(),
        group: leased.group.clone(),
        dedup: format!("{}-again", leased.entry_id),
        due: None,
        listing: None,
    }
}

/// Waits until it is so.
///
/// # Panics
/// It does not come to that.
pub async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it did not come to that");
}
