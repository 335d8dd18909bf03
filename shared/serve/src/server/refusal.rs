//! Answers of the server itself, as the API writes its own.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use chaski_core::api::Response;
use chaski_core::ports::Chance;
use chaski_core::problem::Problem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Patience;

/// What is read of a caller who is hung up on: the head of its request, and a small body.
const DISCARDED: u64 = 64 * 1_024;

/// A problem of the server itself.
pub(super) fn problem(problem: &Problem, id: &str) -> Response {
    let mut body = serde_json::to_value(problem).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        object.insert("instance".to_owned(), id.into());
    }
    let mut headers = vec![("content-type", "application/problem+json".to_owned()), ("x-request-id", id.to_owned())];
    headers.extend(problem.retry_after_s.map(|seconds| ("retry-after", seconds.to_string())));
    Response { status: problem.status, headers, body: body.to_string() }
}

/// Tells a caller for whom there is no connection left, and hangs up.
pub(super) async fn turn_away(mut stream: TcpStream, id: &str, patience: Patience) {
    let Response { headers, body, .. } = problem(&Problem::new(503, "too many connections are open"), id);
    let mut text = String::from("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n");
    for (name, value) in &headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let _ = write!(text, "content-length: {}\r\n\r\n{body}", body.len());
    let telling = async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        // Closed with something unread, the connection would be reset, and the answer lost with it.
        tokio::io::copy(&mut stream.take(DISCARDED), &mut tokio::io::sink()).await
    };
    // Whoever does not read it has hung up, or will be hung up on.
    let _ = timeout(patience.refused, telling).await;
}

/// Names the requests that bring no id of their own: what the process was named by chance, and a number.
#[derive(Debug)]
pub(super) struct RequestIds {
    process: String,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(chance: &impl Chance) -> Self {
        let process = chance.ten_bytes().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { process, next: AtomicU64::new(1) }
    }

    pub(super) fn next(&self) -> String {
        format!("{}-{}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
