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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::{Method, Url};

    use super::*;

    fn signed(body: &str, token: Option<&str>) -> Request {
        let credentials = Credentials::new("AK", "hush", token.map(str::to_owned), None, "test");
        let signer = Signer::new(credentials, "eu-west-1".to_owned(), "execute-api");
        let mut request = Request::new(Method::POST, Url::parse("https://a.example.org:8443/messages?a=1").unwrap());
        *request.body_mut() = Some(body.to_owned().into());
        signer.sign(&mut request, SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_126_400)).unwrap();
        request
    }

    fn header<'a>(request: &'a Request, name: &str) -> &'a str {
        request.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[test]
    fn a_signature_covers_the_service_the_host_and_the_body() {
        let request = signed("{}", None);
        let signature = header(&request, "authorization");
        let begin = "AWS4-HMAC-SHA256 Credential=AK/20261201/eu-west-1/execute-api/aws4_request, SignedHeaders=host;";
        assert!(signature.starts_with(begin), "{signature}");
        assert_eq!(header(&request, "host"), "a.example.org:8443");
        assert_ne!(signature, header(&signed("{ }", None), "authorization"));
        assert!(!format!("{request:?}").contains("AWS4-HMAC"), "a signature does not print");
    }

    #[test]
    fn a_session_of_a_role_shows_its_token() {
        let request = signed("{}", Some("token"));
        assert_eq!(header(&request, "x-amz-security-token"), "token");
        assert!(header(&request, "authorization").contains("x-amz-security-token"));
    }
}
