//! A readable entry at work, and what is noted of it on the way.

use std::time::Duration;

use url::Url;

use super::{request, trail};
use crate::envelope::{Envelope, Meta};
use crate::guard::{UrlError, check_url_text};
use crate::history::{self, AttemptRecord, ErrorRecord};
use crate::ledger::{AttemptReport, KeptAnswer, Listing};
use crate::outcome::{ErrorClass, Failure, Outcome};
use crate::ports::{Answer, Entry, Leased};
use crate::queue::QueueName;
use crate::redact;
use crate::retry::FirstError;
use crate::route::{self, Ordering};
use crate::settings::Settings;
use crate::shown_target::{shown_target, shown_target_of};
use crate::time::Timestamp;

/// A readable entry at work.
pub(super) struct Task<'a> {
    pub(super) leased: &'a Leased,
    pub(super) queue: String,
    pub(super) envelope: Envelope,
    pub(super) meta: Meta,
    pub(super) route: String,
    pub(super) ordering: Ordering,
    pub(super) client: Option<String>,
    /// The id of the trace that it belongs to.
    pub(super) trace: String,
    /// Where it goes, or why it can't.
    pub(super) url: Result<Url, UrlError>,
    pub(super) target: Option<String>,
    pub(super) target_host: Option<String>,
    /// Whether no attempt of this generation was made before.
    pub(super) is_first: bool,
    /// Whether its home remembers something of it beside its queue.
    pub(super) remembered: bool,
}

impl<'a> Task<'a> {
    pub(super) fn new(settings: &Settings, leased: &'a Leased, mut envelope: Envelope) -> Self {
        let mut meta = envelope.meta.take().unwrap_or_default();
        if meta.id.is_empty() {
            meta.id.clone_from(&leased.entry_id);
        }
        meta.received_at.get_or_insert(leased.sent_at);
        if matches!(leased.queue, QueueName::Shard { .. }) {
            meta.order.get_or_insert_with(|| leased.sequence.clone());
        }
        let found = route::find(&settings.routes, &envelope.subject);
        let client = envelope.client.clone().or_else(|| found?.client.as_ref()?.client(&envelope.subject));
        let route = meta.route.clone().or_else(|| found.map(|route| route.name.clone())).unwrap_or_default();
        meta.route.get_or_insert_with(|| route.clone());
        let ordering = envelope.options.ordering.or(found.map(|route| route.ordering)).unwrap_or_default();
        let trace = request::trace_id(meta.trace.as_deref(), &meta.id);
        let url = check_url_text(&envelope.message.url);
        let shown = url.as_ref().map_or_else(|_| shown_target_of(&envelope.message.url), shown_target);
        let (target, target_host) = shown.unzip();
        Task {
            leased,
            queue: leased.queue.to_string(),
            is_first: meta.attempts == 0,
            remembered: false,
            envelope,
            meta,
            route,
            ordering,
            client,
            trace,
            url,
            target,
            target_host,
        }
    }

    /// Whether it holds up its line until it is at its end. Only what stands in a shard can.
    pub(super) fn is_strict(&self) -> bool {
        self.ordering == Ordering::Strict && matches!(self.leased.queue, QueueName::Shard { .. })
    }

    /// When it was accepted, or sent again.
    pub(super) fn accepted_at(&self) -> Timestamp {
        self.meta.replayed_at.or(self.meta.received_at).unwrap_or(self.leased.sent_at)
    }

    /// Goes on from what the home remembered of it.
    pub(super) fn recall(&mut self, remembered: Meta) {
        self.meta = remembered;
        self.is_first = self.meta.attempts == 0;
        self.remembered = true;
    }

    /// What an operator's orders and a ledger look at.
    pub(super) fn listing(&self) -> Listing {
        let shown = self.target.clone().zip(self.target_host.clone());
        Listing::with_target(&self.envelope, &self.meta, self.client.clone(), self.leased.sent_at, shown)
    }

    /// Notes an attempt in `meta`, tells of it, and reports it for a ledger.
    pub(super) fn record(
        &mut self,
        at: Timestamp,
        duration: Duration,
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
        let (detail, delay_ms, retry_after) = match outcome {
            Outcome::Delivered => {
                let delay = now.since(self.meta.received_at.unwrap_or(now)).as_millis();
                ("delivered", Some(u64::try_from(delay).unwrap_or(u64::MAX)), None)
            }
            Outcome::Failed(failure) => {
                self.note_error(failure, now);
                (failure.detail.as_str(), None, failure.retry_after)
            }
        };
        trail::attempt(self, &record, detail, delay_ms, now);
        history::push(&mut self.meta.history, record.clone());
        let error = if *outcome == Outcome::Delivered { None } else { self.meta.last_error.clone() };
        AttemptReport { record, answer: answer.map(|answer| self.kept(answer)), error, delay_ms, retry_after }
    }

    fn kept(&self, answer: &Answer) -> KeptAnswer {
        let body = redact::answer(&answer.body, &self.envelope.message.headers);
        KeptAnswer { status: answer.status, body, truncated: answer.truncated }
    }

    pub(super) fn note_error(&mut self, failure: &Failure, now: Timestamp) {
        let error = ErrorRecord::new(failure.class.name(), failure.status, &failure.detail, now);
        self.meta.first_error.get_or_insert_with(|| error.clone());
        self.meta.last_error = Some(error);
    }

    /// The first error, where its class is one that is known here.
    pub(super) fn first_error(&self) -> Option<FirstError> {
        let first = self.meta.first_error.as_ref()?;
        Some(FirstError { class: ErrorClass::parse(&first.class)?, status: first.status })
    }

    /// The entry that takes this one's place in another queue.
    pub(super) fn entry(&self, queue: QueueName, due: Option<Timestamp>) -> Entry {
        let meta = &self.meta;
        let dedup = crate::identity::dedup_id(&meta.id, meta.generation, meta.attempts.saturating_add(1), meta.hop);
        // Whose time has not come stands in nobody's way.
        let group = if queue == QueueName::Wake { dedup.clone() } else { meta.line(&self.envelope.subject) };
        Entry { queue, group, dedup, due, body: self.wire(), listing: None }
    }

    /// The envelope, with `meta` as it is now.
    pub(super) fn whole(&self) -> Envelope {
        Envelope { meta: Some(self.meta.clone()), ..self.envelope.clone() }
    }

    /// The envelope's wire text, with `meta` as it is now.
    pub(super) fn wire(&self) -> String {
        self.whole().to_wire()
    }
}
