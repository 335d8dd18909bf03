//! SQS and DynamoDB as far as the functions call them: TLS with a root of its own, and every call succeeds.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use bytes::Bytes;
use hyper::Request;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, crypto};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::serve::{Answer, Service, answer, serve};

#[derive(Default)]
struct Stub(AtomicU64);

/// The running stub.
pub(crate) struct AwsStub {
    /// Where it listens; the certificate is for `localhost`.
    pub(crate) address: SocketAddr,
    /// The PEM file with its root.
    pub(crate) ca_bundle: PathBuf,
    stub: Arc<Stub>,
}

impl AwsStub {
    /// Starts it, and writes its root into the folder.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let (tls, root) = certificates()?;
        let ca_bundle = folder.join("root.pem");
        std::fs::write(&ca_bundle, root).with_context(|| format!("{} can't be written", ca_bundle.display()))?;
        let stub = Arc::<Stub>::default();
        let tls = TlsAcceptor::from(Arc::new(tls));
        Ok(Self { address: serve(Arc::clone(&stub), Some(tls)).await?, ca_bundle, stub })
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.stub.0.load(Ordering::Relaxed)
    }
}

impl Service for Stub {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let told = match operation {
            "SendMessage" => {
                json!({"MessageId": "m", "MD5OfMessageBody": "x", "SequenceNumber": "18849496460467696128"})
            }
            "SendMessageBatch" | "ChangeMessageVisibilityBatch" => {
                let entries = body.get("Entries").and_then(Value::as_array).cloned().unwrap_or_default();
                let taken = entries
                    .iter()
                    .map(|entry| json!({"Id": entry.get("Id"), "MessageId": "m", "MD5OfMessageBody": "x"}));
                json!({"Successful": taken.collect::<Vec<_>>(), "Failed": []})
            }
            _ => json!({}),
        };
        self.0.fetch_add(1, Ordering::Relaxed);
        answer(200, told.to_string())
    }
}

/// A root, and a certificate of `localhost` that it signed, as AWS has: two steps of a chain.
fn certificates() -> anyhow::Result<(ServerConfig, String)> {
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key)?;
    let key = KeyPair::generate()?;
    let issuer = Issuer::new(root, root_key);
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| anyhow::anyhow!(error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((config, root_certificate.pem()))
}
