//! Killed at random moments under load, it loses nothing that it accepted (H-41, and the figures to reach).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chaski_tests::home::faults::Seeded;
use chaski_tests::world::target::Target;
use serde_json::Value;

use crate::process::{Chaski, envelope};

/// Cycles of a start and a kill.
const KILLS: u64 = 25;
/// Who posts at once, each in subjects of its own, so that it knows their order.
const PRODUCERS: u64 = 8;
const SUBJECTS: u64 = 5;
/// Attempts at once: what a kill may have repeated.
const CONCURRENCY: usize = 32;

/// What one producer was told: its subject, the number in the body, and the id.
type Journal = Arc<Mutex<Vec<(String, u64, String)>>>;

pub(crate) fn seed() -> u64 {
    let given = std::env::var("CHASKI_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_it_loses_nothing_and_repeats_only_what_was_in_flight() {
    let seed = seed();
    println!("CHASKI_SEED={seed} repeats these moments");
    let mut chance = Seeded::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let (journal, numbers) = (Journal::default(), Arc::new(AtomicU64::new(0)));
    let concurrency = CONCURRENCY.to_string();
    let env = [("CHASKI_LIMITS_CONCURRENCY", concurrency.as_str()), ("CHASKI_LIMITS_PER_HOST", concurrency.as_str())];

    for _ in 0..KILLS {
        let chaski = Arc::new(Chaski::start(&data, &env));
        let over = Arc::new(AtomicBool::new(false));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let url = target.url("run", if producer % 4 == 0 { "once" } else { "200" });
                let load = produce(producer, url, chaski.clone(), over.clone(), journal.clone(), numbers.clone());
                tokio::spawn(load)
            })
            .collect();
        let accepted = journal.lock().unwrap().len();
        // It is under load as soon as something was accepted; from there on any moment is as good.
        while journal.lock().unwrap().len() == accepted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(chance.below(400))).await;
        over.store(true, Ordering::SeqCst);
        // While the last answers are on their way.
        kill(&chaski);
        for producer in producers {
            producer.await.unwrap();
        }
    }
    let chaski = Chaski::start(&data, &env);
    chaski.until_idle().await;
    let lost = compare(&target, &journal.lock().unwrap());
    println!("{lost}");
    assert_eq!(chaski.get("/dead-letters").await["items"], Value::Array(Vec::new()));
    chaski.kill();
    let report = chaski_embedded::examine(&data, &mut |_| ()).unwrap();
    assert_eq!(report.findings, []);
}

/// The process is shared with producers that wait for answers; it ends under their hands.
pub(crate) fn kill(chaski: &Chaski) {
    assert!(std::process::Command::new("kill").args(["-KILL", &chaski.id().to_string()]).status().unwrap().success());
}

/// Posts until it is over or the server is gone, one message after the other.
async fn produce(
    producer: u64,
    url: String,
    chaski: Arc<Chaski>,
    over: Arc<AtomicBool>,
    journal: Journal,
    numbers: Arc<AtomicU64>,
) {
    while !over.load(Ordering::SeqCst) {
        let n = numbers.fetch_add(1, Ordering::SeqCst);
        let subject = format!("p{producer}-{}", n % SUBJECTS);
        match chaski.post(&envelope(&subject, &url, n)).await {
            Some(id) => journal.lock().unwrap().push((subject, n, id)),
            None => return,
        }
    }
}

/// Holds what the target got against what the producers were told; a line for a person.
fn compare(target: &Target, journal: &[(String, u64, String)]) -> String {
    let calls = target.calls("run");
    let mut attempts: HashMap<&str, BTreeMap<u32, usize>> = HashMap::new();
    let mut firsts: HashMap<String, Vec<u64>> = HashMap::new();
    let mut seen: HashSet<(String, u64)> = HashSet::new();
    for call in &calls {
        *attempts.entry(call.id()).or_default().entry(call.attempt()).or_default() += 1;
        let n = serde_json::from_slice::<Value>(&call.body).unwrap()["n"].as_u64().unwrap();
        let subject = call.header("chaski-subject").to_owned();
        if call.attempt() == 1 && seen.insert((subject.clone(), n)) {
            firsts.entry(subject).or_default().push(n);
        }
    }
    let lost: Vec<_> = journal.iter().filter(|(_, _, id)| !attempts.contains_key(id.as_str())).collect();
    assert!(lost.is_empty(), "accepted and lost: {lost:?}");
    for (subject, _, id) in journal {
        let last = if subject.starts_with("p0") || subject.starts_with("p4") { 2 } else { 1 };
        let numbers: Vec<u32> = attempts[id.as_str()].keys().copied().collect();
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "{subject} {id}");
    }
    for (subject, line) in &firsts {
        assert!(line.is_sorted(), "the first attempts of {subject} are out of order: {line:?}");
    }
    let repeats: usize = attempts.values().flat_map(BTreeMap::values).map(|times| times - 1).sum();
    let most = usize::try_from(KILLS).unwrap() * CONCURRENCY;
    assert!(repeats <= most, "{repeats} repeats after {KILLS} kills");
    format!(
        "{KILLS} kills: {} accepted, 0 lost, {} requests, {repeats} repeated (at most {most} were in flight)",
        journal.len(),
        calls.len()
    )
}
