//! A desk in memory, and the API of `chaski serve` over it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::dead_letter::DeadLetter;
use crate::filter::{DeadLetterFilter, Listed, MessageFilter, Page, Whose};
use crate::history::{AttemptRecord, ErrorRecord};
use crate::json::Extra;
use crate::ledger::{KeptAnswer, Listing, MessageRecord, MessageState};
use crate::pause::{Pause, PauseScope};
use crate::ports::{
    Backup, BodyError, Buried, CancelCount, Cancelled, DeadLetters, DeskError, KeptBody, Ledger, OpenBody, Pauses,
    QueueRecord, Queues as QueuesPort, Replayed, Upload, Vitals,
};

#[derive(Default)]
pub(super) struct State {
    pub(super) messages: Vec<MessageRecord>,
    pub(super) letters: Vec<Buried>,
    pub(super) queues: Vec<QueueRecord>,
    pub(super) pauses: Vec<Pause>,
    /// What replays put into the queues.
    pub(super) sent: Vec<Entry>,
    /// What the API asked for last.
    pub(super) message_filter: Option<MessageFilter>,
    pub(super) letter_filter: Option<DeadLetterFilter>,
    pub(super) page: Option<Page>,
    pub(super) waited: Option<Duration>,
    pub(super) dry_run: Option<bool>,
    pub(super) backed_up: Option<PathBuf>,
    pub(super) wrong: Option<String>,
    /// No ledger counts.
    pub(super) uncounted: bool,
    /// Nothing answers.
    pub(super) down: bool,
    /// This letter's replay is not taken.
    pub(super) stuck: Option<String>,
    /// How every replayed message is given up again at once, if it is.
    pub(super) death: Option<Death>,
}

#[derive(Clone, Copy)]
pub(super) enum Death {
    /// As the next generation, in the place of its first acceptance.
    Again,
    /// As a record of its own, at the end: what can't be read has no id but its entry's.
    Anew,
}

#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Arc<Mutex<State>>);

impl Fake {
    fn up(&self) -> Result<std::sync::MutexGuard<'_, State>, DeskError> {
        let state = self.0.lock().unwrap();
        if state.down { Err(DeskError::Unavailable("the disk is gone".to_owned())) } else { Ok(state) }
    }
}

/// Whole records are theirs that the caller may see; pages are cut by number.
fn page<T: Clone>(items: Vec<T>, page: &Page) -> Result<Listed<T>, DeskError> {
    let from: usize = match &page.cursor {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| DeskError::Cursor)?,
    };
    let next = from + page.limit;
    let next_cursor = (next < items.len()).then(|| next.to_string());
    Ok(Listed { items: items.into_iter().skip(from).take(page.limit).collect(), next_cursor })
}

impl Ledger for Fake {
    async fn message(&self, id: &str, whose: &Whose, wait: Duration) -> Result<Option<MessageRecord>, DeskError> {
        let mut state = self.up()?;
        state.waited = Some(wait);
        let ours = |record: &&MessageRecord| {
            record.listing.id == id && whose.has(&record.listing.tenant, &record.listing.producer)
        };
        Ok(state.messages.iter().find(ours).cloned())
    }

    async fn messages(&self, filter: &MessageFilter, at: &Page) -> Result<Listed<MessageRecord>, DeskError> {
        let mut state = self.up()?;
        (state.message_filter, state.page) = (Some(filter.clone()), Some(at.clone()));
        let mut found = state.messages.clone();
        found.retain(|record| filter.whose.has(&record.listing.tenant, &record.listing.producer));
        page(found, at)
    }

    async fn cancel(&self, id: &str, whose: &Whose) -> Result<Cancelled, DeskError> {
        let state = self.up()?;
        let ours = |record: &&MessageRecord| {
            record.listing.id == id && whose.has(&record.listing.tenant, &record.listing.producer)
        };
        Ok(match state.messages.iter().find(ours).map(|record| record.state) {
            None => Cancelled::Unknown,
            Some(MessageState::Delivering) => Cancelled::Cancelling,
            Some(at) if at.is_end() => Cancelled::Ended,
            Some(_) => Cancelled::Now,
        })
    }

