//! What messages ask for: strict order, and times.

use std::time::{Duration, Instant};

use anyhow::Context;
use chaski_aws::{AwsSettings, Clients};
use chaski_core::envelope::Envelope;
use chaski_core::time::Timestamp;
use chaski_dynamodb::{ControlTable, Kept, WaitKey};
use chaski_tests::world::stack::{Stack, eventually};
use chaski_tests::world::target::Call;
use serde_json::{Value, json};

use super::{Scene, class, scene};

fn number(call: &Call) -> u64 {
    serde_json::from_slice::<Value>(&call.body).ok().and_then(|body| body["n"].as_u64()).unwrap_or(u64::MAX)
}

/// The envelope, asking for something.
fn asking(mut envelope: Value, asked: &Value) -> Value {
    for (name, value) in asked.as_object().into_iter().flatten() {
        envelope[name] = value.clone();
    }
    envelope
}

impl Scene {
    /// The calls of one subject.
    fn line(&self, subject: &str) -> Vec<Call> {
        self.target.calls(&self.run).into_iter().filter(|call| call.header("chaski-subject") == subject).collect()
    }
}

#[test]
fn a_strict_message_that_fails_four_times_holds_up_its_line_and_no_other() -> anyhow::Result<()> {
    scene("strict", |scene| async move {
        let (subject, other) = (scene.subject("line"), scene.subject("other"));
        let path = |n: u64| if n == 3 { "from/5" } else { "200" };
        let strict = json!({"ordering": "strict"});
        let mut batch: Vec<Value> =
            (1..=10).map(|n| asking(scene.envelope(&subject, path(n), json!({ "n": n })), &strict)).collect();
        batch.push(scene.envelope(&other, "200", json!({"n": 0})));
        let items = scene.stack.post_batch(&batch).await?;
        assert!(items.iter().all(|item| item["status"] == 200), "{items:?}");
        scene.requests(15).await?;
        scene.quiet().await?;
        let line = scene.line(&subject);
        let seen: Vec<u64> = line.iter().map(number).collect();
        assert_eq!(seen, [1, 2, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10]);
        let thirds: Vec<&Call> = line.iter().filter(|call| number(call) == 3).collect();
        assert_eq!(thirds.iter().map(|call| call.attempt()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        // The first four delays of the test stack's tiers, and what the clocks of a hand-over may differ by.
        for (pair, delay) in thirds.windows(2).zip([1, 1, 2, 2].map(Duration::from_secs)) {
            let waited = pair[1].at - pair[0].at;
            assert!(waited + Duration::from_millis(20) >= delay, "tried again after {waited:?}");
        }
        let others = scene.line(&other);
        assert!(others.len() == 1 && others[0].at < thirds[4].at, "the other subject waited");
        Ok(())
    })
}

/// How late a message may be on AWS, as the README says.
const PRECISION: Duration = Duration::from_secs(60);

#[test]
fn delays_are_never_early_and_ten_at_once_lose_nothing() -> anyhow::Result<()> {
    scene("delays", |scene| async move {
        let delays: Vec<u64> = [2, 90].into_iter().chain(1..=10).collect();
        let began = Instant::now();
        let message = |(delay, n): (&u64, u64)| {
            let envelope = scene.envelope(&scene.subject(n), "200", json!({ "n": n }));
            asking(envelope, &json!({"delay": format!("{delay}s")}))
        };
        let batch: Vec<Value> = delays.iter().zip(0..).map(message).collect();
        let items = scene.stack.post_batch(&batch).await?;
        let accepted = began.elapsed();
        assert!(items.iter().all(|item| item["status"] == 200 && item["queue"] == "wake"), "{items:?}");
        scene.requests(delays.len()).await?;
        scene.quiet().await?;
        let calls = scene.target.calls(&scene.run);
        assert_eq!(calls.len(), delays.len());
        for call in &calls {
            let (waited, delay) = (call.at - began, Duration::from_secs(delays[usize::try_from(number(call))?]));
            assert!(waited >= delay && waited <= delay + accepted + PRECISION, "{delay:?} became {waited:?}");
            assert_eq!(call.attempt(), 1);
        }
        Ok(())
    })
}

#[test]
fn an_expired_message_makes_no_request() -> anyhow::Result<()> {
    scene("expired", |scene| async move {
        let subject = scene.subject(0);
        let head = asking(scene.envelope(&subject, "from/3", json!({"n": 1})), &json!({"ordering": "strict"}));
        let short = asking(scene.envelope(&subject, "200", json!({"n": 2})), &json!({"expires_in": "500ms"}));
        let last = scene.envelope(&subject, "200", json!({"n": 3}));
        scene.stack.post_batch(&[head, short, last]).await?;
        scene.requests(4).await?;
        scene.quiet().await?;
        assert_eq!(scene.line(&subject).iter().map(number).collect::<Vec<_>>(), [1, 1, 1, 3]);
        let letters = scene.dead_letters(1).await?;
        assert!(letters.len() == 1 && class(&letters[0]) == "expired", "{letters:?}");
        Ok(())
    })
}

fn control(stack: &Stack) -> anyhow::Result<ControlTable> {
    let environment = stack.environment();
    let value = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let clients = Clients::new(AwsSettings::read(value)?)?;
    Ok(ControlTable::new(chaski_dynamodb::client(&clients), stack.control_table()))
}

/// Twenty days ahead stands a schedule. The local AWS has no clock to move: so the time in the envelope that waits is
/// put back, as if it had come, and what the schedule writes is written.
#[test]
fn twenty_days_are_a_schedule_at_the_right_minute_that_delivers_when_it_fires() -> anyhow::Result<()> {
    scene("twenty-days", |scene| async move {
        let subject = scene.subject(0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let at = Timestamp::from_millis(i64::try_from(now.as_secs())? * 1_000);
        let at = at.plus(Duration::from_secs(20 * 24 * 3_600));
        let envelope = asking(scene.envelope(&subject, "200", json!({"n": 1})), &json!({"not_before": at.to_string()}));
        let answer = scene.stack.post(&envelope).await?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let id = answer.json()["id"].as_str().context("no id")?.to_owned();
        let own = format!("{{\"wait\":\"{id}#");
        let schedule = eventually("a schedule", || async {
            let all = scene.stack.schedules().await?;
            let its = |one: &Value| one["Target"]["Input"].as_str().unwrap_or_default().starts_with(&own);
            Ok(all.into_iter().find(its).ok_or_else(|| "none".to_owned()))
        })
        .await?;
        scene.quiet().await?;
        let second: String = at.to_string().chars().take("2026-12-01T09:00:00".len()).collect();
        assert_eq!(schedule["ScheduleExpression"], format!("at({second})"));
        assert!(schedule["Target"]["Arn"].as_str().unwrap_or_default().ends_with("-wake"), "{schedule}");
        assert!(scene.target.calls(&scene.run).is_empty(), "attempted at once");

        let (table, text) = (control(&scene.stack)?, schedule["Target"]["Input"].as_str().unwrap_or_default());
        let key = WaitKey::of_reference(text).context("no reference")?;
        let Kept::Envelope(kept) = Box::pin(table.wait(&key)).await? else { panic!("nothing waits at {key}") };
        let mut envelope = Envelope::read(&kept)?;
        let meta = envelope.meta.as_mut().context("no meta")?;
        assert_eq!(meta.not_before, Some(at));
        meta.not_before = meta.received_at;
        Box::pin(table.put_wait(&key, &envelope.to_wire(), at)).await?;
        scene.stack.enqueue("wake", "", "", text).await?;
        scene.requests(1).await?;
        scene.quiet().await?;
        assert_eq!(scene.line(&subject).iter().map(|call| call.id().to_owned()).collect::<Vec<_>>(), [id]);
        eventually("an empty place", || async {
            let kept = Box::pin(table.wait(&key)).await?;
            Ok(if kept == Kept::Nothing { Ok(()) } else { Err(format!("{kept:?}")) })
        })
        .await
    })
}
