//! Who asks: the caller's credentials and region, found as AWS's own tools find them.

use std::path::PathBuf;

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use chaski_aws::{AwsSettings, ClientError, Clients};

use crate::signer::Signer;

/// Why nobody can ask.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No region is named.
    #[error("no AWS region is set: name one in AWS_REGION, or in the profile that AWS_PROFILE names")]
    NoRegion,
    /// No credentials are found.
    #[error(
        "no AWS credentials: {0}\nSet AWS_PROFILE, log in (`aws sso login`), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )]
    NoCredentials(String),
    /// The clients can't be made.
    #[error(transparent)]
    Clients(#[from] ClientError),
}

/// A caller of AWS.
#[derive(Debug)]
pub struct Account {
    clients: Clients,
    region: String,
    cloudformation_endpoint: Option<String>,
    credentials: Credentials,
}

impl Account {
    /// Looks where AWS's tools look: environment, profiles, single sign-on, the machine's role. The credentials are
    /// asked for once, and hold for what a command does.
    ///
    /// # Errors
    /// There is no region or no credentials, or a CA bundle can't be used.
    pub async fn find(env: impl Fn(&str) -> Option<String>) -> Result<Self, AccountError> {
        let value = |name: &str| env(name).filter(|value| !value.is_empty());
        let nobody = Credentials::new("", "", None, None, "none");
        let mut settings = AwsSettings {
            region: String::new(),
            credentials: nobody,
            sqs_endpoint: None,
            dynamodb_endpoint: None,
            s3_endpoint: None,
            scheduler_endpoint: None,
            ca_bundle: value("AWS_CA_BUNDLE").map(PathBuf::from),
        };
        let http = Clients::new(settings.clone())?.http();
        let found = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
        settings.region = found.region().map(ToString::to_string).ok_or(AccountError::NoRegion)?;
        let provider = found.credentials_provider();
        let provider = provider.ok_or_else(|| AccountError::NoCredentials("none are configured".to_owned()))?;
        let asked = provider.provide_credentials().await;
        settings.credentials = asked.map_err(|error| AccountError::NoCredentials(chain(&error)))?;
        let all = found.endpoint_url().map(str::to_owned);
        let endpoint = |service: &str| value(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| all.clone());
        settings.sqs_endpoint = endpoint("SQS");
        settings.dynamodb_endpoint = endpoint("DYNAMODB");
        settings.s3_endpoint = endpoint("S3");
        settings.scheduler_endpoint = endpoint("SCHEDULER");
        Ok(Self {
            region: settings.region.clone(),
            credentials: settings.credentials.clone(),
            cloudformation_endpoint: endpoint("CLOUDFORMATION"),
            clients: Clients::new(settings)?,
        })
    }

    /// The clients of AWS's services.
    #[must_use]
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Signs calls to a service.
    #[must_use]
    pub fn signer(&self, service: &'static str) -> Signer {
        Signer::new(self.credentials.clone(), self.region.clone(), service)
    }

    /// Where CloudFormation is.
    #[must_use]
    pub fn cloudformation(&self) -> String {
        let own = || chaski_signed::endpoint("cloudformation", &self.region);
        self.cloudformation_endpoint.clone().unwrap_or_else(own)
    }
}

/// An error and what it comes from, without what repeats.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !line.ends_with(&words) {
            line = format!("{line}: {words}");
        }
        source = cause.source();
    }
    line
}
