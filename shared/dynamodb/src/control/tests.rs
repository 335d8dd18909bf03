//! Goal: the table is read once a second whoever asks, a table that is down holds nothing up, and a paused head is
//! hidden for long only where a resume finds it.

mod lines;

use std::sync::Mutex;

use chaski_core::orders::{CancelMark, CancelWhat};
use chaski_core::pause::{Pause, PauseScope};
use chaski_core::queue::QueueName;
use chaski_core::time::Timestamp;
use futures_util::future::join_all;

use super::*;
use crate::testing::FakeControl;

mod protecting;

/// A clock whose two readings a story moves.
#[derive(Debug, Clone, Default)]
struct Hands(Arc<Mutex<(Duration, Duration)>>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_796_115_600_000).plus(self.0.lock().unwrap().0)
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

impl Hands {
    fn pass(&self, wall: Duration, process: Duration) {
        let mut hands = self.0.lock().unwrap();
        *hands = (hands.0 + wall, hands.1 + process);
    }

    fn both(&self, span: Duration) {
        self.pass(span, span);
    }
}

/// Chance that is none.
struct Dice(u8);

impl Chance for Dice {
    fn ten_bytes(&self) -> [u8; 10] {
        [self.0; 10]
    }
}

struct World {
    fake: FakeControl,
    table: ControlTable,
    clock: Hands,
    control: AwsControl<Hands>,
}

fn world() -> World {
    let (fake, clock) = (FakeControl::default(), Hands::default());
    let table = ControlTable::new(fake.client(), "control");
    World { control: AwsControl::new(Some(table.clone()), clock.clone(), &Dice(1)), fake, table, clock }
}

fn pause(scope: PauseScope) -> Pause {
    Pause { id: scope.id(), scope, created_at: Timestamp::from_millis(1_796_115_600_000) }
}

fn leased(group: &str, handle: &str) -> Leased {
    let queue = QueueName::parse("messages-0").unwrap();
    let mut leased = leased_of(queue);
    (leased.group, leased.handle) = (group.to_owned(), handle.to_owned());
    leased
}

fn leased_of(queue: QueueName) -> Leased {
    Leased {
        kept_at: None,
        queue,
        body: String::new(),
        entry_id: "e".to_owned(),
        sequence: "1".to_owned(),
        group: String::new(),
        sent_at: Timestamp::default(),
        receives: 1,
        handle: String::new(),
    }
}

/// Every head that a pause holds.
async fn held(table: &ControlTable, pause: &str) -> Vec<Held> {
    let mut all = Vec::new();
    for partition in 0..HELD_PARTITIONS {
        let mut start = None;
        loop {
            let (page, next) = table.held_page(partition, pause, start).await.unwrap();
            all.extend(page);
            start = next;
            if start.is_none() {
                break;
            }
        }
    }
    all
}

#[tokio::test]
async fn the_table_is_read_once_a_second_whoever_asks() {
    let world = world();
    join_all((0..50).map(|_| world.control.orders())).await;
    assert_eq!(world.fake.calls(), ["Query"]);
    world.clock.both(Duration::from_millis(999));
    world.table.put_pause(&pause(PauseScope::All)).await.unwrap();
    assert!(world.control.orders().await.is_empty());
    assert_eq!(world.fake.calls(), ["PutItem"]);
    world.clock.both(Duration::from_millis(1));
    assert_eq!(world.control.orders().await.pauses, [pause(PauseScope::All)]);
    assert_eq!(world.fake.calls(), ["Query"]);
    // A frozen process: ten minutes passed, and its own clock does not know of them.
    world.clock.pass(Duration::from_secs(600), Duration::ZERO);
    world.table.delete_pause(&PauseScope::All.id()).await.unwrap();
    assert!(world.control.orders().await.is_empty());
}

#[tokio::test]
async fn more_orders_than_a_page_are_read_and_what_is_none_is_left_out() {
    let world = world();
    for n in 0..40 {
        world.table.put_pause(&pause(PauseScope::Target(format!("e{n}.org")))).await.unwrap();
        let what = CancelWhat::Message(format!("m-{n}"));
        let cut_off = world.clock.now();
        world.table.put_mark(&CancelMark::new(what, cut_off, cut_off.plus(HIDDEN))).await.unwrap();
    }
    world.fake.put("orders", "pause#broken");
    world.fake.put("orders", "weather#e.org");
    world.fake.put("held#00", "pause#x");
    let orders = world.control.orders().await;
    assert_eq!((orders.pauses.len(), orders.marks.len()), (40, 40));
    assert_eq!(world.table.orders().await.unwrap().1, ["pause#broken"]);
}

