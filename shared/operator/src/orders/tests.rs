//! Goal: what an operator orders stands in the control table once it is answered, and what a pause held is shown
//! when it ends, also when ending it was cut short.

use std::sync::{Arc, Mutex};

use aws_sdk_sqs::Client;
use chaski_aws::testing::{credentials, region, service};
use chaski_core::filter::TargetFilter;
use chaski_core::ledger::MessageState;
use chaski_core::ports::{Control, Leased, Ledger, Queues};
use chaski_core::settings::Settings;
use chaski_core::time::Timestamp;
use chaski_dynamodb::testing::{FakeControl, FakeTable};
use chaski_dynamodb::{AwsControl, Records};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::stack::Stack;

/// The wall clock stands, the other one is the runtime's.
#[derive(Debug, Clone, Copy)]
struct Still(Instant);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_796_126_400_000)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Chance that is none.
struct Dice;

impl chaski_core::ports::Chance for Dice {
    fn ten_bytes(&self) -> [u8; 10] {
        [7; 10]
    }
}

struct World {
    desk: StackDesk<Still>,
    fake: FakeControl,
    table: ControlTable,
    /// What the consumers see.
    control: AwsControl<Still>,
    /// The handles that were shown, call by call.
    shown: Arc<Mutex<Vec<Vec<String>>>>,
    /// SQS answers no more.
    down: Arc<Mutex<bool>>,
}

fn world() -> World {
    let shown: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let down: Arc<Mutex<bool>> = Arc::default();
    let (noted, is_down) = (Arc::clone(&shown), Arc::clone(&down));
    let sqs = service(move |operation, request: Value| {
        if *is_down.lock().unwrap() {
            return Some((400, json!({"__type": "AccessDenied", "message": "no"})));
        }
        if operation != "ChangeMessageVisibilityBatch" {
            return Some((
                200,
                json!({"Attributes": {"ApproximateNumberOfMessages": "2", "ApproximateNumberOfMessagesNotVisible": "1",
                    "ApproximateNumberOfMessagesDelayed": "3", "DelaySeconds": "60"}}),
            ));
        }
        let entries = request["Entries"].as_array().unwrap();
        assert!(entries.iter().all(|entry| entry["VisibilityTimeout"] == 0));
        let handle = |entry: &Value| entry["ReceiptHandle"].as_str().unwrap().to_owned();
        noted.lock().unwrap().push(entries.iter().map(handle).collect());
        // As SQS answers of entries that were seen since: that is no failure.
        let failed = json!({"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": true});
        Some((200, json!({"Successful": [], "Failed": [failed]})))
    });
    let sqs = Client::from_conf(chaski_aws::tuned!(aws_sdk_sqs, &credentials(), region(), sqs).build());
    let stack = Stack {
        api_url: String::new(),
        keyed: false,
        queues: chaski_aws::QueuePrefix::new("http://127.0.0.1/1/chaski-dev-"),
        table: "letters".to_owned(),
        control: Some("control".to_owned()),
        bucket: None,
        settings: Settings::read("", &|_| None).unwrap(),
    };
    let fake = FakeControl::default();
    let table = ControlTable::new(fake.client(), "control");
    let clock = Still(Instant::now());
    let records = Records::new(FakeTable::default().client(), "letters");
    let desk = StackDesk::new(&stack, sqs, records, Some(table.clone()), clock);
    World { desk, fake, control: AwsControl::new(Some(table.clone()), clock, &Dice), table, shown, down }
}

impl World {
    /// Lines whose heads wait for the end of a pause.
    async fn hold(&self, lines: usize, pause: &str) {
        for n in 0..lines {
            let leased = Leased {
                queue: QueueName::parse(&format!("messages-{}", n % 4)).unwrap(),
                body: String::new(),
                entry_id: "e".to_owned(),
                sequence: "1".to_owned(),
                group: format!("{pause}-{n}"),
                sent_at: Timestamp::default(),
                receives: 1,
                handle: format!("{pause}-{n}"),
                kept_at: None,
            };
            self.control.hold_paused(&leased, pause).await;
        }
    }

    /// The distinct handles that were shown.
    fn shown(&self) -> usize {
        let shown = self.shown.lock().unwrap();
        assert!(shown.iter().all(|call| call.len() <= VISIBILITY_ENTRIES));
        shown.iter().flatten().collect::<std::collections::BTreeSet<_>>().len()
    }

    async fn marks(&self) -> Vec<CancelMark> {
        self.table.orders().await.unwrap().0.marks
    }
}

