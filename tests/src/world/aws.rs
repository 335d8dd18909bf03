//! Signed calls to the local AWS: its JSON services, and the API behind IAM.

use std::time::SystemTime;

use anyhow::{Context, bail};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::Value;

/// A client that signs.
#[derive(Debug, Clone)]
pub struct Aws {
    client: reqwest::Client,
    endpoint: String,
    region: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Aws {
    /// A client of the local AWS at that endpoint.
    ///
    /// # Errors
    /// The HTTP client can't be made.
    pub fn new(endpoint: &str, region: &str) -> anyhow::Result<Self> {
        // The local AWS speaks HTTP only: no roots, so that none are looked for.
        let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build()?;
        Ok(Self { client, endpoint: endpoint.to_owned(), region: region.to_owned() })
    }

    /// Calls an operation of a JSON service, e.g. `logs`, `Logs_20140328.FilterLogEvents`.
    ///
    /// # Errors
    /// The call failed, or its answer is not a success.
    pub async fn json(&self, service: &str, operation: &str, body: &Value) -> anyhow::Result<Value> {
        let version = if service == "dynamodb" || service == "sqs" { "1.0" } else { "1.1" };
        let headers =
            [("content-type", format!("application/x-amz-json-{version}")), ("x-amz-target", operation.to_owned())];
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
        let answer = self.send(service, "POST", "/", &headers, body.to_string(), true).await?;
        if answer.status != 200 {
            bail!("{operation} was answered {}: {}", answer.status, answer.body);
        }
        Ok(answer.json())
    }

    /// Uploads a body to an address that somebody else signed; the status.
    ///
    /// # Errors
    /// It could not be sent.
    pub async fn upload(&self, address: &str, headers: &[(String, String)], body: Vec<u8>) -> anyhow::Result<u16> {
        let mut request = self.client.put(address).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Ok(request.send().await.with_context(|| format!("PUT {address}"))?.status().as_u16())
    }

    /// Sends a request to a service, signed or not.
    ///
    /// # Errors
    /// It could not be sent.
    pub async fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
        signed: bool,
    ) -> anyhow::Result<Answer> {
        let uri = format!("{}{path}", self.endpoint);
        let mut request = http::Request::builder().method(method).uri(&uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.clone())?;
        if signed {
            let identity = Credentials::new("test", "test", None, None, "tests").into();
            let params = v4::SigningParams::builder()
                .identity(&identity)
                .region(&self.region)
                .name(service)
                .time(SystemTime::now())
                .settings(SigningSettings::default())
                .build()?
                .into();
            let pairs = headers.iter().copied();
            let signable = SignableRequest::new(method, &uri, pairs, SignableBody::Bytes(body.as_bytes()))?;
            sign(signable, &params)?.into_parts().0.apply_to_request_http1x(&mut request);
        }
        let answer = self.client.execute(request.try_into()?).await.with_context(|| format!("{method} {uri}"))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer { status, headers, body: answer.text().await? })
    }
}
