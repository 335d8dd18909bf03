//! The use cases over scripted ports: what is settled, how, and what goes back.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::dead_letter::DeadLetter;
use crate::envelope::{Envelope, Meta};
use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::ports::{
    Admission, Answer, Ask, Beside, CallError, Chance, Clock, Control, Enqueue, EnqueueError, Entry, Leased, Outgoing,
    Settle, SettleError, Settlement, Taken, Target,
};
use crate::queue::{QueueName, Tier};
use crate::settings::Settings;
use crate::time::Timestamp;
use std::sync::Arc;

mod aside;
mod asks;

/// A clock that each call of a target moves on by what the call takes.
#[derive(Debug, Default)]
struct Ticks(AtomicU64);

impl Clock for Arc<Ticks> {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_796_115_600_000 + i64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
    }
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Answers by the path: `/200`, `/503?retry-after=30`, `/late`, `/never`, `/panic`, and so on.
struct Scripted {
    clock: Arc<Ticks>,
    calls: Mutex<Vec<String>>,
}

impl Target for Arc<Scripted> {
    async fn call(&self, request: Outgoing, deadline: Duration) -> Result<Answer, CallError> {
        self.calls.lock().unwrap().push(format!("{} {}", request.url.path(), request.url.query().unwrap_or_default()));
        match request.url.path() {
            "/late" => {
                self.clock.0.fetch_add(u64::try_from(deadline.as_millis()).unwrap(), Ordering::SeqCst);
                Err(CallError::Timeout("no answer in time".to_owned()))
            }
            "/panic" => panic!("scripted"),
            "/never" => std::future::pending().await,
            "/refused" => Err(CallError::Connection("refused".to_owned())),
            path => Ok(Answer { status: path.trim_start_matches('/').parse().unwrap(), ..Answer::default() }),
        }
    }
}

/// Remembers settlements; refuses those whose entry it is told to.
#[derive(Default)]
struct Book {
    settled: Mutex<Vec<(String, Settlement)>>,
    given_back: Mutex<Vec<(String, Duration)>>,
    callbacks: Mutex<Vec<Entry>>,
    /// Of whom something was remembered: id and attempts.
    remembered: Mutex<Vec<(String, u32)>>,
    refuses: Vec<String>,
}

impl Settle for Arc<Book> {
    const KEEPS: Option<Duration> = Some(Duration::from_secs(13 * 24 * 3_600));

    async fn settle(&self, leased: &Leased, settlement: &Settlement, beside: Beside<'_>) -> Result<(), SettleError> {
        if self.refuses.contains(&leased.entry_id) {
            return Err(SettleError("scripted".to_owned()));
        }
        self.settled.lock().unwrap().push((leased.entry_id.clone(), settlement.clone()));
        self.callbacks.lock().unwrap().extend(beside.callback.cloned());
        let remembered = beside.remembered.map(|meta| (meta.id.clone(), meta.attempts));
        self.remembered.lock().unwrap().extend(remembered);
        Ok(())
    }
    async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        self.given_back.lock().unwrap().extend(entries.iter().map(|(leased, delay)| (leased.entry_id.clone(), *delay)));
    }
}

/// What a home knows beside its queues, as a story sets it.
#[derive(Default)]
struct Known {
    orders: Mutex<Orders>,
    remembered: Mutex<Option<Meta>>,
    waits: Mutex<Option<Duration>>,
    reported: Mutex<Vec<String>>,
    rests: AtomicU64,
}

impl Control for Arc<Known> {
    async fn orders(&self) -> Arc<Orders> {
        Arc::new(self.orders.lock().unwrap().clone())
    }
    async fn hold_paused(&self, _: &Leased, _: &str) -> Duration {
        Duration::from_secs(60)
    }
    async fn recall(&self, _: &Leased, _: &str, _: u32) -> Option<Meta> {
        self.remembered.lock().unwrap().clone()
    }
    async fn sequence(&self, _: &Leased, _: &str, _: u32) -> Option<u64> {
        Some(7)
    }
    async fn admit(&self, _: Ask<'_>) -> Admission {
        self.waits.lock().unwrap().map_or(Admission::Go, Admission::Wait)
    }
    async fn report(&self, ask: Ask<'_>, outcome: &Outcome) {
        self.reported.lock().unwrap().push(format!("{} {}", ask.host, outcome.name()));
    }
    async fn rest(&self) {
        self.rests.fetch_add(1, Ordering::SeqCst);
    }
}

