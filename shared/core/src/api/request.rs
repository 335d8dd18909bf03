//! A request and an answer as values.

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// As it came, without the `?`; empty for none.
    pub query: String,
    /// Names in lower case. HTTP/2's `:authority` stands here as `host`.
    pub headers: Vec<(String, String)>,
    /// As it came; never decompressed.
    pub body: Vec<u8>,
    /// Whether the platform has authenticated the caller (IAM), which counts when no producers are configured.
    pub platform_caller: bool,
    /// The platform's id of the request, where the caller names none.
    pub platform_id: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, or the metrics' text. To HEAD it is that of GET, which a server counts and does not send.
    pub body: String,
}

/// A caller's own request id is given back if it is at most this long and visible ASCII.
const REQUEST_ID_CHARS: usize = 128;

impl Request {
    /// The first value of a header; the name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a header; the name in lower case.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The caller's own request id, or the platform's.
    #[must_use]
    pub fn id(&self) -> &str {
        let legal =
            |id: &&str| !id.is_empty() && id.len() <= REQUEST_ID_CHARS && id.bytes().all(|b| b.is_ascii_graphic());
        self.header("x-request-id").filter(legal).unwrap_or(&self.platform_id)
    }
}
