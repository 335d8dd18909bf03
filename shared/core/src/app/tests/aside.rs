//! Bodies that don't travel in their envelopes, as the dispatcher sends and keeps them.

use std::collections::BTreeMap;

use futures_util::stream;

use super::*;
use crate::envelope::Body;
use crate::ports::{Bodies, BodyError, KeptBody, OpenBody, Upload};

/// Bodies by their references.
#[derive(Default)]
struct Shelf {
    bodies: BTreeMap<String, Vec<u8>>,
    is_down: bool,
}

impl Shelf {
    fn up(&self) -> Result<(), BodyError> {
        if self.is_down { Err(BodyError::Unavailable("scripted".to_owned())) } else { Ok(()) }
    }
}

impl Bodies for Shelf {
    async fn put(&self, _: &str, _: Vec<u8>, _: Option<Timestamp>) -> Result<KeptBody, BodyError> {
        Err(BodyError::NotKept)
    }
    async fn look(&self, _: &str, _: Option<Timestamp>) -> Result<Option<KeptBody>, BodyError> {
        Err(BodyError::NotKept)
    }
    async fn open(&self, reference: &str) -> Result<OpenBody, BodyError> {
        self.up()?;
        let body = self.bodies.get(reference).ok_or_else(|| BodyError::Gone("scripted".to_owned()))?;
        let pieces: Vec<_> = body.chunks(2).map(|piece| Ok(piece.to_vec())).collect();
        Ok(OpenBody { bytes: u64::try_from(body.len()).unwrap(), pieces: Box::pin(stream::iter(pieces)) })
    }
    async fn keep(&self, _: &str, id: &str, generation: u32) -> Result<String, BodyError> {
        self.up()?;
        Ok(format!("dead/{id}/{generation}"))
    }
    async fn promise(&self, _: &str, _: Timestamp) -> Result<Upload, BodyError> {
        Err(BodyError::NotKept)
    }
}

/// What a target got: headers and body.
type Got = (BTreeMap<String, String>, Vec<u8>);

/// Answers by the path, and remembers what it got.
#[derive(Default)]
struct Reader(Mutex<Vec<Got>>);

impl Target for Arc<Reader> {
    async fn call(&self, request: Outgoing, _: Duration) -> Result<Answer, CallError> {
        let status = request.url.path().trim_start_matches('/').parse().unwrap();
        let body = request.body.read().await.unwrap();
        self.0.lock().unwrap().push((request.headers.into_iter().collect(), body));
        Ok(Answer { status, ..Answer::default() })
    }
}

/// What came of one entry: what the target got, the settlement, and whether it went back.
fn run(shelf: Shelf, settings: &str, path: &str) -> (Arc<Reader>, Option<Settlement>, bool) {
    let (reader, book, clock) = (Arc::new(Reader::default()), Arc::new(Book::default()), Arc::new(Ticks::default()));
    let settings = Arc::new(Settings::read(settings, &|_| None).unwrap());
    let known = Arc::new(Known::default());
    let dispatcher = Dispatcher::new(settings, reader.clone(), book.clone(), clock, known).with_bodies(shelf);
    let body = format!(
        r#"{{"subject":"s","message":{{"url":"http://e.org{path}","body_ref":"live/a"}},"meta":{{"id":"a","body":"json","body_bytes":5}}}}"#
    );
    let entries = [leased("a", "s", shard(), body)];
    let back = dispatcher.run(&entries, Duration::from_secs(42)).now_or_never().unwrap();
    let settlement = book.settled.lock().unwrap().pop().map(|(_, settlement)| settlement);
    (reader, settlement, !back.is_empty())
}

fn shelf() -> Shelf {
    Shelf { bodies: BTreeMap::from([("live/a".to_owned(), b"[1,2]".to_vec())]), is_down: false }
}

fn reference(text: &[u8]) -> String {
    match Envelope::read(std::str::from_utf8(text).unwrap()).unwrap().message.body {
        Body::Aside(aside) => {
            assert_eq!((aside.bytes, aside.form), (5, crate::envelope::Form::Json));
            aside.reference
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_target_gets_the_body_from_where_it_is_kept() {
    let (reader, settlement, _) = run(shelf(), "", "/200");
    let (headers, body) = reader.0.lock().unwrap().remove(0);
    assert_eq!(body, b"[1,2]");
    assert_eq!(headers["content-type"], "application/json", "it is still what it was");
    assert!(!headers.contains_key("webhook-signature"));
    assert_eq!(settlement, Some(Settlement::Done));
}

#[test]
fn the_signature_is_over_the_body_and_not_over_its_reference() {
    let secret = "[signing]\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
    let (reader, ..) = run(shelf(), secret, "/200");
    let (headers, body) = reader.0.lock().unwrap().remove(0);
    let settings = Settings::read(secret, &|_| None).unwrap();
    let keys = settings.signing.keys(url::Host::Domain("e.org")).unwrap();
    let seconds = headers["webhook-timestamp"].parse().unwrap();
    assert_eq!(headers["webhook-signature"], keys.sign(&headers["webhook-id"], seconds, &body));
}

#[test]
fn a_retry_names_the_body_and_a_dead_letter_its_own() {
    let (_, settlement, _) = run(shelf(), "", "/500");
    let Some(Settlement::Move(entry)) = settlement else { panic!("not retried") };
    assert_eq!(reference(entry.body.as_bytes()), "live/a");
    let (_, settlement, _) = run(shelf(), "", "/410");
    let Some(Settlement::Bury(letter)) = settlement else { panic!("not buried") };
    assert_eq!(reference(&letter.message), "dead/a/1");
}

#[test]
fn without_the_body_no_attempt_is_made() {
    let down = Shelf { is_down: true, ..shelf() };
    let (reader, settlement, back) = run(down, "", "/200");
    assert_eq!((reader.0.lock().unwrap().len(), settlement, back), (0, None, true), "it is asked for again");
    let (reader, settlement, back) = run(Shelf::default(), "", "/200");
    let Some(Settlement::Bury(letter)) = settlement else { panic!("not buried") };
    assert_eq!((reader.0.lock().unwrap().len(), back), (0, false));
    assert_eq!(letter.last_error.class, "internal");
    assert!(letter.last_error.detail.contains("body"), "{}", letter.last_error.detail);
    assert!(letter.attempts.is_empty());
}
