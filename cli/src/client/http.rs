//! The calls as HTTP/1.1 to a running server, with its problem documents read as errors.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use chaski_operator::Signer;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};

use super::call::{Answer, Body, Call, Method};
use super::error::ClientError;
use super::tls;

/// Establishing a connection; a server on the same machine answers at once.
const CONNECT: Duration = Duration::from_secs(5);

/// A list of a thousand messages with their histories is about this much at the very most.
const ANSWER_BYTES: usize = 256 * 1_024 * 1_024;

/// The longest wait between two tries that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Where a server listens.
#[derive(Debug, Clone)]
pub(crate) struct ServerUrl(Url);

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address of a server; it takes a form like http://127.0.0.1:8080");
        let url = Url::parse(text).map_err(|_| wrong())?;
        let plain = url.query().or(url.fragment()).is_none() && url.username().is_empty() && url.password().is_none();
        if matches!(url.scheme(), "http" | "https") && plain { Ok(Self(url)) } else { Err(wrong()) }
    }
}

/// A server, asked over HTTP.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    base: Url,
    shown: String,
    keyed: bool,
    signer: Option<Signer>,
}

impl Http {
    /// Asks the server with this producer's key, and signs with these credentials of AWS, where there are any.
    pub(super) fn new(url: &ServerUrl, key: Option<&str>, signer: Option<Signer>) -> Result<Self, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(key) = key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| ClientError::Unusable("CHASKI_KEY holds a character that no key has".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let host = url.0.host_str().unwrap_or_default();
        let client = client(headers, host)?;
        let shown = url.0.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, base: url.0.clone(), shown, keyed: key.is_some(), signer })
    }

    pub(super) fn server(&self) -> &str {
        &self.shown
    }

    /// Makes one call.
    pub(super) async fn ask(&self, call: Call) -> Result<Answer, ClientError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&call.path);
        }
        for (name, value) in call.query.pairs() {
            url.query_pairs_mut().append_pair(name, &value);
        }
        let request = match call.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url),
            // A server without producers wants a JSON content type on every change, so that no form can make one.
            Method::Delete => self.client.delete(url).header(CONTENT_TYPE, "application/json"),
        };
        let request = match call.body {
            Body::None => request,
            Body::Json(text) => request.header(CONTENT_TYPE, "application/json").body(text),
            Body::Lines(lines) => request.header(CONTENT_TYPE, "application/x-ndjson").body(lines),
        };
        let mut request = request.timeout(call.within).build().map_err(|error| self.failed(&error))?;
        if let Some(signer) = &self.signer {
            let unsigned = |reason| ClientError::Unusable(format!("the request can't be signed: {reason}"));
            signer.sign(&mut request, SystemTime::now()).map_err(unsigned)?;
        }
        let response = self.client.execute(request).await.map_err(|error| self.failed(&error))?;
        self.read(response).await
    }

    async fn read(&self, response: Response) -> Result<Answer, ClientError> {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let text = self.text(response).await?;
        match Answer::of(status, retry_after, text, self.keyed) {
            // The words of the gateway before the function, which is no part of Chaski.
            Err(None) if self.signer.is_some() && status == 403 => Err(ClientError::NotLetIn(self.shown.clone())),
            Err(None) => Err(ClientError::Stranger { server: self.shown.clone(), status }),
            Err(Some(refusal)) => Err(ClientError::Refused(refusal)),
            Ok(answer) => Ok(answer),
        }
    }

    async fn text(&self, mut response: Response) -> Result<String, ClientError> {
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if bytes.len() + part.len() > ANSWER_BYTES {
                return Err(ClientError::Unreadable("it is too large".to_owned()));
            }
            bytes.extend_from_slice(&part);
        }
        String::from_utf8(bytes).map_err(|_| ClientError::Unreadable("it is not UTF-8".to_owned()))
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        let server = self.shown.clone();
        let reason = root_cause(error);
        if tls::is_distrust(error) {
            return ClientError::Untrusted { server, reason };
        }
        if error.is_connect() {
            let reason = if error.is_timeout() { "it does not answer".to_owned() } else { reason };
            return ClientError::Unreachable { server, reason };
        }
        let reason = if error.is_timeout() { "the time for it is over".to_owned() } else { reason };
        ClientError::Unanswered { server, reason }
    }
}

/// How long an upload may take: what a slow line needs for 25 MB.
const UPLOAD: Duration = Duration::from_secs(120);

/// Uploads a body to an address that was given for it. The address itself is the right to that: nobody's key or
/// signature goes there.
pub(super) async fn put(address: &str, headers: &BTreeMap<String, String>, body: Vec<u8>) -> Result<(), ClientError> {
    let unusable = |what: String| ClientError::Unusable(format!("the address of the upload can't be used: {what}"));
    let url = Url::parse(address).map_err(|error| unusable(error.to_string()))?;
    let shown = url.host_str().unwrap_or_default().to_owned();
    let client = client(HeaderMap::new(), &shown)?;
    let door = Http { client, base: url.clone(), shown, keyed: false, signer: None };
    let mut request = door.client.put(url).timeout(UPLOAD).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.map_err(|error| door.failed(&error))?;
    // S3 has nothing to say, and says a refusal in XML.
    if answer.status().is_success() { Ok(()) } else { door.read(answer).await.map(drop) }
}

/// A client of HTTP as every call wants it, to one host.
pub(super) fn client(headers: HeaderMap, host: &str) -> Result<reqwest::Client, ClientError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config()?)
        .no_proxy()
        .redirect(Policy::none())
        .http1_only()
        .connect_timeout(CONNECT)
        .user_agent(concat!("chaski/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers);
    // Names below localhost are this machine's (RFC 6761), and not every resolver knows; the port is the URL's.
    if host.ends_with(".localhost") {
        builder = builder.resolve(host, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    }
    builder.build().map_err(|error| ClientError::Unusable(format!("the HTTP client can't be made: {error}")))
}

/// Seconds; another form of it is not in the contract, and counts as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// What the system said, below what the libraries say about it.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
