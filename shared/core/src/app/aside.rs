//! Bodies that don't travel in their envelopes: set aside before the message is queued, opened before it is sent, kept
//! for its dead letter.

use futures_util::TryStreamExt;

use super::accept::Ingress;
use super::attempt::Dispatcher;
use super::request::Signature;
use super::task::Task;
use crate::dead_letter::DeadLetter;
use crate::envelope::{Aside, Body};
use crate::limits;
use crate::ports::{Bodies, BodyError, Claim, Clock, Outgoing, Payload, SettleError};
use crate::problem::{FieldError, Problem};
use crate::time::Timestamp;

/// Where a message names its upload.
const BODY_REF: &str = "/message/body_ref";

/// The answer to a message whose upload is another's.
pub(super) fn taken() -> Problem {
    Problem::of_fields(vec![FieldError::wrong(BODY_REF, "is taken by another message")])
}

/// The upload that a body stands for, as its producer named it.
pub(super) fn upload(body: &Body) -> Option<String> {
    match body {
        Body::Aside(aside) => Some(aside.reference.clone()),
        _ => None,
    }
}

/// Whether the body does not travel in its envelope.
pub(super) fn is_aside(body: &Body) -> bool {
    matches!(body, Body::Aside(_)) || body.bytes().len() > limits::BODY_BYTES
}

impl<E, C, R, B: Bodies> Ingress<E, C, R, B> {
    /// Sets a large body aside, or looks for the upload that stands in its place; durable when it is answered.
    ///
    /// # Errors
    /// 400 for an upload that is not there, 413 for one over the limit, 503 when the body can't be kept now.
    pub(super) async fn set_aside(&self, body: Body, id: &str, until: Option<Timestamp>) -> Result<Body, Problem> {
        let (form, kept) = match body {
            Body::Aside(Aside { reference, form, .. }) => {
                let found = self.bodies().look(&reference, until).await?;
                let missing = || FieldError::wrong(BODY_REF, "was not uploaded, or its time is over");
                (form, found.ok_or_else(|| Problem::of_fields(vec![missing()]))?)
            }
            body => (body.form(), self.bodies().put(id, body.into_bytes(), until).await?),
        };
        let most = limits::LARGE_BODY_BYTES;
        if usize::try_from(kept.bytes).is_ok_and(|bytes| bytes <= most) {
            return Ok(Body::Aside(Aside { reference: kept.reference, bytes: kept.bytes, form }));
        }
        let detail = format!("is {} bytes; at most {most} are taken", kept.bytes);
        Err(Problem::of_fields(vec![FieldError::too_large(BODY_REF, detail)]))
    }

    /// Makes an upload the message's; whether it was not before.
    ///
    /// # Errors
    /// 400 for one that is another message's, 503 when that is not known now.
    pub(super) async fn claim(&self, reference: &str, id: &str) -> Result<bool, Problem> {
        match self.bodies().claim(reference, id).await? {
            Claim::Now => Ok(true),
            Claim::Known => Ok(false),
            Claim::Taken => Err(taken()),
        }
    }
}

/// A body that is kept beside the queue, ready to be sent.
pub(super) struct Opened {
    payload: Payload,
    /// Its signature's.
    headers: Vec<(String, String)>,
}

impl Opened {
    /// The request with this body.
    pub(super) fn in_place_of(self, request: Outgoing) -> Outgoing {
        let headers = request.headers.into_iter().chain(self.headers).collect();
        Outgoing { body: self.payload, headers, ..request }
    }
}

impl<T, S, C: Clock, K, B: Bodies> Dispatcher<T, S, C, K, B> {
    /// Opens a body that is kept beside the queue; none of one that travels in its envelope. Where the target has a
    /// secret it is gone over twice: once for the signature, which stands before it, and once to be sent.
    pub(super) async fn open_body(&self, task: &Task<'_>) -> Result<Option<Opened>, BodyError> {
        let Body::Aside(aside) = &task.envelope.message.body else { return Ok(None) };
        let now = self.clock.now();
        let url = task.url.as_ref().ok();
        let signature = url.and_then(|url| Signature::begin(url, &task.meta.id, now, &self.settings.signing));
        let mut headers = Vec::new();
        if let Some(mut signature) = signature {
            let mut pieces = self.bodies.open(&aside.reference).await?.pieces;
            while let Some(piece) = pieces.try_next().await? {
                signature.update(&piece);
            }
            headers.extend(signature.headers());
        }
        let body = self.bodies.open(&aside.reference).await?;
        Ok(Some(Opened { payload: Payload::Opened(body), headers }))
    }

    /// Makes sure that a dead letter's body lives as long as it does.
    ///
    /// # Errors
    /// That is not sure now.
    pub(super) async fn keep_body(&self, task: &mut Task<'_>, letter: &mut DeadLetter) -> Result<(), SettleError> {
        let Body::Aside(aside) = &mut task.envelope.message.body else { return Ok(()) };
        match self.bodies.keep(&aside.reference, &task.meta.id, task.meta.generation).await {
            Ok(reference) if reference == aside.reference => Ok(()),
            Ok(reference) => {
                aside.reference = reference;
                letter.message = task.wire().into_bytes();
                Ok(())
            }
            Err(BodyError::Unavailable(why)) => Err(SettleError(why)),
            // The rest of it is worth keeping all the same.
            Err(BodyError::Gone(_) | BodyError::NotKept) => Ok(()),
        }
    }
}
