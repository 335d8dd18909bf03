//! Bodies over an S3 in memory: they come back as they were, and stand where they live as long as they have to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chaski_core::ports::Bodies;
use futures_util::TryStreamExt;

use super::*;
use crate::testing::{Given, service};

const NO_KEY: &str = "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>";
const DAY_S: u64 = 24 * 60 * 60;

struct Noon;
impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_796_126_400_000)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

fn absent() -> Given {
    Some((404, Vec::new(), NO_KEY.to_owned()))
}

/// Objects by their keys. What is no text can't be answered, so bodies of these tests are, unless they are packed.
fn bodies() -> (S3Bodies<Noon>, Objects) {
    let objects = Objects::default();
    let held = objects.clone();
    let service = service(crate::signer::S3, move |request| {
        let key = request.uri().split_once("amazonaws.com/").unwrap().1.to_owned();
        let mut objects = held.lock().unwrap();
        let source =
            request.headers().get("x-amz-copy-source").map(|source| source.trim_start_matches("/b/").to_owned());
        match (request.method(), source) {
            ("PUT", Some(source)) => match objects.get(&source).cloned() {
                Some(bytes) => drop(objects.insert(key, bytes)),
                None => return absent(),
            },
            ("PUT", None) if request.headers().get("if-none-match").is_some() && objects.contains_key(&key) => {
                return Some((412, Vec::new(), "<Error><Code>PreconditionFailed</Code></Error>".to_owned()));
            }
            ("PUT", None) => drop(objects.insert(key, request.body().bytes().unwrap().to_vec())),
            ("DELETE", _) => drop(objects.remove(&key)),
            (_, _) => {
                let Some(bytes) = objects.get(&key) else { return absent() };
                let text = String::from_utf8(bytes.clone()).unwrap_or_default();
                return Some((200, vec![("content-length", bytes.len().to_string())], text));
            }
        }
        Some((200, Vec::new(), String::new()))
    });
    (S3Bodies::new(Some(S3::over(service, "b")), Noon), objects)
}

async fn read(bodies: &S3Bodies<Noon>, reference: &str) -> Result<Vec<u8>, BodyError> {
    bodies.open(reference).await?.pieces.try_concat().await
}

