//! One call to a service: signed, with a deadline and bounded tries.

use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Bytes, BytesMut};
use chaski_aws::Clients;
use http::Request;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::error::SignedError;
use crate::signer::Signer;

/// The pause before the second try; doubled before the third.
const PAUSE: Duration = Duration::from_millis(100);
/// What is read of an answer that is kept in memory: DynamoDB's items end at 400 KB, and errors are small.
const ANSWER_BYTES: usize = 1_048_576;
/// The least speed at which a body is expected to travel.
const BYTES_A_SECOND: usize = 4_194_304;

/// A service of AWS in one region, over the connections of the process.
#[derive(Debug, Clone)]
pub struct Service {
    connector: SharedHttpConnector,
    signer: Signer,
}

/// What is asked of a service. Making it twice must have the effect of making it once.
#[derive(Debug, Clone)]
pub struct Call {
    /// In upper case.
    pub method: &'static str,
    /// The whole address, encoded.
    pub address: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for none.
    pub body: Bytes,
}

/// A success: its headers and its whole body.
#[derive(Debug)]
pub struct Answer {
    /// 200 to 299.
    pub status: u16,
    /// At most 1 MiB.
    pub body: Bytes,
}

/// How long a call may take, and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// One try, connecting included.
    pub attempt: Duration,
    /// All tries together.
    pub whole: Duration,
    /// At least one.
    pub tries: u32,
}

impl Default for Patience {
    /// As the SDK's clients of `chaski-aws` have it.
    fn default() -> Self {
        Self { attempt: Duration::from_millis(2_500), whole: chaski_aws::CALL, tries: 3 }
    }
}

impl Patience {
    /// The same, and the time that so many bytes need on a slow line, at 4 MiB a second.
    #[must_use]
    pub fn with_body(self, bytes: usize) -> Self {
        let more = travel(bytes);
        Self { attempt: self.attempt + more, whole: self.whole + more, ..self }
    }
}

/// How long so many bytes may travel.
pub(crate) fn travel(bytes: usize) -> Duration {
    Duration::from_millis(u64::try_from(bytes.saturating_mul(1_000) / BYTES_A_SECOND).unwrap_or(u64::MAX))
}

impl Service {
    /// The service by the name that signatures know it by: `dynamodb`, `s3`, `scheduler`.
    #[must_use]
    pub fn new(clients: &Clients, name: &'static str) -> Self {
        let signer = Signer::new(clients.credentials().clone(), clients.region().to_string(), name);
        Self::over(clients.connector(), signer)
    }

    /// Over other connections.
    #[must_use]
    pub fn over(connector: SharedHttpConnector, signer: Signer) -> Self {
        Self { connector, signer }
    }

    /// Who signs.
    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Makes the call, and reads the answer whole.
    ///
    /// # Errors
    /// The service says no, or there is no answer in time.
    pub async fn call(&self, call: &Call, patience: Patience) -> Result<Answer, SignedError> {
        let end = Instant::now() + patience.whole;
        self.tried(call, patience, end, async |answer: HttpResponse| {
            let status = answer.status().as_u16();
            Ok(Answer { status, body: whole(answer).await? })
        })
        .await
    }

    /// Makes the call, and gives the answer once its head is there; the body is the caller's to read.
    pub(crate) async fn open(&self, call: &Call, patience: Patience) -> Result<HttpResponse, SignedError> {
        let end = Instant::now() + patience.whole;
        self.tried(call, patience, end, async |answer| Ok(answer)).await
    }

    /// Tries until there is a success, a refusal, or no time or try left. `read` is part of the try.
    async fn tried<T>(
        &self,
        call: &Call,
        patience: Patience,
        end: Instant,
        read: impl AsyncFn(HttpResponse) -> Result<T, SignedError>,
    ) -> Result<T, SignedError> {
        let mut pause = PAUSE;
        for left in (0..patience.tries.max(1)).rev() {
            let until = end.min(Instant::now() + patience.attempt);
            let tried = timeout_at(until, async { read(self.once(call).await?).await }).await;
            let tried = tried.unwrap_or_else(|_| Err(SignedError::Unavailable("no answer in time".to_owned())));
            let again = Instant::now() + pause;
            if left == 0 || again >= end || !matches!(tried, Err(SignedError::Unavailable(_))) {
                return tried;
            }
            sleep_until(again).await;
            pause *= 2;
        }
        // The last try returns.
        Err(SignedError::Unavailable("not tried".to_owned()))
    }

