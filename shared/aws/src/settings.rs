//! What AWS itself puts into a function's environment, and what points it elsewhere.

use std::fmt;
use std::path::PathBuf;

use aws_credential_types::Credentials;

const REGION: &str = "AWS_REGION";
const DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION: &str = "AWS_SESSION_TOKEN";
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
const SQS_ENDPOINT: &str = "AWS_ENDPOINT_URL_SQS";
const DYNAMODB_ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB";
const S3_ENDPOINT: &str = "AWS_ENDPOINT_URL_S3";
const SCHEDULER_ENDPOINT: &str = "AWS_ENDPOINT_URL_SCHEDULER";
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// How AWS is reached. Of the chain that the SDK's own loader tries (files, profiles, metadata services)
/// a function needs the environment alone, and starts faster without the rest.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`: those of the function's role,
    /// which last longer than its execution environment. They do not print.
    pub credentials: Credentials,
    /// `AWS_ENDPOINT_URL_SQS`, else `AWS_ENDPOINT_URL`; the region's own where there is none.
    pub sqs_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, else `AWS_ENDPOINT_URL`; the region's own where there is none.
    pub dynamodb_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`; the region's own where there is none.
    pub s3_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_SCHEDULER`, else `AWS_ENDPOINT_URL`; the region's own where there is none.
    pub scheduler_endpoint: Option<String>,
    /// `AWS_CA_BUNDLE`: a PEM file whose roots replace the ones that are compiled in.
    pub ca_bundle: Option<PathBuf>,
}

/// Every variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettingsError(pub Vec<String>);

impl fmt::Display for AwsSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment of AWS is not complete: {}", self.0.join("; "))
    }
}

impl std::error::Error for AwsSettingsError {}

impl AwsSettings {
    /// Reads the environment. An empty variable counts as absent.
    ///
    /// # Errors
    /// Every variable that is missing or wrong, by name.
    pub fn read(env: impl Fn(&str) -> Option<String>) -> Result<Self, AwsSettingsError> {
        let mut wrong = Vec::new();
        let value = |name: &str| env(name).filter(|value| !value.is_empty());
        let mut needed = |names: &[&str]| {
            let found = names.iter().find_map(|name| value(name));
            if found.is_none() {
                wrong.push(format!("{} is missing", names.join(" or ")));
            }
            found.unwrap_or_default()
        };
        let region = needed(&[REGION, DEFAULT_REGION]);
        let (key_id, secret) = (needed(&[KEY_ID]), needed(&[SECRET]));
        let mut endpoint = |own| {
            let found = [own, ENDPOINT].into_iter().find_map(|name| Some((name, value(name)?)));
            if let Some((name, url)) = &found
                && !(url.starts_with("http://") || url.starts_with("https://"))
            {
                wrong.push(format!("{name} is not an http or https URL"));
            }
            found.map(|(_, url)| url)
        };
        let settings = Self {
            sqs_endpoint: endpoint(SQS_ENDPOINT),
            dynamodb_endpoint: endpoint(DYNAMODB_ENDPOINT),
            s3_endpoint: endpoint(S3_ENDPOINT),
            scheduler_endpoint: endpoint(SCHEDULER_ENDPOINT),
            region,
            credentials: Credentials::new(key_id, secret, value(SESSION), None, "environment"),
            ca_bundle: value(CA_BUNDLE).map(PathBuf::from),
        };
        if wrong.is_empty() { Ok(settings) } else { Err(AwsSettingsError(wrong)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 4] = [(REGION, "eu-west-1"), (KEY_ID, "AK"), (SECRET, "hush"), (SESSION, "token-hush")];

    fn read(more: &[(&str, &str)]) -> Result<AwsSettings, AwsSettingsError> {
        let all: Vec<_> = more.iter().chain(&WHOLE).copied().collect();
        AwsSettings::read(|name| all.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn what_lambda_sets_is_enough() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.region, "eu-west-1");
        assert_eq!(settings.credentials.session_token(), Some("token-hush"));
        assert_eq!((settings.sqs_endpoint, settings.dynamodb_endpoint, settings.ca_bundle), (None, None, None));
        assert_eq!((settings.s3_endpoint, settings.scheduler_endpoint), (None, None));
    }

    #[test]
    fn an_endpoint_of_its_own_wins() {
        let own = [(SQS_ENDPOINT, "https://localhost:2"), (S3_ENDPOINT, "https://localhost:3")];
        let settings = read(&[&[(ENDPOINT, "http://127.0.0.1:1")][..], &own].concat()).unwrap();
        assert_eq!(settings.sqs_endpoint.as_deref(), Some("https://localhost:2"));
        assert_eq!(settings.s3_endpoint.as_deref(), Some("https://localhost:3"));
        assert_eq!(settings.dynamodb_endpoint.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(settings.scheduler_endpoint.as_deref(), Some("http://127.0.0.1:1"));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let error = read(&[(KEY_ID, ""), (SECRET, ""), (DYNAMODB_ENDPOINT, "localhost:1")]).unwrap_err();
        assert_eq!(
            error.0,
            [
                "AWS_ACCESS_KEY_ID is missing",
                "AWS_SECRET_ACCESS_KEY is missing",
                "AWS_ENDPOINT_URL_DYNAMODB is not an http or https URL"
            ]
        );
    }

    #[test]
    fn secrets_do_not_print() {
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("hush"));
    }
}