struct World {
    dispatcher: Dispatcher<Arc<Scripted>, Arc<Book>, Arc<Ticks>, Arc<Known>>,
    clock: Arc<Ticks>,
    target: Arc<Scripted>,
    book: Arc<Book>,
    known: Arc<Known>,
}

impl World {
    fn new() -> Self {
        Self::refusing(&[])
    }

    fn refusing(refuses: &[&str]) -> Self {
        let clock = Arc::new(Ticks::default());
        let target = Arc::new(Scripted { clock: clock.clone(), calls: Mutex::default() });
        let refuses = refuses.iter().map(|id| (*id).to_owned()).collect();
        let book = Arc::new(Book { refuses, ..Book::default() });
        let settings = Arc::new(Settings::read("", &|_| None).unwrap());
        let known = Arc::new(Known::default());
        let dispatcher = Dispatcher::new(settings, target.clone(), book.clone(), clock.clone(), known.clone());
        Self { dispatcher, clock, target, book, known }
    }

    /// Runs a batch with 42 s to go; what goes back.
    fn run(&self, entries: &[Leased]) -> Vec<String> {
        let until = self.dispatcher.clock.elapsed() + Duration::from_secs(42);
        self.dispatcher.run(entries, until).now_or_never().unwrap()
    }

    fn settlement(&self, id: &str) -> Option<Settlement> {
        self.book
            .settled
            .lock()
            .unwrap()
            .iter()
            .find(|(entry, _)| entry == id)
            .map(|(_, settlement)| settlement.clone())
    }

    fn letter(&self, id: &str) -> DeadLetter {
        match self.settlement(id) {
            Some(Settlement::Bury(letter)) => *letter,
            other => panic!("{id} was not buried: {other:?}"),
        }
    }

    fn calls(&self) -> usize {
        self.target.calls.lock().unwrap().len()
    }
}

fn shard() -> QueueName {
    QueueName::parse("messages-1").unwrap()
}

fn leased(id: &str, group: &str, queue: QueueName, body: String) -> Leased {
    Leased {
        queue,
        body,
        entry_id: id.to_owned(),
        sequence: "18850".to_owned(),
        group: group.to_owned(),
        sent_at: Timestamp::from_millis(1_796_115_599_000),
        receives: 1,
        handle: format!("handle of {id}"),
        kept_at: None,
    }
}

fn first(id: &str, group: &str, path: &str) -> Leased {
    let body = format!(
        r#"{{"subject":"{group}","message":{{"url":"http://e.org{path}","body":1}},"meta":{{"v":2,"id":"{id}","received_at":"2026-12-01T09:00:00Z"}}}}"#
    );
    leased(id, group, shard(), body)
}

#[test]
fn a_delivered_message_is_done() {
    let world = World::new();
    assert!(world.run(&[first("a", "s", "/200")]).is_empty());
    assert_eq!(world.settlement("a"), Some(Settlement::Done));
}

#[test]
fn a_failed_message_goes_to_its_tier_once_per_attempt() {
    let world = World::new();
    world.run(&[first("a", "s", "/500")]);
    let Some(Settlement::Move(entry)) = world.settlement("a") else { panic!("not retried") };
    assert_eq!(entry.queue, QueueName::Tier(Tier::Fast));
    let meta = Envelope::read(&entry.body).unwrap().meta.unwrap();
    assert_eq!((meta.attempts, meta.hop, meta.history.len()), (1, 0, 1));
    assert_eq!(meta.first_error.unwrap().class, "http_5xx");
    assert_eq!(meta.next_due.unwrap(), world.dispatcher.clock.now().plus(Duration::from_secs(10)));

    // The same entry delivered again is the same move; the next attempt is another.
    let again = World::new();
    again.run(&[first("a", "s", "/500")]);
    let Some(Settlement::Move(same)) = again.settlement("a") else { panic!("not retried") };
    assert_eq!(same.dedup, entry.dedup);
    world.run(&[leased("b", "s", entry.queue, entry.body)]);
    let Some(Settlement::Move(next)) = world.settlement("b") else { panic!("not retried") };
    assert_ne!(next.dedup, entry.dedup);
    assert_eq!(next.group, entry.group);
}