fn target(host: &str) -> PauseScope {
    PauseScope::Target(host.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_in_force_when_it_is_answered() {
    let world = world();
    assert!(world.control.orders().await.is_empty());
    let (pause, new) = world.desk.pause(&PauseScope::All).await.unwrap();
    assert!(new);
    assert_eq!(world.control.orders().await.pauses, std::slice::from_ref(&pause), "a consumer that had just read");
    assert_eq!(world.desk.pause(&PauseScope::All).await.unwrap(), (pause.clone(), false));
    assert_eq!(world.desk.pauses().await.unwrap(), [pause]);
}

#[tokio::test(start_paused = true)]
async fn the_queues_that_a_pause_holds_are_shown_as_paused() {
    let world = world();
    let paused = || async {
        let queues = world.desk.queues().await.unwrap();
        queues.into_iter().filter(|record| record.paused).map(|record| record.queue.to_string()).collect::<Vec<_>>()
    };
    assert!(paused().await.is_empty());
    world.desk.pause(&PauseScope::Queue("retry-fast".to_owned())).await.unwrap();
    world.desk.pause(&target("e.org")).await.unwrap();
    assert_eq!(paused().await, ["retry-fast"]);
    let (route, _) = world.desk.pause(&PauseScope::Route("assignments".to_owned())).await.unwrap();
    assert_eq!(paused().await, ["assignments-0", "retry-fast"]);
    assert!(world.desk.resume(&route.id).await.unwrap());
    assert_eq!(paused().await, ["retry-fast"]);
}

#[tokio::test(start_paused = true)]
async fn a_resume_shows_every_head_of_its_pause_and_no_other() {
    let world = world();
    let (one, _) = world.desk.pause(&target("one.org")).await.unwrap();
    let (other, _) = world.desk.pause(&target("other.org")).await.unwrap();
    world.hold(300, &one.id).await;
    world.hold(5, &other.id).await;
    assert!(world.desk.resume(&one.id).await.unwrap());
    assert_eq!((world.shown(), world.fake.keys("held#").len()), (300, 5));
    assert_eq!(world.desk.pauses().await.unwrap(), [other]);
    assert!(!world.desk.resume(&one.id).await.unwrap(), "there is none any more");
    assert!(!world.desk.resume("nobody").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_was_cut_short_is_finished_by_another() {
    let world = world();
    let (pause, _) = world.desk.pause(&PauseScope::All).await.unwrap();
    world.hold(20, &pause.id).await;
    *world.down.lock().unwrap() = true;
    let error = world.desk.resume(&pause.id).await.unwrap_err();
    assert!(matches!(&error, DeskError::Platform { denied: true, words } if words.contains("again")), "{error}");
    assert_eq!(world.shown(), 0);
    *world.down.lock().unwrap() = false;
    assert!(world.desk.resume(&pause.id).await.unwrap());
    assert_eq!((world.shown(), world.fake.keys("held#").len()), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_message_has_a_mark_and_waits_no_more() {
    let world = world();
    for (pk, sk) in [("wait#m-1", "1"), ("wait#m-2", "1")] {
        world.fake.put(pk, sk);
    }
    assert_eq!(world.desk.cancel("m-1", &Whose::default()).await.unwrap(), Cancelled::Cancelling);
    assert_eq!(world.desk.cancel("m-1", &Whose::default()).await.unwrap(), Cancelled::Cancelling);
    let marks = world.marks().await;
    assert_eq!(marks.len(), 1, "the same again is the same mark");
    assert_eq!(marks[0].what, CancelWhat::Message("m-1".to_owned()));
    let days = |span: Duration| span.as_secs() / 86_400;
    assert_eq!((marks[0].cut_off, days(marks[0].until.since(marks[0].cut_off))), (world.desk.clock.now(), 15));
    assert_eq!(world.fake.keys("wait#m-1").len(), 0);
    assert_eq!(world.fake.keys("wait#m-2").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_filter_is_a_mark_whose_count_is_not_known() {
    let world = world();
    let filter = MessageFilter { target: Some(TargetFilter::Host("e.org".to_owned())), ..MessageFilter::default() };
    let refused = world.desk.cancel_all(&filter, true).await.unwrap_err();
    assert!(matches!(refused, DeskError::NotServed(_)), "{refused}");
    let by_state = MessageFilter { state: Some(MessageState::Retrying), ..filter.clone() };
    assert!(matches!(world.desk.cancel_all(&by_state, false).await, Err(DeskError::NotServed(_))));
    assert!(world.marks().await.is_empty());
    let count = world.desk.cancel_all(&filter, false).await.unwrap();
    assert_eq!(count, CancelCount { matched: None, cancelled: 0, cancelling: 0 });
    assert_eq!(world.marks().await[0].what, CancelWhat::Fitting(filter));
}

#[tokio::test(start_paused = true)]
async fn marks_have_a_limit_that_is_told() {
    let world = world();
    let now = world.desk.clock.now();
    for n in 0..MARKS {
        // One of them has ended, and DynamoDB has not deleted it yet.
        let until = if n == 0 { now } else { now.plus(MARK_STANDS) };
        let mark = CancelMark::new(CancelWhat::Message(format!("m-{n}")), now, until);
        world.table.put_mark(&mark).await.unwrap();
    }
    let cancel = async |id: &str| world.desk.cancel(id, &Whose::default()).await;
    assert_eq!(cancel("last").await.unwrap(), Cancelled::Cancelling);
    assert!(matches!(cancel("one-more").await, Err(DeskError::Refused(words)) if words.contains("1000")));
    assert_eq!(cancel("m-1").await.unwrap(), Cancelled::Cancelling, "one that stands");
}

#[tokio::test(start_paused = true)]
async fn a_stack_of_an_earlier_version_says_what_it_lacks() {
    let mut world = world();
    world.desk.control = None;
    let lacks = |error: DeskError| matches!(&error, DeskError::NotServed(words) if words.contains("make deploy"));
    assert!(lacks(world.desk.pause(&PauseScope::All).await.unwrap_err()));
    assert!(lacks(world.desk.pauses().await.unwrap_err()));
    assert!(lacks(world.desk.cancel("m", &Whose::default()).await.unwrap_err()));
    assert!(lacks(world.desk.cancel_all(&MessageFilter::default(), false).await.unwrap_err()));
    assert!(world.desk.queues().await.unwrap().iter().all(|record| !record.paused));
}
