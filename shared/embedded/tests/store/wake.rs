//! Messages whose time has not come: they wait in `wake`, and join their line when it comes.

use chaski_core::filter::Whose;
use chaski_core::ledger::MessageState;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{Cancelled, Ledger, Pauses, Queues};
use chaski_core::queue::QueueName;
use chaski_core::time::Timestamp;

use crate::service::Service;
use crate::world::{HOUR, SECOND, START};

const DAY: i64 = 24 * HOUR;

#[tokio::test]
async fn a_message_waits_for_its_time_and_joins_its_line_then() {
    for (delay, span) in [("2s", 2 * SECOND), ("90s", 90 * SECOND), ("20d", 20 * DAY)] {
        let service = Service::new();
        let id = service.post("s", "late", &format!(r#","delay":"{delay}""#)).await;
        service.post("s", "soon", "").await;
        service.step().await;
        let record = service.world.record(&id).await;
        assert_eq!((record.state, record.queue.as_deref()), (MessageState::Pending, Some("wake")));
        assert_eq!(record.next_due, Some(Timestamp::from_millis(START + span)));
        let service = service.killed();
        service.world.pass(span - 1);
        service.nothing_waits().await;
        service.world.pass(1);
        service.step().await;
        let record = service.world.record(&id).await;
        assert_eq!((record.state, record.next_due), (MessageState::Pending, None));
        assert!(record.queue.unwrap().starts_with("messages-"));
        service.step().await;
        assert_eq!(service.names(), ["soon", "late"], "{delay}");
        assert_eq!(service.world.state(&id).await, MessageState::Delivered);
        service.nothing_waits().await;
        service.world.is_well();
    }
}

#[tokio::test]
async fn many_that_wait_come_each_at_its_time() {
    let service = Service::new();
    for n in (1..=60).rev() {
        service.post("s", &format!("m{n:02}"), &format!(r#","delay":{n}"#)).await;
    }
    let queues = service.world.store.queues().await.unwrap();
    let wake = queues.iter().find(|queue| queue.queue == QueueName::Wake).unwrap();
    assert_eq!((wake.depth, wake.delayed), (60, 60));
    assert!(queues.iter().all(|queue| queue.queue != QueueName::WakeNet), "this home has none");
    for n in 1..=60 {
        service.world.pass(SECOND);
        service.steps(2).await;
        assert_eq!(service.names().len(), n);
    }
    assert!(service.names().is_sorted());
    service.nothing_waits().await;
    service.world.is_well();
}

#[tokio::test]
async fn a_pause_holds_what_has_joined_its_line_and_not_what_waits_for_its_time() {
    let service = Service::new();
    let id = service.post("s", "late", r#","delay":"5s""#).await;
    let mut pauses = Vec::new();
    for scope in [PauseScope::Target("e.org".to_owned()), PauseScope::Route("messages".to_owned())] {
        pauses.push(service.world.store.pause(&scope).await.unwrap().0.id);
    }
    service.world.pass(5 * SECOND);
    service.step().await;
    assert!(service.world.record(&id).await.queue.unwrap().starts_with("messages-"));
    for pause in pauses {
        assert_eq!(service.names(), [""; 0]);
        service.world.store.resume(&pause).await.unwrap();
    }
    service.step().await;
    assert_eq!(service.names(), ["late"]);
    service.world.is_well();
}

#[tokio::test]
async fn what_waits_for_its_time_is_cancelled() {
    let service = Service::new();
    let id = service.post("s", "late", r#","delay":"5s""#).await;
    assert_eq!(service.world.store.cancel(&id, &Whose::default()).await.unwrap(), Cancelled::Now);
    service.world.pass(5 * SECOND);
    service.nothing_waits().await;
    assert_eq!(service.world.state(&id).await, MessageState::Cancelled);
    service.world.is_well();
}

#[tokio::test]
async fn a_retry_of_its_own_delay_waits_beside_its_line() {
    let service = Service::new();
    let id = service.post("s", "m", r#","retry":{"delays":["3s","1h"]}"#).await;
    service.answers("m", &[500, 500]);
    service.step().await;
    service.post("s", "behind", "").await;
    service.step().await;
    let record = service.world.record(&id).await;
    assert_eq!((record.state, record.queue.as_deref()), (MessageState::Retrying, Some("wake")));
    service.world.pass(3 * SECOND);
    service.step().await;
    // In its line again it has not been pending since its first attempt.
    assert_eq!(service.world.state(&id).await, MessageState::Retrying);
    service.step().await;
    service.world.pass(HOUR - 1);
    service.nothing_waits().await;
    service.world.pass(1);
    service.steps(2).await;
    assert_eq!(service.names(), ["m", "behind", "m", "m"]);
    assert_eq!(service.world.record(&id).await.attempts.len(), 3);
    service.world.is_well();
}

#[tokio::test]
async fn a_wall_clock_that_is_set_moves_what_waits_for_a_time_of_it() {
    for jump in [HOUR, -HOUR] {
        let service = Service::new();
        service.world.clock.jump(jump);
        let at = Timestamp::from_millis(START + jump + 2 * HOUR);
        service.post("s", "m", &format!(r#","not_before":"{at}""#)).await;
        service.world.pass(2 * HOUR - 1);
        service.nothing_waits().await;
        service.world.pass(1);
        service.steps(2).await;
        assert_eq!(service.names(), ["m"]);
        service.world.is_well();
    }
}
