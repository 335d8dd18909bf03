//! `POST /messages/batch`: many envelopes in one call, each answered for itself.

use serde::{Serialize, Serializer};

use super::answer::Answer;
use super::auth::Granted;
use super::post::check_size;
use super::{Door, Request, media};
use crate::app::{Ingress, Post, Receipt};
use crate::json::Items;
use crate::limits;
use crate::ports::{Bodies, Chance, Clock, Enqueue};
use crate::problem::{FieldError, Problem};

/// Answers each envelope for itself; shortly where the whole answer would be longer than `most` bytes.
pub(super) async fn post<E: Enqueue, C: Clock, R: Chance, B: Bodies>(
    ingress: &Ingress<E, C, R, B>,
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
    items: Shapes<'a>,
}

/// The results as items, made one by one while they are written: ten thousand at once would be megabytes.
struct Shapes<'a> {
    results: &'a [Result<Receipt, Problem>],
    short: bool,
}

impl Serialize for Shapes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.results.iter().map(|result| match (result, self.short) {
            (Ok(receipt), false) => Item::Taken(Taken { status: 200, receipt }),
            (Err(problem), false) => Item::Refused(problem.shortened(ITEM_ERRORS_NAMED)),
            (Ok(receipt), true) => Item::Short { status: 200, id: Some(&receipt.id) },
            (Err(problem), true) => Item::Short { status: problem.status, id: None },
        }))
    }
}

/// What a common item takes of an answer, roughly.
const ITEM_BYTES: usize = 256;

/// Errors that one item names.
const ITEM_ERRORS_NAMED: usize = 10;

/// An event of Lambda ends at 6 MB, and an answer that does not fit is lost after the messages were taken;
/// this much is left for the event around it and for escapes.
pub(super) const EVENT_ANSWER_BYTES: usize = limits::EVENT_BYTES / 2;

fn render(results: &[Result<Receipt, Problem>], most: usize) -> String {
    let json = |short| {
        // Room for all at once: a text that grows is there twice while it does.
        let mut json = Vec::with_capacity(results.len() * ITEM_BYTES);
        // Neither a shape of ours nor a vector refuses to be written.
        let _ = serde_json::to_writer(&mut json, &BatchShape { items: Shapes { results, short } });
        String::from_utf8(json).unwrap_or_default()
    };
    let whole = json(false);
    if whole.len() <= most { whole } else { json(true) }
}
