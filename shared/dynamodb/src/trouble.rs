//! A table's refusal, for an operator.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use chaski_aws::describe;
use chaski_core::ports::DeskError;

/// What the service said of a table that is called so.
pub(crate) fn trouble<E, R>(table: &str, error: &SdkError<E, R>) -> DeskError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    DeskError::Platform { denied: is_denial(code), words: format!("{table}: {}", describe(error)) }
}

/// Whether a code says that the caller may not, or is not known.
fn is_denial(code: &str) -> bool {
    ["AccessDenied", "UnrecognizedClient", "ExpiredToken", "InvalidSignature", "MissingAuthentication"]
        .iter()
        .any(|known| code.contains(known))
}
