//! Strict order outlives the process: killed at random moments under load, every line goes on where it was.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chaski_tests::home::faults::Seeded;
use chaski_tests::world::target::Target;
use serde_json::{Value, json};

use crate::kill::{kill, seed};
use crate::process::{Chaski, asking, number};

/// Cycles of a start and a kill.
const KILLS: u64 = 10;
/// Who posts at once, each in subjects of its own, so that it knows their order.
const PRODUCERS: u64 = 6;
const SUBJECTS: u64 = 3;

/// What one producer was told: its subject and the number in the body.
type Journal = Arc<Mutex<Vec<(String, u64)>>>;

/// One message in five fails at first, one in eleven twice.
fn path(n: u64) -> &'static str {
    match (n % 5, n % 11) {
        (_, 0) => "from/3",
        (0, _) => "once",
        _ => "200",
    }
}

fn calls(n: u64) -> u32 {
    match path(n) {
        "from/3" => 3,
        "once" => 2,
        _ => 1,
    }
}

/// Ten kills under load. Each line is attempted in the order of acceptance, each message to its end before the next;
/// what was accepted is there, and only an attempt in flight is repeated, under its number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_line_goes_on_where_it_was_killed() {
    let seed = seed();
    println!("CHASKI_SEED={seed} repeats these moments");
    let mut chance = Seeded::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let (journal, numbers) = (Journal::default(), Arc::new(AtomicU64::new(0)));
    let env = [("CHASKI_LIMITS_CONCURRENCY", "16")];
    for _ in 0..KILLS {
        let chaski = Arc::new(Chaski::start(&data, &env));
        let over = Arc::new(AtomicBool::new(false));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let (target, chaski, over) = (target.clone(), chaski.clone(), over.clone());
                tokio::spawn(produce(producer, target, chaski, over, journal.clone(), numbers.clone()))
            })
            .collect();
        let before = target.calls("run").len();
        // It is under load as soon as something is attempted; from there on any moment is as good.
        while target.calls("run").len() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(chance.below(400))).await;
        over.store(true, Ordering::SeqCst);
        kill(&chaski);
        for producer in producers {
            producer.await.unwrap();
        }
    }
    let chaski = Chaski::start(&data, &env);
    chaski.until_idle().await;
    let told = compare(&target, &journal.lock().unwrap());
    println!("{told}");
    assert_eq!(chaski.get("/dead-letters").await["items"], Value::Array(Vec::new()));
    chaski.kill();
    let report = chaski_embedded::examine(&data, &mut |_| ()).unwrap();
    assert_eq!(report.findings, []);
}

async fn produce(
    producer: u64,
    target: Target,
    chaski: Arc<Chaski>,
    over: Arc<AtomicBool>,
    journal: Journal,
    numbers: Arc<AtomicU64>,
) {
    while !over.load(Ordering::SeqCst) {
        let n = numbers.fetch_add(1, Ordering::SeqCst);
        let subject = format!("p{producer}-{}", n % SUBJECTS);
        let wishes = json!({"ordering": "strict", "retry": {"max_attempts": 4, "delays": [0.1]}});
        let envelope = asking(&subject, &target.url("run", path(n)), n, wishes);
        match chaski.post(&envelope).await {
            Some(_) => journal.lock().unwrap().push((subject, n)),
            None => return,
        }
    }
}

/// Holds what the target got against what the producers were told; a line for a person.
fn compare(target: &Target, journal: &[(String, u64)]) -> String {
    let mut lines: HashMap<String, Vec<(u64, u32)>> = HashMap::new();
    for call in target.calls("run") {
        let step = (number(&call.body), call.attempt());
        let line = lines.entry(call.header("chaski-subject").to_owned()).or_default();
        // A kill repeats what was in flight: the last step of its line.
        if line.last() != Some(&step) {
            line.push(step);
        }
    }
    for (subject, line) in &lines {
        // A message whose answer was lost by a kill may be there or not; if it is, it is there whole.
        let mut numbers: Vec<u64> = line.iter().map(|(n, _)| *n).collect();
        numbers.dedup();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{subject} is out of order: {line:?}");
        let whole = numbers.iter().flat_map(|n| (1..=calls(*n)).map(|attempt| (*n, attempt)));
        assert!(line.iter().copied().eq(whole), "{subject} was not attempted step by step: {line:?}");
    }
    let lost: Vec<_> =
        journal.iter().filter(|(subject, n)| !lines.get(subject).is_some_and(|l| l.contains(&(*n, 1)))).collect();
    assert!(lost.is_empty(), "accepted and lost: {lost:?}");
    format!("{KILLS} kills: {} accepted in {} strict lines, 0 lost, all in order", journal.len(), lines.len())
}
