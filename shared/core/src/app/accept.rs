//! Taking messages in: a producer's text becomes a queue entry, and its answer is given once that is durable.

use std::sync::Arc;

use serde::Serialize;

use super::{request, trail};
use crate::envelope::{self, Envelope, Meta, Rules};
use crate::identity;
use crate::ledger::Listing;
use crate::limits;
use crate::ports::{Chance, Clock, Enqueue, EnqueueError, Entry, Taken};
use crate::problem::{FieldError, Problem};
use crate::route;
use crate::settings::Settings;

/// Takes messages in, over the ports of a home.
#[derive(Debug)]
pub struct Ingress<E, C, R> {
    settings: Arc<Settings>,
    queues: E,
    clock: C,
    chance: R,
}

/// Who posts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The producer's id; empty for callers that the platform let in.
    pub producer: String,
    /// Whose lines its subjects stand in.
    pub tenant: String,
}

/// What is posted.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// One envelope.
    pub text: &'a [u8],
    /// The header `Idempotency-Key`.
    pub key: Option<&'a str>,
    /// The header `traceparent`.
    pub trace: Option<&'a str>,
}

/// The answer to an accepted message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The message's id.
    pub id: String,
    /// Its subject.
    pub subject: String,
    /// Its route's name.
    pub route: String,
    /// Its queue's short name.
    pub queue: String,
    /// Whether the same message is known to have been posted before.
    pub duplicate: bool,
    /// What the producer should know.
    pub warnings: Vec<String>,
}

/// A message that may be taken, before it is.
struct Prepared {
    entry: Entry,
    envelope: Envelope,
    meta: Meta,
    client: Option<String>,
    receipt: Receipt,
}

impl<E: Enqueue, C: Clock, R: Chance> Ingress<E, C, R> {
    /// Over these ports.
    pub fn new(settings: Arc<Settings>, queues: E, clock: C, chance: R) -> Self {
        Self { settings, queues, clock, chance }
    }

    /// The settings it works by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The clock it works by.
    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }

    /// Takes one message in. The receipt means that it is durable.
    ///
    /// # Errors
    /// 400 or 413 with every bad field; 503 when the queue did not take it.
    pub async fn accept(&self, caller: &Caller, post: Post<'_>) -> Result<Receipt, Problem> {
        let prepared = self.prepare(caller, post)?;
        let taken = self.queues.enqueue(&prepared.entry).await;
        self.answer(prepared, taken)
    }

    /// Takes many messages in, each for itself; the answers are in their order. After one that the queue
    /// did not take, later ones of its subject are not sent.
    pub async fn accept_all(&self, caller: &Caller, posts: &[Post<'_>]) -> Vec<Result<Receipt, Problem>> {
        let prepared: Vec<Result<Prepared, Problem>> = posts.iter().map(|post| self.prepare(caller, *post)).collect();
        let entries: Vec<Entry> = prepared.iter().flatten().map(|prepared| prepared.entry.clone()).collect();
        let mut taken = self.queues.enqueue_all(&entries).await.into_iter();
        let untold = || Err(EnqueueError::Unavailable("its fate was not told".to_owned()));
        prepared
            .into_iter()
            .map(|prepared| prepared.and_then(|prepared| self.answer(prepared, taken.next().unwrap_or_else(untold))))
            .collect()
    }

    fn prepare(&self, caller: &Caller, post: Post<'_>) -> Result<Prepared, Problem> {
        let rules = Rules { guard: &self.settings.guard };
        let accepted = envelope::accept(post.text, post.key, rules).map_err(Problem::of_fields)?;
        let mut envelope = accepted.envelope;
        let Some(route) = route::find(&self.settings.routes, &envelope.subject) else {
            // The settings end with a catch-all, or the start had failed.
            return Err(Problem::new(500, ""));
        };
        let queue = route.queue(&envelope.subject);
        let now = self.clock.now();
        let id = match &envelope.key {
            Some(key) => identity::keyed_id(&caller.producer, key, envelope.canonical().as_bytes()),
            None => identity::new_id(now, self.chance.ten_bytes()),
        };
        let own = envelope.message.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(request::TRACEPARENT));
        let trace = own.map(|(_, value)| value.as_str()).or(post.trace);
        let meta = Meta {
            id: id.clone(),
            producer: caller.producer.clone(),
            tenant: caller.tenant.clone(),
            received_at: Some(now),
            route: Some(route.name.clone()),
            trace: trace.filter(|text| request::read_traceparent(text).is_some()).map(str::to_owned),
            ..Meta::default()
        };
        let receipt = Receipt {
            id,
            subject: envelope.subject.clone(),
            route: route.name.clone(),
            queue: queue.to_string(),
            duplicate: false,
            warnings: accepted.warnings,
        };
        let client = envelope.client.clone().or_else(|| route.client.as_ref()?.client(&envelope.subject));
        let listing = Listing::of(&envelope, &meta, client.clone(), now);
        envelope.meta = Some(meta.clone());
        let entry = Entry {
            queue,
            group: identity::group_id(&meta.tenant, &envelope.subject),
            dedup: identity::dedup_id(&meta.id, meta.generation, 1, meta.hop),
            body: envelope.to_wire(),
            listing: Some(Box::new(listing)),
        };
        check_size(&entry)?;
        Ok(Prepared { entry, envelope, meta, client, receipt })
    }

    fn answer(&self, prepared: Prepared, taken: Result<Taken, EnqueueError>) -> Result<Receipt, Problem> {
        let Prepared { envelope, meta, client, receipt, .. } = prepared;
        match taken {
            Ok(Taken::Duplicate) => Ok(Receipt { duplicate: true, ..receipt }),
            Ok(Taken::New) => {
                trail::accepted(&envelope, &meta, client.as_deref(), &receipt.queue);
                Ok(receipt)
            }
            Err(error) => {
                tracing::warn!(
                    event.action = "not_taken",
                    chaski.id = receipt.id,
                    chaski.queue = receipt.queue,
                    "{error}"
                );
                Err(Problem::new(503, "the queue did not take the message; it is safe to send it again"))
            }
        }
    }
}

fn check_size(entry: &Entry) -> Result<(), Problem> {
    let bytes = entry.body.len();
    if bytes <= limits::ENVELOPE_BYTES {
        return Ok(());
    }
    let detail = format!("is {bytes} bytes as it travels; at most {} are taken", limits::ENVELOPE_BYTES);
    Err(Problem::of_fields(vec![FieldError::too_large("", detail)]))
}
