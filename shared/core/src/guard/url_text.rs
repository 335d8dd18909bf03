//! What a target's URL may look like, before anyone asks where it leads.

use url::{Host, Url};

use super::rule::is_name;

/// Why a text is no target's URL. Reads on from "the url": `must begin with http:// or https://`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(String);

/// Reads the URL of a target.
///
/// The parser is kind to people who type: it drops tabs and line ends, reads a backslash as a slash and
/// jumps over slashes without a host. What a person then sees in the text is not where the request goes, so the
/// raw text must have none of it. Its length is a limit of the envelope and not looked at here.
///
/// # Errors
/// The first thing that is wrong, for a person.
pub fn check_url_text(raw: &str) -> Result<Url, UrlError> {
    let wrong = |detail: &str| Err(UrlError(detail.to_owned()));
    if raw.chars().any(char::is_control) {
        return wrong("must not hold control characters");
    }
    if raw.chars().any(char::is_whitespace) {
        return wrong("must not hold white space");
    }
    if raw.contains('\\') {
        return wrong("must not hold a backslash");
    }
    let Some(rest) = ["http://", "https://"].iter().find_map(|scheme| after(raw, scheme)) else {
        return wrong("must begin with http:// or https://");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return wrong("must name a host");
    }
    if authority.contains('@') {
        return wrong("must not hold a user name or a password");
    }
    let url = Url::parse(raw).map_err(|error| UrlError(format!("can't be read: {error}")))?;
    check_url(&url)?;
    Ok(url)
}

/// Looks at a URL that was read before: whether a target may have it.
///
/// # Errors
/// The first thing that is wrong, for a person.
pub fn check_url(url: &Url) -> Result<(), UrlError> {
    let wrong = |detail: &str| Err(UrlError(detail.to_owned()));
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("must not hold a user name or a password");
    }
    if url.port() == Some(0) {
        return wrong("must not have the port 0");
    }
    match url.host() {
        Some(Host::Domain(name)) if !is_name(name) => wrong("has a host that is no name"),
        Some(_) => Ok(()),
        None => wrong("must name a host"),
    }
}

/// What follows the scheme, whose case does not count.
fn after<'a>(raw: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = raw.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}
