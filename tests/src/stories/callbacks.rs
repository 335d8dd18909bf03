//! Who asked is told of the end by a message of its own; one that can't be told is retried, dies once, and nobody is
//! told of that.

use anyhow::{Context, ensure};
use chaski_core::identity::callback_id;
use serde_json::{Value, json};

use super::{Running, Stage};
use crate::world::target::Call;

/// Calls that the policy of `http_5xx` makes in all.
const CALLS_5XX: u32 = 6;
/// Calls that one callback asks for.
const CALLS_BRIEF: u32 = 2;

/// One message is delivered at its second attempt, one dies at once, and two are delivered whose callbacks always fail:
/// one is retried by the policy of its error, one as it asks itself.
///
/// # Errors
/// The target got something else.
pub async fn each_end_is_told_and_a_deaf_ear_dies_once<R: Running>(stage: &Stage<'_, R>) -> anyhow::Result<()> {
    let url = |path| json!({ "url": stage.target.url(stage.run, path) });
    let asks = |told, failed| json!({"callback": url(told), "failure_callback": url(failed)});
    let own = json!({"url": stage.target.url(stage.run, "500/brief"),
                     "retry": {"max_attempts": CALLS_BRIEF, "delays": ["1s"]}});
    let once_more = json!({"callback": own, "failure_callback": url("200/not")});
    let message = |name, path, asked| stage.envelope(&stage.subject(name), path, 0, asked);
    let ids = stage
        .accepted(&[
            message("delivered", "once", asks("200/told", "200/not")),
            message("dead", "410", asks("200/not", "200/failed")),
            message("deaf", "200", asks("500/deaf", "200/not")),
            message("brief", "200", once_more),
        ])
        .await?;
    let [delivered, dead, deaf, brief] = ids.as_slice() else { anyhow::bail!("{ids:?}") };
    let is_over = |calls: &[Call], id: &str, count: u32| attempts(calls, &callback_id(id, 1)).last() == Some(&count);
    let over = |calls: &[Call]| is_over(calls, deaf, CALLS_5XX) && is_over(calls, brief, CALLS_BRIEF);
    stage.until("the last attempts of both callbacks", over).await?;
    stage.chaski.quiet().await?;

    let calls = stage.calls();
    let made = [(delivered, 2), (dead, 1), (deaf, 1), (brief, 1)];
    for (id, count) in made {
        ensure!(attempts(&calls, id).into_iter().eq(1..=count), "{id}: {:?}", attempts(&calls, id));
    }
    let body = told(&calls, delivered, "200/told", 1)?;
    let at = |pointer: &str| body.pointer(pointer).cloned().unwrap_or_default();
    ensure!(at("/state") == "delivered" && at("/subject") == *stage.subject("delivered"), "{body}");
    ensure!(at("/attempts/0/status") == 500 && at("/attempts/1/status") == 200, "{body}");
    ensure!(at("/response/status") == 200 && at("/response/body") == r#"{"said":"200"}"#, "{body}");
    let headers = at("/response/headers");
    let names = |pair: &Value| pair.get(0).is_some_and(|name| name == "content-length");
    ensure!(headers.as_array().is_some_and(|pairs| pairs.iter().any(names)), "{body}");

    let body = told(&calls, dead, "200/failed", 1)?;
    let at = |pointer: &str| body.pointer(pointer).cloned().unwrap_or_default();
    ensure!(at("/state") == "dead" && at("/error/class") == "gone" && at("/response/status") == 410, "{body}");
    ensure!(at("/attempts").as_array().is_some_and(|attempts| attempts.len() == 1), "{body}");

    told(&calls, deaf, "500/deaf", CALLS_5XX)?;
    told(&calls, brief, "500/brief", CALLS_BRIEF)?;
    let strangers: Vec<&str> =
        calls.iter().filter(|call| call.path.ends_with("/not")).map(|call| call.path.as_str()).collect();
    ensure!(strangers.is_empty(), "{strangers:?}");
    let all = 5 + 2 + CALLS_5XX + CALLS_BRIEF;
    ensure!(calls.len() == all as usize, "somebody was told of a callback: {} calls", calls.len());

    let mut letters = stage.chaski.buried(stage.run).await?;
    letters.sort();
    let failed = [deaf, brief].map(|id| (callback_id(id, 1), "http_5xx".to_owned()));
    let mut expected = [vec![(dead.clone(), "gone".to_owned())], failed.to_vec()].concat();
    expected.sort();
    ensure!(letters == expected, "{letters:?}");
    Ok(())
}

fn attempts(calls: &[Call], id: &str) -> Vec<u32> {
    calls.iter().filter(|call| call.id() == id).map(Call::attempt).collect()
}

/// What was told of a message's end, in so many attempts at that path with one and the same text.
fn told(calls: &[Call], id: &str, path: &str, count: u32) -> anyhow::Result<Value> {
    let own = callback_id(id, 1);
    let told: Vec<&Call> = calls.iter().filter(|call| call.path == path).collect();
    ensure!(told.iter().all(|call| call.id() == own), "another message called {path}");
    ensure!(told.iter().map(|call| call.attempt()).eq(1..=count), "{path} was called {} times", told.len());
    let first = told.first().context("not told")?;
    ensure!(told.iter().all(|call| call.body == first.body && call.method == "POST"), "told in two ways");
    let body: Value = serde_json::from_slice(&first.body)?;
    ensure!(body.get("id").is_some_and(|told| told == id), "{body}");
    Ok(body)
}
