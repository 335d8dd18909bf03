//! Ends: each is told to whom the message has named for it, once, by a message of its own, written with the end
//! itself; and the balance holds with those counted.

use chaski_core::filter::{DeadLetterFilter, MessageFilter, Whose};
use chaski_core::ledger::MessageState;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{CancelCount, Cancelled, DeadLetters, Ledger, Pauses};
use chaski_core::route::Ordering;
use chaski_core::time::Timestamp;

use crate::service::Service;
use crate::world::{SECOND, START, id_of, page};

const CALLBACKS: &str = r#","callback":{"url":"https://e.org/done"},"failure_callback":{"url":"https://e.org/failed"}"#;

impl Service {
    async fn cancel(&self, id: &str) -> Cancelled {
        self.world.store.cancel(id, &Whose::default()).await.unwrap()
    }

    /// One callback was sent for this message, and said this.
    fn was_told(&self, id: &str, name: &str, state: &str) {
        let other = if name == "done" { "failed" } else { "done" };
        assert_eq!(self.told(other).len(), 0, "{id}");
        let told = self.told(name);
        assert_eq!(told.len(), 1, "{id}");
        let body: serde_json::Value = serde_json::from_str(&told[0].body).unwrap();
        assert_eq!((body["id"].as_str(), body["state"].as_str()), (Some(id), Some(state)));
    }

    /// Messages by their state: accepted = delivered + dead + cancelled + expired + pending.
    fn balance(&self, delivered: i64, dead: i64, cancelled: i64, expired: i64, pending: i64) {
        let markers = self.world.sql("SELECT count(*) FROM messages WHERE subject GLOB 'marker-*'");
        let count = |states: &str| self.world.sql(&format!("SELECT count(*) FROM messages WHERE state IN ({states})"));
        let found = [count("3") - markers, count("4"), count("5"), count("6"), count("0, 1, 2")];
        assert_eq!(found, [delivered, dead, cancelled, expired, pending]);
        self.world.is_well();
    }
}

#[tokio::test]
async fn a_delivery_is_told_by_a_message_of_its_own() {
    let service = Service::new();
    let id = service.post("s", "m", CALLBACKS).await;
    service.step().await;
    service.balance(1, 0, 0, 0, 1);
    let service = service.killed();
    service.step().await;
    service.was_told(&id, "done", "delivered");
    let callback = service.told("done")[0].id.clone();
    assert_ne!(callback, id);
    assert_eq!(service.world.record(&callback).await.listing.subject, "s");
    service.nothing_waits().await;
    service.balance(2, 0, 0, 0, 0);
}

#[tokio::test]
async fn a_dead_message_is_told_of_and_a_callback_that_fails_is_dead_once_and_told_of_by_nobody() {
    let service = Service::new();
    let id = service.post("s", "m", CALLBACKS).await;
    service.answers("m", &[410]);
    service.answers("failed", &[500, 410]);
    service.steps(2).await;
    service.world.pass(12 * SECOND);
    service.step().await;
    let told = service.told("failed");
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].id, told[1].id);
    service.nothing_waits().await;
    service.balance(0, 2, 0, 0, 0);
    let letters = service.world.store.dead_letters(&DeadLetterFilter::default(), &page(10)).await.unwrap();
    let ids: Vec<&str> = letters.items.iter().map(|buried| buried.letter.id.as_str()).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&id.as_str()) && ids.contains(&told[0].id.as_str()));
}

