//! The ledger: a message's states, its attempts, lists, and waiting for the end.

use std::time::Duration;

use chaski_core::filter::{MessageFilter, Page, TargetFilter, Whose};
use chaski_core::ledger::{Listing, MessageState};
use chaski_core::ports::{Beside, DeskError, Enqueue, Ledger, Taken};
use chaski_core::queue::Tier;
use chaski_core::time::Timestamp;

use crate::world::{HOUR, Outcome, SECOND, START, World, attempt, entry, listed, listing, page};

#[tokio::test]
async fn a_message_s_life_is_told() {
    let world = World::new();
    world.post("m", "s").await;
    let record = world.record("m").await;
    assert_eq!(record.listing, listing("m", "s"));
    assert_eq!((record.state, record.cancelling, record.next_due), (MessageState::Pending, false, None));

    let leased = world.lease().await;
    assert_eq!(world.state("m").await, MessageState::Delivering);
    let retry = Outcome::Retry(Tier::Fast).of(&leased);
    world.store.settle_with(&leased, &retry, 1, 503).await;

    let record = world.record("m").await;
    assert_eq!((record.state, record.queue.as_deref()), (MessageState::Retrying, Some("retry-fast")));
    let due = record.next_due.unwrap().millis() - START;
    assert!((10 * SECOND..=11 * SECOND).contains(&due), "{due}");
    assert_eq!(record.answer.unwrap().status, 503);
    assert_eq!(record.error.unwrap().detail, "it failed");
    assert_eq!(record.attempts, [(attempt(1, &leased, 503).record, env!("CARGO_PKG_VERSION").to_owned())]);

    world.pass(11 * SECOND + 1);
    let leased = world.lease().await;
    world.store.settle_with(&leased, &Outcome::Done.of(&leased), 2, 204).await;
    let record = world.record("m").await;
    assert_eq!((record.state, record.queue, record.next_due), (MessageState::Delivered, None, None));
    assert_eq!(record.ended_at, Some(Timestamp::from_millis(START + 11 * SECOND + 1)));
    assert_eq!(record.attempts.iter().map(|(attempt, _)| attempt.status).collect::<Vec<_>>(), [Some(503), Some(204)]);
    assert_eq!((record.answer.unwrap().status, record.error), (204, None));

    world.post("n", "s").await;
    world.work("n", Outcome::Bury).await;
    let record = world.record("n").await;
    assert_eq!((record.state, record.error.unwrap().class.as_str()), (MessageState::Dead, "http_5xx"));
    world.is_well();
}

trait SettleWith {
    async fn settle_with(
        &self,
        leased: &chaski_core::ports::Leased,
        settlement: &chaski_core::ports::Settlement,
        n: u32,
        status: u16,
    );
}

impl SettleWith for chaski_embedded::Store {
    async fn settle_with(
        &self,
        leased: &chaski_core::ports::Leased,
        settlement: &chaski_core::ports::Settlement,
        n: u32,
        status: u16,
    ) {
        use chaski_core::ports::Settle;
        self.settle(leased, settlement, Beside { attempt: Some(&attempt(n, leased, status)), ..Beside::default() })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn whose_a_message_is_not_does_not_see_it() {
    let world = World::new();
    let own = Listing { tenant: "t".to_owned(), producer: "p".to_owned(), ..listing("m", "s") };
    world.store.enqueue(listed(own)).await.unwrap();
    let sees = async |tenant: Option<&str>, producer: Option<&str>| {
        let whose = Whose { tenant: tenant.map(str::to_owned), producer: producer.map(str::to_owned) };
        let one = world.store.message("m", &whose, Duration::ZERO).await.unwrap().is_some();
        let filter = MessageFilter { whose, ..MessageFilter::default() };
        let listed = world.store.messages(&filter, &page(10)).await.unwrap().items.len();
        assert_eq!(usize::from(one), listed);
        one
    };
    assert!(sees(None, None).await);
    assert!(sees(Some("t"), None).await);
    assert!(sees(Some("t"), Some("p")).await);
    assert!(!sees(Some("u"), Some("p")).await);
    assert!(!sees(Some("t"), Some("q")).await);
}

/// Ids that a filter finds, two at a time.
async fn ids(world: &World, filter: &MessageFilter) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), page(2));
    loop {
        let listed = world.store.messages(filter, &at).await.unwrap();
        assert!(listed.items.len() == 2 || listed.next_cursor.is_none());
        found.extend(listed.items.into_iter().map(|record| record.listing.id));
        let Some(cursor) = listed.next_cursor else { return found };
        at = Page { limit: 2, cursor: Some(cursor) };
    }
}

