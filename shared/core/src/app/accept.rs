//! Taking messages in: a producer's text becomes a queue entry, and its answer is given once that is durable.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join;
use serde::Serialize;

use super::aside::{self, is_aside};
use super::{request, trail};
use crate::envelope::{self, Meta, Rules};
use crate::identity;
use crate::ledger::Listing;
use crate::limits;
use crate::ports::{Bodies, Chance, Clock, Enqueue, EnqueueError, Entry, NoBodies, Taken};
use crate::problem::{FieldError, Problem};
use crate::queue::QueueName;
use crate::route;
use crate::settings::Settings;
use crate::shown_target::shown_target;

/// Takes messages in, over the ports of a home.
#[derive(Debug)]
pub struct Ingress<E, C, R, B = NoBodies> {
    settings: Arc<Settings>,
    queues: E,
    clock: C,
    chance: R,
    bodies: B,
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

/// A message that may be taken: its entry, and what its answer needs.
type Prepared = (Entry, Sent);

/// What is known of a message while the queue takes its entry.
struct Sent {
    /// The upload that it names; once it is prepared, only one that no message had before.
    upload: Option<String>,
    listing: Arc<Listing>,
    trace: Option<String>,
    group: String,
    receipt: Receipt,
}

/// What of a call is not sent any more after earlier pieces of it.
#[derive(Default)]
struct Stopped {
    /// Lines of which an entry was not taken: what follows must not pass it.
    groups: HashSet<String>,
    /// Nothing of a piece was taken: the caller shall not wait for each of the others as long.
    all: bool,
}

impl Stopped {
    fn holds(&self, group: &str) -> bool {
        self.all || self.groups.contains(group)
    }
}

impl<E, C, R> Ingress<E, C, R> {
    /// Over these ports; it takes bodies that travel in their envelopes.
    pub fn new(settings: Arc<Settings>, queues: E, clock: C, chance: R) -> Self {
        Self { settings, queues, clock, chance, bodies: NoBodies }
    }
}

impl<E, C, R, B> Ingress<E, C, R, B> {
    /// The same, with a place for large bodies.
    pub fn with_bodies<N>(self, bodies: N) -> Ingress<E, C, R, N> {
        let Self { settings, queues, clock, chance, .. } = self;
        Ingress { settings, queues, clock, chance, bodies }
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

    /// The queues it puts entries into.
    #[cfg(test)]
    pub(crate) fn queues(&self) -> &E {
        &self.queues
    }

    /// The chance it names things by.
    pub(crate) fn chance(&self) -> &R {
        &self.chance
    }

    /// Where large bodies are kept.
    pub(crate) fn bodies(&self) -> &B {
        &self.bodies
    }
}

impl<E: Enqueue, C: Clock, R: Chance, B: Bodies> Ingress<E, C, R, B> {
    /// Takes one message in. The receipt means that it is durable.
    ///
    /// # Errors
    /// 400 or 413 with every bad field; 503 when the queue did not take it.
    pub async fn accept(&self, caller: &Caller, post: Post<'_>) -> Result<Receipt, Problem> {
        let (entry, sent) = self.prepare(caller, post).await?;
        let taken = self.queues.enqueue(entry).await;
        self.answer(sent, taken).await
    }

