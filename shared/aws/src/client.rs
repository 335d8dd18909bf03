//! The clients of AWS's services, made by hand: without the SDK's loader of profiles and metadata.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sqs::config::Region;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto};

use crate::settings::AwsSettings;
use crate::transport::Transport;

/// One try of a call, connecting included.
const ATTEMPT: Duration = Duration::from_millis(2_500);
/// Tries of a call. With the pauses between them three end in 8 s.
const ATTEMPTS: u32 = 3;
/// The first pause at most; the second is up to twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, should the service ask for one.
const PAUSE_MAX: Duration = Duration::from_millis(400);
/// A whole call. An acceptance must be answered within 10 s, and a settlement within nine.
pub const CALL: Duration = Duration::from_millis(8_500);

/// Why there are no clients.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of `AWS_CA_BUNDLE` can't be read, or holds no certificate.
    #[error("AWS_CA_BUNDLE ({path}): {reason}")]
    CaBundle {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS can't be set up as it is compiled in.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The configuration that all services share; each SDK has a builder of its own, of the same shape.
/// The credentials are constants, so nothing is gained by caching them.
#[macro_export]
macro_rules! tuned {
    ($sdk:ident, $credentials:expr, $region:expr, $http:expr) => {
        $sdk::Config::builder()
            .region($region)
            .credentials_provider($credentials.clone())
            .identity_cache($sdk::config::IdentityCache::no_cache())
            .http_client($http)
            .retry_config($crate::retries())
            .timeout_config($crate::timeouts())
            .stalled_stream_protection($sdk::config::StalledStreamProtectionConfig::disabled())
    };
}

/// Makes the clients, which share their connections.
#[derive(Debug)]
pub struct Clients {
    settings: AwsSettings,
    transport: Transport,
}

impl Clients {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The CA bundle can't be used.
    pub fn new(settings: AwsSettings) -> Result<Self, ClientError> {
        let roots = settings.ca_bundle.as_deref().map_or_else(|| Ok(compiled_in()), bundle)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { settings, transport: Transport::new(tls) })
    }

    /// A client of SQS.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let mut config = tuned!(aws_sdk_sqs, &self.settings.credentials, self.region(), self.transport.clone());
        config.set_endpoint_url(self.settings.sqs_endpoint.clone());
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// The credentials that calls are signed with.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.settings.credentials
    }

    /// The connections, for a client of another service.
    #[must_use]
    pub fn http(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.transport.clone())
    }

    /// The same connections, for calls that no SDK makes.
    #[must_use]
    pub fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(self.transport.clone())
    }

    /// Where S3 is, if it is not where AWS has it.
    #[must_use]
    pub fn s3_endpoint(&self) -> Option<String> {
        self.settings.s3_endpoint.clone()
    }

    /// Where EventBridge Scheduler is, if it is not where AWS has it.
    #[must_use]
    pub fn scheduler_endpoint(&self) -> Option<String> {
        self.settings.scheduler_endpoint.clone()
    }

    /// Where DynamoDB is, if it is not where AWS has it.
    #[must_use]
    pub fn dynamodb_endpoint(&self) -> Option<String> {
        self.settings.dynamodb_endpoint.clone()
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> Region {
        Region::new(self.settings.region.clone())
    }
}

/// Trying again is safe: an entry's deduplication id, a record's condition and a visibility make two calls one.
#[must_use]
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(PAUSE).with_max_backoff(PAUSE_MAX)
}

/// The answers are small and read within an attempt, so an attempt's timeout covers a stalled one as well.
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(CALL).build()
}

/// Mozilla's roots, parsed when this was compiled.
fn compiled_in() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn bundle(path: &Path) -> Result<RootCertStore, ClientError> {
    let wrong = |reason: String| ClientError::CaBundle { path: path.display().to_string(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("holds no certificate".to_owned())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests;
