//! A target as people see it: without what may be secret.

use url::Url;

/// A target as it stands in logs, lists and metrics: scheme, host, port and path; and its host.
#[must_use]
pub fn shown_target(raw: &str) -> Option<(String, String)> {
    let mut url = Url::parse(raw).ok()?;
    let host = url.host_str()?.to_owned();
    url.set_query(None);
    url.set_fragment(None);
    // These two can fail only for urls without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some((url.to_string(), host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_target_has_no_secrets() {
        let shown = shown_target("https://user:pw@e.org:8443/a/b?token=x#frag").unwrap();
        assert_eq!(shown, ("https://e.org:8443/a/b".to_owned(), "e.org".to_owned()));
    }
}
