//! Serving HTTPS: certificates from files, read again on SIGHUP.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use chaski_core::settings::TlsSettings;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::error::ServeError;

/// The certificate in use, which may be changed while connections are served.
pub(crate) struct Certificate {
    settings: TlsSettings,
    current: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is wrong, by its setting.
    pub(crate) fn read(settings: &TlsSettings) -> Result<Arc<Self>, ServeError> {
        let current = RwLock::new(Arc::new(certified(settings)?));
        Ok(Arc::new(Self { settings: settings.clone(), current }))
    }

    /// Reads the files again; after an error the old certificate stays.
    ///
    /// # Errors
    /// Which file is wrong, by its setting.
    pub(crate) fn read_again(&self) -> Result<(), ServeError> {
        let fresh = Arc::new(certified(&self.settings)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What accepts connections with it: TLS 1.2 and 1.3, HTTP/1.1.
    ///
    /// # Errors
    /// The library has no protocol version in common with its own provider.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, ServeError> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ServeError::Tls("tls.cert", error.to_string()))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn certified(settings: &TlsSettings) -> Result<CertifiedKey, ServeError> {
    let wrong = |setting: &'static str, path: &Path, detail: &dyn fmt::Display| {
        ServeError::Tls(setting, format!("{}: {detail}", path.display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&settings.cert)
        .and_then(Iterator::collect)
        .map_err(|error| wrong("tls.cert", &settings.cert, &error))?;
    if chain.is_empty() {
        return Err(wrong("tls.cert", &settings.cert, &"holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&settings.key).map_err(|error| wrong("tls.key", &settings.key, &error))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| wrong("tls.key", &settings.key, &error))
}
