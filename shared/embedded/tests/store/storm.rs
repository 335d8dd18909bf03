//! Everything at once: producers, workers that give back, retry and hold, pauses, cancellations. Every message comes to
//! one end, nobody is served twice, nobody passes a held one, and nobody is forgotten.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chaski_core::filter::Whose;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{Beside, Cancelled, Clock, Enqueue, Ledger, Pauses, Queues, Settle};
use chaski_core::queue::{QueueName, Tier};
use chaski_embedded::Store;

use crate::world::{Outcome, SECOND, TestClock, World, attempt, entry, id_of};

const PRODUCERS: usize = 4;
const MESSAGES: usize = 600;
const SUBJECTS: usize = 7;
const WORKERS: usize = 12;

/// What was done, by message.
#[derive(Default)]
struct Seen {
    delivered: HashMap<String, usize>,
    cancelled: HashSet<String>,
    /// What has left each subject's line, in its order.
    order: HashMap<String, Vec<String>>,
    /// What was held once.
    held: HashSet<String>,
}

type Log = Arc<Mutex<Seen>>;

/// Each producer has subjects of its own.
async fn produce(store: Store, producer: usize, log: Log) {
    for n in 0..MESSAGES {
        let id = format!("p{producer}-{n:04}");
        store.enqueue(entry(&id, &subject(producer, n))).await.unwrap();
        if n % 5 == 4 {
            let victim = format!("p{producer}-{:04}", n - 1);
            if store.cancel(&victim, &Whose::default()).await.unwrap() == Cancelled::Now {
                log.lock().unwrap().cancelled.insert(victim);
            }
        }
    }
}

fn subject(producer: usize, n: usize) -> String {
    format!("p{producer}s{}", n % SUBJECTS)
}

async fn work(store: Store, clock: Arc<TestClock>, log: Log) {
    let mut turn = 0_usize;
    loop {
        let leased = store.lease().await;
        let id = id_of(&leased);
        turn += 1;
        let is_first = !matches!(leased.queue, QueueName::Tier(_));
        if turn.is_multiple_of(11) {
            store.give_back(&[(&leased, Duration::ZERO)]).await;
            continue;
        }
        let fails = is_first && id.ends_with('3');
        let is_held = is_first && id.ends_with('7') && log.lock().unwrap().held.insert(id.clone());
        let outcome = match (fails, is_held) {
            (true, _) => Outcome::Retry(Tier::Fast),
            (_, true) => Outcome::Hold(SECOND / 5),
            _ => Outcome::Done,
        };
        if is_first && !is_held {
            let body: serde_json::Value = serde_json::from_str(&leased.body).unwrap();
            let subject = body["subject"].as_str().unwrap().to_owned();
            log.lock().unwrap().order.entry(subject).or_default().push(id.clone());
        }
        let n = 1 + u32::from(!is_first || id.ends_with('7') && !is_held);
        let report = attempt(n, &leased, if fails || is_held { 500 } else { 200 });
        let settlement = outcome.at(clock.now(), &leased);
        store.settle(&leased, &settlement, Beside { attempt: Some(&report), ..Beside::default() }).await.unwrap();
        if !fails && !is_held {
            *log.lock().unwrap().delivered.entry(id).or_default() += 1;
        }
    }
}

/// Until it is told to stop, and then nothing is held back: one that is cut short may leave a pause on its way.
async fn pause_and_resume(store: Store, stop: Arc<AtomicBool>) {
    for round in (0_usize..).take_while(|_| !stop.load(Ordering::SeqCst)) {
        let scope = match round % 4 {
            0 => PauseScope::All,
            1 => PauseScope::Subject { tenant: String::new(), subject: subject(round % PRODUCERS, round) },
            2 => PauseScope::Target(format!("{}.example", subject(round % PRODUCERS, round))),
            _ => PauseScope::Queue(format!("messages-{}", round % 4)),
        };
        let (pause, _) = store.pause(&scope).await.unwrap();
        tokio::task::yield_now().await;
        store.resume(&pause.id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_every_message_comes_to_one_end_and_every_line_keeps_its_order() {
    let world = World::with(|options| options.limits.per_host = 2);
    let log = Log::default();
    let workers: Vec<_> =
        (0..WORKERS).map(|_| tokio::spawn(work(world.store.clone(), world.clock.clone(), log.clone()))).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let pausing = tokio::spawn(pause_and_resume(world.store.clone(), stop.clone()));
    let producers: Vec<_> =
        (0..PRODUCERS).map(|producer| tokio::spawn(produce(world.store.clone(), producer, log.clone()))).collect();
    for producer in producers {
        producer.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    pausing.await.unwrap();
    assert!(world.store.pauses().await.unwrap().is_empty());
    let emptied = async {
        loop {
            let queues = world.store.queues().await.unwrap();
            if queues.iter().all(|queue| queue.depth == 0) {
                return;
            }
            // Retries and held lines wait for the time to pass; in small steps, or a lease would run out.
            world.pass(SECOND / 50);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), emptied).await.expect("somebody was forgotten");
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    for worker in workers {
        let ended = worker.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "a worker failed");
    }

    let seen = log.lock().unwrap();
    assert!(seen.held.len() > 50, "{} were held", seen.held.len());
    assert!(seen.delivered.values().all(|times| *times == 1), "somebody was served twice");
    assert_eq!(world.sql("SELECT count(*) FROM messages WHERE state IN (3, 5)"), (PRODUCERS * MESSAGES) as i64);
    for id in &seen.cancelled {
        assert!(!seen.delivered.contains_key(id), "{id} was cancelled and delivered");
    }
    for (subject, ids) in &seen.order {
        assert!(ids.is_sorted(), "{subject}: {ids:?}");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{subject}: an attempt was made twice");
    }
    drop(seen);
    world.is_well();
}
