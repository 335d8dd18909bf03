//! The known answer of 2.0's QA table: 50 messages each to targets that answer 200, 400, 500 and too late make
//! exactly 50 + 250 + 300 + 200 requests and 150 dead letters, in one subject or in 200.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::{Scene, class, scene, text};

const PATHS: [(&str, usize, Option<&str>); 4] =
    [("200", 50, None), ("400", 250, Some("http_4xx")), ("500", 300, Some("http_5xx")), ("late", 200, Some("timeout"))];
const EACH: usize = 50;

#[test]
fn in_one_subject() -> anyhow::Result<()> {
    scene("qa-one", |scene| async move { known_answer(&scene, |_| 0).await })
}

#[test]
fn in_200_subjects() -> anyhow::Result<()> {
    scene("qa-many", |scene| async move { known_answer(&scene, |n| n).await })
}

async fn known_answer(scene: &Scene, subject_of: fn(usize) -> usize) -> anyhow::Result<()> {
    for n in 0..EACH * PATHS.len() {
        let (path, _, _) = PATHS[n % PATHS.len()];
        let mut envelope = scene.envelope(&scene.subject(subject_of(n)), path, json!({ "n": n }));
        envelope["client"] = json!(format!("{}-client", scene.run));
        let answer = scene.stack.post(&envelope).await?;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    scene.requests(800).await?;
    let letters = scene.dead_letters(150).await?;
    scene.quiet().await?;
    // Nothing came after the last of them.
    assert_eq!(scene.stack.dead_letters(&scene.run).await?.len(), 150);

    let mut requests: BTreeMap<String, usize> = BTreeMap::new();
    let mut attempts = HashSet::new();
    for call in scene.target.calls(&scene.run) {
        *requests.entry(call.path.clone()).or_default() += 1;
        assert!(
            attempts.insert((call.id().to_owned(), call.attempt())),
            "attempt {} of {} twice",
            call.attempt(),
            call.id()
        );
    }
    let expected: BTreeMap<String, usize> =
        PATHS.iter().map(|(path, requests, _)| ((*path).to_owned(), *requests)).collect();
    assert_eq!(requests, expected);

    for (path, _, expected) in PATHS {
        let of_path: Vec<&Value> =
            letters.iter().filter(|letter| text(letter, "target").ends_with(&format!("/{path}"))).collect();
        assert_eq!(of_path.len(), if expected.is_some() { EACH } else { 0 }, "{path}");
        assert!(of_path.iter().all(|letter| Some(class(letter)) == expected), "{path}");
    }
    metrics_add_up(scene).await
}

async fn metrics_add_up(scene: &Scene) -> anyhow::Result<()> {
    let first = scene.lines("sqs-consumer", "attempt", 200).await?;
    let again = scene.lines("sqs-error-consumer", "dead_letter", 150).await?;
    let sum = |lines: &[Value], metric: &str| -> u64 {
        lines
            .iter()
            .filter(|line| line["chaski.metric"] == metric)
            .filter_map(|line| line["chaski.value"].as_u64())
            .sum()
    };
    let count = |lines: &[Value], action: &str| lines.iter().filter(|line| line["event.action"] == action).count();
    for kind in ["subject", "client"] {
        assert_eq!(sum(&first, &format!("messages_by_{kind}")), 200, "{kind}");
        assert_eq!(sum(&again, &format!("messages_by_{kind}")), 0, "{kind}");
    }
    assert_eq!((count(&first, "attempt"), count(&again, "attempt")), (200, 600));
    for kind in ["subject", "target", "client"] {
        assert_eq!(sum(&first, &format!("error_by_{kind}")), 150, "{kind}");
        assert_eq!(sum(&again, &format!("error_by_{kind}")), 600, "{kind}");
        let timed =
            |lines: &[Value]| lines.iter().filter(|line| line["chaski.metric"] == format!("time_by_{kind}")).count();
        assert_eq!(timed(&first) + timed(&again), 800, "{kind}");
    }
    assert_eq!(count(&first, "dead_letter") + count(&again, "dead_letter"), 150);
    Ok(())
}
