//! HTTPS by setting, and what is said of wrong settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chaski_serve::{Order, Patience, ServeError};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::{Caller, Host, in_time, request};

/// Writes a new certificate and its key to a folder.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

fn settings(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    format!("[tls]\ncert = {:?}\nkey = {:?}", path("cert.pem"), path("key.pem"))
}

/// A caller who trusts this certificate and no other.
async fn trusting(host: &Host, certificate: &CertificateDer<'static>) -> std::io::Result<Caller<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(host.ready.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(Caller::new)
}

#[tokio::test]
async fn https_is_spoken_and_a_new_certificate_is_taken_without_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let host = Host::start(folder.path(), &settings(folder.path()), Patience::default()).await.unwrap();
    assert!(host.ready.url().starts_with("https://"));
    let mut old = trusting(&host, &first).await.unwrap();
    old.say(&request("GET", "/health", "")).await;
    assert_eq!(old.answer().await.unwrap().status, 200);

    std::fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    host.order(Order::ReadCertificate).await;
    host.followed().await;
    trusting(&host, &first).await.expect("the old one stays while the new one is wrong");
    let second = certify(folder.path());
    host.order(Order::ReadCertificate).await;
    let mut new = in_time(async {
        loop {
            if let Ok(caller) = trusting(&host, &second).await {
                return caller;
            }
        }
    })
    .await;
    for caller in [&mut old, &mut new] {
        caller.say(&request("GET", "/health", "")).await;
        assert_eq!(caller.answer().await.unwrap().status, 200);
    }
    assert!(trusting(&host, &first).await.is_err());
}

#[tokio::test]
async fn who_does_not_shake_hands_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certify(folder.path());
    let patience = Patience { handshake: Duration::from_millis(200), ..Patience::default() };
    let host = Host::start(folder.path(), &settings(folder.path()), patience).await.unwrap();
    let (mut silent, mut plain) = (host.caller().await, host.caller().await);
    plain.say(&request("GET", "/health", "")).await;
    assert!(silent.is_hung_up_on().await);
    // What the library says of that is a record of TLS, and no answer.
    assert!(!plain.hear_out().await.starts_with(b"HTTP"));
    trusting(&host, &certificate).await.unwrap();
}

#[tokio::test]
async fn a_wrong_file_is_named_by_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let refused = async |text: &str| {
        let host = Host::start(folder.path(), &settings(folder.path()), Patience::default()).await;
        match host {
            Err(ServeError::Tls(setting, detail)) => assert_eq!(setting, text, "{detail}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it started"),
        }
    };
    refused("tls.cert").await;
    certify(folder.path());
    std::fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    refused("tls.cert").await;
    certify(folder.path());
    std::fs::remove_file(folder.path().join("key.pem")).unwrap();
    refused("tls.key").await;
    certify(folder.path());
    let key = std::fs::read(folder.path().join("key.pem")).unwrap();
    certify(folder.path());
    std::fs::write(folder.path().join("key.pem"), key).unwrap();
    refused("tls.key").await;
}

#[tokio::test]
async fn a_port_in_use_is_named_by_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = format!("listen = \"{address}\"\ndata = {:?}", folder.path().join("store").display().to_string());
    let settings = chaski_core::settings::Settings::read(&file, &|_| None).unwrap();
    let (_orders, taken_by) = tokio::sync::mpsc::channel(1);
    let ended = chaski_serve::run_with(Arc::new(settings), Patience::default(), taken_by, |_| panic!("it is ready"));
    let words = ended.await.unwrap_err().to_string();
    assert!(words.starts_with(&format!("listen: {address}: ")), "{words}");
    assert!(!folder.path().join("store").exists(), "nothing is made for a start that can't be");
}
