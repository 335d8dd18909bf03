//! Goal: a dead letter is sent again once, in the order of acceptance, and is never lost between the table and
//! the queue.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::Client;
use chaski_aws::testing::{Answer, credentials, region, service};
use chaski_core::app::{self, next_generation};
use chaski_core::history::ErrorRecord;
use chaski_core::ports::Ledger;
use chaski_core::settings::Settings;
use chaski_dynamodb::Records;
use chaski_dynamodb::testing::FakeTable;
use serde_json::{Value, json};

use super::*;
use crate::stack::Stack;

/// A clock that stands, and that a story moves.
#[derive(Debug, Clone)]
struct Hand(Arc<Mutex<Timestamp>>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

impl Hand {
    fn pass(&self, span: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus(span);
    }
}

struct World {
    desk: StackDesk<Hand>,
    clock: Hand,
    table: FakeTable,
    /// The bodies that the queues took.
    sent: Arc<Mutex<Vec<Value>>>,
    settings: Settings,
}

fn answer_of(request: &Value) -> Answer {
    let _ = request;
    Some((200, json!({"MessageId": "m", "MD5OfMessageBody": ""})))
}

fn world(queue: impl Fn(&Value) -> Answer + Send + Sync + 'static) -> World {
    let sent: Arc<Mutex<Vec<Value>>> = Arc::default();
    let taken = Arc::clone(&sent);
    let sqs = service(move |operation, request: Value| match operation {
        "SendMessage" => {
            let answer = queue(&request);
            if matches!(answer, Some((200, _))) {
                taken.lock().unwrap().push(request);
            }
            answer
        }
        _ => Some((
            200,
            json!({"Attributes": {"ApproximateNumberOfMessages": "2", "ApproximateNumberOfMessagesNotVisible": "1",
                "ApproximateNumberOfMessagesDelayed": "3", "DelaySeconds": "60"}}),
        )),
    });
    let sqs = Client::from_conf(chaski_aws::tuned!(aws_sdk_sqs, &credentials(), region(), sqs).build());
    let settings = Settings::read("", &|_| None).unwrap();
    let stack = Stack {
        api_url: String::new(),
        keyed: false,
        queues: chaski_aws::QueuePrefix::new("http://127.0.0.1/1/chaski-dev-"),
        table: "letters".to_owned(),
        control: None,
        bucket: None,
        settings: settings.clone(),
    };
    let clock = Hand(Arc::new(Mutex::new(Timestamp::from_millis(1_796_126_400_000))));
    let table = FakeTable::default();
    let records = Records::new(table.client(), "letters");
    let desk = StackDesk::new(&stack, sqs, records, None, clock.clone());
    World { desk, clock, table, sent, settings }
}

fn letter(id: &str, order: u32) -> DeadLetter {
    let error = ErrorRecord::new("http_5xx", Some(500), "the target answered 500", Timestamp::from_millis(1));
    let message = json!({"subject": "s", "message": {"url": "https://example.org/hook"}, "n": order,
        "meta": {"v": 2, "id": id, "generation": 1, "order": format!("{order:020}")}});
    DeadLetter {
        id: id.to_owned(),
        generation: 1,
        tenant: String::new(),
        producer: None,
        order: Some(format!("{order:020}")),
        subject: Some("s".to_owned()),
        client: None,
        target: Some("https://example.org/hook".to_owned()),
        target_host: Some("example.org".to_owned()),
        received_at: Some(Timestamp::from_millis(1_796_120_000_000)),
        first_error: error.clone(),
        last_error: error,
        attempts: Vec::new(),
        message: message.to_string().into_bytes(),
        response: None,
        // Who was accepted first died last.
        entry_sent_at: Timestamp::from_millis(1_796_125_000_000 - i64::from(order) * 1_000),
        died_at: Timestamp::from_millis(1_796_125_100_000),
    }
}

async fn bury(world: &World, letters: &[DeadLetter]) {
    let table = chaski_dynamodb::DeadLetters::new(world.table.client(), "letters");
    for letter in letters {
        table.put(letter).await.unwrap();
    }
}

/// Whether a list of those that were (not) replayed holds the letter.
async fn listed(world: &World, replayed: bool) -> usize {
    let filter = DeadLetterFilter { replayed, ..DeadLetterFilter::default() };
    world.desk.dead_letters(&filter, &Page { limit: 100, cursor: None }).await.unwrap().items.len()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_and_twenty_are_sent_again_in_the_order_of_acceptance() {
    let world = world(answer_of);
    let letters: Vec<DeadLetter> = (0..120).map(|n| letter(&format!("id-{}", n * 7 % 120), n * 7 % 120)).collect();
    bury(&world, &letters).await;
    let filter = DeadLetterFilter { subject: Some("s".to_owned()), ..DeadLetterFilter::default() };
    let count = app::replay_all(&world.desk, &world.settings, world.clock.now(), &filter).await.unwrap();
    assert_eq!((count.matched, count.replayed), (120, 120));
    let sent = world.sent.lock().unwrap().clone();
    let body = |request: &Value| serde_json::from_str::<Value>(request["MessageBody"].as_str().unwrap()).unwrap();
    let order: Vec<u64> = sent.iter().map(|request| body(request)["n"].as_u64().unwrap()).collect();
    assert_eq!(order, (0..120).collect::<Vec<_>>());
    assert!(sent.iter().all(|request| body(request)["meta"]["generation"] == 2));
    assert_eq!((listed(&world, false).await, listed(&world, true).await), (0, 100));
    let again = app::replay_all(&world.desk, &world.settings, world.clock.now(), &filter).await.unwrap();
    assert_eq!((again.matched, again.replayed), (0, 0));
    assert!(!world.table.calls().contains(&"Scan".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_does_not_take_is_as_it_was() {
    let world = world(|_| Some((400, json!({"__type": "AccessDenied", "message": "no"}))));
    let letter = letter("a", 1);
    bury(&world, std::slice::from_ref(&letter)).await;
    let entry = next_generation(&letter, &world.settings, world.clock.now()).unwrap();
    let error = world.desk.replay(&letter, &entry).await.unwrap_err();
    assert!(matches!(error, DeskError::Platform { denied: true, .. }), "{error:?}");
    assert_eq!((listed(&world, false).await, listed(&world, true).await), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replay_whose_process_ended_on_the_way_can_be_made_again() {
    let world = world(answer_of);
    let letter = letter("a", 1);
    bury(&world, std::slice::from_ref(&letter)).await;
    let entry = next_generation(&letter, &world.settings, world.clock.now()).unwrap();
    // Marked, and then nothing.
    world.desk.records.mark(&Key::of(&letter), world.clock.now()).await.unwrap();
    world.clock.pass(Duration::from_secs(1));
    assert_eq!(world.desk.replay(&letter, &entry).await, Ok(Replayed::Already));
    world.clock.pass(SENDING_HOLDS);
    assert_eq!(listed(&world, false).await, 1);
    assert_eq!(world.desk.replay(&letter, &entry).await, Ok(Replayed::Sent));
    assert_eq!(world.sent.lock().unwrap().len(), 1);
    world.clock.pass(SENDING_HOLDS * 2);
    assert_eq!(world.desk.replay(&letter, &entry).await, Ok(Replayed::Already));
    assert_eq!((listed(&world, false).await, listed(&world, true).await), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn pages_join_without_a_gap_and_filters_narrow() {
    let world = world(answer_of);
    let mut letters: Vec<DeadLetter> = (0..25).map(|n| letter(&format!("id-{n:02}"), n)).collect();
    letters[3].last_error.class = "timeout".to_owned();
    letters[3].last_error.status = None;
    bury(&world, &letters).await;
    let (mut page, mut ids) = (Page { limit: 10, cursor: None }, Vec::new());
    loop {
        let listed = world.desk.dead_letters(&DeadLetterFilter::default(), &page).await.unwrap();
        ids.extend(listed.items.into_iter().map(|buried| buried.letter.id));
        page.cursor = listed.next_cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids, (0..25).map(|n| format!("id-{n:02}")).collect::<Vec<_>>());
    let timeouts = Some(ErrorFilter::Class("timeout".to_owned()));
    let timeouts = DeadLetterFilter { error: timeouts, ..DeadLetterFilter::default() };
    assert_eq!(world.desk.count(&timeouts).await, Ok(1));
    let foreign = Page { limit: 10, cursor: Some("12.7".to_owned()) };
    let refused = world.desk.dead_letters(&DeadLetterFilter::default(), &foreign).await;
    assert_eq!(refused.unwrap_err(), DeskError::Cursor);
}

#[tokio::test(start_paused = true)]
async fn the_newest_generation_is_shown_and_one_is_deleted_with_its_parts() {
    let world = world(answer_of);
    let mut second = letter("a", 1);
    second.generation = 2;
    // Nothing packs it, so that it fills several items.
    let mut state: u32 = 1;
    second.message = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(900_000)
    .collect();
    bury(&world, &[letter("a", 1), second.clone()]).await;
    assert_eq!(world.table.len(), 5);
    let anybody = Whose::default();
    let shown = world.desk.dead_letter("a", None, &anybody).await.unwrap().unwrap();
    assert_eq!(shown.letter, second);
    let other = Whose { tenant: Some("other".to_owned()), producer: None };
    assert_eq!(world.desk.dead_letter("a", None, &other).await, Ok(None));
    assert_eq!(world.desk.delete("a", 2, &anybody).await, Ok(true));
    assert_eq!(world.table.len(), 1);
    assert_eq!(world.desk.delete("a", 2, &anybody).await, Ok(false));
    let first = world.desk.message("a", &anybody, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!((first.state.name(), first.listing.generation), ("dead", 1));
    assert!(matches!(world.desk.message("b", &anybody, Duration::ZERO).await, Err(DeskError::NotServed(_))));
}

#[tokio::test(start_paused = true)]
async fn queues_are_as_sqs_says_and_nothing_is_made_up() {
    use chaski_core::ports::Queues;
    let queues = world(answer_of).desk.queues().await.unwrap();
    let names: Vec<String> = queues.iter().map(|record| record.queue.to_string()).collect();
    assert_eq!(
        names.join(" "),
        "assignments-0 messages-0 messages-1 messages-2 messages-3 retry-fast retry-medium retry-slow wake wake-net last-net"
    );
    assert_eq!((queues[0].depth, queues[0].in_flight, queues[0].delayed, queues[0].delay), (6, 1, 3, None));
    assert_eq!(queues[5].delay, Some(Duration::from_secs(60)));
    assert!(queues.iter().all(|record| record.rates.is_none() && record.oldest_age.is_none()));
}
