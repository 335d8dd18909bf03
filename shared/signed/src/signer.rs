//! Signing a request as AWS wants it (Signature Version 4), in its headers or in its address.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::Request;
use http::header::AUTHORIZATION;

/// The name of S3, whose signatures differ in three ways from all others'.
pub(crate) const S3: &str = "s3";

/// The header of a role's session.
const TOKEN: &str = "x-amz-security-token";

/// Signs requests to one service with one caller's credentials. Does not print them.
#[derive(Debug, Clone)]
pub struct Signer {
    credentials: Credentials,
    region: String,
    service: &'static str,
}

impl Signer {
    /// Of a service by the name that signatures know it by: `dynamodb`, `s3`, `execute-api`.
    #[must_use]
    pub fn new(credentials: Credentials, region: String, service: &'static str) -> Self {
        Self { credentials, region, service }
    }

    /// Adds the signature to the headers of a request with this body. The address must be absolute and encoded, and
    /// its host is what is signed, unless a header `host` says otherwise. The headers that it adds do not print.
    ///
    /// # Errors
    /// The request has a form that can't be signed; the words say which.
    pub fn sign<B>(&self, request: &mut Request<B>, body: &[u8], now: SystemTime) -> Result<(), String> {
        self.apply(request, SignableBody::Bytes(body), self.settings(), now)
    }

    /// Adds the signature to the address, so that whoever has it may make the request until it expires, with any body.
    ///
    /// # Errors
    /// The request has a form that can't be signed; the words say which.
    pub fn presign(&self, request: &mut Request<()>, expires: Duration, now: SystemTime) -> Result<(), String> {
        let mut settings = self.settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.expires_in = Some(expires);
        self.apply(request, SignableBody::UnsignedPayload, settings, now)
    }

    fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self.service == S3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings
    }

    fn apply<B>(
        &self,
        request: &mut Request<B>,
        body: SignableBody<'_>,
        settings: SigningSettings,
        now: SystemTime,
    ) -> Result<(), String> {
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(now)
            .settings(settings)
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let address = request.uri().to_string();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(request.method().as_str(), &address, headers, body);
        let signable = signable.map_err(|error| error.to_string())?;
        let (instructions, _) = sign(signable, &params).map_err(|error| error.to_string())?.into_parts();
        instructions.apply_to_request_http1x(request);
        for (name, value) in request.headers_mut() {
            if *name == AUTHORIZATION || name.as_str() == TOKEN {
                value.set_sensitive(true);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
