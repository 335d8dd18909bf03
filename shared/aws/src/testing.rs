//! A service that answers in memory, for tests.

use std::fmt;
use std::sync::Arc;

use aws_sdk_sqs::config::{Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// What a service answers: a status and a body; `None`: never.
pub type Answer = Option<(u16, Value)>;

/// Answers by this function of the operation (`SendMessage`) and the request's JSON.
#[derive(Clone)]
struct Service(Arc<Answering>);

type Answering = dyn Fn(&str, Value) -> Answer + Send + Sync;

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

impl HttpClient for Service {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = request.body().bytes().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let answer = (self.0)(operation, body);
        HttpConnectorFuture::new(async move {
            let Some((status, body)) = answer else {
                return std::future::pending().await;
            };
            let status = status.try_into().map_err(|error| ConnectorError::user(Box::new(error)))?;
            Ok(HttpResponse::new(status, SdkBody::from(body.to_string())))
        })
    }
}

/// A client of SQS whose service this function is; tries and times are the real ones.
#[cfg(test)]
pub(crate) fn sqs(answer: impl Fn(&str, Value) -> Answer + Send + Sync + 'static) -> aws_sdk_sqs::Client {
    let config = crate::tuned!(aws_sdk_sqs, &credentials(), region(), service(answer));
    aws_sdk_sqs::Client::from_conf(config.build())
}

/// The client side of a service that this function is.
#[must_use]
pub fn service(answer: impl Fn(&str, Value) -> Answer + Send + Sync + 'static) -> SharedHttpClient {
    SharedHttpClient::new(Service(Arc::new(answer)))
}

/// Credentials that open nothing.
#[must_use]
pub fn credentials() -> Credentials {
    Credentials::new("AK", "secret", None, None, "test")
}

/// A region that nothing is in.
#[must_use]
pub fn region() -> Region {
    Region::from_static("us-east-1")
}
