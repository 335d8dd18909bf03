//! The HTTP API without a socket: a request as a value in, an answer as a value out. Each home translates
//! its own events.
//!
//! `routes` is the table of what there is; each noun has a file with its calls, and `shapes` the JSON that they
//! answer. A home without a desk (the function open to producers) answers the producers' calls only.

mod answer;
mod auth;
mod backup;
mod batch;
mod dead_letters;
mod filters;
mod local;
mod media;
mod messages;
mod no_desk;
mod openapi;
mod params;
mod pauses;
mod post;
mod queues;
mod request;
mod root;
mod routes;
mod shapes;

pub use no_desk::NoDesk;
pub use request::{Request, Response};

use crate::app::Ingress;
use crate::ports::{Chance, Clock, Desk, Enqueue};
use crate::problem::Problem;
use answer::Answer;
use auth::Granted;
use routes::{Call, DeskCall};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a home's front door is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// The longest body that is taken; single messages have limits of their own.
    pub body_bytes: usize,
    /// Whether it opens to this machine only as long as no producers are configured: then whoever calls is an
    /// admin, wants a loopback `Host`, and may have no foreign `Origin`.
    pub local: bool,
}

/// The API of a home.
#[derive(Debug)]
pub struct Api<E, C, R, D> {
    ingress: Ingress<E, C, R>,
    desk: Option<D>,
    door: Door,
}

impl<E, C, R, D> Api<E, C, R, D> {
    /// Over the home's ports. Without a desk the producers' calls only are answered, as events of Lambda, which
    /// bound an answer's size.
    pub fn new(ingress: Ingress<E, C, R>, desk: Option<D>, door: Door) -> Self {
        Self { ingress, desk, door }
    }
}

/// Answers a request.
pub async fn handle<E, C, R, D>(api: &Api<E, C, R, D>, request: &Request) -> Response
where
    E: Enqueue,
    C: Clock,
    R: Chance,
    D: Desk,
{
    let mut response = match answer(api, request).await {
        Ok(answer) => answer.into_response(),
        Err(problem) => answer::refusal(&problem, request, api.desk.is_some()),
    };
    response.headers.push(("x-request-id", request.id().to_owned()));
    response
}

async fn answer<E, C, R, D>(api: &Api<E, C, R, D>, request: &Request) -> Result<Answer, Problem>
where
    E: Enqueue,
    C: Clock,
    R: Chance,
    D: Desk,
{
    let all = api.desk.is_some();
    let found = routes::find(request, all)?;
    let settings = api.ingress.settings();
    let granted = auth::grant(settings, &api.door, request, found.route.needs)?;
    match found.route.call {
        Call::Root => Ok(root::root(all)),
        Call::Health => Ok(root::health(api.desk.as_ref())),
        Call::OpenApi => Ok(Answer::json(openapi::document(all, !settings.producers.is_empty()))),
        Call::Post => post::post(&api.ingress, &api.door, &granted, request).await,
        Call::PostBatch => {
            let most = if all { usize::MAX } else { batch::EVENT_ANSWER_BYTES };
            batch::post(&api.ingress, &api.door, &granted, request, most).await
        }
        Call::Desk(call) => match &api.desk {
            // On the heap: what a store's call holds is not for every post to carry.
            Some(desk) => Box::pin(ask(&api.ingress, desk, call, &granted, &found.id, request)).await,
            None => Err(routes::nothing_there()),
        },
    }
}

/// Asks the desk.
async fn ask<E, C, R, D>(
    ingress: &Ingress<E, C, R>,
    desk: &D,
    call: DeskCall,
    granted: &Granted,
    id: &str,
    request: &Request,
) -> Result<Answer, Problem>
where
    E: Enqueue,
    C: Clock,
    R: Chance,
    D: Desk,
{
    let (settings, clock) = (ingress.settings(), ingress.clock());
    match call {
        DeskCall::Message => messages::get(desk, granted, id, request).await,
        DeskCall::Messages => messages::list(desk, granted, request).await,
        DeskCall::Cancel => messages::cancel(desk, granted, id, request).await,
        DeskCall::CancelAll => messages::cancel_all(desk, granted, request).await,
        DeskCall::DeadLetter => dead_letters::get(desk, granted, id, request).await,
        DeskCall::DeadLetters => dead_letters::list(desk, granted, request).await,
        DeskCall::Replay => dead_letters::replay(desk, settings, clock, granted, id, request).await,
        DeskCall::ReplayAll => dead_letters::replay_all(desk, settings, clock, granted, request).await,
        DeskCall::Delete => dead_letters::delete(desk, granted, id, request).await,
        DeskCall::Queues => queues::list(desk, request).await,
        DeskCall::Pauses => pauses::list(desk, granted, request).await,
        DeskCall::Pause => pauses::pause(desk, settings, granted, request).await,
        DeskCall::Resume => pauses::resume(desk, granted, id, request).await,
        DeskCall::Backup => backup::write(desk, granted, request).await,
        DeskCall::Metrics => root::metrics(desk),
    }
}

#[cfg(test)]
mod tests;
