//! Takes credentials out of what is kept of a target's answer: a target may echo what it was sent.

/// Headers whose values are credentials.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "x-api-key", "api-key"];

/// Words in a header's name that make its value one.
const WORDS: [&str; 4] = ["token", "secret", "password", "signature"];

/// What stands in their place.
const MASK: &[u8] = b"***";

/// Shorter values are no secrets, and too likely to be found by chance.
const SHORTEST: usize = 6;

/// Whether a header of that name carries a credential.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.contains(&name.as_str()) || WORDS.iter().any(|word| name.contains(word))
}

/// The body without the credentials that the request carried, neither whole nor without their scheme.
#[must_use]
pub fn answer(body: &[u8], request_headers: &[(String, String)]) -> Vec<u8> {
    let mut body = body.to_vec();
    for (_, value) in request_headers.iter().filter(|(name, _)| is_credential(name)) {
        let bare = value.split_once(' ').map_or("", |(_, bare)| bare.trim());
        for secret in [value.as_str(), bare] {
            if secret.len() >= SHORTEST {
                body = masked(&body, secret.as_bytes());
            }
        }
    }
    body
}

fn masked(body: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(secret) {
            kept.extend_from_slice(MASK);
            rest = after;
        } else {
            kept.push(*first);
            rest = tail;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echoed_credential_is_masked_and_nothing_else() {
        let headers = [("Authorization", "Bearer marker-1"), ("X-Access-Token", "marker-2"), ("X-A", "marker-3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = answer(b"{\"you\":\"Bearer marker-1\",\"also\":\"marker-1 marker-2 marker-3\"}", &headers);
        assert_eq!(body, b"{\"you\":\"***\",\"also\":\"*** *** marker-3\"}");
    }
}