#[tokio::test]
async fn what_has_expired_is_not_sent_and_is_recorded_and_told_of() {
    let service = Service::new();
    let (pause, _) = service.world.store.pause(&PauseScope::Route("messages".to_owned())).await.unwrap();
    let id = service.post("s", "m", &format!(r#","expires_in":"5s","ordering":"strict"{CALLBACKS}"#)).await;
    service.post("s", "behind", "").await;
    let record = service.world.record(&id).await;
    assert_eq!(record.expires_at, Some(Timestamp::from_millis(START + 5 * SECOND)));
    assert_eq!(record.ordering, Some(Ordering::Strict), "while it waits it is known what it asked for");
    service.world.pass(5 * SECOND);
    service.world.store.resume(&pause.id).await.unwrap();
    service.steps(3).await;
    assert_eq!(service.told("m").len(), 0);
    assert_eq!(service.told("behind").len(), 1);
    service.was_told(&id, "failed", "expired");
    let record = service.world.record(&id).await;
    assert_eq!((record.state, record.attempts.len()), (MessageState::Expired, 0));
    assert_eq!(record.error.unwrap().class, "expired");
    let letter = service.world.store.dead_letter(&id, None, &Whose::default()).await.unwrap().unwrap().letter;
    assert_eq!(letter.last_error.class, "expired");
    service.nothing_waits().await;
    service.balance(2, 0, 0, 1, 0);
}

#[tokio::test]
async fn a_cancelled_message_is_told_of_wherever_it_was() {
    // In its line, before its time, and held.
    for (fields, steps) in [("", 0), (r#","delay":"1h""#, 0), (r#","ordering":"strict""#, 1)] {
        let service = Service::new();
        service.answers("m", &[500]);
        let id = service.post("s", "m", &format!("{fields}{CALLBACKS}")).await;
        service.steps(steps).await;
        assert_eq!(service.cancel(&id).await, Cancelled::Now);
        service.balance(0, 0, 1, 0, 1);
        let service = service.killed();
        service.step().await;
        service.was_told(&id, "failed", "cancelled");
        assert_eq!(service.cancel(&id).await, Cancelled::Ended);
        service.nothing_waits().await;
        service.balance(1, 0, 1, 0, 0);
    }
}

#[tokio::test]
async fn many_that_are_cancelled_are_told_of_each() {
    let service = Service::new();
    for n in 0..20 {
        service.post("s", &format!("m{n}"), if n % 2 == 0 { CALLBACKS } else { "" }).await;
    }
    let count = service.world.store.cancel_all(&MessageFilter::default(), false).await.unwrap();
    assert_eq!(count, CancelCount { matched: Some(20), cancelled: 20, cancelling: 0 });
    service.balance(0, 0, 20, 0, 10);
    service.steps(10).await;
    assert_eq!(service.told("failed").len(), 10);
    service.nothing_waits().await;
    service.balance(10, 0, 20, 0, 0);
}

#[tokio::test]
async fn what_is_cancelled_at_work_is_told_of_as_it_ended() {
    // Held, retried, given up, and delivered all the same.
    for (fields, status, delivered) in
        [(r#","ordering":"strict""#, 500, false), ("", 500, false), ("", 410, false), ("", 200, true)]
    {
        let service = Service::new();
        service.answers("m", &[status]);
        let id = service.post("s", "m", &format!("{fields}{CALLBACKS}")).await;
        let leased = service.world.lease().await;
        assert_eq!(id_of(&leased), id);
        assert_eq!(service.cancel(&id).await, Cancelled::Cancelling);
        service.handle(&leased).await;
        service.step().await;
        if delivered {
            service.was_told(&id, "done", "delivered");
        } else {
            service.was_told(&id, "failed", "cancelled");
        }
        service.nothing_waits().await;
        let ended = i64::from(delivered);
        service.balance(1 + ended, 0, 1 - ended, 0, 0);
    }
}

#[tokio::test]
async fn a_replayed_message_is_told_of_again() {
    let service = Service::new();
    service.answers("m", &[410, 410]);
    let id = service.post("s", "m", CALLBACKS).await;
    service.steps(2).await;
    service.replay(&id).await;
    service.steps(2).await;
    let told = service.told("failed");
    assert_eq!(told.len(), 2);
    assert_ne!(told[0].id, told[1].id, "each generation is told of");
    service.nothing_waits().await;
    service.balance(2, 1, 0, 0, 0);
}
