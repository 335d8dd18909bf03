//! An SDK error in one line, for a log and a person.

use std::error::Error;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// What went wrong: the service's code and words, or the chain of what failed before there was an answer.
/// No header, no body and no credential stands in it.
pub fn describe<E, R>(error: &SdkError<E, R>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    if let SdkError::ServiceError(context) = error {
        let (code, words) = (context.err().code().unwrap_or("no code"), context.err().message().unwrap_or("no words"));
        return format!("{code}: {words}");
    }
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}

/// Whether the service says that the very entry is at fault, so that sending it again can't help. Everything
/// else (throttling, rights, a missing queue, its own failure) may pass.
pub(crate) fn is_the_entrys_fault(code: &str) -> bool {
    let code = code.rsplit(['.', '#']).next().unwrap_or(code);
    matches!(
        code,
        "InvalidMessageContents"
            | "InvalidParameterValue"
            | "InvalidAttributeValue"
            | "MissingParameter"
            | "MessageTooLong"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_entry_that_is_wrong_in_itself_is_refused_for_good() {
        for code in [
            "InvalidMessageContents",
            "com.amazonaws.sqs#InvalidMessageContents",
            "AWS.SimpleQueueService.MessageTooLong",
        ] {
            assert!(is_the_entrys_fault(code), "{code}");
        }
        for code in
            ["", "RequestThrottled", "ThrottlingException", "InternalFailure", "AccessDenied", "QueueDoesNotExist"]
        {
            assert!(!is_the_entrys_fault(code), "{code}");
        }
    }
}