    async fn cancel_all(&self, filter: &MessageFilter, dry_run: bool) -> Result<CancelCount, DeskError> {
        let mut state = self.up()?;
        (state.message_filter, state.dry_run) = (Some(filter.clone()), Some(dry_run));
        let done = if dry_run { 0 } else { 2 };
        Ok(CancelCount { matched: Some(3).filter(|_| !state.uncounted), cancelled: done, cancelling: done / 2 })
    }
}

impl DeadLetters for Fake {
    async fn dead_letter(&self, id: &str, generation: Option<u32>, whose: &Whose) -> Result<Option<Buried>, DeskError> {
        let state = self.up()?;
        let fits = |buried: &&Buried| {
            let letter = &buried.letter;
            let ours = whose.has(&letter.tenant, letter.producer.as_deref().unwrap_or_default());
            letter.id == id && ours && generation.is_none_or(|wanted| wanted == letter.generation)
        };
        Ok(state.letters.iter().filter(fits).max_by_key(|buried| buried.letter.generation).cloned())
    }

    async fn dead_letters(&self, filter: &DeadLetterFilter, at: &Page) -> Result<Listed<Buried>, DeskError> {
        let mut state = self.up()?;
        (state.letter_filter, state.page) = (Some(filter.clone()), Some(at.clone()));
        let mut found = state.letters.clone();
        found.retain(|buried| filter.whose.has(&buried.letter.tenant, ""));
        page(found, at)
    }

    async fn for_replay(&self, filter: &DeadLetterFilter, at: &Page) -> Result<Listed<Buried>, DeskError> {
        let mut state = self.up()?;
        state.letter_filter = Some(filter.clone());
        // By place in the order of acceptance, so that a cursor stays good.
        let place = |letter: &DeadLetter| (letter.received_at, letter.id.clone(), letter.generation);
        let mut found: Vec<Buried> = state.letters.clone();
        found.retain(|buried| buried.replayed_at.is_none());
        found.sort_by_key(|buried| place(&buried.letter));
        if let Some(cursor) = &at.cursor {
            found.retain(|buried| format!("{:?}", place(&buried.letter)) > *cursor);
        }
        let more = found.len() > at.limit;
        found.truncate(at.limit);
        let next_cursor = found.last().filter(|_| more).map(|last| format!("{:?}", place(&last.letter)));
        Ok(Listed { items: found, next_cursor })
    }

    async fn count(&self, filter: &DeadLetterFilter) -> Result<u64, DeskError> {
        let mut state = self.up()?;
        state.letter_filter = Some(filter.clone());
        Ok(state.letters.iter().filter(|buried| buried.replayed_at.is_none()).count() as u64)
    }

    async fn replay(&self, letter: &DeadLetter, entry: &Entry) -> Result<Replayed, DeskError> {
        let mut state = self.up()?;
        if state.stuck.as_ref() == Some(&letter.id) {
            return Err(DeskError::Unavailable("stuck".to_owned()));
        }
        let same = |other: &&mut Buried| (&other.letter.id, other.letter.generation) == (&letter.id, letter.generation);
        match state.letters.iter_mut().find(same) {
            None => return Ok(Replayed::Unknown),
            Some(buried) if buried.replayed_at.is_some() => return Ok(Replayed::Already),
            Some(buried) => buried.replayed_at = Some(Noon.now()),
        }
        state.sent.push(entry.clone());
        let next = match state.death {
            None => return Ok(Replayed::Sent),
            Some(Death::Again) => DeadLetter { generation: letter.generation + 1, ..letter.clone() },
            Some(Death::Anew) => {
                let order = i64::try_from(state.letters.len()).unwrap();
                DeadLetter { id: format!("e-{order}"), received_at: Some(at(order)), ..letter.clone() }
            }
        };
        state.letters.push(Buried { letter: next, replayed_at: None });
        Ok(Replayed::Sent)
    }

