//! Which headers a producer may set, and what stands in the others' place.

use crate::limits;

/// Names that no producer may set: they are hop-by-hop, the connection's, or say who forwarded.
const RESERVED: [&str; 12] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
    "forwarded",
    "via",
    "http2-settings",
];

/// Beginnings of names that no producer may set: proxies', the platform's, and our own.
const RESERVED_PREFIXES: [&str; 6] = ["proxy-", "x-forwarded-", "x-amz-", "x-amzn-", "webhook-", "chaski-"];

/// What is wrong with a header, for a person; `true` beside it when it is only too large.
pub type HeaderMistake = (String, bool);

/// Whether a producer may not set a header of that name, in any case.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a name is a token of RFC 9110: no space, no colon, not empty.
#[must_use]
pub fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether a value can stand in a header: no control character but the tab, which rules CR, LF and NUL out.
#[must_use]
pub fn is_value(value: &str) -> bool {
    value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

/// Checks one header of a producer.
///
/// # Errors
/// The first thing that is wrong with it. The value is never repeated: it may be a credential.
pub fn check(name: &str, value: &str) -> Result<(), HeaderMistake> {
    if !is_token(name) {
        return Err(("is not a header name: letters, digits and !#$%&'*+-.^_`|~ only".to_owned(), false));
    }
    if name.len() > limits::HEADER_NAME_BYTES {
        return Err((format!("has a name over {} bytes", limits::HEADER_NAME_BYTES), true));
    }
    if is_reserved(name) {
        return Err(("is set by the connection, a proxy or Chaski, never by a producer".to_owned(), false));
    }
    if value.len() > limits::HEADER_VALUE_BYTES {
        return Err((format!("has a value over {} bytes", limits::HEADER_VALUE_BYTES), true));
    }
    if !is_value(value) {
        return Err(("has a control character in its value".to_owned(), false));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_refused_in_any_case() {
        for name in RESERVED.iter().copied().chain(["Host", "Proxy-Authorization", "X-Forwarded-For", "x-amz-date"]) {
            assert!(check(name, "v").is_err(), "{name}");
        }
        for name in ["X-A", "authorization", "user-agent", "idempotency-key", "traceparent", "x-amount"] {
            assert!(check(name, "v").is_ok(), "{name}");
        }
    }

    #[test]
    fn names_and_values_end_at_their_limits() {
        let long = |n| "n".repeat(n);
        assert!(check(&long(limits::HEADER_NAME_BYTES), "").is_ok());
        assert_eq!(check(&long(limits::HEADER_NAME_BYTES + 1), "").map_err(|e| e.1), Err(true));
        assert!(check("n", &long(limits::HEADER_VALUE_BYTES)).is_ok());
        assert_eq!(check("n", &long(limits::HEADER_VALUE_BYTES + 1)).map_err(|e| e.1), Err(true));
        for (name, value) in
            [("", "v"), ("a b", "v"), ("a:", "v"), ("ñ", "v"), ("a", "x\r\ny"), ("a", "\0"), ("a", "\u{7f}")]
        {
            assert!(check(name, value).is_err(), "{name:?} {value:?}");
        }
        assert!(check("a", "tab\tand ñ").is_ok());
    }
}
