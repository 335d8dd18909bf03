//! A service that answers in memory, for the tests of this crate.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

use crate::{Service, Signer};

/// What a service gives back: a status, headers and a body; `None`: never.
pub(crate) type Given = Option<(u16, Vec<(&'static str, String)>, String)>;

type Answering = dyn Fn(&HttpRequest) -> Given + Send + Sync;

#[derive(Clone)]
struct Fake(Arc<Answering>);

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl HttpConnector for Fake {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let given = (self.0)(&request);
        HttpConnectorFuture::new(async move {
            let Some((status, headers, body)) = given else { return std::future::pending().await };
            let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            for (name, value) in headers {
                answer.headers_mut().insert(name, value);
            }
            Ok(answer)
        })
    }
}

/// A service that this function is.
pub(crate) fn service(name: &'static str, answer: impl Fn(&HttpRequest) -> Given + Send + Sync + 'static) -> Service {
    let credentials = aws_credential_types::Credentials::new("AK", "hush", None, None, "test");
    let signer = Signer::new(credentials, "us-east-1".to_owned(), name);
    Service::over(SharedHttpConnector::new(Fake(Arc::new(answer))), signer)
}

/// An answer without headers.
pub(crate) fn plain(status: u16, body: impl Into<String>) -> Given {
    Some((status, Vec::new(), body.into()))
}
