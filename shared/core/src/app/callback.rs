//! Callbacks: messages that tell of a message's end.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::envelope::{Body, Callback, Envelope, Message, Meta};
use crate::history::AttemptRecord;
use crate::identity;
use crate::json::{self, Writer};
use crate::ledger::{Listing, MessageState};
use crate::ports::{Answer, Entry};
use crate::route::{self, Route};
use crate::shown_target::shown_target_of;
use crate::time::Timestamp;

/// The callback that tells of this end, where the message asks for one: `callback` of a delivery,
/// `failure_callback` of any other end. It is an ordinary message of the same producer and route, relaxed, in a
/// line of its own beside the subject's, and has no callbacks itself.
#[must_use]
pub fn callback_of(
    envelope: &Envelope,
    meta: &Meta,
    end: MessageState,
    answer: Option<&Answer>,
    routes: &[Route],
    now: Timestamp,
) -> Option<Entry> {
    let asked = match end {
        MessageState::Delivered => envelope.options.callback.as_deref(),
        _ => envelope.options.failure_callback.as_deref(),
    }?;
    let named = meta.route.as_ref().and_then(|name| routes.iter().find(|route| route.name == *name));
    let route = named.or_else(|| route::find(routes, &envelope.subject))?;
    let own = Meta {
        id: identity::callback_id(&meta.id, meta.generation),
        producer: meta.producer.clone(),
        tenant: meta.tenant.clone(),
        received_at: Some(now),
        route: Some(route.name.clone()),
        trace: meta.trace.clone(),
        callback_of: Some(meta.id.clone()),
        ..Meta::default()
    };
    let body = outcome(envelope, meta, end, answer, now);
    Some(entry(envelope, asked, own, body, route, now))
}

/// The same, of a message whose wire text alone is at hand.
#[must_use]
pub fn callback_of_text(text: &str, end: MessageState, routes: &[Route], now: Timestamp) -> Option<Entry> {
    let envelope = Envelope::read(text).ok()?;
    callback_of(&envelope, envelope.meta.as_ref()?, end, None, routes, now)
}

fn entry(about: &Envelope, asked: &Callback, meta: Meta, body: String, route: &Route, now: Timestamp) -> Entry {
    let envelope = Envelope {
        subject: about.subject.clone(),
        message: Message { body: Body::Json(body), ..asked.message.clone() },
        key: None,
        client: about.client.clone(),
        labels: about.labels.clone(),
        options: asked.options.clone().relaxed(),
        meta: None,
        extra: Default::default(),
    };
    let client = envelope.client.clone().or_else(|| route.client.as_ref()?.client(&envelope.subject));
    Entry {
        queue: route.queue(&envelope.subject),
        group: meta.line(&envelope.subject),
        dedup: identity::dedup_id(&meta.id, meta.generation, 1, meta.hop),
        due: None,
        listing: Some(Arc::new(Listing::of(&envelope, &meta, client, now))),
        body: Envelope { meta: Some(meta), ..envelope }.to_wire(),
    }
}

/// `{"id","subject","generation","state","attempts":[…],"response":{…},"error":{…},…}`
fn outcome(envelope: &Envelope, meta: &Meta, end: MessageState, answer: Option<&Answer>, now: Timestamp) -> String {
    let mut writer = Writer::default();
    writer.text("id", &meta.id);
    writer.text("subject", &envelope.subject);
    writer.text_if("client", envelope.client.as_deref());
    if !envelope.labels.is_empty() {
        writer.raw("labels", &json::array(envelope.labels.iter().map(|label| json::quoted(label))));
    }
    writer.number("generation", meta.generation);
    writer.text("state", end.name());
    writer.text_if("target", shown_target_of(&envelope.message.url).map(|(target, _)| target).as_deref());
    writer.text_if("received_at", meta.received_at.map(|at| at.to_string()).as_deref());
    writer.text("ended_at", &now.to_string());
    writer.raw("attempts", &json::array(meta.history.iter().map(AttemptRecord::to_json)));
    if let Some(answer) = answer {
        writer.raw("response", &response(answer));
    }
    if end != MessageState::Delivered
        && let Some(error) = &meta.last_error
    {
        writer.raw("error", &error.to_json());
    }
    writer.finish(&Default::default())
}

/// Headers of an answer that are told, as far as they fit in so many bytes: a target may send a hundred large ones.
const HEADERS_BYTES: usize = crate::limits::HEADERS_TOTAL_BYTES;

fn response(answer: &Answer) -> String {
    let mut writer = Writer::default();
    writer.number("status", answer.status);
    let mut room = HEADERS_BYTES;
    let fits = answer.headers.iter().take_while(|(name, value)| {
        let needed = name.len() + value.len();
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    });
    // An array of pairs: a name may stand several times.
    let pairs = fits.map(|(name, value)| format!("[{},{}]", json::quoted(name), json::quoted(value)));
    writer.raw("headers", &json::array(pairs));
    match std::str::from_utf8(&answer.body) {
        Ok(text) => writer.text("body", text),
        Err(_) => writer.text("body_base64", &STANDARD.encode(&answer.body)),
    }
    writer.raw("truncated", if answer.truncated { "true" } else { "false" });
    writer.finish(&Default::default())
}