    /// Takes many messages in, each for itself; the answers are in their order. After one that the queue
    /// did not take, later ones of its subject are not sent.
    pub async fn accept_all(&self, caller: &Caller, posts: &[Post<'_>]) -> Vec<Result<Receipt, Problem>> {
        let mut answers = Vec::with_capacity(posts.len());
        let mut stopped = Stopped::default();
        let mut pieces = posts.chunks(E::PIECE);
        let mut next = self.prepare_all(caller, pieces.next()).await;
        while !next.is_empty() {
            let taking = self.take_all(next, &mut stopped);
            // Handed in first: while this piece is written the next one is prepared.
            let (taken, prepared) = join(taking, self.prepare_all(caller, pieces.next())).await;
            answers.extend(taken);
            next = prepared;
        }
        answers
    }

    async fn prepare_all(&self, caller: &Caller, posts: Option<&[Post<'_>]>) -> Vec<Result<Prepared, Problem>> {
        let posts = posts.unwrap_or_default();
        let mut prepared = Vec::with_capacity(posts.len());
        for post in posts {
            prepared.push(self.prepare(caller, *post).await);
        }
        prepared
    }

    /// Takes one piece of a call in, but for what may not be sent any more.
    async fn take_all(
        &self,
        piece: Vec<Result<Prepared, Problem>>,
        stopped: &mut Stopped,
    ) -> Vec<Result<Receipt, Problem>> {
        let mut entries = Vec::with_capacity(piece.len());
        let mut sent: Vec<Result<Sent, Problem>> = Vec::with_capacity(piece.len());
        for prepared in piece {
            sent.push(match prepared {
                Ok((_, held)) if stopped.holds(&held.group) => {
                    self.unclaim(held.upload).await;
                    Err(not_taken())
                }
                Ok((entry, goes)) => {
                    entries.push(entry);
                    Ok(goes)
                }
                Err(problem) => Err(problem),
            });
        }
        if entries.is_empty() {
            return sent.into_iter().map(|sent| sent.and_then(|_| Err(not_taken()))).collect();
        }
        let taken = self.queues.enqueue_all(entries).await;
        stopped.all |= taken.iter().all(|fate| matches!(fate, Err(EnqueueError::Unavailable(_))));
        let mut taken = taken.into_iter();
        let untold = || Err(EnqueueError::Unavailable("its fate was not told".to_owned()));
        let mut answers = Vec::with_capacity(sent.len());
        for sent in sent {
            answers.push(match sent {
                Ok(sent) => {
                    let fate = taken.next().unwrap_or_else(untold);
                    // What the queue would never take stands in nobody's way.
                    if matches!(fate, Err(EnqueueError::Unavailable(_) | EnqueueError::Refused(_))) {
                        stopped.groups.insert(sent.group.clone());
                    }
                    self.answer(sent, fate).await
                }
                Err(problem) => Err(problem),
            });
        }
        answers
    }

    /// The answer to a message, and what its fate means for its upload.
    async fn answer(&self, mut sent: Sent, taken: Result<Taken, EnqueueError>) -> Result<Receipt, Problem> {
        let upload = sent.upload.take();
        let answer = answer(sent, taken);
        if answer.is_err() {
            self.unclaim(upload).await;
        }
        answer
    }

    /// Gives an upload free whose message was not accepted: that was not answered 200, so it may be named again.
    async fn unclaim(&self, upload: Option<String>) {
        if let Some(reference) = upload {
            Box::pin(self.bodies.unclaim(&reference)).await;
        }
    }

    async fn prepare(&self, caller: &Caller, post: Post<'_>) -> Result<Prepared, Problem> {
        let (entry, mut sent) = self.draft(caller, post).await?;
        // Last: what is refused has no claim to its upload.
        if let Some(reference) = sent.upload.take()
            && Box::pin(self.claim(&reference, &sent.receipt.id)).await?
        {
            sent.upload = Some(reference);
        }
        Ok((entry, sent))
    }

    async fn draft(&self, caller: &Caller, post: Post<'_>) -> Result<Prepared, Problem> {
        let now = self.clock.now();
        let rules = Rules {
            guard: &self.settings.guard,
            now,
            max_timeout: self.settings.http.max_timeout,
            producer: &caller.producer,
            body_bytes: if self.bodies.keeps() { limits::CALL_BODY_BYTES } else { limits::BODY_BYTES },
        };
        let accepted = envelope::accept(post.text, post.key, rules).map_err(Problem::of_fields)?;
        let mut envelope = accepted.envelope;
        let Some(route) = route::find(&self.settings.routes, &envelope.subject) else {
            // The settings end with a catch-all, or the start had failed.
            return Err(Problem::new(500, ""));
        };
        let queue = match accepted.not_before {
            Some(_) => QueueName::Wake,
            None => route.queue(&envelope.subject),
        };
        let id = match &envelope.key {
            Some(key) => identity::keyed_id(&caller.producer, key, envelope.canonical().as_bytes()),
            None => identity::new_id(now, self.chance.ten_bytes()),
        };
        let upload = aside::upload(&envelope.message.body);
        if is_aside(&envelope.message.body) {
            let body = std::mem::take(&mut envelope.message.body);
            envelope.message.body = Box::pin(self.set_aside(body, &id, accepted.not_before)).await?;
        }
        let own = envelope.message.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(request::TRACEPARENT));
        let trace = own.map(|(_, value)| value.as_str()).or(post.trace);
        let meta = Meta {
            id,
            producer: caller.producer.clone(),
            tenant: caller.tenant.clone(),
            received_at: Some(now),
            not_before: accepted.not_before,
            expires_at: accepted.expires_at,
            route: Some(route.name.clone()),
            trace: trace.filter(|text| request::read_traceparent(text).is_some()).map(str::to_owned),
            ..Meta::default()
        };
        let client = envelope.client.clone().or_else(|| route.client.as_ref()?.client(&envelope.subject));
        let shown = shown_target(&accepted.url);
        let listing = Arc::new(Listing::with_target(&envelope, &meta, client, now, shown));
        let group = identity::group_id(&meta.tenant, &envelope.subject);
        let receipt = Receipt {
            id: meta.id.clone(),
            subject: envelope.subject.clone(),
            route: route.name.clone(),
            queue: queue.to_string(),
            duplicate: false,
            warnings: accepted.warnings,
        };
        let (trace, listed) = (meta.trace.clone(), listing.clone());
        let sent = Sent { upload, listing: listed, trace, group: group.clone(), receipt };
        let dedup = identity::dedup_id(&meta.id, meta.generation, 1, meta.hop);
        envelope.meta = Some(meta);
        // Whose time has not come stands in nobody's way.
        let group = if accepted.not_before.is_some() { dedup.clone() } else { group };
        let due = accepted.not_before;
        let entry = Entry { queue, group, dedup, body: envelope.to_wire(), due, listing: Some(listing) };
        check_size(&entry)?;
        Ok((entry, sent))
    }
}

fn answer(sent: Sent, taken: Result<Taken, EnqueueError>) -> Result<Receipt, Problem> {
    let Sent { listing, trace, receipt, .. } = sent;
    match taken {
        Ok(Taken::Duplicate) => Ok(Receipt { duplicate: true, ..receipt }),
        Ok(Taken::New) => {
            trail::accepted(&listing, trace.as_deref(), &receipt.queue);
            Ok(receipt)
        }
        Err(EnqueueError::BodyTaken) => Err(aside::taken()),
        Err(error) => {
            tracing::warn!(event.action = "not_taken", chaski.id = receipt.id, chaski.queue = receipt.queue, "{error}");
            Err(not_taken())
        }
    }
}

fn not_taken() -> Problem {
    Problem::new(503, "the queue did not take the message; it is safe to send it again")
}

fn check_size(entry: &Entry) -> Result<(), Problem> {
    let bytes = entry.body.len();
    if bytes <= limits::ENVELOPE_BYTES {
        return Ok(());
    }
    let detail = format!("is {bytes} bytes as it travels; at most {} are taken", limits::ENVELOPE_BYTES);
    Err(Problem::of_fields(vec![FieldError::too_large("", detail)]))
}

#[cfg(test)]
mod tests;
