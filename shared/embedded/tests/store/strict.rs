//! Strict order: a head that failed holds up its line, in its place in the file, over kills; and its line is counted.

use chaski_core::filter::Whose;
use chaski_core::ledger::MessageState;
use chaski_core::ports::{Cancelled, Ledger, Queues};
use chaski_core::time::Timestamp;

use crate::service::Service;
use crate::world::{SECOND, START, id_of};

#[tokio::test]
async fn a_head_that_failed_holds_up_its_line_and_no_other() {
    let service = Service::new();
    for name in ["1", "2", "3"] {
        service.strict("s", name).await;
    }
    service.answers("2", &[500, 500]);
    service.steps(2).await;
    service.strict("other", "o1").await;
    service.step().await;
    service.nothing_waits().await;
    assert_eq!(service.names(), ["1", "2", "o1"]);

    // Held in the file, it is found there again, with what was noted of it; what comes stands behind it.
    let service = service.killed();
    service.post("s", "4", "").await;
    service.strict("s", "5").await;
    service.nothing_waits().await;
    service.world.pass(10 * SECOND - 1);
    service.nothing_waits().await;
    service.world.pass(1);
    service.step().await;
    service.nothing_waits().await;
    service.world.pass(10 * SECOND);
    service.steps(4).await;
    service.nothing_waits().await;
    assert_eq!(service.names(), ["1", "2", "o1", "2", "2", "3", "4", "5"]);
    service.world.is_well();
}

#[tokio::test]
async fn a_held_message_is_listed_as_retrying_with_its_time_and_its_attempts() {
    let service = Service::new();
    let id = service.strict("s", "m").await;
    service.strict("s", "behind").await;
    service.answers("m", &[500]);
    service.step().await;
    let record = service.world.record(&id).await;
    assert_eq!((record.state, record.attempts.len()), (MessageState::Retrying, 1));
    assert_eq!(record.next_due, Some(Timestamp::from_millis(START + 10 * SECOND)));
    assert_eq!(record.answer.unwrap().status, 500);
    assert_eq!(record.error.unwrap().class, "http_5xx");
    let queues = service.world.store.queues().await.unwrap();
    let own = queues.iter().find(|queue| Some(queue.queue.to_string()) == record.queue).unwrap();
    assert_eq!((own.depth, own.delayed), (2, 1));
    service.world.is_well();
}

#[tokio::test]
async fn a_held_head_that_is_cancelled_or_given_up_lets_its_line_go_on() {
    for cancels in [true, false] {
        let service = Service::new();
        let id = service.strict("s", "m").await;
        service.strict("s", "behind").await;
        service.answers("m", &[500, 410]);
        service.step().await;
        if cancels {
            assert_eq!(service.world.store.cancel(&id, &Whose::default()).await.unwrap(), Cancelled::Now);
        } else {
            service.world.pass(10 * SECOND);
            service.step().await;
        }
        service.step().await;
        assert_eq!(service.names().last().unwrap(), "behind");
        let state = if cancels { MessageState::Cancelled } else { MessageState::Dead };
        assert_eq!(service.world.state(&id).await, state);
        service.world.pass(10 * SECOND);
        service.nothing_waits().await;
        service.world.is_well();
    }
}

#[tokio::test]
async fn what_is_cancelled_at_work_is_not_held() {
    let service = Service::new();
    let id = service.strict("s", "m").await;
    service.strict("s", "behind").await;
    service.answers("m", &[500]);
    let leased = service.world.lease().await;
    assert_eq!(id_of(&leased), id);
    assert_eq!(service.world.store.cancel(&id, &Whose::default()).await.unwrap(), Cancelled::Cancelling);
    service.handle(&leased).await;
    assert_eq!(service.world.state(&id).await, MessageState::Cancelled);
    service.step().await;
    assert_eq!(service.names(), ["m", "behind"]);
    service.nothing_waits().await;
    service.world.is_well();
}

#[tokio::test]
async fn a_line_is_counted_without_gaps_over_what_was_attempted_also_over_kills() {
    let service = Service::new();
    service.answers("2", &[500, 500]);
    let cancelled = {
        service.strict("s", "1").await;
        service.strict("s", "2").await;
        service.post("s", "relaxed", "").await;
        let cancelled = service.strict("s", "never").await;
        service.strict("s", "3").await;
        cancelled
    };
    service.steps(2).await;
    assert_eq!(service.world.store.cancel(&cancelled, &Whose::default()).await.unwrap(), Cancelled::Now);
    let service = service.killed();
    service.world.pass(10 * SECOND);
    service.step().await;
    let service = service.killed();
    service.world.pass(10 * SECOND);
    service.steps(2).await;
    // The kill comes between the attempt and its settlement: the number is given again.
    let service = {
        let leased = service.world.lease().await;
        let left = service.world.remains();
        service.handle(&leased).await;
        service.from(left)
    };
    service.step().await;
    service.strict("t", "t1").await;
    service.step().await;
    service.strict("s", "4").await;
    service.step().await;
    let seen = service.seen();
    let strict = seen.iter().filter(|seen| seen.name != "relaxed");
    let counted: Vec<_> = strict.map(|seen| (seen.name.as_str(), seen.sequence.unwrap_or_default())).collect();
    let expected = [("1", 1), ("2", 2), ("2", 2), ("2", 2), ("3", 3), ("3", 3), ("t1", 1), ("4", 4)];
    assert_eq!(counted, expected);
    service.nothing_waits().await;
    service.world.is_well();
}
