//! Goal: only a target that proves its name is talked to, and a handshake can't hold an attempt. Method: certificates
//! made by the test, and targets that speak TLS or only seem to.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

mod common;

use std::sync::Arc;

use chaski_core::ports::CallError;
use chaski_http::{HttpTarget, RootsError};
use common::{
    AMPLE, DEADLINE, Hostile, Names, Peer, TestClock, attempt, client, guard, is_connection, is_timeout, post, target,
};
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const NAME: &str = "target.example";

/// A certificate that signs itself, in PEM, and a target that shows it.
struct Secure {
    pem: String,
    target: Hostile,
}

impl Secure {
    fn new(name: &str, last_year: i32) -> Self {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // By its subject a certificate's issuer is found: two of one subject are one issuer with a bad signature.
        params.distinguished_name.push(DnType::CommonName, format!("{name} {last_year}"));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let config = server_config(certificate.der().clone(), key.serialize_der());
        let target = target(move |peer| serve(peer, Arc::clone(&config)));
        Self { pem: certificate.pem(), target }
    }

    fn url(&self) -> String {
        format!("https://{NAME}:{}/", self.target.address.port())
    }
}

fn server_config(certificate: CertificateDer<'static>, key: Vec<u8>) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key)));
    let mut config = config.unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Answers each request of the connection with the protocol that both agreed on.
fn serve(peer: Peer, config: Arc<ServerConfig>) {
    use std::io::{Read as _, Write as _};
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), peer.stream);
    let (mut read, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).is_ok_and(|count| count > 0) {
        read.push(byte[0]);
        if read.ends_with(b"\r\n\r\nx") {
            read.clear();
            let agreed = String::from_utf8_lossy(stream.conn.alpn_protocol().unwrap_or(b"none")).into_owned();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{agreed}", agreed.len());
            let _ = stream.flush();
        }
    }
}

fn trusting(pem: &str) -> HttpTarget {
    HttpTarget::new(guard(&["127.0.0.1"]), TestClock::new())
        .with_lookup(Arc::new(Names(|_: &str| vec!["127.0.0.1"])))
        .with_roots(pem)
        .unwrap()
}

#[tokio::test]
async fn a_certificate_that_is_trusted_and_names_the_host_passes() {
    let secure = Secure::new(NAME, 2120);
    let client = trusting(&secure.pem);
    for _ in 0..3 {
        let answer = attempt(&client, post(&secure.url(), "x"), AMPLE).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"http/1.1".as_slice()));
    }
    assert_eq!(secure.target.tally.connections(), 1);
}

#[tokio::test]
async fn unknown_wrong_and_expired_certificates_are_of_the_class_connection() {
    let (good, wrong, expired) = (Secure::new(NAME, 2120), Secure::new("other.example", 2120), Secure::new(NAME, 2021));
    for (what, client, secure, word) in [
        ("unknown", trusting(&wrong.pem), &good, "UnknownIssuer"),
        ("wrong name", trusting(&wrong.pem), &wrong, "not valid for name"),
        ("expired", trusting(&expired.pem), &expired, "expired"),
    ] {
        let result = attempt(&client, post(&secure.url(), "x"), AMPLE).await;
        let Err(CallError::Connection(text)) = &result else { panic!("{what}: {result:?}") };
        assert!(text.contains("certificate") && text.contains(word), "{what}: {text}");
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_is_a_timeout() {
    let stalled = target(|mut peer| peer.until_closed());
    let result = attempt(&client(), post(&format!("https://{}/", stalled.address), "x"), DEADLINE).await;
    assert!(is_timeout(&result), "{result:?}");
}

#[tokio::test]
async fn a_target_that_speaks_no_tls_is_of_the_class_connection() {
    for said in ["HTTP/1.1 400 Bad Request\r\n\r\n", "\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}", ""] {
        let plain = target(move |mut peer| {
            peer.say(said);
        });
        let result = attempt(&client(), post(&format!("https://{}/", plain.address), "x"), AMPLE).await;
        assert!(is_connection(&result), "{said:?}: {result:?}");
    }
}

#[test]
fn roots_that_can_t_be_read_are_an_error() {
    let roots = |pem: &str| HttpTarget::new(guard(&[]), TestClock::new()).with_roots(pem).err();
    assert_eq!(roots(""), Some(RootsError::None));
    assert_eq!(roots("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), Some(RootsError::None));
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(roots(garbage), Some(RootsError::Unreadable(_))));
}
