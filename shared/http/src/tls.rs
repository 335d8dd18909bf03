//! Whom to trust, and how to encrypt: rustls with ring.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Certificate authorities that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// The text holds no certificate in PEM.
    #[error("there is no certificate in it (PEM, BEGIN CERTIFICATE)")]
    None,
    /// One of the certificates can't be read.
    #[error("a certificate can't be read: {0}")]
    Unreadable(String),
}

/// The certificate authorities that are trusted besides Mozilla's.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    extra: Option<RootCertStore>,
}

impl Roots {
    pub(crate) fn add(&mut self, pem: &str) -> Result<(), RootsError> {
        let unreadable = |error: &dyn std::fmt::Display| RootsError::Unreadable(error.to_string());
        let mut store = self.extra.take().unwrap_or_else(RootCertStore::empty);
        let before = store.len();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            store.add(certificate).map_err(|error| unreadable(&error))?;
        }
        if store.len() == before {
            return Err(RootsError::None);
        }
        self.extra = Some(store);
        Ok(())
    }

    /// The configuration of a client. Mozilla's list is compiled in: to read the system's folder, file by file,
    /// takes longer than all the rest of a function's start.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.roots.extend(self.extra.iter().flat_map(|extra| extra.roots.iter().cloned()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