    async fn delete(&self, id: &str, generation: u32, _: &Whose) -> Result<bool, DeskError> {
        let mut state = self.up()?;
        let before = state.letters.len();
        state.letters.retain(|buried| (buried.letter.id.as_str(), buried.letter.generation) != (id, generation));
        Ok(state.letters.len() < before)
    }
}

impl QueuesPort for Fake {
    async fn queues(&self) -> Result<Vec<QueueRecord>, DeskError> {
        Ok(self.up()?.queues.clone())
    }
}

impl Pauses for Fake {
    async fn pause(&self, scope: &PauseScope) -> Result<(Pause, bool), DeskError> {
        let mut state = self.up()?;
        if let Some(there) = state.pauses.iter().find(|pause| pause.scope == *scope) {
            return Ok((there.clone(), false));
        }
        let pause = Pause { id: format!("p-{}", state.pauses.len()), scope: scope.clone(), created_at: Noon.now() };
        state.pauses.push(pause.clone());
        Ok((pause, true))
    }

    async fn pauses(&self) -> Result<Vec<Pause>, DeskError> {
        Ok(self.up()?.pauses.clone())
    }

    async fn resume(&self, id: &str) -> Result<bool, DeskError> {
        let mut state = self.up()?;
        let before = state.pauses.len();
        state.pauses.retain(|pause| pause.id != id);
        Ok(state.pauses.len() < before)
    }
}

impl Vitals for Fake {
    fn checks(&self) -> Vec<(&'static str, Option<String>)> {
        vec![("store", self.0.lock().unwrap().wrong.clone()), ("dispatch", None)]
    }

    async fn metrics(&self) -> Option<String> {
        Some("chaski_accepted_total 1\n".to_owned())
    }
}

impl Backup for Fake {
    async fn backup(&self, to: &Path) -> Result<u64, DeskError> {
        let mut state = self.up()?;
        if state.backed_up.as_deref() == Some(to) {
            return Err(DeskError::Refused("there is a file already".to_owned()));
        }
        state.backed_up = Some(to.to_owned());
        Ok(4_096)
    }
}

/// Bodies in memory, by their references; `None` for one that is promised.
#[derive(Clone, Default)]
pub(super) struct Shelf(pub(super) Arc<Mutex<BTreeMap<String, Option<Vec<u8>>>>>);

impl Shelf {
    pub(super) fn of(&self, reference: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(reference).cloned().flatten()
    }
}

impl Bodies for Shelf {
    async fn put(&self, id: &str, bytes: Vec<u8>, _: Option<Timestamp>) -> Result<KeptBody, BodyError> {
        let kept = KeptBody { reference: id.to_owned(), bytes: u64::try_from(bytes.len()).unwrap() };
        self.0.lock().unwrap().insert(id.to_owned(), Some(bytes));
        Ok(kept)
    }

    async fn look(&self, reference: &str, _: Option<Timestamp>) -> Result<Option<KeptBody>, BodyError> {
        let bytes = self.of(reference).map(|bytes| u64::try_from(bytes.len()).unwrap());
        Ok(bytes.map(|bytes| KeptBody { reference: reference.to_owned(), bytes }))
    }

    async fn open(&self, _: &str) -> Result<OpenBody, BodyError> {
        Err(BodyError::NotKept)
    }

    async fn keep(&self, reference: &str, _: &str, _: u32) -> Result<String, BodyError> {
        Ok(reference.to_owned())
    }

    async fn promise(&self, reference: &str, now: Timestamp) -> Result<Upload, BodyError> {
        self.0.lock().unwrap().insert(reference.to_owned(), None);
        Ok(Upload { to: None, expires_at: now })
    }
}

/// The API of `chaski serve`, over a fake.
pub(super) struct Serve {
    pub(super) api: Api<Queues, Noon, Sevens, Fake, Shelf>,
    pub(super) fake: Fake,
}

