//! Where an object is.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::place;

/// What stands as it is in a path that is signed: RFC 3986's unreserved characters, and the slash between two parts.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A bucket's address.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// Up to the key, with a slash at its end.
    base: String,
    bucket: String,
}

impl Address {
    /// AWS's own addresses have the bucket in the host; behind an endpoint of one's own, and for a bucket with a dot
    /// in its name, which no certificate of AWS covers, it stands in the path.
    pub(super) fn new(endpoint: Option<&str>, region: &str, bucket: &str) -> Self {
        let own = place::host("s3", region);
        let base = match endpoint {
            Some(endpoint) => format!("{}/{bucket}/", endpoint.trim_end_matches('/')),
            None if bucket.contains('.') => format!("https://{own}/{bucket}/"),
            None => format!("https://{bucket}.{own}/"),
        };
        Self { base, bucket: bucket.to_owned() }
    }

    /// The whole address of an object.
    pub(super) fn object(&self, key: &str) -> String {
        format!("{}{}", self.base, utf8_percent_encode(key, KEY))
    }

    /// An object as the source of a copy.
    pub(super) fn source(&self, key: &str) -> String {
        format!("/{}/{}", self.bucket, utf8_percent_encode(key, KEY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_stands_in_the_host_or_in_the_path() {
        for (endpoint, bucket, expected) in [
            (None, "bodies", "https://bodies.s3.eu-west-1.amazonaws.com/live/a%20b%3Fc"),
            (None, "our.bodies", "https://s3.eu-west-1.amazonaws.com/our.bodies/live/a%20b%3Fc"),
            (Some("http://127.0.0.1:4576/"), "bodies", "http://127.0.0.1:4576/bodies/live/a%20b%3Fc"),
        ] {
            assert_eq!(Address::new(endpoint, "eu-west-1", bucket).object("live/a b?c"), expected);
        }
        assert_eq!(Address::new(None, "x", "bodies").source("live/ü"), "/bodies/live/%C3%BC");
    }
}
