//! `POST /messages/batch`: many envelopes in one call, each answered for itself.

use serde::Serialize;

use super::answer::Answer;
use super::auth::Granted;
use super::post::check_size;
use super::{Door, Request, media};
use crate::app::{Ingress, Post, Receipt};
use crate::json::Items;
use crate::limits;
use crate::ports::{Chance, Clock, Enqueue};
use crate::problem::{FieldError, Problem};

/// Answers each envelope for itself; shortly where the whole answer would be longer than `most` bytes.
pub(super) async fn post<E: Enqueue, C: Clock, R: Chance>(
    ingress: &Ingress<E, C, R>,
    door: &Door,
    granted: &Granted,
    request: &Request,
    most: usize,
) -> Result<Answer, Problem> {
    let ndjson = media::is_ndjson(request)?;
    check_size(door, request)?;
    if request.header("idempotency-key").is_some() {
        let detail = "the header Idempotency-Key can't name many messages; give each its own id";
        return Err(Problem::of_fields(vec![FieldError::wrong("", detail)]));
    }
    let texts = if ndjson { lines(&request.body) } else { elements(&request.body)? };
    if texts.len() > limits::BATCH_ITEMS {
        let detail = format!("has {} items; at most {} are taken", texts.len(), limits::BATCH_ITEMS);
        return Err(Problem::of_fields(vec![FieldError::too_large("", detail)]));
    }
    let trace = request.header("traceparent");
    let posts: Vec<Post<'_>> = texts.into_iter().map(|text| Post { text, key: None, trace }).collect();
    let results = ingress.accept_all(&granted.caller, &posts).await;
    Ok(Answer::json(render(&results, most)))
}

/// Lines that hold something.
fn lines(body: &[u8]) -> Vec<&[u8]> {
    body.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect()
}

/// The elements of a JSON array, as they stand.
fn elements(body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    let wrong = |detail: String| Problem::of_fields(vec![FieldError::wrong("", detail)]);
    let text = std::str::from_utf8(body).map_err(|_| wrong("is not UTF-8".to_owned()))?;
    if !text.trim_start().starts_with('[') {
        return Err(wrong("must be an array of envelopes, or lines of them as application/x-ndjson".to_owned()));
    }
    let items: Items<'_> = serde_json::from_str(text).map_err(|error| wrong(format!("is not JSON: {error}")))?;
    Ok(items.0.into_iter().map(|raw| raw.get().as_bytes()).collect())
}

#[derive(Serialize)]
struct Taken<'a> {
    status: u16,
    #[serde(flatten)]
    receipt: &'a Receipt,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Taken(Taken<'a>),
    Refused(Problem),
    /// Without what the producer knows, or can live without.
    Short {
        status: u16,
        id: Option<&'a str>,
    },
}

#[derive(Serialize)]
struct BatchShape<'a> {
    items: Vec<Item<'a>>,
}

/// Errors that one item names.
const ITEM_ERRORS_NAMED: usize = 10;

/// An event of Lambda ends at 6 MB, and an answer that does not fit is lost after the messages were taken;
/// this much is left for the event around it and for escapes.
pub(super) const EVENT_ANSWER_BYTES: usize = limits::EVENT_BYTES / 2;

fn render(results: &[Result<Receipt, Problem>], most: usize) -> String {
    let items = results.iter().map(|result| match result {
        Ok(receipt) => Item::Taken(Taken { status: 200, receipt }),
        Err(problem) => Item::Refused(problem.shortened(ITEM_ERRORS_NAMED)),
    });
    let whole = json(items.collect());
    if whole.len() <= most {
        return whole;
    }
    let items = results.iter().map(|result| match result {
        Ok(receipt) => Item::Short { status: 200, id: Some(&receipt.id) },
        Err(problem) => Item::Short { status: problem.status, id: None },
    });
    json(items.collect())
}

fn json(items: Vec<Item<'_>>) -> String {
    serde_json::to_string(&BatchShape { items }).unwrap_or_default()
}
