//! A call that goes to the queues in pieces.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::ports::{self, BodyError, Claim, KeptBody, OpenBody, Upload};
use crate::time::Timestamp;

/// Queues that take two entries at once, and refuse what the script names.
#[derive(Default)]
struct Pairs {
    calls: Mutex<Vec<Vec<String>>>,
    refuses: Vec<&'static str>,
}

impl Enqueue for Arc<Pairs> {
    const PIECE: usize = 2;

    async fn enqueue(&self, _: ports::Entry) -> Result<Taken, EnqueueError> {
        unreachable!("a call of many is no call of one")
    }

    async fn enqueue_all(&self, entries: Vec<ports::Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let keys = entries.iter().map(|entry| key_of(&entry.body)).collect::<Vec<_>>();
        let fate = |key: &String| match self.refuses.contains(&key.as_str()) {
            true => Err(EnqueueError::Unavailable("scripted".to_owned())),
            false => Ok(Taken::New),
        };
        let fates = keys.iter().map(fate).collect();
        self.calls.lock().unwrap().push(keys);
        fates
    }
}

struct Noon;
impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_796_115_600_000)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}
impl Chance for Noon {
    fn ten_bytes(&self) -> [u8; 10] {
        [7; 10]
    }
}

fn key_of(body: &str) -> String {
    envelope::Envelope::read(body).unwrap().key.unwrap()
}

/// What becomes of messages, each `subject/key`: the answers' statuses, and the keys of each call to the queues.
fn sent(refuses: &[&'static str], messages: &[&str]) -> (Vec<u16>, Vec<Vec<String>>) {
    let queues = Arc::new(Pairs { refuses: refuses.to_vec(), ..Pairs::default() });
    let settings = Arc::new(Settings::read("", &|_| None).unwrap());
    let ingress = Ingress::new(settings, queues.clone(), Noon, Noon);
    let texts: Vec<String> = messages
        .iter()
        .map(|message| {
            let (subject, key) = message.split_once('/').unwrap();
            format!(r#"{{"subject":"{subject}","id":"{key}","message":{{"url":"http://example.org"}}}}"#)
        })
        .collect();
    let posts: Vec<Post<'_>> =
        texts.iter().map(|text| Post { text: text.as_bytes(), key: None, trace: None }).collect();
    let answers = ingress.accept_all(&Caller::default(), &posts).now_or_never().unwrap();
    let statuses = answers.iter().map(|answer| answer.as_ref().map_or_else(|problem| problem.status, |_| 200));
    let calls = queues.calls.lock().unwrap().clone();
    (statuses.collect(), calls)
}

#[test]
fn pieces_go_in_their_order_and_each_is_answered_for_itself() {
    let (statuses, calls) = sent(&[], &["a/1", "b/2", "/none", "a/3", "b/4"]);
    assert_eq!(statuses, [200, 200, 400, 200, 200]);
    assert_eq!(calls, [vec!["1", "2"], vec!["3"], vec!["4"]]);
    assert_eq!(sent(&[], &[]), (vec![], vec![]));
    assert_eq!(sent(&[], &["/1", "/2", "/3"]), (vec![400; 3], vec![]), "nothing to send is no call");
}

#[test]
fn what_follows_one_that_was_not_taken_is_not_sent_in_any_piece() {
    let (statuses, calls) = sent(&["1"], &["a/1", "b/2", "b/3", "a/4", "a/5", "b/6"]);
    assert_eq!(statuses, [503, 200, 200, 503, 503, 200]);
    assert_eq!(calls, [vec!["1", "2"], vec!["3"], vec!["6"]]);
}

#[test]
fn a_queue_that_is_down_is_asked_once() {
    let (statuses, calls) = sent(&["1", "2"], &["a/1", "b/2", "c/3", "d/4", "/none", "e/6"]);
    assert_eq!(statuses, [503, 503, 503, 503, 400, 503]);
    assert_eq!(calls, [vec!["1", "2"]]);
}

/// Uploads that are all there, and whose they are.
#[derive(Default)]
struct Claims(Mutex<BTreeMap<String, String>>);

impl Bodies for Arc<Claims> {
    async fn put(&self, _: &str, _: Vec<u8>, _: Option<Timestamp>) -> Result<KeptBody, BodyError> {
        Err(BodyError::NotKept)
    }
    async fn look(&self, reference: &str, _: Option<Timestamp>) -> Result<Option<KeptBody>, BodyError> {
        Ok(Some(KeptBody { reference: reference.to_owned(), bytes: 1 }))
    }
    async fn claim(&self, reference: &str, id: &str) -> Result<Claim, BodyError> {
        match self.0.lock().unwrap().entry(reference.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(id.to_owned());
                Ok(Claim::Now)
            }
            Entry::Occupied(owned) if owned.get() == id => Ok(Claim::Known),
            Entry::Occupied(_) => Ok(Claim::Taken),
        }
    }
    async fn unclaim(&self, reference: &str) {
        self.0.lock().unwrap().remove(reference);
    }
    async fn open(&self, _: &str) -> Result<OpenBody, BodyError> {
        Err(BodyError::NotKept)
    }
    async fn keep(&self, _: &str, _: &str, _: u32) -> Result<String, BodyError> {
        Err(BodyError::NotKept)
    }
    async fn promise(&self, _: &str, _: Timestamp) -> Result<Upload, BodyError> {
        Err(BodyError::NotKept)
    }
}

/// Messages that name an upload, posted one after the other to queues that refuse these: the statuses, and whose it is.
fn naming(refuses: &[&'static str], calls: &[&[&str]]) -> (Vec<u16>, Option<String>) {
    let queues = Arc::new(Pairs { refuses: refuses.to_vec(), ..Pairs::default() });
    let (settings, claims) = (Arc::new(Settings::read("", &|_| None).unwrap()), Arc::<Claims>::default());
    let ingress = Ingress::new(settings, queues, Noon, Noon).with_bodies(claims.clone());
    let reference = identity::body_reference("", &Noon);
    let mut statuses = Vec::new();
    for call in calls {
        let message = format!(r#"{{"url":"http://example.org","body_ref":"{reference}"}}"#);
        let text = |key: &&str| format!(r#"{{"subject":"s","id":"{key}","message":{message}}}"#);
        let texts: Vec<String> = call.iter().map(text).collect();
        let posts: Vec<_> = texts.iter().map(|text| Post { text: text.as_bytes(), key: None, trace: None }).collect();
        let answers = ingress.accept_all(&Caller::default(), &posts).now_or_never().unwrap();
        statuses.extend(answers.iter().map(|answer| answer.as_ref().map_or_else(|problem| problem.status, |_| 200)));
    }
    let owner = claims.0.lock().unwrap().get(&reference).cloned();
    (statuses, owner)
}

#[test]
fn an_upload_is_the_first_message_s_that_was_accepted() {
    let (statuses, owner) = naming(&[], &[&["1"], &["2"], &["1"]]);
    assert_eq!((statuses, owner.is_some()), (vec![200, 400, 200], true));
    assert_eq!(naming(&[], &[&["1", "1", "2"]]).0, [200, 200, 400], "in one call too");
    let (statuses, owner) = naming(&["1"], &[&["1"]]);
    assert_eq!((statuses, owner), (vec![503], None), "what was not accepted has no upload");
    let (statuses, owner) = naming(&["1"], &[&["1"], &["2"], &["1"]]);
    assert_eq!((statuses, owner.is_some()), (vec![503, 200, 400], true));
}
