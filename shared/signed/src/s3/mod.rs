//! Objects of one bucket.

mod address;
mod object;

use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use chaski_aws::Clients;
use http::Request;

use crate::error::SignedError;
use crate::service::{Call, Patience, Service};
use crate::signer;
use address::Address;

pub use object::Object;

/// Copying inside S3 is S3's own time: longer for a body than a small call takes, and not by our line.
const COPY: Duration = Duration::from_secs(6);

/// The condition that there is no such object yet.
const IF_NONE_MATCH: &str = "if-none-match";
const ANY: &str = "*";

/// An address that is signed, and the headers that belong to its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// A secret.
    pub address: String,
    /// The request has to have them as they are.
    pub headers: Vec<(&'static str, &'static str)>,
}

/// One bucket. That there is no such object is told from other refusals only where the role may list the bucket
/// (`s3:ListBucket`); without that right S3 says 403 to both.
#[derive(Debug, Clone)]
pub struct S3 {
    service: Service,
    address: Address,
}

impl S3 {
    /// The bucket, at `AWS_ENDPOINT_URL_S3` where that is set.
    #[must_use]
    pub fn new(clients: &Clients, bucket: &str) -> Self {
        let address = Address::new(clients.s3_endpoint().as_deref(), clients.region().as_ref(), bucket);
        Self { service: Service::new(clients, signer::S3), address }
    }

    /// Writes an object; one of that key is replaced. `Ok` means that it is durable.
    ///
    /// # Errors
    /// It is not known to be written.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), SignedError> {
        let patience = Patience::default().with_body(bytes.len());
        let call = Call { body: bytes, ..self.call("PUT", key) };
        self.service.call(&call, patience).await.map(drop)
    }

    /// Writes an object where there is none; false where there is one, which may be this call's own: its answer may have
    /// been lost before it was made again.
    ///
    /// # Errors
    /// It is not known to be written.
    pub async fn put_new(&self, key: &str, bytes: Bytes) -> Result<bool, SignedError> {
        let patience = Patience::default().with_body(bytes.len());
        let mut call = Call { body: bytes, ..self.call("PUT", key) };
        call.headers.push((IF_NONE_MATCH, ANY.to_owned()));
        match self.service.call(&call, patience).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_unmet() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// An object's length and its bytes, which come as they are asked for; none where there is no such object.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn get(&self, key: &str) -> Result<Option<Object>, SignedError> {
        match self.service.open(&self.call("GET", key), Patience::default()).await {
            Ok(answer) => Ok(Some(Object::new(length(&answer)?, answer.into_body()))),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An object's length in bytes; none where there is no such object (or no such bucket: the answer has no words).
    ///
    /// # Errors
    /// It can't be asked for.
    pub async fn head(&self, key: &str) -> Result<Option<u64>, SignedError> {
        match self.service.open(&self.call("HEAD", key), Patience::default()).await {
            Ok(answer) => length(&answer).map(Some),
            Err(SignedError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Copies an object inside the bucket; false where there is no such object.
    ///
    /// # Errors
    /// The copy is not known to be there.
    pub async fn copy(&self, from: &str, to: &str) -> Result<bool, SignedError> {
        let mut call = self.call("PUT", to);
        call.headers.push(("x-amz-copy-source", self.address.source(from)));
        let patience = Patience { attempt: COPY, whole: COPY + COPY / 3, tries: 3 };
        match self.service.call(&call, patience).await {
            // S3 may find out that it can't after it has begun to answer 200.
            Ok(answer) if answer.body.windows(6).any(|part| part == b"<Error") => {
                Err(SignedError::of_answer(500, &answer.body))
            }
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object. One that is not there is deleted too.
    ///
    /// # Errors
    /// It may still be there.
    pub async fn delete(&self, key: &str) -> Result<(), SignedError> {
        self.service.call(&self.call("DELETE", key), Patience::default()).await.map(drop)
    }

    /// An address to which whoever has it may PUT the object once, until it expires: a secret. The request has to have
    /// these headers, which S3 checks: where there is such an object it answers 412. The address also ends with the
    /// credentials that signed it, on Lambda some hours later at the earliest. S3 takes seven days at most, and up to
    /// 5 GB: the length is not part of the signature.
    ///
    /// # Errors
    /// The key makes no address; the words say why.
    pub fn presign_put(&self, key: &str, expires: Duration, now: SystemTime) -> Result<Presigned, String> {
        let request = Request::builder().method("PUT").uri(self.address.object(key)).header(IF_NONE_MATCH, ANY);
        let mut request = request.body(()).map_err(|error| error.to_string())?;
        self.service.signer().presign(&mut request, expires, now)?;
        Ok(Presigned { address: request.uri().to_string(), headers: vec![(IF_NONE_MATCH, ANY)] })
    }

    /// Over a service that a test is.
    #[cfg(test)]
    pub(crate) fn over(service: Service, bucket: &str) -> Self {
        Self { service, address: Address::new(None, "us-east-1", bucket) }
    }

    fn call(&self, method: &'static str, key: &str) -> Call {
        Call { method, address: self.address.object(key), headers: Vec::new(), body: Bytes::new() }
    }
}

fn length(answer: &HttpResponse) -> Result<u64, SignedError> {
    let length = answer.headers().get("content-length").and_then(|length| length.parse().ok());
    length.ok_or_else(|| SignedError::Unavailable("S3's answer has no length".to_owned()))
}

#[cfg(test)]
mod tests;
