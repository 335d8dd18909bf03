//! The request as the client takes it. What an envelope may ask for was checked when it was accepted; one that
//! came another way may still hold anything.

use chaski_core::guard::{Guard, check_url};
use chaski_core::headers::{is_token, is_value};
use chaski_core::limits::HEADER_NAME_BYTES;
use chaski_core::ports::{CallError, Outgoing, Payload};
use reqwest::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use reqwest::{Body, Method, Request};

use crate::payload::Streamed;

/// Headers that frame the request or belong to the connection: the client writes them itself. A second one of
/// these, or another's, is how one request is smuggled inside another.
const FRAMING: [&str; 8] =
    ["connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];

/// Whether the target may be called, as far as the URL tells; gives its host and port.
pub(crate) fn check(request: &Outgoing, guard: &Guard) -> Result<(String, u16), CallError> {
    let url = &request.url;
    check_url(url).map_err(|error| CallError::Blocked(format!("the url {error}")))?;
    guard.check_literal(url).map_err(|refusal| CallError::Blocked(refusal.to_string()))?;
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok((host.to_owned(), port)),
        _ => Err(CallError::Blocked("the url names no host".to_owned())),
    }
}

pub(crate) fn build(outgoing: Outgoing) -> Result<Request, CallError> {
    let mut request = Request::new(method(&outgoing.method)?, outgoing.url);
    for (name, value) in &outgoing.headers {
        let (name, value) = header(name, value)?;
        request.headers_mut().append(name, value);
    }
    match outgoing.body {
        Payload::Opened(body) if body.bytes > 0 => *request.body_mut() = Some(Body::wrap(Streamed::new(body))),
        Payload::Bytes(bytes) if !bytes.is_empty() => *request.body_mut() = Some(Body::from(bytes)),
        _ if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) => {
            // RFC 9110, 8.6: where a method expects content, its absence is said. Some servers answer 411 otherwise.
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        _ => {}
    }
    Ok(request)
}

fn method(text: &str) -> Result<Method, CallError> {
    let refused = || CallError::Blocked("the method can't be sent".to_owned());
    if text.eq_ignore_ascii_case("connect") {
        // It asks for a tunnel, through which anything may be reached.
        return Err(refused());
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| refused())
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), CallError> {
    // Its name may hold anything, so it is shown escaped and short; its value may be a secret.
    let shown: String = name.chars().take(HEADER_NAME_BYTES).collect();
    let refused = || CallError::Blocked(format!("the header {shown:?} can't be sent"));
    let framing = FRAMING.iter().any(|own| name.eq_ignore_ascii_case(own));
    if framing || !is_token(name) || !is_value(value) {
        return Err(refused());
    }
    match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes())) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(refused()),
    }
}
