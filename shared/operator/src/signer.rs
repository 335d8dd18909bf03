//! Signing the requests of the HTTP client that the command line has.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use reqwest::Request;

/// Signs requests to one service with one caller's credentials. Does not print them.
#[derive(Debug, Clone)]
pub struct Signer(chaski_signed::Signer);

impl Signer {
    pub(crate) fn new(credentials: Credentials, region: String, service: &'static str) -> Self {
        Self(chaski_signed::Signer::new(credentials, region, service))
    }

    /// Adds the signature to a request whose body is in memory.
    ///
    /// # Errors
    /// The request has a form that can't be signed; the words say which.
    pub fn sign(&self, request: &mut Request, now: SystemTime) -> Result<(), String> {
        let mut signed = http::Request::builder().method(request.method()).uri(request.url().as_str());
        if let Some(headers) = signed.headers_mut() {
            headers.clone_from(request.headers());
        }
        let mut signed = signed.body(()).map_err(|error| error.to_string())?;
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        self.0.sign(&mut signed, body, now)?;
        *request.headers_mut() = signed.into_parts().0.headers;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::{Method, Url};

    use super::*;

    #[test]
    fn a_signature_covers_the_host_and_the_body() {
        let signed = |url: &str, body: &str| {
            let signer =
                Signer::new(Credentials::new("AK", "hush", None, None, "test"), "eu-west-1".to_owned(), "execute-api");
            let mut request = Request::new(Method::POST, Url::parse(url).unwrap());
            *request.body_mut() = Some(body.to_owned().into());
            signer.sign(&mut request, SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_126_400)).unwrap();
            request.headers()["authorization"].to_str().unwrap().to_owned()
        };
        let one = signed("https://a.example.org:8443/messages?a=1", "{}");
        assert!(one.contains("/20261201/eu-west-1/execute-api/aws4_request, SignedHeaders=host;"), "{one}");
        assert_ne!(one, signed("https://a.example.org:8443/messages?a=1", "{ }"));
        assert_ne!(one, signed("https://a.example.org/messages?a=1", "{}"));
    }
}
