//! A target as people see it: without what may be secret.

use url::{Position, Url};

/// A target as it stands in logs, lists and metrics: scheme, host, port and path; and its host.
#[must_use]
pub fn shown_target(url: &Url) -> Option<(String, String)> {
    // With or without the root's dot it is one host.
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host).to_owned();
    Some(([&url[..Position::BeforeUsername], &url[Position::BeforeHost..Position::AfterPath]].concat(), host))
}

/// The same of a text; none where it is no URL with a host.
#[must_use]
pub fn shown_target_of(raw: &str) -> Option<(String, String)> {
    shown_target(&Url::parse(raw).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_target_has_no_secrets() {
        for raw in [
            "https://user:pw@e.org:8443/a/b?token=x#frag",
            "https://user@e.org:8443/a/b#frag",
            "https://:pw@e.org:8443/a/b?token=x",
            "https://e.org:8443/a/b",
        ] {
            assert_eq!(shown_target_of(raw), Some(("https://e.org:8443/a/b".to_owned(), "e.org".to_owned())), "{raw}");
        }
        assert_eq!(shown_target_of("mailto:a@e.org"), None);
    }
}
