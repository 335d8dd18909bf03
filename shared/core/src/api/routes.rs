//! Which calls there are: path, method, and what the caller needs.

use percent_encoding::percent_decode_str;

use super::Request;
use super::auth::Needs;
use super::served::Served;
use crate::problem::Problem;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Root,
    Health,
    OpenApi,
    Post,
    PostBatch,
    PostBody,
    /// An upload, where the deployment takes it itself.
    Upload,
    /// What only a home with a desk answers.
    Desk(DeskCall),
}

/// What is asked of a home's desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeskCall {
    Message,
    Messages,
    Cancel,
    CancelAll,
    DeadLetter,
    DeadLetters,
    Replay,
    ReplayAll,
    Delete,
    Queues,
    Pauses,
    Pause,
    Resume,
    Backup,
    Metrics,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// `{id}` stands for one segment that is not empty.
    pub(super) path: &'static str,
    pub(super) method: &'static str,
    pub(super) call: Call,
    pub(super) needs: Needs,
}

const fn route(path: &'static str, method: &'static str, call: Call, needs: Needs) -> Route {
    Route { path, method, call, needs }
}

/// The producers' calls, which every deployment answers.
pub(super) const PRODUCERS: [Route; 6] = [
    route("/", "GET", Call::Root, Needs::Nothing),
    route("/health", "GET", Call::Health, Needs::Nothing),
    route("/openapi.json", "GET", Call::OpenApi, Needs::Nothing),
    route("/messages", "POST", Call::Post, Needs::Send),
    route("/messages/batch", "POST", Call::PostBatch, Needs::Send),
    route("/bodies", "POST", Call::PostBody, Needs::Send),
];

/// The operators' calls, which need a desk.
pub(super) const OPERATORS: [Route; 16] = [
    // The reference is what lets it in.
    route("/bodies/{id}", "PUT", Call::Upload, Needs::Nothing),
    route("/messages", "GET", Call::Desk(DeskCall::Messages), Needs::Read),
    route("/messages/cancel", "POST", Call::Desk(DeskCall::CancelAll), Needs::Cancel),
    route("/messages/{id}", "GET", Call::Desk(DeskCall::Message), Needs::Read),
    route("/messages/{id}", "DELETE", Call::Desk(DeskCall::Cancel), Needs::Cancel),
    route("/dead-letters", "GET", Call::Desk(DeskCall::DeadLetters), Needs::Read),
    route("/dead-letters/replay", "POST", Call::Desk(DeskCall::ReplayAll), Needs::Replay),
    route("/dead-letters/{id}", "GET", Call::Desk(DeskCall::DeadLetter), Needs::Read),
    route("/dead-letters/{id}", "DELETE", Call::Desk(DeskCall::Delete), Needs::Replay),
    route("/dead-letters/{id}/replay", "POST", Call::Desk(DeskCall::Replay), Needs::Replay),
    route("/queues", "GET", Call::Desk(DeskCall::Queues), Needs::Read),
    route("/pauses", "GET", Call::Desk(DeskCall::Pauses), Needs::Read),
    route("/pauses", "POST", Call::Desk(DeskCall::Pause), Needs::Admin),
    route("/pauses/{id}", "DELETE", Call::Desk(DeskCall::Resume), Needs::Admin),
    route("/backup", "POST", Call::Desk(DeskCall::Backup), Needs::Admin),
    route("/metrics", "GET", Call::Desk(DeskCall::Metrics), Needs::Read),
];

/// What the whole API has and a function open to producers does not: it can neither read nor replay.
const ELSEWHERE: [&str; 5] = ["messages", "dead-letters", "queues", "pauses", "metrics"];

const ID: &str = "{id}";

/// A call, and the id in its path (empty where it has none).
#[derive(Debug)]
pub(super) struct Found {
    pub(super) route: Route,
    pub(super) id: String,
}

/// The call that is asked for.
pub(super) fn find(request: &Request, here: &Served) -> Result<Found, Problem> {
    let path = request.path.as_str();
    // HEAD is GET without the body, where there is something to look at.
    let method = if here.operators_too() && request.method == "HEAD" { "GET" } else { request.method.as_str() };
    let at_path = served(path, here);
    if let Some(route) = at_path.iter().find(|route| route.method == method) {
        let id = id_in(route.path, path).ok_or_else(nothing_there)?;
        return Ok(Found { route: *route, id });
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    let read = method == "GET" && path == "/messages";
    if !here.operators_too() && ELSEWHERE.contains(&first) && (read || at_path.is_empty()) {
        let detail = "this deployment takes messages only; look at them and replay them with the command line and \
                      the operator's own rights";
        return Err(Problem::new(501, detail));
    }
    if at_path.is_empty() {
        return Err(nothing_there());
    }
    Err(Problem::new(405, format!("{path} does not take {}", request.method)))
}

pub(super) fn nothing_there() -> Problem {
    Problem::new(404, "there is nothing at this path")
}

/// The methods of a path, for `Allow`.
pub(super) fn allowed(path: &str, here: &Served) -> String {
    let mut methods: Vec<&str> = served(path, here).iter().map(|route| route.method).collect();
    if here.operators_too() && methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.join(", ")
}

/// The calls at a path. A path that is written out goes before one with an id in its place.
fn served(path: &str, here: &Served) -> Vec<Route> {
    let fitting = PRODUCERS.iter().chain(here.operators).filter(|route| fits(route.path, path)).copied();
    let (literal, others): (Vec<Route>, Vec<Route>) = fitting.partition(|route| route.path == path);
    if literal.is_empty() { others } else { literal }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(ID), Some(segment)) if !segment.is_empty() => {}
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
}

/// The id that stands in a path that fits; empty where it has none, `None` where it is no text.
fn id_in(pattern: &str, path: &str) -> Option<String> {
    let place = pattern.split('/').position(|segment| segment == ID);
    let Some(segment) = place.and_then(|place| path.split('/').nth(place)) else {
        return Some(String::new());
    };
    percent_decode_str(segment).decode_utf8().ok().map(|id| id.into_owned())
}
