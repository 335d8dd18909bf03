//! The HTTP API without a socket: a request as a value in, an answer as a value out. Each home translates
//! its own events.
//!
//! `routes` is the table of what there is; each noun has a file with its calls, and `shapes` the JSON that they
//! answer. A home without a desk (the function open to producers) answers the producers' calls only.

mod answer;
mod auth;
mod backup;
mod batch;
mod bodies;
mod dead_letters;
mod filters;
mod local;
mod media;
mod messages;
mod openapi;
mod params;
mod pauses;
mod post;
mod queues;
mod request;
mod root;
mod routes;
mod served;
mod shapes;

pub use request::{Request, Response};

use crate::app::Ingress;
use crate::ports::{Bodies, Chance, Clock, Desk, Enqueue, NoBodies, Vitals};
use crate::problem::Problem;
use answer::Answer;
use auth::Granted;
use root::Checks;
use routes::{Call, DeskCall};
use served::{EVERYTHING, PRODUCERS_ONLY, Served};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a home's front door is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// The longest body that is taken; single messages have limits of their own.
    pub body_bytes: usize,
    /// Whether it opens to this machine only as long as no producers are configured: then whoever calls is an
    /// admin, wants a loopback `Host`, and may have no foreign `Origin`.
    pub local: bool,
    /// Whether it speaks TLS itself.
    pub tls: bool,
}

/// The API of a home.
#[derive(Debug)]
pub struct Api<E, C, R, D, B = NoBodies> {
    ingress: Ingress<E, C, R, B>,
    desk: Option<D>,
    door: Door,
}

impl<E, C, R, D, B> Api<E, C, R, D, B> {
    /// Over the home's ports. Without a desk the producers' calls only are answered, as events of Lambda, which
    /// bound an answer's size.
    #[must_use]
    pub fn new(ingress: Ingress<E, C, R, B>, desk: Option<D>, door: Door) -> Self {
        Self { ingress, desk, door }
    }
}

/// The reference in a request that uploads a body, whose bytes the server takes piece by piece; `None` for any other
/// request. The reference is the right to it.
pub fn upload<E, C, R, D, B>(api: &Api<E, C, R, D, B>, request: &Request) -> Option<Result<String, Response>> {
    // Asked for each request: most are told apart by this alone.
    if request.method != "PUT" {
        return None;
    }
    let found = routes::find(request, &EVERYTHING).ok().filter(|found| found.route.call == Call::Upload)?;
    let granted = auth::grant(api.ingress.settings(), &api.door, request, found.route.needs);
    Some(granted.map(|_| found.id).map_err(|problem| respond(Err(problem), request, &EVERYTHING)))
}

/// The answer to an upload that has come, or was not taken.
#[must_use]
pub fn uploaded(request: &Request, told: Result<u64, Problem>) -> Response {
    respond(told.map(bodies::uploaded), request, &EVERYTHING)
}

/// The desk of a deployment that has none: for [`handle_without_desk`].
#[derive(Debug, Clone, Copy)]
pub enum NoDesk {}

/// Answers a request.
pub async fn handle<E, C, R, D, B>(api: &Api<E, C, R, D, B>, request: &Request) -> Response
where
    E: Enqueue,
    C: Clock,
    R: Chance,
    D: Desk,
    B: Bodies,
{
    let served = if api.desk.is_some() { &EVERYTHING } else { &PRODUCERS_ONLY };
    let checks = || api.desk.as_ref().map(Vitals::checks).unwrap_or_default();
    let answered = match front(&api.ingress, &api.door, served, checks, request).await {
        Ok(Asked::Answered(answer)) => Ok(answer),
        Ok(Asked::Desk { call, granted, id }) => match &api.desk {
            // On the heap: what a store's call holds is not for every post to carry.
            Some(desk) => Box::pin(ask(&api.ingress, desk, call, &granted, &id, request)).await,
            None => Err(routes::nothing_there()),
        },
        Err(problem) => Err(problem),
    };
    respond(answered, request, served)
}

/// Answers a request where only producers are served: nothing of what a desk would answer is built in.
pub async fn handle_without_desk<E, C, R, B>(api: &Api<E, C, R, NoDesk, B>, request: &Request) -> Response
where
    E: Enqueue,
    C: Clock,
    R: Chance,
    B: Bodies,
{
    let answered = match front(&api.ingress, &api.door, &PRODUCERS_ONLY, Vec::new, request).await {
        Ok(Asked::Answered(answer)) => Ok(answer),
        Ok(Asked::Desk { .. }) => Err(routes::nothing_there()),
        Err(problem) => Err(problem),
    };
    respond(answered, request, &PRODUCERS_ONLY)
}

fn respond(answered: Result<Answer, Problem>, request: &Request, served: &Served) -> Response {
    let mut response = match answered {
        Ok(answer) => answer.into_response(),
        Err(problem) => answer::refusal(&problem, request, served),
    };
    response.headers.push(("x-request-id", request.id().to_owned()));
    response
}

/// What became of a request at the front: an answer, or something to ask the desk.
enum Asked {
    Answered(Answer),
    Desk { call: DeskCall, granted: Granted, id: String },
}

/// Finds the call, checks the caller, and answers what needs no desk.
async fn front<E, C, R, B>(
    ingress: &Ingress<E, C, R, B>,
    door: &Door,
    served: &Served,
    checks: impl FnOnce() -> Checks,
    request: &Request,
) -> Result<Asked, Problem>
where
    E: Enqueue,
    C: Clock,
    R: Chance,
    B: Bodies,
{
    let found = routes::find(request, served)?;
    let settings = ingress.settings();
    let granted = auth::grant(settings, door, request, found.route.needs)?;
    let answer = match found.route.call {
        Call::Root => root::root(served),
        Call::Health => root::health(&checks()),
        Call::OpenApi => Answer::json((served.document)(!settings.producers.is_empty())),
        Call::Post => post::post(ingress, door, &granted, request).await?,
        Call::PostBatch => batch::post(ingress, door, &granted, request, served.batch_answer_bytes).await?,
        Call::PostBody => bodies::promise(ingress, door, &granted, request).await?,
        // Taken piece by piece by the server itself, before it comes here as a whole.
        Call::Upload => return Err(Problem::new(501, "this deployment takes no uploads itself; see POST /bodies")),
        Call::Desk(call) => return Ok(Asked::Desk { call, granted, id: found.id }),
    };
    Ok(Asked::Answered(answer))
}

/// Asks the desk.
async fn ask<E, C, R, D, B>(
    ingress: &Ingress<E, C, R, B>,
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
    B: Bodies,
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
        DeskCall::Metrics => root::metrics(desk).await,
    }
}

#[cfg(test)]
mod tests;