#[tokio::test]
async fn every_filter_finds_its_messages_the_newest_first() {
    let world = World::new();
    for n in 0..9_i64 {
        let subject = ["a", "b", "c"][usize::try_from(n % 3).unwrap()];
        let own = Listing {
            client: (n % 2 == 0).then(|| "even".to_owned()),
            labels: if n < 5 { vec!["low".to_owned(), format!("n{n}")] } else { Vec::new() },
            received_at: Timestamp::from_millis(START + n * HOUR),
            ..listing(&format!("m{n}"), subject)
        };
        world.store.enqueue(listed(own)).await.unwrap();
    }
    // m0 is delivered, m1 retries, m2 is dead, m3 at work, m4 cancelled.
    world.work("m0", Outcome::Done).await;
    world.work("m1", Outcome::Retry(Tier::Slow)).await;
    world.work("m2", Outcome::Bury).await;
    let _at_work = world.lease().await;
    world.store.cancel("m4", &Whose::default()).await.unwrap();

    let all = MessageFilter::default;
    let time = |n: i64| Some(Timestamp::from_millis(START + n * HOUR));
    let state = |state| MessageFilter { state: Some(state), ..all() };
    let target = |target| MessageFilter { target: Some(target), ..all() };
    let prefix = |prefix: &str| TargetFilter::Prefix { prefix: prefix.to_owned(), host: "b.example".to_owned() };
    let finds = [
        (all(), "m8 m7 m6 m5 m4 m3 m2 m1 m0"),
        (MessageFilter { subject: Some("b".to_owned()), ..all() }, "m7 m4 m1"),
        (MessageFilter { client: Some("even".to_owned()), ..all() }, "m8 m6 m4 m2 m0"),
        (MessageFilter { label: Some("low".to_owned()), ..all() }, "m4 m3 m2 m1 m0"),
        (MessageFilter { label: Some("n3".to_owned()), ..all() }, "m3"),
        (target(TargetFilter::Host("c.example".to_owned())), "m8 m5 m2"),
        (target(prefix("https://b.example/ho")), "m7 m4 m1"),
        (target(prefix("https://b.example/no")), ""),
        (target(prefix("https://b.example/%")), ""),
        (MessageFilter { from: time(3), to: time(6), ..all() }, "m5 m4 m3"),
        (state(MessageState::Pending), "m8 m7 m6 m5"),
        (state(MessageState::Delivering), "m3"),
        (state(MessageState::Retrying), "m1"),
        (state(MessageState::Delivered), "m0"),
        (state(MessageState::Dead), "m2"),
        (state(MessageState::Cancelled), "m4"),
        (state(MessageState::Expired), ""),
        (MessageFilter { subject: Some("a".to_owned()), client: Some("even".to_owned()), ..all() }, "m6 m0"),
    ];
    for (filter, expected) in finds {
        assert_eq!(ids(&world, &filter).await.join(" "), expected, "{filter:?}");
    }
    let strange = Page { limit: 2, cursor: Some("strange".to_owned()) };
    assert_eq!(world.store.messages(&all(), &strange).await, Err(DeskError::Cursor));
    world.is_well();
}

#[tokio::test]
async fn waiting_for_the_end_answers_when_it_comes() {
    let world = World::new();
    world.post("m", "s").await;
    let leased = world.lease().await;
    let (store, whose) = (world.store.clone(), Whose::default());
    let waiting = tokio::spawn(async move { store.message("m", &whose, Duration::from_secs(3_600)).await });
    let settling = world.settle(&leased, Outcome::Done.of(&leased));
    settling.await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it still waits").unwrap();
    assert_eq!(waited.unwrap().unwrap().state, MessageState::Delivered);
}

#[tokio::test]
async fn waiting_ends_with_its_time_and_says_how_it_stands() {
    let world = World::new();
    world.post("m", "s").await;
    let waited = world.store.message("m", &Whose::default(), Duration::from_millis(1)).await.unwrap();
    assert_eq!(waited.unwrap().state, MessageState::Pending);
    assert_eq!(world.store.message("n", &Whose::default(), Duration::from_secs(3_600)).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_id_is_the_same_message_within_the_time_of_its_key() {
    let world = World::new();
    assert_eq!(world.post("m", "s").await, Taken::New);
    assert_eq!(world.post("m", "s").await, Taken::Duplicate);
    world.work("m", Outcome::Done).await;
    world.pass(24 * HOUR);
    assert_eq!(world.post("m", "s").await, Taken::Duplicate);
    world.pass(SECOND);
    assert_eq!(world.post("m", "s").await, Taken::New);
    let record = world.record("m").await;
    assert_eq!((record.state, record.attempts.len()), (MessageState::Pending, 0));
    world.work("m", Outcome::Done).await;
    world.nothing_waits().await;
    world.is_well();
}

#[tokio::test]
async fn a_message_that_is_not_at_its_end_is_known_however_old_it_is() {
    let world = World::new();
    world.post("m", "s").await;
    world.pass(30 * 24 * HOUR);
    assert_eq!(world.post("m", "s").await, Taken::Duplicate);
    world.work("m", Outcome::Done).await;
    world.nothing_waits().await;
}

#[tokio::test]
async fn entries_of_one_call_meet_their_own_fates() {
    let world = World::new();
    let fates = world.store.enqueue_all(vec![entry("a", "s"), entry("a", "s"), entry("b", "s")]).await;
    assert_eq!(fates, [Ok(Taken::New), Ok(Taken::Duplicate), Ok(Taken::New)]);
    world.work("a", Outcome::Done).await;
    world.work("b", Outcome::Done).await;
    world.nothing_waits().await;
}