/// A message followed from queue to queue until its end: the calls, and the record if it dies.
fn follow(path: &str) -> (usize, Option<DeadLetter>) {
    let world = World::new();
    let mut entry = first("0", "s", path);
    for hop in 1..200 {
        assert!(world.run(std::slice::from_ref(&entry)).is_empty());
        match world.settlement(&entry.entry_id) {
            Some(Settlement::Move(next)) => entry = leased(&hop.to_string(), &next.group, next.queue, next.body),
            Some(Settlement::Bury(letter)) => return (world.calls(), Some(*letter)),
            other => return (world.calls(), other.and(None)),
        }
    }
    panic!("it never ended");
}

#[test]
fn the_known_answer_holds_message_by_message() {
    for (path, calls, class) in [
        ("/200", 1, None),
        ("/400", 5, Some("http_4xx")),
        ("/500", 6, Some("http_5xx")),
        ("/late", 4, Some("timeout")),
        ("/refused", 7, Some("connection")),
    ] {
        let (made, letter) = follow(path);
        assert_eq!(made, calls, "{path}");
        assert_eq!(letter.as_ref().map(|letter| letter.last_error.class.as_str()), class, "{path}");
        if let Some(letter) = letter {
            assert_eq!(letter.attempts.len(), calls);
            assert_eq!(
                letter.attempts.iter().map(|a| a.n).collect::<Vec<_>>(),
                (1..=u32::try_from(calls).unwrap()).collect::<Vec<_>>()
            );
            let envelope = Envelope::read(std::str::from_utf8(&letter.message).unwrap()).unwrap();
            assert_eq!(envelope.message.body.bytes(), b"1");
            assert_eq!(letter.id, "0");
        }
    }
}

#[test]
fn what_has_no_retry_is_buried_after_its_first_attempt() {
    for (path, class) in [("/410", "gone"), ("/489", "rejected")] {
        let (calls, letter) = follow(path);
        assert_eq!((calls, letter.unwrap().last_error.class.as_str()), (1, class));
    }
}

#[test]
fn what_can_not_be_read_is_buried_raw() {
    let world = World::new();
    assert!(world.run(&[leased("a", "s", shard(), "no envelope \u{7f}".to_owned())]).is_empty());
    let letter = world.letter("a");
    assert_eq!(letter.message, "no envelope \u{7f}".as_bytes());
    assert_eq!((letter.id.as_str(), letter.last_error.class.as_str()), ("a", "undecodable"));
    assert_eq!(world.calls(), 0);
}

