//! The HTTP request that an envelope asks for, as the target gets it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::envelope::{Envelope, Form, Meta};
use crate::ports::{Outgoing, Payload};
use crate::signing::{Signer, Signing};
use crate::time::Timestamp;
use crate::{headers, identity};

/// All but RFC 3986's unreserved characters.
const SUBJECT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Builds the request of the attempt with that number, to the target's URL; `trace` is the trace's id.
pub(super) fn build(envelope: &Envelope, meta: &Meta, url: Url, trace: &str, attempt: u32) -> Outgoing {
    let message = &envelope.message;
    // What came past the ingress may name headers that a producer may not set; they are left out.
    let allowed = |name: &str| headers::is_token(name) && !headers::is_reserved(name) && !is(name, TRACEPARENT);
    let own = message.headers.iter().filter(|(name, value)| allowed(name) && headers::is_value(value));
    let mut sent: Vec<(String, String)> = own.cloned().collect();

    let mut add = |name: &str, value: String| {
        if !sent.iter().any(|(other, _)| is(other, name)) {
            sent.push((name.to_owned(), value));
        }
    };
    if message.body.form() == Form::Json {
        add("content-type", "application/json".to_owned());
    }
    add("user-agent", concat!("chaski/", env!("CARGO_PKG_VERSION")).to_owned());
    add("idempotency-key", meta.id.clone());
    add("chaski-id", meta.id.clone());
    add("chaski-subject", utf8_percent_encode(&envelope.subject, SUBJECT).to_string());
    add("chaski-attempt", attempt.to_string());
    add("chaski-generation", meta.generation.to_string());
    // Of a message that is not counted in its line the queue's own number rises, with gaps.
    if let Some(sequence) = meta.sequence.map(|n| n.to_string()).or_else(|| meta.order.clone()) {
        add("chaski-sequence", sequence);
    }
    add(TRACEPARENT, traceparent(meta, trace, attempt));
    Outgoing { url, method: message.method.clone(), headers: sent, body: message.body.bytes().to_vec().into() }
}

/// Signs a request of the message with that id, where there is a secret for its target. The id is the same at every
/// attempt, the time is each attempt's own: a target refuses what is older than it trusts.
pub(super) fn signed(mut request: Outgoing, id: &str, at: Timestamp, signing: &Signing) -> Outgoing {
    if let Payload::Bytes(body) = &request.body
        && let Some(mut signature) = Signature::begin(&request.url, id, at, signing)
    {
        signature.update(body);
        request.headers.extend(signature.headers());
    }
    request
}

/// The signature of one attempt, over a body that may come in pieces.
pub(super) struct Signature {
    id: String,
    seconds: i64,
    signer: Signer,
}

impl Signature {
    /// Begins it, where there is a secret for the target.
    pub(super) fn begin(url: &Url, id: &str, at: Timestamp, signing: &Signing) -> Option<Self> {
        let keys = signing.keys(url.host()?)?;
        let seconds = at.millis() / 1_000;
        Some(Self { id: id.to_owned(), seconds, signer: keys.begin(id, seconds) })
    }

    /// Takes the next bytes of the body.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.signer.update(bytes);
    }

    /// The headers that tell it.
    pub(super) fn headers(self) -> [(String, String); 3] {
        let [id, timestamp, signature] = WEBHOOK.map(str::to_owned);
        [(id, self.id), (timestamp, self.seconds.to_string()), (signature, self.signer.finish())]
    }
}

/// The headers of Standard Webhooks. A producer may set none of that prefix.
const WEBHOOK: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

pub(super) const TRACEPARENT: &str = "traceparent";

/// The trace that a message belongs to: the producer's, or one made of the message's id.
#[must_use]
pub(super) fn trace_id(traceparent: Option<&str>, id: &str) -> String {
    traceparent.and_then(read_traceparent).unwrap_or_else(|| hex(&identity::bytes(&["trace", id]), 16))
}

/// Continues the trace: the same trace id, and a span of this attempt's own.
fn traceparent(meta: &Meta, trace: &str, attempt: u32) -> String {
    let flags =
        meta.trace.as_deref().filter(|t| read_traceparent(t).is_some()).and_then(|t| t.get(53..55)).unwrap_or("01");
    let span = identity::bytes(&["span", &meta.id, &meta.generation.to_string(), &attempt.to_string()]);
    format!("00-{trace}-{}-{flags}", hex(&span, 8))
}

/// The trace id of a `traceparent` (W3C Trace Context, version 00). `None` when it is none.
#[must_use]
pub(super) fn read_traceparent(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let sizes = [2, 32, 16, 2];
    let fields: Vec<&str> = sizes.iter().map_while(|_| parts.next()).collect();
    let lower_hex = |field: &str| field.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let legal = parts.next().is_none()
        && fields.len() == sizes.len()
        && fields.iter().zip(sizes).all(|(field, size)| field.len() == size && lower_hex(field));
    let (version, trace, span) = (fields.first()?, fields.get(1)?, fields.get(2)?);
    let zero = |field: &str| field.bytes().all(|b| b == b'0');
    (legal && *version == "00" && !zero(trace) && !zero(span)).then(|| (*trace).to_owned())
}

