//! What happens to messages on their way: order, a large batch, failures by chance, and what past versions wrote.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use chaski_tests::world::target::Call;
use serde_json::{Value, json};

use super::{Scene, class, scene};

/// The calls of each subject, by the subject's own name.
fn by_subject(scene: &Scene) -> BTreeMap<String, Vec<Call>> {
    let mut lines: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for call in scene.target.calls(&scene.run) {
        lines.entry(call.header("chaski-subject").to_owned()).or_default().push(call);
    }
    lines
}

fn number(call: &Call) -> u64 {
    serde_json::from_slice::<Value>(&call.body).ok().and_then(|body| body["n"].as_u64()).unwrap_or(u64::MAX)
}

#[test]
fn a_batch_of_3_000_in_one_call_arrives_once_and_in_order() -> anyhow::Result<()> {
    scene("batch", |scene| async move {
        // 100 subjects, of which the first has a quarter of all messages.
        let subject = |n: u64| if n.is_multiple_of(4) { 0 } else { n % 100 };
        let batch: Vec<Value> =
            (0..3_000).map(|n| scene.envelope(&scene.subject(subject(n)), "200", json!({ "n": n }))).collect();
        let items = scene.stack.post_batch(&batch).await?;
        assert_eq!(items.len(), 3_000);
        let refused: Vec<&Value> = items.iter().filter(|item| item["status"] != 200).collect();
        assert!(refused.is_empty(), "{} refused, such as {}", refused.len(), refused[0]);
        scene.requests(3_000).await?;
        scene.quiet().await?;
        let lines = by_subject(&scene);
        assert_eq!(lines.values().map(Vec::len).sum::<usize>(), 3_000);
        for (subject, calls) in lines {
            let numbers: Vec<u64> = calls.iter().map(number).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{subject}: {numbers:?}");
        }
        Ok(())
    })
}

#[test]
fn a_target_that_fails_20_percent_sees_relaxed_order_and_no_early_retry() -> anyhow::Result<()> {
    scene("flaky", |scene| async move {
        // The delays of the test stack's tiers, and what the two clocks of a hand-off may differ by.
        let (delays, slack) = ([1, 1, 2, 2, 3].map(Duration::from_secs), Duration::from_millis(20));
        let batch: Vec<Value> =
            (0..400).map(|n| scene.envelope(&scene.subject(n % 20), "flaky/20", json!({ "n": n }))).collect();
        let items = scene.stack.post_batch(&batch).await?;
        assert!(items.iter().all(|item| item["status"] == 200));
        scene.requests(400).await?;
        scene.quiet().await?;
        let dead = scene.stack.dead_letters(&scene.run).await?.len();
        let mut attempts: HashMap<String, Vec<Instant>> = HashMap::new();
        for (subject, calls) in by_subject(&scene) {
            let first: Vec<u64> = calls.iter().filter(|call| call.attempt() == 1).map(number).collect();
            assert_eq!(first.len(), 20, "{subject}");
            assert!(first.is_sorted(), "{subject}: first attempts out of order: {first:?}");
            for call in calls {
                let times = attempts.entry(call.id().to_owned()).or_default();
                times.push(call.at);
                assert_eq!(
                    usize::try_from(call.attempt())?,
                    times.len(),
                    "an attempt of {} is missing or twice",
                    call.id()
                );
            }
        }
        assert_eq!(attempts.len(), 400);
        for times in attempts.values() {
            for (n, pair) in times.windows(2).enumerate() {
                let waited = pair[1] - pair[0];
                assert!(waited + slack >= delays[n], "retry {} came after {waited:?}", n + 1);
            }
        }
        assert!(attempts.values().any(|times| times.len() > 1), "nothing failed");
        assert!(dead <= 5, "six failures in a row are one in 15,000 messages, and {dead} of 400 died");
        Ok(())
    })
}

#[test]
fn ten_late_messages_of_one_subject_need_little_more_than_ten_timeouts() -> anyhow::Result<()> {
    scene("late", |scene| async move {
        let batch: Vec<Value> = (0..10).map(|n| scene.envelope(&scene.subject(0), "late", json!({ "n": n }))).collect();
        scene.stack.post_batch(&batch).await?;
        scene.requests(10).await?;
        let calls = scene.target.calls(&scene.run);
        let mut first: Vec<&Call> = calls.iter().filter(|call| call.attempt() == 1).collect();
        first.sort_by_key(|call| number(call));
        let took = first[first.len() - 1].at - first[0].at;
        // Nine timeouts of 2 s lie between the first request and the last; a lease would be 132 s.
        assert!(took < Duration::from_secs(60), "{took:?}");
        scene.dead_letters(10).await?;
        scene.quiet().await
    })
}

#[test]
fn what_is_gone_is_buried_at_once_and_what_is_no_envelope_as_it_is() -> anyhow::Result<()> {
    scene("gone", |scene| async move {
        scene.stack.post(&scene.envelope(&scene.subject(0), "410", json!(1))).await?;
        let letters = scene.dead_letters(1).await?;
        assert_eq!(class(&letters[0]), "gone");

        let raw = format!("not an envelope of {}", scene.run);
        scene.stack.enqueue("messages-2", "raw", &scene.run, &raw).await?;
        let found = chaski_tests::world::stack::eventually("the raw entry among the dead letters", || async {
            let letters = scene.stack.dead_letters("").await?;
            let own = letters.into_iter().find(|letter| message(letter) == raw.as_bytes());
            Ok(own.ok_or_else(|| "none".to_owned()))
        })
        .await?;
        assert_eq!(class(&found), "undecodable");
        scene.quiet().await?;
        assert_eq!(scene.target.calls(&scene.run).len(), 1);
        Ok(())
    })
}

/// The bytes of a dead letter's message.
pub(crate) fn message(letter: &Value) -> Vec<u8> {
    use base64::Engine;
    let stored = letter["message"]["B"].as_str().unwrap_or_default();
    let stored = base64::engine::general_purpose::STANDARD.decode(stored).unwrap_or_default();
    chaski_core::dead_letter::read_stored_message(&stored).unwrap_or_default()
}

#[test]
fn bodies_arrive_byte_for_byte() -> anyhow::Result<()> {
    scene("bytes", |scene| async move {
        let odd = "{ \"b\" : 1.50e+3, \"a\":[ ],\"a\":\"\u{FFFF}\\ud800\" }";
        let text = |n: u32, body: &str| {
            format!(
                r#"{{"subject":"{}","message":{{"url":"{}",{body}}}}}"#,
                scene.subject(n),
                scene.target.url(&scene.run, "200")
            )
        };
        let largest = "x".repeat(chaski_core::limits::BODY_BYTES);
        let sent: [(String, Vec<u8>); 4] = [
            (format!(r#""body":{odd}"#), odd.as_bytes().to_vec()),
            (r#""body":"tex\u0000t \ufeff""#.to_owned(), "tex\0t \u{feff}".as_bytes().to_vec()),
            (r#""body_base64":"AP/+AQ==""#.to_owned(), vec![0, 255, 254, 1]),
            (format!(r#""body":"{largest}""#), largest.clone().into_bytes()),
        ];
        for (n, (body, _)) in (0..).zip(&sent) {
            let json = [("content-type", "application/json")];
            let answer = scene.stack.api("POST", "/messages", &json, text(n, body), true).await?;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        scene.requests(sent.len()).await?;
        for call in scene.target.calls(&scene.run) {
            let n: usize = call.header("chaski-subject").rsplit('_').next().unwrap_or_default().parse()?;
            assert_eq!(call.body, sent[n].1, "body {n}");
        }
        scene.quiet().await
    })
}
