//! What an operator orders on the deployed stack: pauses and cancellations, by `chaski --stack` through the control
//! table to the real functions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Scene, scene};

/// A pause takes effect within it (the contract).
const TAKES_EFFECT: Duration = Duration::from_secs(5);
/// How long the story looks at what is paused.
const PAUSED: Duration = Duration::from_secs(30);
/// What a pause held goes within it (the contract).
const RESUMES: Duration = Duration::from_secs(60);
/// Between two looks.
const POLL: Duration = Duration::from_millis(100);
/// Lines under load.
const SUBJECTS: u64 = 20;

/// Runs a story that pauses, and ends every pause whatever became of it: the stories after it share the stack.
fn story<F: Future<Output = anyhow::Result<()>>>(name: &str, run: impl FnOnce(Scene) -> F) -> anyhow::Result<()> {
    scene(name, |scene| async move {
        let after = Scene { stack: scene.stack.clone(), target: scene.target.clone(), run: scene.run.clone() };
        let told = run(scene).await;
        let ended = after.chaski(&["resume", "--all-pauses"]).await?;
        ensure!(ended.status.success(), "the pauses are not ended: {}", String::from_utf8_lossy(&ended.stderr));
        told
    })
}

/// Posts a message to every subject a second until it is told to stop; how many it posted.
async fn load(scene: &Scene, stop: &AtomicBool) -> anyhow::Result<u64> {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let posted = AtomicU64::new(0);
    while !stop.load(Ordering::Relaxed) {
        second.tick().await;
        let next = || posted.fetch_add(1, Ordering::Relaxed);
        let envelope = |n: u64| scene.envelope(&scene.subject(n % SUBJECTS), "once", json!({ "n": n }));
        let batch: Vec<Value> = (0..SUBJECTS).map(|_| envelope(next())).collect();
        let items = scene.stack.post_batch(&batch).await?;
        ensure!(items.iter().all(|item| item["status"] == 200), "accepting goes on in a pause: {items:?}");
    }
    Ok(posted.into_inner())
}

/// Pauses the target under load, looks at it, and lets it go on: when the pause was to be in force, and when it ended.
async fn pause_and_resume(scene: &Scene, stop: &AtomicBool) -> anyhow::Result<(Instant, Instant)> {
    scene.requests(100).await?;
    let began = Instant::now();
    let pause = scene.asked(&["pause", "--target", "127.0.0.1"]).await?;
    let again = scene.asked(&["pause", "--target", "127.0.0.1"]).await?;
    assert_eq!(pause["id"], again["id"], "the same scope is the same pause");
    assert_eq!(scene.asked(&["pauses"]).await?["items"], json!([again]));
    let in_force = began + TAKES_EFFECT;
    while Instant::now() < in_force + PAUSED {
        let late = scene.target.calls(&scene.run).iter().filter(|call| call.at > in_force).count();
        ensure!(late == 0, "{late} requests in the pause");
        tokio::time::sleep(POLL).await;
    }
    let ended = Instant::now();
    stop.store(true, Ordering::Relaxed);
    scene.asked(&["resume", "--target", "127.0.0.1"]).await?;
    Ok((in_force, ended))
}

#[test]
fn a_pause_under_load_holds_everything_and_loses_nothing() -> anyhow::Result<()> {
    story("pause", |scene| async move {
        let stop = AtomicBool::new(false);
        let stopping = async {
            let told = pause_and_resume(&scene, &stop).await;
            stop.store(true, Ordering::Relaxed);
            told
        };
        let (posted, paused) = tokio::join!(load(&scene, &stop), stopping);
        let (posted, (in_force, ended)) = (posted?, paused?);
        // Every message fails once, and is delivered from a tier.
        scene.requests(usize::try_from(posted * 2)?).await?;
        scene.quiet().await?;

        let calls = scene.target.calls(&scene.run);
        let in_pause = calls.iter().filter(|call| call.at > in_force && call.at < ended).count();
        assert_eq!(in_pause, 0);
        let mut attempts: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut resumed: BTreeMap<&str, Duration> = BTreeMap::new();
        for call in &calls {
            attempts.entry(call.id()).or_default().push(call.attempt());
            let subject = call.header("chaski-subject");
            if call.attempt() == 1 {
                lines.entry(subject).or_default().push(call.id());
            }
            if call.at > ended {
                resumed.entry(subject).or_insert(call.at - ended);
            }
        }
        assert_eq!(u64::try_from(attempts.len())?, posted, "nothing is lost");
        assert!(attempts.values().all(|all| *all == [1, 2]), "waiting is no attempt: {attempts:?}");
        for (subject, ids) in &lines {
            assert!(ids.is_sorted(), "{subject} is out of order: {ids:?}");
        }
        assert_eq!(u64::try_from(resumed.len())?, SUBJECTS);
        let (first, last) = (resumed.values().min().context("none")?, resumed.values().max().context("none")?);
        println!("{posted} messages; after the resume the first line went on after {first:?}, the last after {last:?}");
        assert!(*last < RESUMES, "a line went on after {last:?} only");
        assert!(scene.stack.dead_letters(&scene.run).await?.is_empty());
        Ok(())
    })
}

#[test]
fn what_is_cancelled_before_its_attempt_makes_no_request() -> anyhow::Result<()> {
    story("cancel", |scene| async move {
        let [all, one] = ["all", "one"].map(|name| scene.subject(name));
        for subject in [&all, &one] {
            scene.asked(&["pause", "--subject", subject]).await?;
        }
        let batch: Vec<Value> =
            (0..10).map(|n| scene.envelope(if n % 2 == 0 { &all } else { &one }, "200", json!({ "n": n }))).collect();
        let items = scene.stack.post_batch(&batch).await?;
        let ids: Vec<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
        assert_eq!(ids.len(), 10);

        let counted = scene.asked(&["messages", "cancel", "--subject", &all, "--yes"]).await?;
        assert_eq!(counted, json!({"matched": null, "cancelled": 0, "cancelling": 0}));
        assert_eq!(scene.asked(&["messages", "cancel", ids[3]]).await?, json!({"id": ids[3], "state": "cancelling"}));
        // What comes after a cancellation is not meant by it.
        let later = scene.stack.post(&scene.envelope(&all, "200", json!({"n": "later"}))).await?.json();
        let later = later["id"].as_str().context("no id")?.to_owned();
        for subject in [&all, &one] {
            scene.asked(&["resume", "--subject", subject]).await?;
        }
        scene.quiet().await?;

        let expected: BTreeSet<&str> = [ids[1], ids[5], ids[7], ids[9], later.as_str()].into();
        let calls = scene.target.calls(&scene.run);
        assert_eq!(calls.iter().map(|call| call.id()).collect::<BTreeSet<_>>(), expected);
        assert_eq!(calls.len(), 5);
        let lines = scene.lines("sqs-consumer", "cancelled", 6).await?;
        let cancelled = lines.iter().filter(|line| line["event.action"] == "cancelled");
        let cancelled: BTreeSet<&str> = cancelled.filter_map(|line| line["chaski.id"].as_str()).collect();
        assert_eq!(cancelled, [ids[0], ids[2], ids[3], ids[4], ids[6], ids[8]].into());
        assert!(scene.stack.dead_letters(&scene.run).await?.is_empty());
        Ok(())
    })
}
