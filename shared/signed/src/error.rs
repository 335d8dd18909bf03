//! Why a call was not answered as hoped.

/// How much of a service's words is kept, in characters.
const WORDS: usize = 300;

/// Why a call did not do what it was for. Holds no credential, no signature and no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// No answer in time, or the service's own failure, after all tries: the same call may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// The service says no, and would say it again.
    #[error("{code}: {words} (status {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's code, `NoSuchKey`; `no code` where there is none.
        code: String,
        /// The service's words.
        words: String,
    },
}

impl SignedError {
    /// Of an answer that is no success: XML (S3) or JSON.
    pub(crate) fn of_answer(status: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let (code, words) = read_json(&text).unwrap_or_else(|| (tag(&text, "Code"), tag(&text, "Message")));
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        let (code, words) = (or(code, "no code"), or(words.chars().take(WORDS).collect(), "no words"));
        if status >= 500 || status == 429 || may_pass(&code) {
            Self::Unavailable(format!("{code}: {words} (status {status})"))
        } else {
            Self::Refused { status, code, words }
        }
    }

    /// Whether the service says that what the call was on the condition of is not so.
    pub(crate) fn is_unmet(&self) -> bool {
        matches!(self, Self::Refused { status: 412, .. })
    }

    /// Whether the service says that there is no such object.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status: 404, code, .. } if code == "NoSuchKey")
    }
}

/// The codes that come with a status of 4xx and blame nobody.
fn may_pass(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "RequestTimeout"
            | "LimitExceededException"
            | "SlowDown"
            | "ConditionalRequestConflict"
    )
}

fn read_json(text: &str) -> Option<(String, String)> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let word = |name: &str| value.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let code = [word("__type"), word("Code")].into_iter().find(|code| !code.is_empty()).unwrap_or_default();
    let words = [word("message"), word("Message")].into_iter().find(|words| !words.is_empty()).unwrap_or_default();
    Some((code.rsplit('#').next().unwrap_or(code).to_owned(), words.to_owned()))
}

/// The text of the first element of that name. S3's errors are one flat element, and their texts are for a person.
fn tag(text: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inner = text.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    inner.map(|(inner, _)| inner.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_error_are_read_and_judged() {
        let xml = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>no such key</Message><Key>secret</Key></Error>";
        let absent = SignedError::of_answer(404, xml.as_bytes());
        assert_eq!(absent.to_string(), "NoSuchKey: no such key (status 404)");
        assert!(absent.is_absent());
        let json = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no table"}"#;
        let refused = SignedError::of_answer(400, json.as_bytes());
        assert_eq!(refused.to_string(), "ResourceNotFoundException: no table (status 400)");
        assert!(!refused.is_absent());
    }

    #[test]
    fn what_may_pass_is_told_from_what_does_not() {
        let throttled = br#"{"__type":"x#ProvisionedThroughputExceededException","message":"slower"}"#;
        for (status, body) in
            [(500, &b""[..]), (503, b"<Error><Code>SlowDown</Code></Error>"), (429, b""), (400, throttled)]
        {
            assert!(matches!(SignedError::of_answer(status, body), SignedError::Unavailable(_)), "{status}");
        }
        for (status, body) in [(403, &b"<Error><Code>AccessDenied</Code></Error>"[..]), (404, b""), (301, b"")] {
            assert!(matches!(SignedError::of_answer(status, body), SignedError::Refused { .. }), "{status}");
        }
    }
}
