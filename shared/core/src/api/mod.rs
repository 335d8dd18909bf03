//! The HTTP API without a socket: a request as a value in, an answer as a value out. Each home translates
//! its own events.

mod auth;
mod batch;
mod media;

use crate::app::{Ingress, Post};
use crate::limits;
use crate::ports::{Chance, Clock, Enqueue};
use crate::problem::{FieldError, Problem};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it came; never decompressed.
    pub body: Vec<u8>,
    /// Whether the platform has authenticated the caller (IAM), which counts when no producers are configured.
    pub platform_caller: bool,
    /// The platform's id of the request, where the caller names none.
    pub platform_id: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

/// The OpenAPI document, of what the function open to producers answers.
const OPENAPI: &str = include_str!("openapi.json");

/// A caller's own request id is given back if it is at most this long and visible ASCII.
const REQUEST_ID_CHARS: usize = 128;

/// What can be asked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Root,
    Health,
    OpenApi,
    Post,
    PostBatch,
}

impl Request {
    /// The first value of a header; the name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The caller's own request id, or the platform's.
    #[must_use]
    pub fn id(&self) -> &str {
        let legal =
            |id: &&str| !id.is_empty() && id.len() <= REQUEST_ID_CHARS && id.bytes().all(|b| b.is_ascii_graphic());
        self.header("x-request-id").filter(legal).unwrap_or(&self.platform_id)
    }
}

/// Answers a request.
pub async fn handle<E, C, R>(ingress: &Ingress<E, C, R>, request: &Request) -> Response
where
    E: Enqueue,
    C: Clock,
    R: Chance,
{
    let answered = match find(request) {
        Ok(Call::Root) => Ok(root()),
        Ok(Call::Health) => Ok(health()),
        Ok(Call::OpenApi) => Ok(OPENAPI.replace("{version}", VERSION)),
        Ok(Call::Post) => post(ingress, request).await,
        Ok(Call::PostBatch) => batch::post(ingress, request).await,
        Err(refusal) => Err(refusal),
    };
    let response = match answered {
        Ok(body) => Response { status: 200, headers: vec![("content-type", "application/json".to_owned())], body },
        Err(problem) => refusal(&problem, request),
    };
    with_request_id(response, request)
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The paths, with the methods that each is served with.
const SERVED: [(&str, &str, Call); 5] = [
    ("/", "GET", Call::Root),
    ("/health", "GET", Call::Health),
    ("/openapi.json", "GET", Call::OpenApi),
    ("/messages", "POST", Call::Post),
    ("/messages/batch", "POST", Call::PostBatch),
];

/// What the whole API has and a function open to producers does not: it can neither read nor replay.
const ELSEWHERE: [&str; 5] = ["messages", "dead-letters", "queues", "pauses", "metrics"];

fn find(request: &Request) -> Result<Call, Problem> {
    let path = request.path.as_str();
    if let Some((_, _, call)) = SERVED.iter().find(|(served, method, _)| *served == path && *method == request.method) {
        return Ok(*call);
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    let read = request.method == "GET" && path == "/messages";
    let served = SERVED.iter().any(|(served, _, _)| *served == path);
    if ELSEWHERE.contains(&first) && (read || !served) {
        let detail = "this deployment takes messages only; look at them and replay them with the command line and \
                      the operator's own rights";
        return Err(Problem::new(501, detail));
    }
    if served {
        return Err(Problem::new(405, format!("{path} does not take {}", request.method)));
    }
    Err(Problem::new(404, "there is nothing at this path"))
}

fn root() -> String {
    serde_json::json!({
        "name": "chaski",
        "version": VERSION,
        "links": {"health": "/health", "openapi": "/openapi.json", "messages": "/messages", "batch": "/messages/batch"},
    })
    .to_string()
}

/// A function that answers is well: what it stands on is seen by its alarms, not asked of it a second time.
fn health() -> String {
    serde_json::json!({"status": "ok", "version": VERSION, "checks": {}}).to_string()
}

async fn post<E: Enqueue, C: Clock, R: Chance>(
    ingress: &Ingress<E, C, R>,
    request: &Request,
) -> Result<String, Problem> {
    let caller = auth::sender(ingress.settings(), request)?;
    media::check_json(request)?;
    check_size(request)?;
    let post =
        Post { text: &request.body, key: request.header("idempotency-key"), trace: request.header("traceparent") };
    let receipt = ingress.accept(&caller, post).await?;
    Ok(serde_json::to_string(&receipt).unwrap_or_default())
}

fn check_size(request: &Request) -> Result<(), Problem> {
    if request.body.len() <= limits::EVENT_BYTES {
        return Ok(());
    }
    let detail = format!("is {} bytes; at most {} are taken in a call", request.body.len(), limits::EVENT_BYTES);
    Err(Problem::of_fields(vec![FieldError::too_large("", detail)]))
}

fn refusal(problem: &Problem, request: &Request) -> Response {
    let mut headers = vec![("content-type", "application/problem+json".to_owned())];
    if let Some(seconds) = problem.retry_after_s {
        headers.push(("retry-after", seconds.to_string()));
    }
    match problem.status {
        401 => headers.push(("www-authenticate", "Bearer".to_owned())),
        405 => {
            let allowed = SERVED.iter().filter(|(path, _, _)| *path == request.path).map(|(_, method, _)| *method);
            headers.push(("allow", allowed.collect::<Vec<_>>().join(", ")));
        }
        _ => {}
    }
    let mut body = serde_json::to_value(problem.shortened(ERRORS_NAMED)).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        object.insert("instance".to_owned(), request.id().into());
    }
    Response { status: problem.status, headers, body: body.to_string() }
}

/// Errors that one problem names: enough for a person, and few enough that an answer stays an event.
const ERRORS_NAMED: usize = 100;

fn with_request_id(mut response: Response, request: &Request) -> Response {
    response.headers.push(("x-request-id", request.id().to_owned()));
    response
}

#[cfg(test)]
mod tests;