#[test]
fn an_envelope_of_1_0_gets_its_meta_in_the_consumer_and_is_buried_in_a_tier() {
    let old = |path| format!(r#"{{"subject":"s","body":{{"url":"http://e.org{path}"}}}}"#);
    let world = World::new();
    world.run(&[leased("a", "s", shard(), old("/500"))]);
    let Some(Settlement::Move(entry)) = world.settlement("a") else { panic!("not retried") };
    let meta = Envelope::read(&entry.body).unwrap().meta.unwrap();
    assert_eq!(
        (meta.id.as_str(), meta.order.as_deref(), meta.route.as_deref()),
        ("a", Some("18850"), Some("messages"))
    );
    world.run(&[leased("b", "s", QueueName::Tier(Tier::Fast), old("/200"))]);
    assert_eq!(world.letter("b").last_error.class, "no_meta");
    assert_eq!(world.calls(), 1);
}

#[test]
fn what_the_queues_gave_up_is_buried_without_an_attempt() {
    let world = World::new();
    let mut entry = first("a", "s", "/200");
    entry.queue = QueueName::LastNet;
    world.run(&[entry, leased("b", "s", QueueName::LastNet, "raw".to_owned())]);
    assert_eq!(world.letter("a").last_error.class, "last_net");
    assert_eq!(world.letter("b").last_error.class, "last_net");
    assert_eq!(world.letter("b").message, b"raw");
    assert_eq!(world.calls(), 0);
}

#[test]
fn a_failed_hand_off_sends_it_and_the_rest_of_its_group_back() {
    let world = World::refusing(&["a2"]);
    let entries = ["a1", "b1", "a2", "a3", "b2"].map(|id| first(id, &id[..1], "/500"));
    assert_eq!(world.run(&entries), ["a2", "a3"]);
    assert_eq!(
        *world.book.given_back.lock().unwrap(),
        [("a2".to_owned(), Duration::from_secs(5)), ("a3".to_owned(), Duration::ZERO)]
    );
    assert!(world.settlement("a3").is_none() && world.settlement("b2").is_some());
}

#[test]
fn ten_late_messages_of_one_subject_need_little_more_than_ten_timeouts() {
    let world = World::new();
    let mut waiting: VecDeque<Leased> = (0..10).map(|n| first(&format!("m{n}"), "s", "/late")).collect();
    let mut invocations = 0;
    while !waiting.is_empty() {
        let batch: Vec<Leased> = waiting.iter().take(10).cloned().collect();
        let back = world.run(&batch);
        waiting.retain(|leased| back.contains(&leased.entry_id));
        invocations += 1;
        assert!(
            world.book.given_back.lock().unwrap().iter().all(|(_, delay)| delay.is_zero()),
            "untouched entries are visible at once"
        );
    }
    assert_eq!(world.calls(), 10);
    assert_eq!(world.dispatcher.clock.elapsed(), Duration::from_secs(100));
    assert!(invocations <= 4, "{invocations}");
}

#[test]
fn a_panic_sends_its_group_back_and_the_third_one_buries() {
    let world = World::new();
    let mut entries = [first("a", "s", "/panic"), first("b", "s", "/200"), first("c", "t", "/200")];
    for receive in 1..=2 {
        entries[0].receives = receive;
        assert_eq!(world.run(&entries), ["a", "b"]);
        assert!(world.settlement("c").is_some(), "another group is untouched");
    }
    entries[0].receives = 3;
    assert!(world.run(&entries[..2]).is_empty());
    assert_eq!(world.letter("a").last_error.class, "internal");
    assert_eq!(world.settlement("b"), Some(Settlement::Done));
    assert_eq!(world.calls(), 3 + 2 + 1);
}

#[test]
fn nothing_is_started_near_the_deadline() {
    let world = World::new();
    let entries = [first("a", "s", "/200")];
    let back = world.dispatcher.run(&entries, Duration::from_secs(19)).now_or_never().unwrap();
    assert_eq!(back, ["a"]);
    assert_eq!(world.calls(), 0);
}

proptest! {
    /// Whatever the groups and whatever fails: what goes back is a suffix of each group, in the order
    /// received, and everything else is settled once.
    #[test]
    fn what_goes_back_is_a_suffix_of_its_group(
        plan in prop::collection::vec((0..4_u8, prop::sample::select(vec!["/200", "/500", "/410", "/panic", "/late"]), prop::bool::weighted(0.2)), 1..=10),
    ) {
        let name = |n: usize| format!("m{n}");
        let refused: Vec<String> = plan.iter().enumerate().filter(|(_, (_, _, refused))| *refused).map(|(n, _)| name(n)).collect();
        let world = World::refusing(&refused.iter().map(String::as_str).collect::<Vec<_>>());
        let entries: Vec<Leased> = plan.iter().enumerate().map(|(n, (group, path, _))| first(&name(n), &format!("g{group}"), path)).collect();
        let back = world.run(&entries);
        for group in 0..4 {
            let line: Vec<bool> = entries.iter().filter(|e| e.group == format!("g{group}")).map(|e| back.contains(&e.entry_id)).collect();
            prop_assert!(line.is_sorted(), "a hole in what goes back: {line:?}");
        }
        let order: Vec<usize> = back.iter().map(|id| entries.iter().position(|e| &e.entry_id == id).unwrap()).collect();
        prop_assert!(order.is_sorted());
        for entry in &entries {
            let settled = world.book.settled.lock().unwrap().iter().filter(|(id, _)| id == &entry.entry_id).count();
            prop_assert_eq!(settled, usize::from(!back.contains(&entry.entry_id)));
        }
    }
}

/// Takes everything but what it is told not to.
struct Queues {
    taken: Mutex<Vec<Entry>>,
    down: bool,
}

impl Enqueue for Arc<Queues> {
    async fn enqueue(&self, entry: Entry) -> Result<Taken, EnqueueError> {
        if self.down {
            return Err(EnqueueError::Unavailable("scripted".to_owned()));
        }
        self.taken.lock().unwrap().push(entry);
        Ok(Taken::New)
    }
    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let mut fates = Vec::new();
        for entry in entries {
            fates.push(self.enqueue(entry).await);
        }
        fates
    }
}

