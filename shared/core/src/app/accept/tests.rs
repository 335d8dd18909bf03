//! A call that goes to the queues in pieces.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::time::Timestamp;

/// Queues that take two entries at once, and refuse what the script names.
#[derive(Default)]
struct Pairs {
    calls: Mutex<Vec<Vec<String>>>,
    refuses: Vec<&'static str>,
}

impl Enqueue for Arc<Pairs> {
    const PIECE: usize = 2;

    async fn enqueue(&self, _: Entry) -> Result<Taken, EnqueueError> {
        unreachable!("a call of many is no call of one")
    }

    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
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