#[tokio::test]
async fn the_last_answer_stands_while_the_table_is_down_and_not_for_ever() {
    let world = world();
    world.table.put_pause(&pause(PauseScope::All)).await.unwrap();
    assert!(!world.control.orders().await.is_empty());
    let _ = world.fake.calls();
    world.fake.set_down(true);
    world.clock.both(Duration::from_secs(1));
    assert!(!world.control.orders().await.is_empty());
    world.clock.both(Duration::from_secs(4));
    assert!(!world.control.orders().await.is_empty());
    assert_eq!(world.fake.calls(), ["Query"], "not asked again so soon");
    world.clock.both(Duration::from_secs(15 * 60));
    assert!(world.control.orders().await.is_empty(), "too old");
    world.fake.set_down(false);
    world.clock.both(Duration::from_secs(5));
    assert!(!world.control.orders().await.is_empty());
}

#[tokio::test]
async fn without_a_table_nothing_is_ordered() {
    let control = AwsControl::new(None, Hands::default(), &Dice(1));
    assert!(control.orders().await.is_empty());
    assert_eq!(control.hold_paused(&leased("g", "h"), "p").await, HIDDEN_UNREMEMBERED);
}

#[tokio::test]
async fn a_head_is_hidden_for_hours_where_a_resume_finds_it() {
    let world = world();
    let (all, host) = (pause(PauseScope::All), pause(PauseScope::Target("e.org".to_owned())));
    for pause in [&all, &host] {
        world.table.put_pause(pause).await.unwrap();
    }
    for n in 0..100 {
        let leased = leased(&format!("group-{n}"), &format!("handle-{n}"));
        let by = if n % 2 == 0 { &all } else { &host };
        assert_eq!(world.control.hold_paused(&leased, &by.id).await, HIDDEN);
    }
    let found = held(&world.table, &host.id).await;
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|held| held.pause == host.id && held.until > world.clock.now()));
    let partitions: std::collections::BTreeSet<String> = found.iter().map(|held| held.key().0).collect();
    assert!(partitions.len() > 8, "{partitions:?}");
}

#[tokio::test]
async fn a_head_whose_pause_has_ended_meanwhile_is_shown() {
    let world = world();
    let all = pause(PauseScope::All);
    world.table.put_pause(&all).await.unwrap();
    assert!(!world.control.orders().await.is_empty());
    world.table.delete_pause(&all.id).await.unwrap();
    assert!(!world.control.orders().await.is_empty(), "an answer of a moment ago");
    assert_eq!(world.control.hold_paused(&leased("g", "h"), &all.id).await, HIDDEN_NO_MORE);
    assert!(world.control.orders().await.is_empty(), "and it is not held by that answer again");
}

#[tokio::test]
async fn a_head_that_is_not_remembered_is_seen_within_a_minute() {
    let world = world();
    world.fake.set_down(true);
    assert_eq!(world.control.hold_paused(&leased("g", "h"), "p").await, Duration::from_secs(60));
}

#[tokio::test]
async fn a_head_that_was_held_again_is_not_forgotten() {
    let world = world();
    let all = pause(PauseScope::All);
    world.table.put_pause(&all).await.unwrap();
    world.control.hold_paused(&leased("g", "first"), &all.id).await;
    let first = held(&world.table, &all.id).await;
    world.control.hold_paused(&leased("g", "second"), &all.id).await;
    world.table.delete_held(&first[0]).await.unwrap();
    let second = held(&world.table, &all.id).await;
    assert_eq!(second.iter().map(|held| held.handle.as_str()).collect::<Vec<_>>(), ["second"]);
    world.table.delete_held(&second[0]).await.unwrap();
    assert!(held(&world.table, &all.id).await.is_empty());
}

#[tokio::test]
async fn a_pause_is_there_once_and_ends_once() {
    let world = world();
    let first = pause(PauseScope::All);
    assert_eq!(world.table.put_pause(&first).await.unwrap(), None);
    let later = Pause { created_at: Timestamp::from_millis(1_796_115_999_000), ..first.clone() };
    assert_eq!(world.table.put_pause(&later).await.unwrap(), Some(first.clone()));
    assert!(world.table.delete_pause(&first.id).await.unwrap());
    assert!(!world.table.delete_pause(&first.id).await.unwrap());
}

#[tokio::test]
async fn what_waits_of_a_message_is_deleted_and_nothing_else() {
    let world = world();
    for (pk, sk) in [("wait#m", "1"), ("wait#m", "2"), ("wait#mm", "1"), ("held#00", "x")] {
        world.fake.put(pk, sk);
    }
    assert_eq!(world.table.delete_waits("m").await.unwrap(), 2);
    assert_eq!(world.table.delete_waits("m").await.unwrap(), 0);
    assert_eq!((world.fake.keys("wait#").len(), world.fake.keys("held#").len()), (1, 1));
}
