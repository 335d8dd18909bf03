//! Which servers to trust, and how to encrypt: rustls with ring.

use std::env;
use std::error::Error;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::ClientError;

/// As other programs name it. Unlike there the certificates are trusted besides the well-known ones.
const EXTRA: &str = "SSL_CERT_FILE";

/// Trusts Mozilla's list, and what `SSL_CERT_FILE` holds.
pub(super) fn config() -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = env::var_os(EXTRA).filter(|path| !path.is_empty()) {
        let wrong = |error: &dyn Error| ClientError::Unusable(format!("{EXTRA}, {}: {error}", path.display()));
        for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| wrong(&error))? {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Unusable(format!("TLS can't be set up: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Whether a call failed because of the server's certificate.
pub(super) fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        // An I/O error's source is that of the error in it, which would be skipped.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    false
}
