//! One leased entry in, one settled verdict out. What the entry's queue is decides what is done with it: a
//! shard's is delivered, a tier's is tried again, and what the queues gave up is buried.

use std::sync::Arc;

use url::Url;

use super::panics::Panics;
use super::{bury, request, trail};
use crate::envelope::{Envelope, Meta};
use crate::guard::{UrlError, check_url_text};
use crate::history::{self, AttemptRecord, ErrorRecord};
use crate::identity;
use crate::ledger::{AttemptReport, KeptAnswer};
use crate::limits;
use crate::outcome::{ErrorClass, Failure, Outcome};
use crate::ports::{Answer, CallError, Clock, Entry, Leased, Settle, SettleError, Settlement, Target};
use crate::queue::{QueueName, Tier};
use crate::redact;
use crate::retry::{FirstError, Verdict};
use crate::route;
use crate::settings::Settings;
use crate::shown_target::{shown_target, shown_target_of};
use crate::time::Timestamp;

/// Performs attempts, over the ports of a home.
#[derive(Debug)]
pub struct Dispatcher<T, S, C> {
    pub(super) settings: Arc<Settings>,
    pub(super) target: T,
    pub(super) settle: S,
    pub(super) clock: C,
    pub(super) panics: Panics,
}

/// A readable entry at work.
pub(super) struct Task<'a> {
    pub(super) leased: &'a Leased,
    pub(super) queue: String,
    pub(super) envelope: Envelope,
    pub(super) meta: Meta,
    pub(super) route: String,
    pub(super) client: Option<String>,
    /// The id of the trace that it belongs to.
    pub(super) trace: String,
    /// Where it goes, or why it can't.
    url: Result<Url, UrlError>,
    pub(super) target: Option<String>,
    pub(super) target_host: Option<String>,
}

impl<T: Target, S: Settle, C: Clock> Dispatcher<T, S, C> {
    /// Over these ports.
    pub fn new(settings: Arc<Settings>, target: T, settle: S, clock: C) -> Self {
        Self { settings, target, settle, clock, panics: Panics::default() }
    }

    /// Handles one entry to its settled end.
    ///
    /// # Errors
    /// The settlement did not come through; the entry is seen again, unchanged.
    pub(super) async fn handle(&self, leased: &Leased) -> Result<(), SettleError> {
        let envelope = match Envelope::read(&leased.body) {
            Ok(envelope) => envelope,
            Err(error) => return self.bury_raw(leased, &error.to_string()).await,
        };
        let has_meta = envelope.meta.is_some();
        let task = self.task(leased, envelope);
        match &leased.queue {
            QueueName::Shard { .. } => self.attempt(task).await,
            QueueName::Tier(_) if has_meta => self.attempt(task).await,
            QueueName::Tier(_) => {
                let failure = Failure::without_answer(ErrorClass::NoMeta, "an envelope without meta waited in a tier");
                self.bury_task(task, &failure).await
            }
            QueueName::LastNet => {
                let failure =
                    Failure::without_answer(ErrorClass::LastNet, "the queue gave it up: it was received too often");
                self.bury_task(task, &failure).await
            }
        }
    }

    /// Gives up an entry whose handling panicked again and again.
    pub(super) async fn bury_panicked(&self, leased: &Leased) -> Result<(), SettleError> {
        let failure =
            Failure::without_answer(ErrorClass::Internal, format!("its handling panicked {} times", limits::PANICS));
        match Envelope::read(&leased.body) {
            Ok(envelope) => self.bury_task(self.task(leased, envelope), &failure).await,
            Err(error) => self.bury_raw(leased, &error.to_string()).await,
        }
    }

    /// A panic is an attempt that ended `internal`.
    pub(super) fn note_panic(&self, leased: &Leased) {
        if let Ok(envelope) = Envelope::read(&leased.body) {
            let mut task = self.task(leased, envelope);
            let now = self.clock.now();
            let failure = Failure::without_answer(ErrorClass::Internal, "its handling panicked");
            task.record(now, std::time::Duration::ZERO, &Outcome::Failed(failure), None, now);
        }
    }

