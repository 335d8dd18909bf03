//! Goal: signatures are AWS's, to the last digit. Method: the examples that AWS publishes for S3 ("Signature
//! calculations for the Authorization header: transferring payload in a single chunk", and the one for query
//! parameters), whose time and credentials they share.

use super::*;

/// 2013-05-24, 00:00 UTC.
const THEN: Duration = Duration::from_secs(1_369_353_600);
const BUCKET: &str = "https://examplebucket.s3.amazonaws.com";

fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + THEN
}

fn signer(service: &'static str, token: Option<&str>) -> Signer {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, token.map(str::to_owned), None, "test");
    Signer::new(credentials, "us-east-1".to_owned(), service)
}

fn request(method: &str, address: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn signature(request: &Request<()>) -> &str {
    let header = request.headers()["authorization"].to_str().unwrap();
    header.rsplit_once("Signature=").unwrap().1
}

#[test]
fn aws_s_examples_of_s3_have_aws_s_signatures() {
    let put = [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
    for (method, path, headers, body, expected) in [
        (
            "GET",
            "/test.txt",
            &[("range", "bytes=0-9")][..],
            "",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            &put,
            "Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        ("GET", "/?lifecycle", &[], "", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("GET", "/?max-keys=2&prefix=J", &[], "", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ] {
        let mut request = request(method, &format!("{BUCKET}{path}"), headers);
        signer(S3, None).sign(&mut request, body.as_bytes(), then()).unwrap();
        assert_eq!(signature(&request), expected, "{method} {path}");
    }
}

#[test]
fn aws_s_example_of_an_address_has_aws_s_signature() {
    let mut request = request("GET", &format!("{BUCKET}/test.txt"), &[]);
    signer(S3, None).presign(&mut request, Duration::from_secs(86_400), then()).unwrap();
    let address = request.uri().to_string();
    let expected = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
                    &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
                    &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                    &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let sorted = |address: &str| {
        let (place, query) = address.split_once('?').unwrap();
        let mut query: Vec<String> = query.split('&').map(str::to_owned).collect();
        query.sort();
        (place.to_owned(), query)
    };
    assert_eq!(sorted(&address), sorted(expected));
}

#[test]
fn a_signature_covers_the_service_the_host_and_the_body() {
    let sign = |service, host: &str, body: &str| {
        let mut request = request("POST", "https://a.example.org:8443/messages?a=1", &[("host", host)]);
        signer(service, None).sign(&mut request, body.as_bytes(), then()).unwrap();
        assert!(!format!("{request:?}").contains("AWS4-HMAC"), "a signature does not print");
        signature(&request).to_owned()
    };
    let one = sign("execute-api", "a.example.org:8443", "{}");
    assert_eq!(one, sign("execute-api", "a.example.org:8443", "{}"));
    assert_ne!(one, sign("execute-api", "a.example.org:8443", "{ }"));
    assert_ne!(one, sign("execute-api", "b.example.org:8443", "{}"));
    assert_ne!(one, sign("scheduler", "a.example.org:8443", "{}"));
}

#[test]
fn a_session_of_a_role_shows_its_token_and_nothing_prints() {
    let mut by_header = request("GET", &format!("{BUCKET}/x"), &[]);
    let signer = signer(S3, Some("token"));
    signer.sign(&mut by_header, b"", then()).unwrap();
    assert_eq!(by_header.headers()["x-amz-security-token"], "token");
    assert!(by_header.headers()["authorization"].to_str().unwrap().contains("x-amz-security-token"));
    let mut by_address = request("PUT", &format!("{BUCKET}/x"), &[]);
    signer.presign(&mut by_address, Duration::from_secs(60), then()).unwrap();
    assert!(by_address.uri().query().unwrap().contains("X-Amz-Security-Token=token"));
    assert!(!format!("{signer:?}").contains("wJalr"));
}
