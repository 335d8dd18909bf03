//! Goal: S3 is asked as it wants to be asked, and what it answers is told exactly. The round trips over a real
//! connection are in `tests/tests/signed.rs`.

use std::sync::{Arc, Mutex};

use super::*;
use crate::testing::{Given, plain, service};

const NO_KEY: &str = "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>";
const NO_BUCKET: &str = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";

/// S3 that answers so, and each request's method, address and source.
fn s3(given: Given) -> (S3, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let held = Arc::clone(&seen);
    let service = service(signer::S3, move |request| {
        let digest = request.headers().get("x-amz-content-sha256").unwrap();
        assert_eq!(digest.len(), 64, "S3 wants the body's digest in a header");
        let source = request.headers().get("x-amz-copy-source").unwrap_or_default();
        held.lock().unwrap().push(format!("{} {} {source}", request.method(), request.uri()).trim_end().to_owned());
        given.clone()
    });
    (S3 { service, address: Address::new(None, "us-east-1", "b") }, seen)
}

#[tokio::test(start_paused = true)]
async fn each_call_is_one_request() {
    let (s3, seen) = s3(plain(200, ""));
    s3.put("live/1", Bytes::from_static(b"body")).await.unwrap();
    s3.delete("live/1").await.unwrap();
    assert!(s3.copy("live/1", "dead/1").await.unwrap());
    let place = "https://b.s3.us-east-1.amazonaws.com";
    let expected =
        [format!("PUT {place}/live/1"), format!("DELETE {place}/live/1"), format!("PUT {place}/dead/1 /b/live/1")];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn an_absent_object_is_no_error_and_an_absent_bucket_is() {
    let (s3_, _) = s3(plain(404, NO_KEY));
    assert!(s3_.get("x").await.unwrap().is_none());
    assert_eq!(s3_.head("x").await, Ok(None));
    assert_eq!(s3_.copy("x", "y").await, Ok(false));
    let (s3_, _) = s3(plain(404, NO_BUCKET));
    assert!(matches!(s3_.get("x").await, Err(SignedError::Refused { status: 404, .. })));
    assert!(s3_.copy("x", "y").await.is_err());
    assert!(s3_.put("x", Bytes::new()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_new_is_told_from_what_is_there() {
    let (s3_, _) = s3(plain(200, ""));
    assert_eq!(s3_.put_new("claim/1", Bytes::from_static(b"m")).await, Ok(true));
    let (s3_, _) = s3(plain(412, "<Error><Code>PreconditionFailed</Code></Error>"));
    assert_eq!(s3_.put_new("claim/1", Bytes::from_static(b"m")).await, Ok(false));
    let (s3_, seen) = s3(plain(409, "<Error><Code>ConditionalRequestConflict</Code></Error>"));
    assert!(matches!(s3_.put_new("claim/1", Bytes::new()).await, Err(SignedError::Unavailable(_))));
    assert_eq!(seen.lock().unwrap().len(), 3, "two at once: one of them is there at the next try");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_behind_a_200_has_failed() {
    let body = "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>sorry</Message></Error>";
    let (s3, _) = s3(plain(200, body));
    let told = s3.copy("x", "y").await.unwrap_err().to_string();
    assert_eq!(told, "InternalError: sorry (status 500)");
}

#[tokio::test(start_paused = true)]
async fn an_object_ends_with_its_length_or_with_an_error() {
    let given = |length: &str| Some((200, vec![("content-length", length.to_owned())], "seven b".to_owned()));
    let (whole, _) = s3(given("7"));
    let object = whole.get("x").await.unwrap().unwrap();
    assert_eq!((object.length(), object.whole(7).await.unwrap()), (7, b"seven b".to_vec()));
    assert!(whole.get("x").await.unwrap().unwrap().whole(6).await.is_err(), "longer than it may be");
    let (cut, _) = s3(given("8"));
    let told = cut.get("x").await.unwrap().unwrap().whole(100).await.unwrap_err().to_string();
    assert_eq!(told, "reading an object: 7 bytes came, and 8 were told");
    let (untold, _) = s3(plain(200, "seven b"));
    assert!(untold.get("x").await.is_err());
}

#[test]
fn an_upload_address_holds_its_end_and_no_secret() {
    let (s3, _) = s3(None);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_126_400);
    let Presigned { address, headers } = s3.presign_put("in/a b", Duration::from_secs(900), now).unwrap();
    assert_eq!(headers, [("if-none-match", "*")]);
    assert!(address.contains("X-Amz-SignedHeaders=host%3Bif-none-match"), "{address}");
    assert!(address.starts_with("https://b.s3.us-east-1.amazonaws.com/in/a%20b?"), "{address}");
    assert!(address.contains("X-Amz-Expires=900") && address.contains("X-Amz-Signature="), "{address}");
    assert!(!address.contains("hush"));
}