    fn task<'a>(&self, leased: &'a Leased, mut envelope: Envelope) -> Task<'a> {
        let mut meta = envelope.meta.take().unwrap_or_default();
        if meta.id.is_empty() {
            meta.id.clone_from(&leased.entry_id);
        }
        meta.received_at.get_or_insert(leased.sent_at);
        if matches!(leased.queue, QueueName::Shard { .. }) {
            meta.order.get_or_insert_with(|| leased.sequence.clone());
        }
        let found = route::find(&self.settings.routes, &envelope.subject);
        let client = envelope.client.clone().or_else(|| found?.client.as_ref()?.client(&envelope.subject));
        let route = meta.route.clone().or_else(|| found.map(|route| route.name.clone())).unwrap_or_default();
        meta.route.get_or_insert_with(|| route.clone());
        let trace = request::trace_id(meta.trace.as_deref(), &meta.id);
        let url = check_url_text(&envelope.message.url);
        let shown = url.as_ref().map_or_else(|_| shown_target_of(&envelope.message.url), shown_target);
        let (target, target_host) = shown.unzip();
        Task { leased, queue: leased.queue.to_string(), envelope, meta, route, client, trace, url, target, target_host }
    }

    async fn attempt(&self, mut task: Task<'_>) -> Result<(), SettleError> {
        let (at, began) = (self.clock.now(), self.clock.elapsed());
        let call = match &task.url {
            Ok(url) => {
                let attempt = task.meta.attempts.saturating_add(1);
                let request = request::build(&task.envelope, &task.meta, url.clone(), &task.trace, attempt);
                let request = request::signed(request, &task.meta.id, at, &self.settings.signing);
                self.target.call(request, self.settings.http.timeout).await
            }
            Err(error) => Err(CallError::Blocked(format!("the url {error}"))),
        };
        let (now, duration) = (self.clock.now(), self.clock.elapsed().saturating_sub(began));
        let outcome = Outcome::of(&call, now);
        let report = task.record(at, duration, &outcome, call.as_ref().ok(), now);
        let settlement = match &outcome {
            Outcome::Delivered => Settlement::Done,
            Outcome::Failed(failure) => self.judge(&mut task, failure, call.ok().as_ref(), now),
        };
        self.settle.settle(task.leased, &settlement, Some(&report)).await?;
        self.tell(&task, &settlement);
        Ok(())
    }

    fn judge(&self, task: &mut Task<'_>, failure: &Failure, answer: Option<&Answer>, now: Timestamp) -> Settlement {
        let first = task.first_error().unwrap_or(FirstError { class: failure.class, status: failure.status });
        let attempts = task.meta.attempts;
        if let Verdict::Retry(tier) = self.settings.retry.decide(&self.settings.tiers, first, failure, attempts) {
            let entry = self.retry_entry(task, tier, now);
            // What came past the ingress may be too long to be sent again with its history.
            if entry.body.len() <= limits::ENQUEUE_CALL_BYTES {
                return Settlement::Retry(entry);
            }
        }
        task.meta.next_due = None;
        Settlement::Bury(Box::new(bury::letter(task, failure, answer, now)))
    }

    fn retry_entry(&self, task: &mut Task<'_>, tier: Tier, now: Timestamp) -> Entry {
        task.meta.next_due = Some(now.plus(self.settings.tiers.of(tier)));
        task.meta.hop = 0;
        let meta = &task.meta;
        Entry {
            queue: QueueName::Tier(tier),
            group: identity::group_id(&meta.tenant, &task.envelope.subject),
            dedup: identity::dedup_id(&meta.id, meta.generation, meta.attempts.saturating_add(1), meta.hop),
            body: task.wire(),
            listing: None,
        }
    }

    async fn bury_task(&self, mut task: Task<'_>, failure: &Failure) -> Result<(), SettleError> {
        let now = self.clock.now();
        task.note_error(failure, now);
        let settlement = Settlement::Bury(Box::new(bury::letter(&task, failure, None, now)));
        self.settle.settle(task.leased, &settlement, None).await?;
        self.tell(&task, &settlement);
        Ok(())
    }

    async fn bury_raw(&self, leased: &Leased, detail: &str) -> Result<(), SettleError> {
        let class = if leased.queue == QueueName::LastNet { ErrorClass::LastNet } else { ErrorClass::Undecodable };
        let letter = bury::raw_letter(leased, &Failure::without_answer(class, detail), self.clock.now());
        let settlement = Settlement::Bury(Box::new(letter));
        self.settle.settle(leased, &settlement, None).await?;
        if let Settlement::Bury(letter) = &settlement {
            trail::dead_letter(letter, None, None, &leased.queue.to_string());
        }
        Ok(())
    }

    fn tell(&self, task: &Task<'_>, settlement: &Settlement) {
        match settlement {
            Settlement::Done => {}
            Settlement::Retry(entry) => trail::retry(task, &entry.queue.to_string(), task.meta.next_due),
            Settlement::Bury(letter) => {
                trail::dead_letter(letter, Some(&task.trace), Some(&task.route), &task.queue);
            }
        }
        if matches!(task.leased.queue, QueueName::Shard { .. }) {
            trail::message(task);
        }
    }
}

