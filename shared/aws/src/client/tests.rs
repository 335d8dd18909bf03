//! Goal: a call goes over TLS to whom the bundle vouches for, and to nobody else.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::transport::tests::converse;

/// A file that is removed with it.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str, pem: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chaski-aws-{}-{name}.pem", std::process::id()));
        std::fs::write(&path, pem).unwrap();
        Self(path)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A new root: its PEM, and a server's configuration with a certificate of `localhost` that it signed.
fn root() -> (String, ServerConfig) {
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = Issuer::new(root, root_key);
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap());
    (pem, config.unwrap())
}

async fn serve(tls: ServerConfig) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let tls = TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move { converse(tls.accept(stream).await?, r#"{"MessageId":"m"}"#).await });
        }
    });
    endpoint
}

fn clients(endpoint: &str, bundle: Option<&Bundle>) -> Result<Clients, ClientError> {
    let bundle = bundle.map(|bundle| bundle.0.display().to_string());
    let settings = AwsSettings::read(|name| match name {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        "AWS_ENDPOINT_URL" => Some(endpoint.to_owned()),
        "AWS_CA_BUNDLE" => bundle.clone(),
        _ => None,
    });
    Clients::new(settings.unwrap())
}

async fn send(clients: &Clients) -> Result<(), String> {
    let call = clients.sqs().send_message().queue_url("https://sqs.test/0/q.fifo").message_body("x");
    let call = call.message_group_id("g").message_deduplication_id("d");
    call.send().await.map(|_| ()).map_err(|error| crate::failure::describe(&error))
}

#[tokio::test]
async fn the_bundles_root_is_trusted_and_replaces_all_others() {
    let (pem, tls) = root();
    let endpoint = serve(tls).await;
    let bundle = Bundle::new("trusted", &pem);
    let trusting = clients(&endpoint, Some(&bundle)).unwrap();
    for _ in 0..3 {
        send(&trusting).await.unwrap();
    }
    let other = Bundle::new("other", &root().0);
    for doubting in [clients(&endpoint, Some(&other)).unwrap(), clients(&endpoint, None).unwrap()] {
        let error = send(&doubting).await.unwrap_err();
        assert!(error.contains("invalid peer certificate"), "{error}");
    }
}

#[test]
fn a_bundle_that_cannot_be_used_is_told() {
    let none = Bundle(PathBuf::from("/nowhere/ca.pem"));
    let error = clients("https://localhost:1", Some(&none)).unwrap_err().to_string();
    assert!(error.starts_with("AWS_CA_BUNDLE (/nowhere/ca.pem): "), "{error}");
    let empty = Bundle::new("empty", "no certificate here\n");
    let error = clients("https://localhost:1", Some(&empty)).unwrap_err().to_string();
    assert!(error.ends_with("holds no certificate"), "{error}");
    let broken = Bundle::new("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(clients("https://localhost:1", Some(&broken)).is_err());
}
