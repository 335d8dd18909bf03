//! A proxy in front of the local AWS that counts what passes.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use http::Request;

use super::counts::Counts;
use super::meter::{Call, meter};
use crate::serve::{Answer, Service, answer, serve};

/// The proxy, and what has passed.
#[derive(Debug)]
pub(crate) struct Proxy {
    client: reqwest::Client,
    behind: String,
    counts: Mutex<Counts>,
}

impl Proxy {
    /// Opens one for as long as the process lives; with its own endpoint.
    pub(crate) async fn open(behind: &str) -> anyhow::Result<(Arc<Self>, String)> {
        // The local AWS speaks HTTP only: no roots, so that none are looked for.
        let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build()?;
        let proxy = Arc::new(Self { client, behind: behind.to_owned(), counts: Mutex::default() });
        let address = serve(Arc::clone(&proxy), None).await.context("the proxy can't listen")?;
        Ok((proxy, format!("http://{address}")))
    }

    /// All that has passed so far.
    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(&self, request: Request<Bytes>) -> anyhow::Result<Answer> {
        let (head, asked) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut forward = self.client.request(head.method.clone(), format!("{}{path}", self.behind));
        let frame = ["content-length", "transfer-encoding", "connection"];
        for (name, value) in head.headers.iter().filter(|(name, _)| !frame.contains(&name.as_str())) {
            forward = forward.header(name, value);
        }
        let got = forward.body(asked.clone()).send().await?;
        let (status, headers) = (got.status().as_u16(), got.headers().clone());
        let told = got.bytes().await?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (operation, authorization) = (header("x-amz-target"), header("authorization"));
        let call = Call { method: head.method.as_str(), path, operation, authorization, asked: &asked, told: &told };
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) += meter(&call);
        let mut passed = answer(status, told);
        // The length is of what is passed on; that of a HEAD is the object's.
        let kept = headers.iter().filter(|(name, _)| *name == "content-length" || !frame.contains(&name.as_str()));
        passed.headers_mut().extend(kept.map(|(name, value)| (name.clone(), value.clone())));
        Ok(passed)
    }
}

impl Service for Proxy {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        self.pass(request).await.unwrap_or_else(|error| answer(502, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has a message for whoever asks the first queue, and none in the others.
    struct Stub;

    impl Service for Stub {
        async fn answer(&self, request: Request<Bytes>) -> Answer {
            let is_full = request.body().starts_with(br#"{"QueueUrl":"full"#);
            answer(200, if is_full { r#"{"Messages":[{"Body":"x"}]}"# } else { "{}" })
        }
    }

    #[tokio::test]
    async fn what_passes_is_answered_as_behind_it_and_counted_once() {
        let behind = format!("http://{}", serve(Arc::new(Stub), None).await.unwrap());
        let (proxy, endpoint) = Proxy::open(&behind).await.unwrap();
        let ask = async |operation: &'static str, body: &'static str| {
            let call = proxy.client.post(&endpoint).header("x-amz-target", operation).body(body);
            call.send().await.unwrap().text().await.unwrap()
        };
        let receive = "AmazonSQS.ReceiveMessage";
        assert_eq!(ask(receive, r#"{"QueueUrl":"full.fifo"}"#).await, r#"{"Messages":[{"Body":"x"}]}"#);
        assert_eq!(ask(receive, r#"{"QueueUrl":"empty.fifo"}"#).await, "{}");
        ask("AmazonSQS.DeleteMessageBatch", r#"{"QueueUrl":"full.fifo"}"#).await;
        ask("DynamoDB_20120810.DeleteItem", "{}").await;
        let counts = proxy.counts();
        assert_eq!((counts.fifo.receives, counts.fifo.deletes, counts.writes), (1, 1, 1), "{counts:?}");
        assert_eq!((counts.fifo.all(), counts.standard.all()), (2, 0), "{counts:?}");
    }
}