fn keys(objects: &Objects) -> Vec<String> {
    objects.lock().unwrap().keys().cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_body_is_packed_where_that_makes_it_smaller() {
    let (bodies, objects) = bodies();
    let same = vec![b'a'; 1_000_000];
    let kept = bodies.put("m-1", same, None).await.unwrap();
    assert_eq!(kept, KeptBody { reference: "live/m-1.z1000000".to_owned(), bytes: 1_000_000 });
    assert!(objects.lock().unwrap()["live/m-1.z1000000"].len() < 10_000);
    let kept = bodies.put("m-2", b"few".to_vec(), None).await.unwrap();
    assert_eq!(kept, KeptBody { reference: "live/m-2".to_owned(), bytes: 3 });
    assert_eq!(read(&bodies, "live/m-2").await.unwrap(), b"few");
}

#[test]
fn what_was_packed_comes_back_in_whatever_pieces() {
    let whole: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    let (kept, is_packed) = pack(whole.clone());
    assert!(is_packed);
    let mut unpacker = DeflateDecoder::new(Vec::new());
    let mut back = Vec::new();
    for step in kept.chunks(STEP) {
        unpacker.write_all(step).unwrap();
        back.append(unpacker.get_mut());
    }
    back.extend(unpacker.finish().unwrap());
    assert!(back == whole);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_long_is_kept_for_longer() {
    let (bodies, objects) = bodies();
    let after = |days: u64| Some(Noon.now().plus(Duration::from_secs(days * DAY_S)));
    for (days, folder) in [(13, "live"), (14, "live"), (15, "long"), (365, "long")] {
        let kept = bodies.put("m", b"few".to_vec(), after(days)).await.unwrap();
        assert_eq!(kept.reference, format!("{folder}/m"), "{days} days");
    }
    objects.lock().unwrap().clear();
    objects.lock().unwrap().insert("live/a.b".to_owned(), b"uploaded".to_vec());
    assert_eq!(bodies.look("a.b", after(1)).await.unwrap().unwrap().reference, "live/a.b");
    assert_eq!(bodies.look("a.b", after(20)).await.unwrap().unwrap().reference, "long/a.b");
    assert_eq!(read(&bodies, "long/a.b").await.unwrap(), b"uploaded");
    assert_eq!(bodies.look("none.such", after(20)).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_has_a_body_of_its_own_and_a_replay_another() {
    let (bodies, objects) = bodies();
    bodies.put("m", b"few".to_vec(), None).await.unwrap();
    assert_eq!(bodies.keep("live/m", "m", 1).await.unwrap(), "dead/m/1");
    assert_eq!(bodies.keep("live/m", "m", 1).await.unwrap(), "dead/m/1", "again is no harm");
    assert_eq!(bodies.keep("dead/m/1", "m", 1).await.unwrap(), "dead/m/1");
    objects.lock().unwrap().remove("live/m");
    assert_eq!(bodies.revive("dead/m/1", "m", 2).await.unwrap(), "live/m/2");
    assert_eq!(bodies.keep("live/m/2", "m", 2).await.unwrap(), "dead/m/2");
    bodies.forget("live/m/2").await.unwrap();
    bodies.forget("dead/m/1").await.unwrap();
    assert_eq!(keys(&objects), ["dead/m/2", "live/m/2"]);
    assert!(matches!(bodies.keep("live/gone", "m", 3).await, Err(BodyError::Gone(_))));
    // What is packed stays so, and is known to be.
    bodies.put("p", vec![b'a'; 1_000], None).await.unwrap();
    assert_eq!(bodies.keep("live/p.z1000", "p", 1).await.unwrap(), "dead/p/1.z1000");
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_one_message_s() {
    let (bodies, objects) = bodies();
    assert_eq!(bodies.claim("a.b", "m-1").await, Ok(Claim::Now));
    assert_eq!(bodies.claim("a.b", "m-1").await, Ok(Claim::Known), "the same message, posted again");
    assert_eq!(bodies.claim("a.b", "m-2").await, Ok(Claim::Taken));
    assert_eq!(bodies.claim("c.d", "m-2").await, Ok(Claim::Now));
    bodies.unclaim("a.b").await;
    assert_eq!(keys(&objects), ["claim/c.d"]);
    assert_eq!(bodies.claim("a.b", "m-2").await, Ok(Claim::Now));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_expires_has_its_body_where_a_rule_takes_it_later() {
    for (days, kept) in [
        (None, "dead/m/1"),
        (Some(1), "dead/7d/m/1"),
        (Some(7), "dead/7d/m/1"),
        (Some(8), "dead/30d/m/1"),
        (Some(365), "dead/365d/m/1"),
        (Some(1_095), "dead/1095d/m/1"),
        (Some(1_096), "dead/m/1"),
    ] {
        let (bodies, _) = bodies();
        bodies.put("m", b"few".to_vec(), None).await.unwrap();
        let bodies = bodies.burying(days.map(|days: u64| Duration::from_secs(days * DAY_S)));
        assert_eq!(bodies.keep("live/m", "m", 1).await.unwrap(), kept, "{days:?} days");
        assert_eq!(bodies.keep(kept, "m", 1).await.unwrap(), kept);
        bodies.forget(kept).await.unwrap();
        assert!(matches!(bodies.open(kept).await, Err(BodyError::Gone(_))));
    }
}

#[tokio::test]
async fn a_stack_without_a_bucket_keeps_none() {
    let none = S3Bodies::new(None, Noon);
    assert!(!none.keeps());
    assert_eq!(none.put("m", Vec::new(), None).await, Err(BodyError::NotKept));
    assert_eq!(none.promise("a.b", Noon.now()).await, Err(BodyError::NotKept));
}