impl Task<'_> {
    /// Notes an attempt in `meta`, tells of it, and reports it for a ledger.
    fn record(
        &mut self,
        at: Timestamp,
        duration: std::time::Duration,
        outcome: &Outcome,
        answer: Option<&Answer>,
        now: Timestamp,
    ) -> AttemptReport {
        self.meta.attempts = self.meta.attempts.saturating_add(1);
        let record = AttemptRecord {
            n: self.meta.attempts,
            at,
            tier: self.queue.clone(),
            outcome: outcome.name().to_owned(),
            status: answer.map(|answer| answer.status),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            extra: Default::default(),
        };
        let (detail, delay_ms) = match outcome {
            Outcome::Delivered => {
                let delay = now.since(self.meta.received_at.unwrap_or(now)).as_millis();
                ("delivered", Some(u64::try_from(delay).unwrap_or(u64::MAX)))
            }
            Outcome::Failed(failure) => {
                self.note_error(failure, now);
                (failure.detail.as_str(), None)
            }
        };
        trail::attempt(self, &record, detail, delay_ms, now);
        history::push(&mut self.meta.history, record.clone());
        let error = if *outcome == Outcome::Delivered { None } else { self.meta.last_error.clone() };
        AttemptReport { record, answer: answer.map(|answer| self.kept(answer)), error, delay_ms }
    }

    fn kept(&self, answer: &Answer) -> KeptAnswer {
        let body = redact::answer(&answer.body, &self.envelope.message.headers);
        KeptAnswer { status: answer.status, body, truncated: answer.truncated }
    }

    fn note_error(&mut self, failure: &Failure, now: Timestamp) {
        let error = ErrorRecord::new(failure.class.name(), failure.status, &failure.detail, now);
        self.meta.first_error.get_or_insert_with(|| error.clone());
        self.meta.last_error = Some(error);
    }

    /// The first error, where its class is one that is known here.
    fn first_error(&self) -> Option<FirstError> {
        let first = self.meta.first_error.as_ref()?;
        Some(FirstError { class: ErrorClass::parse(&first.class)?, status: first.status })
    }

    /// The envelope's wire text, with `meta` as it is now.
    pub(super) fn wire(&self) -> String {
        let mut envelope = self.envelope.clone();
        envelope.meta = Some(self.meta.clone());
        envelope.to_wire()
    }
}