fn hex(bytes: &[u8], count: usize) -> String {
    use std::fmt::Write as _;
    bytes.iter().take(count).fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn built(json: &str) -> Outgoing {
        let envelope = Envelope::read(json).unwrap();
        let (meta, url) = (envelope.meta.as_ref().unwrap(), envelope.message.url.parse().unwrap());
        build(&envelope, meta, url, &trace_id(meta.trace.as_deref(), &meta.id), 3)
    }

    fn header<'a>(request: &'a Outgoing, name: &str) -> Vec<&'a str> {
        request.headers.iter().filter(|(n, _)| is(n, name)).map(|(_, v)| v.as_str()).collect()
    }

    #[test]
    fn the_target_gets_what_the_contract_says() {
        let request = built(
            r#"{"subject":"a b/ñ~","message":{"url":"https://e.org/h?q=1","headers":{"X-A":"1"},"body":{ "a" : 1.0 }},
                "meta":{"id":"m-1","generation":2}}"#,
        );
        assert_eq!(request.method, "POST");
        assert_eq!(header(&request, "content-type"), ["application/json"]);
        assert_eq!(header(&request, "x-a"), ["1"]);
        assert_eq!(header(&request, "chaski-id"), ["m-1"]);
        assert_eq!(header(&request, "chaski-subject"), ["a%20b%2F%C3%B1~"]);
        assert_eq!(header(&request, "chaski-attempt"), ["3"]);
        assert_eq!(header(&request, "chaski-generation"), ["2"]);
        assert_eq!(header(&request, "idempotency-key"), ["m-1"]);
        assert!(header(&request, "user-agent")[0].starts_with("chaski/"));
        assert_eq!(header(&request, TRACEPARENT)[0].len(), 55);
        assert_eq!(request.body.read().now_or_never().unwrap().unwrap(), b"{ \"a\" : 1.0 }");
    }

    #[test]
    fn the_producer_s_own_headers_win_and_its_trace_is_continued() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let request = built(&format!(
            r#"{{"subject":"s","message":{{"url":"http://e.org","headers":{{"USER-AGENT":"mine","idempotency-key":"k",
                "tracestate":"a=b","traceparent":"{trace}","content-type":"text/x","Host":"evil","chaski-id":"forged"}},"body":[]}},
                "meta":{{"id":"m","trace":"{trace}"}}}}"#
        ));
        assert_eq!(header(&request, "user-agent"), ["mine"]);
        assert_eq!(header(&request, "idempotency-key"), ["k"]);
        assert_eq!(header(&request, "tracestate"), ["a=b"]);
        assert_eq!(header(&request, "content-type"), ["text/x"]);
        assert_eq!(header(&request, "chaski-id"), ["m"]);
        assert!(header(&request, "host").is_empty());
        let sent = header(&request, TRACEPARENT);
        assert_eq!(sent.len(), 1);
        assert!(sent[0].starts_with("00-0af7651916cd43dd8448eb211c80319c-") && sent[0].ends_with("-00"));
        assert_ne!(sent[0], trace);
    }

    #[test]
    fn bodies_go_as_they_are() {
        let body = |message: &str| {
            let request =
                built(&format!(r#"{{"subject":"s","message":{{"url":"http://e.org"{message}}},"meta":{{"id":"m"}}}}"#));
            let typed = !header(&request, "content-type").is_empty();
            (request.body.read().now_or_never().unwrap().unwrap(), typed)
        };
        assert_eq!(body(""), (vec![], false));
        assert_eq!(body(r#","body":null"#), (b"null".to_vec(), true));
        assert_eq!(body(r#","body":"tex\u0000t""#), (b"tex\0t".to_vec(), false));
        assert_eq!(body(r#","body_base64":"/wA=""#), (vec![0xff, 0], false));
    }

    #[test]
    fn a_request_is_signed_where_there_is_a_secret_for_its_target() {
        let file = r#"[[signing.hosts]]
            host = "crm.example"
            secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw""#;
        let signing = crate::settings::Settings::read(file, &|_| None).unwrap().signing;
        let sent = |host: &str| {
            // The producer's own, past the ingress, are not sent.
            let request = built(&format!(
                r#"{{"subject":"s","message":{{"url":"http://{host}:81/","headers":{{"Webhook-Signature":"v1,forged"}},
                    "body":{{"test": 2432232314}}}},"meta":{{"id":"msg_p5jXN8AQM9LWM0D4loKWxJek"}}}}"#
            ));
            let at = Timestamp::from_millis(1_614_265_330_999);
            let request = signed(request, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, &signing);
            WEBHOOK.map(|name| header(&request, name).join("; "))
        };
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sent("crm.example"), ["msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature]);
        assert_eq!(sent("other.example"), ["", "", ""]);
    }
}