struct Sevens;
impl Chance for Sevens {
    fn ten_bytes(&self) -> [u8; 10] {
        [7; 10]
    }
}

fn ingress(down: bool) -> (Ingress<Arc<Queues>, Arc<Ticks>, Sevens>, Arc<Queues>) {
    let queues = Arc::new(Queues { taken: Mutex::default(), down });
    let settings = Arc::new(Settings::read("", &|_| None).unwrap());
    (Ingress::new(settings, queues.clone(), Arc::new(Ticks::default()), Sevens), queues)
}

const TEXT: &str = r#"{"subject":"test_subject","id":"k","message":{"url":"http://example.org","body":1}}"#;

fn post(text: &str) -> Post<'_> {
    Post { text: text.as_bytes(), key: None, trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") }
}

#[test]
fn an_accepted_message_is_in_its_queue() {
    let (ingress, queues) = ingress(false);
    let caller = Caller { producer: "crm".to_owned(), tenant: "t".to_owned() };
    let receipt = ingress.accept(&caller, post(TEXT)).now_or_never().unwrap().unwrap();
    assert_eq!((receipt.queue.as_str(), receipt.route.as_str(), receipt.duplicate), ("messages-1", "messages", false));
    let entry = queues.taken.lock().unwrap()[0].clone();
    assert_eq!(entry.group, crate::identity::group_id("t", "test_subject"));
    assert_eq!(entry.dedup, crate::identity::dedup_id(&receipt.id, 1, 1, 0));
    let meta = Envelope::read(&entry.body).unwrap().meta.unwrap();
    assert_eq!((meta.id, meta.producer.as_str(), meta.tenant.as_str()), (receipt.id.clone(), "crm", "t"));
    assert!(meta.trace.unwrap().starts_with("00-0af7"));

    // The same key and body is the same message, for the same producer only.
    let again = ingress.accept(&caller, post(TEXT)).now_or_never().unwrap().unwrap();
    assert_eq!(again.id, receipt.id);
    let other = ingress.accept(&Caller::default(), post(TEXT)).now_or_never().unwrap().unwrap();
    assert_ne!(other.id, receipt.id);
}

#[test]
fn a_queue_that_is_down_is_503_and_never_a_receipt() {
    let (ingress, queues) = ingress(true);
    let problem = ingress.accept(&Caller::default(), post(TEXT)).now_or_never().unwrap().unwrap_err();
    assert_eq!(problem.status, 503);
    assert!(problem.retry_after_s.is_some());
    assert!(queues.taken.lock().unwrap().is_empty());
}

#[test]
fn one_bad_item_never_stops_the_others() {
    let (ingress, queues) = ingress(false);
    let answers = ingress.accept_all(&Caller::default(), &[post(TEXT), post("{}"), post(TEXT)]).now_or_never().unwrap();
    let statuses: Vec<u16> =
        answers.iter().map(|answer| answer.as_ref().map_or_else(|problem| problem.status, |_| 200)).collect();
    assert_eq!(statuses, [200, 400, 200]);
    assert_eq!(queues.taken.lock().unwrap().len(), 2);
}

#[test]
fn an_envelope_ends_at_its_size_as_it_travels() {
    let (ingress, queues) = ingress(false);
    // Each control character travels as six, so the text goes as base64 and fits.
    let text = |inner: &str| format!(r#"{{"subject":"s","message":{{"url":"http://example.org","body":{inner}}}}}"#);
    let controls = serde_json::Value::from("\u{1}".repeat(crate::limits::BODY_BYTES)).to_string();
    assert!(ingress.accept(&Caller::default(), post(&text(&controls))).now_or_never().unwrap().is_ok());
    assert!(queues.taken.lock().unwrap()[0].body.len() <= crate::limits::ENVELOPE_BYTES);
}