    /// One try, up to the head of a success.
    async fn once(&self, call: &Call) -> Result<HttpResponse, SignedError> {
        let request = self.signed(call).map_err(SignedError::Unavailable)?;
        let answer = self.connector.call(request).await;
        let answer = answer.map_err(|error| SignedError::Unavailable(chain(&error)))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        Err(SignedError::of_answer(status, &whole(answer).await?))
    }

    /// Signed anew for each try, since a signature is good for some minutes only.
    fn signed(&self, call: &Call) -> Result<HttpRequest, String> {
        let mut request = Request::builder().method(call.method).uri(&call.address);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(SdkBody::from(call.body.clone())).map_err(|error| error.to_string())?;
        self.signer.sign(&mut request, &call.body, SystemTime::now())?;
        request.try_into().map_err(|error| chain(&error))
    }
}

/// The body of an answer, to the limit.
async fn whole(answer: HttpResponse) -> Result<Bytes, SignedError> {
    let mut stream = ByteStream::new(answer.into_body());
    let mut read = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| SignedError::Unavailable(chain(&error)))?;
        if read.len() + chunk.len() > ANSWER_BYTES {
            return Err(SignedError::Unavailable(format!("the answer is longer than {ANSWER_BYTES} bytes")));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.freeze())
}

/// An error and what it comes from, in one line, without what repeats.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !line.ends_with(&words) {
            line = format!("{line}: {words}");
        }
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::testing::{Given, plain, service};

    fn call() -> Call {
        let address = "https://x.us-east-1.amazonaws.com/".to_owned();
        Call { method: "POST", address, headers: Vec::new(), body: Bytes::from_static(b"{}") }
    }

    /// The service answers so, one after the other and the last for ever; the result, the tries and the time taken.
    async fn told(answers: Vec<Given>) -> (Result<Bytes, SignedError>, u32, Duration) {
        let count = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&count);
        let service = service("x", move |request| {
            let header = request.headers().get("authorization").unwrap();
            assert!(header.contains("/us-east-1/x/aws4_request"), "{header}");
            let n = usize::try_from(seen.fetch_add(1, Ordering::SeqCst)).unwrap();
            answers[n.min(answers.len() - 1)].clone()
        });
        let began = Instant::now();
        let told = service.call(&call(), Patience::default()).await;
        (told.map(|answer| answer.body), count.load(Ordering::SeqCst), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_three_times_and_a_refusal_once() {
        let (told_, tries, _) = told(vec![plain(500, ""), plain(503, ""), plain(200, "yes")]).await;
        assert_eq!((told_.unwrap(), tries), (Bytes::from_static(b"yes"), 3));
        let (told_, tries, _) = told(vec![plain(500, "")]).await;
        assert!(matches!(told_, Err(SignedError::Unavailable(_))));
        assert_eq!(tries, 3);
        let (told_, tries, _) = told(vec![plain(403, "<Error><Code>AccessDenied</Code></Error>")]).await;
        assert!(matches!(told_, Err(SignedError::Refused { status: 403, .. })));
        assert_eq!(tries, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_with_the_deadline() {
        let (told, tries, took) = told(vec![None]).await;
        assert_eq!(told, Err(SignedError::Unavailable("no answer in time".to_owned())));
        assert!(tries == 3 && took <= chaski_aws::CALL, "{tries} tries in {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_end_is_left() {
        let (told, ..) = told(vec![plain(200, "x".repeat(ANSWER_BYTES + 1))]).await;
        assert!(matches!(told, Err(SignedError::Unavailable(words)) if words.contains("longer")));
    }
}
