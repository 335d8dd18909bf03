//! HTTP for the SDK: hyper and rustls, HTTP/1.1 only, with roots that are compiled in.
//!
//! The SDK's own client reads the system's folder of CAs file by file at start, which costs more than all
//! the rest of a cold start; it speaks HTTP/2, which SQS and DynamoDB do not, and knows proxies, which a
//! function does not need.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector as SdkConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;

/// A pooled connection that nobody used for longer is dropped. Counted by the wall clock: a function that is
/// frozen between two events may find its monotonic clock standing where it stood, and the connection dead.
const IDLE: Duration = Duration::from_secs(4);

/// Idle connections kept to one service. More calls than these side by side open more.
const IDLE_CONNECTIONS: usize = 10;

type Pool = Client<HttpsConnector<HttpConnector>, SdkBody>;

/// The connections of this process to AWS, shared by the clients of all services.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Shared>);

struct Shared {
    connector: HttpsConnector<HttpConnector>,
    pool: Mutex<(Pool, SystemTime)>,
}

impl Transport {
    /// Connects by this configuration of TLS, or without TLS where the endpoint says `http`.
    pub(crate) fn new(tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let pool = Mutex::new((fresh(&connector), SystemTime::now()));
        Self(Arc::new(Shared { connector, pool }))
    }

    /// The pool; a fresh one when the last use of the old is too long ago, or in the future.
    fn pool(&self, now: SystemTime) -> Pool {
        let mut slot = self.0.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let (pool, used) = &mut *slot;
        if now.duration_since(*used).map_or(true, |idle| idle > IDLE) {
            *pool = fresh(&self.0.connector);
        }
        *used = now;
        pool.clone()
    }
}

fn fresh(connector: &HttpsConnector<HttpConnector>) -> Pool {
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(connector.clone())
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl HttpClient for Transport {
    /// The settings' timeouts to connect and to read are not looked at: the timeout of an attempt, which is
    /// shorter, covers both.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl SdkConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let pool = self.pool(SystemTime::now());
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            // Whatever goes wrong between here and the answer may be tried again: each of our calls has the
            // effect of one when it is made twice.
            let answer = pool.request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
