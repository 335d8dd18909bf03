//! Where AWS has a service.

/// The service's own address in a region: `https://s3.eu-west-1.amazonaws.com`. In China AWS has a domain of its own.
#[must_use]
pub fn endpoint(service: &str, region: &str) -> String {
    format!("https://{}", host(service, region))
}

/// The same without a scheme.
pub(crate) fn host(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("{service}.{region}.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn china_has_a_domain_of_its_own() {
        assert_eq!(endpoint("s3", "eu-west-1"), "https://s3.eu-west-1.amazonaws.com");
        assert_eq!(endpoint("dynamodb", "cn-north-1"), "https://dynamodb.cn-north-1.amazonaws.com.cn");
    }
}
