//! Messages: look at one, list them, cancel one or many.

use serde::Serialize;

use super::answer::Answer;
use super::auth::Granted;
use super::params::Params;
use super::shapes::{ListShape, MessageShape};
use super::{Request, filters};
use crate::filter::MessageFilter;
use crate::ports::{CancelCount, Cancelled, Ledger};
use crate::problem::Problem;

pub(super) async fn get(desk: &impl Ledger, granted: &Granted, id: &str, request: &Request) -> Result<Answer, Problem> {
    let mut params = Params::of_query(&request.query);
    let wait = filters::wait(&mut params);
    params.finish()?;
    let record = desk.message(id, &granted.whose, wait).await?.ok_or_else(unknown)?;
    Ok(Answer::of(200, &MessageShape::whole(&record)))
}

pub(super) async fn list(desk: &impl Ledger, granted: &Granted, request: &Request) -> Result<Answer, Problem> {
    let mut params = Params::of_query(&request.query);
    let filter = filters::messages(&mut params, granted.whose.clone());
    let page = filters::page(&mut params);
    params.finish()?;
    let listed = desk.messages(&filter, &page).await?;
    let items = listed.items.iter().map(MessageShape::listed).collect();
    Ok(Answer::of(200, &ListShape { items, next_cursor: listed.next_cursor }))
}

#[derive(Serialize)]
struct CancelShape<'a> {
    id: &'a str,
    state: &'static str,
}

pub(super) async fn cancel(
    desk: &impl Ledger,
    granted: &Granted,
    id: &str,
    request: &Request,
) -> Result<Answer, Problem> {
    Params::of_query(&request.query).finish()?;
    let (status, state) = match desk.cancel(id, &granted.whose).await? {
        Cancelled::Now => (200, "cancelled"),
        Cancelled::Cancelling => (202, "cancelling"),
        Cancelled::Ended => return Err(Problem::new(409, "the message is at its end")),
        Cancelled::Unknown => return Err(unknown()),
    };
    tracing::info!(
        event.action = "cancelled",
        chaski.id = id,
        chaski.by = granted.caller.producer,
        "the message is {state}"
    );
    Ok(Answer::of(status, &CancelShape { id, state }))
}

#[derive(Serialize)]
struct CountShape {
    /// `null` where it is not known.
    matched: Option<u64>,
    cancelled: u64,
    cancelling: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

pub(super) async fn cancel_all(desk: &impl Ledger, granted: &Granted, request: &Request) -> Result<Answer, Problem> {
    Params::of_query(&request.query).finish()?;
    let mut params = Params::of_body(request)?;
    let filter = filters::messages(&mut params, granted.whose.clone());
    let anything = MessageFilter { whose: granted.whose.clone(), ..MessageFilter::default() };
    let dry_run = filters::dry_run(&mut params, filter != anything);
    params.finish()?;
    let CancelCount { matched, cancelled, cancelling } = desk.cancel_all(&filter, dry_run).await?;
    let by = granted.caller.producer.as_str();
    match matched {
        _ if dry_run => {}
        Some(matched) => tracing::info!(
            event.action = "cancelled_all",
            chaski.by = by,
            chaski.matched = matched,
            "{cancelled} of {matched} messages are cancelled, {cancelling} are being"
        ),
        None => tracing::info!(event.action = "cancelled_all", chaski.by = by, "all that fit are being cancelled"),
    }
    // Accepted, but not done: what is met from now on is cancelled.
    let status = if matched.is_some() { 200 } else { 202 };
    Ok(Answer::of(status, &CountShape { matched, cancelled, cancelling, dry_run }))
}

fn unknown() -> Problem {
    Problem::new(404, "there is no such message")
}
