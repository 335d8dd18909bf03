//! Signing a request as AWS wants it (Signature Version 4).

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::Request;
use reqwest::header::{HOST, HeaderName, HeaderValue};

/// Signs requests to one service with one caller's credentials. Does not print them.
#[derive(Debug, Clone)]
pub struct Signer {
    credentials: Credentials,
    region: String,
    service: &'static str,
}

impl Signer {
    pub(crate) fn new(credentials: Credentials, region: String, service: &'static str) -> Self {
        Self { credentials, region, service }
    }

    /// Adds the signature to a request whose body is in memory.
    ///
    /// # Errors
    /// The request has a form that can't be signed; the words say which.
    pub fn sign(&self, request: &mut Request, now: SystemTime) -> Result<(), String> {
        let host = match (request.url().host_str(), request.url().port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let host = HeaderValue::from_str(&host).map_err(|error| error.to_string())?;
        request.headers_mut().insert(HOST, host);
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers: Vec<(&str, &str)> =
            request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.url().as_str(),
            headers.into_iter(),
            SignableBody::Bytes(body),
        );
        let signable = signable.map_err(|error| error.to_string())?;
        let signed = sign(signable, &params).map_err(|error| error.to_string())?.into_parts().0;
        let mut added = Vec::new();
        for (name, value) in signed.headers() {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            added.push((name, value));
        }
        for (name, value) in added {
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }
}
