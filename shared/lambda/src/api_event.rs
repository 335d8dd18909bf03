//! Events of API Gateway (payload 2.0) and of function URLs, which have the same shape.
//!
//! Only the fields that are used are read: `aws_lambda_events` reads all of them into typed headers and
//! times, which costs every event more than the rest of its way.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chaski_core::api::{self, Api, NoDesk, Request, Response};
use chaski_core::ports::{Bodies, Chance, Clock, Enqueue};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

/// The event.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiEvent {
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    request_context: RequestContext,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    http: Http,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    authorizer: Option<Authorizer>,
}

#[derive(Debug, Clone, Deserialize)]
struct Http {
    method: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Authorizer {
    #[serde(default)]
    iam: Option<Iam>,
}

/// Whom IAM let in. Its presence is what counts; a caller can't write into the request's context.
#[derive(Debug, Clone, Deserialize)]
struct Iam {}

/// The answer, in the same format.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiAnswer {
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    body: String,
    is_base64_encoded: bool,
}

impl ApiEvent {
    /// The request that it carries. A body that says it is base64 and is none counts as it stands: what
    /// reads it will refuse it by name.
    #[must_use]
    pub fn into_request(self) -> Request {
        let body = self.body.unwrap_or_default();
        let decoded = self.is_base64_encoded.then(|| STANDARD.decode(&body).ok()).flatten();
        Request {
            method: self.request_context.http.method,
            path: self.raw_path,
            query: self.raw_query_string,
            headers: self.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
            body: decoded.unwrap_or_else(|| body.into_bytes()),
            platform_caller: self.request_context.authorizer.is_some_and(|authorizer| authorizer.iam.is_some()),
            platform_id: self.request_context.request_id,
        }
    }
}

/// Answers an event, within a span that names the invocation and the request on every line. A function that is
/// open to producers has no desk: it can neither read nor replay.
pub async fn answer<E, C, R, B>(api: &Api<E, C, R, NoDesk, B>, event: ApiEvent, execution: &str) -> ApiAnswer
where
    E: Enqueue,
    C: Clock,
    R: Chance,
    B: Bodies,
{
    let request = event.into_request();
    let span = tracing::info_span!("invocation", faas.execution = execution, http.request.id = request.id());
    async {
        // On the heap: the SDK's futures nest so deep that their layout would be too much for the compiler.
        let response = Box::pin(api::handle_without_desk(api, &request)).await;
        let (method, path, status) = (&request.method, &request.path, response.status);
        tracing::info!(
            event.action = "request",
            http.request.method = method,
            url.path = path,
            http.response.status_code = status,
            "{method} {path} was answered {status}"
        );
        ApiAnswer::from(response)
    }
    .instrument(span)
    .await
}

impl From<Response> for ApiAnswer {
    fn from(response: Response) -> Self {
        let Response { status, headers, body } = response;
        Self { status_code: status, headers: headers.into_iter().collect(), body, is_base64_encoded: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"version":"2.0","routeKey":"POST /messages","rawPath":"/messages","rawQueryString":"",
        "headers":{"content-type":"application/json","X-Request-Id":"mine"},
        "requestContext":{"accountId":"1","apiId":"a","authorizer":{"iam":{"accessKey":"A","userArn":"arn"}},
            "http":{"method":"POST","path":"/messages","protocol":"HTTP/1.1","sourceIp":"1.2.3.4","userAgent":"x"},
            "requestId":"r-1","time":"21/Nov/2026:00:00:00 +0000","timeEpoch":1},
        "body":"eyJhIjoxfQ==","isBase64Encoded":true}"#;

    #[test]
    fn an_event_of_api_gateway_is_read() {
        let event: ApiEvent = serde_json::from_str(EVENT).unwrap();
        let request = event.into_request();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/messages"));
        assert_eq!(request.body, b"{\"a\":1}");
        assert!(request.platform_caller);
        assert_eq!(request.header("x-request-id"), Some("mine"));
    }

    #[test]
    fn an_event_of_a_function_url_is_read() {
        let event = r#"{"version":"2.0","routeKey":"$default","rawPath":"/messages/batch","rawQueryString":"a=b",
            "headers":{"content-type":"application/x-ndjson","x-amzn-trace-id":"t"},
            "requestContext":{"accountId":"anonymous","apiId":"u","domainName":"u.lambda-url.eu-west-1.on.aws","http":
                {"method":"POST","path":"/messages/batch","protocol":"HTTP/1.1","sourceIp":"1.2.3.4","userAgent":"x"},
            "requestId":"r-2","routeKey":"$default","stage":"$default","time":"21/Nov/2026:00:00:00 +0000","timeEpoch":1},
            "body":"{}\n{}","isBase64Encoded":false}"#;
        let event: ApiEvent = serde_json::from_str(event).unwrap();
        let request = event.into_request();
        assert_eq!((request.path.as_str(), request.body.as_slice()), ("/messages/batch", &b"{}\n{}"[..]));
        assert!(!request.platform_caller, "an open function URL lets nobody in");
        assert_eq!(request.id(), "r-2");
        assert_eq!(request.query, "a=b");
    }

    #[test]
    fn a_caller_that_iam_did_not_see_is_none() {
        let headless = EVENT.replace(r#""authorizer":{"iam":{"accessKey":"A","userArn":"arn"}},"#, "");
        let null = EVENT.replace(r#"{"iam":{"accessKey":"A","userArn":"arn"}}"#, r#"{"iam":null}"#);
        for text in [headless, null] {
            let event: ApiEvent = serde_json::from_str(&text).unwrap();
            assert!(!event.into_request().platform_caller);
        }
    }
}