impl Serve {
    pub(super) fn new(file: &str) -> Self {
        let fake = Fake::default();
        let settings = Arc::new(Settings::read(file, &|_| None).unwrap());
        let door = Door { body_bytes: limits::SERVE_BATCH_BYTES, local: true, tls: false };
        let ingress = Ingress::new(settings, Queues::default(), Noon, Sevens).with_bodies(Shelf::default());
        Self { api: Api::new(ingress, Some(fake.clone()), door), fake }
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.fake.0.lock().unwrap()
    }

    pub(super) fn response(&self, request: &Request) -> Response {
        handle(&self.api, request).now_or_never().unwrap()
    }

    pub(super) fn ask(&self, request: &Request) -> (u16, Value) {
        let response = self.response(request);
        (response.status, serde_json::from_str(&response.body).unwrap())
    }

    pub(super) fn get(&self, target: &str) -> (u16, Value) {
        self.ask(&local("GET", target))
    }

    pub(super) fn delete(&self, target: &str) -> (u16, Value) {
        self.ask(&local("DELETE", target))
    }

    pub(super) fn post(&self, target: &str, body: &Value) -> (u16, Value) {
        self.ask(&Request { body: body.to_string().into_bytes(), ..local("POST", target) })
    }
}

/// A request through the loopback door, as a program makes it.
pub(super) fn local(method: &str, target: &str) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = vec![("host".to_owned(), "127.0.0.1:8080".to_owned())];
    if method == "POST" {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    Request { query: query.to_owned(), headers, platform_caller: false, ..request(method, path) }
}

/// What a problem names, in order.
pub(super) fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_796_115_600_000 + seconds * 1_000)
}

pub(super) fn attempt(n: u32) -> AttemptRecord {
    AttemptRecord {
        n,
        at: at(1),
        tier: "messages-1".to_owned(),
        outcome: "http_5xx".to_owned(),
        status: Some(500),
        duration_ms: 12,
        extra: Extra::default(),
    }
}

pub(super) fn message(id: &str, state: MessageState) -> MessageRecord {
    let ended = state.is_end();
    MessageRecord {
        listing: Listing {
            id: id.to_owned(),
            generation: 1,
            subject: "s".to_owned(),
            route: "messages".to_owned(),
            received_at: at(0),
            ..Listing::default()
        },
        state,
        cancelling: false,
        queue: (!ended).then(|| "messages-1".to_owned()),
        next_due: None,
        ordering: None,
        expires_at: None,
        ended_at: ended.then(|| at(9)),
        attempts: Vec::new(),
        answer: None,
        error: None,
    }
}

pub(super) fn answered(body: &[u8]) -> KeptAnswer {
    KeptAnswer { status: 500, body: body.to_vec(), truncated: false }
}

/// A letter of that subject, accepted in the second of `order`.
pub(super) fn letter(id: &str, subject: &str, order: i64) -> Buried {
    let wire = json!({
        "subject": subject,
        "message": {"url": "https://example.org/hook", "method": "POST", "body": {"b": 1, "a": 2}},
        "labels": ["l"],
        "meta": {"v": 2, "id": id, "attempts": 2, "generation": 1, "hop": 3, "x": "y", "trace": "t",
            "history": [{"n": 1}], "first_error": {"class": "timeout"}, "last_error": {"class": "timeout"}},
    });
    let error = ErrorRecord::new("http_5xx", Some(500), "the target answered 500", at(60));
    let letter = DeadLetter {
        id: id.to_owned(),
        generation: 1,
        tenant: String::new(),
        producer: Some("crm".to_owned()),
        order: Some("17".to_owned()),
        subject: Some(subject.to_owned()),
        client: Some("7".to_owned()),
        target: Some("https://example.org/hook".to_owned()),
        target_host: Some("example.org".to_owned()),
        received_at: Some(at(order)),
        first_error: error.clone(),
        last_error: error,
        attempts: vec![attempt(1)],
        message: wire.to_string().into_bytes(),
        response: Some(b"oh no".to_vec()),
        entry_sent_at: at(50),
        died_at: at(61),
    };
    Buried { letter, replayed_at: None }
}
