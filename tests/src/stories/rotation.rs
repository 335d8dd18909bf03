//! A target that knows the secret trusts every attempt, also while the secret is changed under messages that wait:
//! first the old one signs, then the new one beside it, then the new one alone.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Running, Stage};
use crate::world::target::Call;
use crate::world::webhooks::{self, NEW, NO_MATCH, OLD, Signed, VERIFIED, WRONG};

/// What is configured, one after the other: the secret, and the previous one beside it.
pub const STEPS: [[&str; 2]; 3] = [[OLD, ""], [NEW, OLD], [NEW, ""]];
/// Attempts of each message that are waited for before the first change, and after each.
const ATTEMPTS: [usize; 3] = [2, 1, 1];

/// The messages of the story, one relaxed and one strict, whose target fails until it is told not to.
///
/// # Errors
/// They were not taken.
pub async fn post<R: Running>(stage: &Stage<'_, R>) -> anyhow::Result<()> {
    stage.target.switch(stage.run, 500);
    let message = |ordering: &str| {
        let asked = json!({"ordering": ordering, "retry": {"max_attempts": 100, "delays": ["1s"]}});
        stage.envelope(&stage.subject(ordering), "switch/0", 2_432_232_314, asked)
    };
    let messages: [Value; 2] = ["relaxed", "strict"].map(message);
    stage.accepted(&messages).await.map(drop)
}

/// Waits until each message was attempted often enough in this step of the rotation.
///
/// # Errors
/// It was not.
pub async fn attempted<R>(stage: &Stage<'_, R>, step: usize) -> anyhow::Result<()> {
    let wanted = ATTEMPTS.get(step).copied().unwrap_or(1);
    let often = |calls: &[Call], name| {
        let signed = signed(stage, calls, name);
        (0..signed.len()).filter(|n| looks(&signed, *n) == step).count() >= wanted
    };
    stage
        .until("attempts that are signed so", |calls| ["relaxed", "strict"].iter().all(|name| often(calls, name)))
        .await
}

/// What the target got of one of the messages.
fn signed<R>(stage: &Stage<'_, R>, calls: &[Call], name: &str) -> Vec<Signed> {
    let subject = stage.subject(name);
    calls.iter().filter(|call| call.header("chaski-subject") == subject).map(Signed::of).collect()
}

/// The step that an attempt seems to be of, by the number of signatures that it and those before have.
fn looks(attempts: &[Signed], n: usize) -> usize {
    let two = |n: usize| attempts.get(n).is_some_and(|signed| signed.signatures() == 2);
    if two(n) {
        1
    } else if (0..n).any(two) {
        2
    } else {
        0
    }
}

/// The step whose secrets verify what the target got, and no others.
fn step(by_old: &str, by_new: &str) -> anyhow::Result<usize> {
    Ok(match (by_old, by_new) {
        (VERIFIED, NO_MATCH) => 0,
        (VERIFIED, VERIFIED) => 1,
        (NO_MATCH, VERIFIED) => 2,
        said => anyhow::bail!("neither secret: {said:?}"),
    })
}

/// Lets the messages through, and looks at all that the target got: every attempt is verified by the secrets of its
/// time, in the order of the steps, by nobody else's, and not with a bit flipped.
///
/// # Errors
/// It is not so.
pub async fn verify<R: Running>(stage: &Stage<'_, R>) -> anyhow::Result<()> {
    stage.target.switch(stage.run, 200);
    stage.until("both deliveries", |calls| calls.iter().filter(|call| call.status == 200).count() == 2).await?;
    stage.chaski.quiet().await?;
    let calls = stage.calls();
    ensure!(calls.iter().all(|call| call.header("webhook-id") == call.id()), "an id that is not the message's");
    for name in ["relaxed", "strict"] {
        let signed = signed(stage, &calls, name);
        let (old, new) = (webhooks::verified(&signed, OLD)?, webhooks::verified(&signed, NEW)?);
        let steps = old.iter().zip(&new).map(|(old, new)| step(old, new)).collect::<anyhow::Result<Vec<_>>>()?;
        println!("the attempts of the {name} message were signed in the steps {steps:?} of the rotation");
        ensure!(steps.is_sorted(), "{steps:?}");
        for (step, wanted) in ATTEMPTS.into_iter().enumerate() {
            ensure!(steps.iter().filter(|own| **own == step).count() >= wanted, "{steps:?}");
        }
        ensure!(webhooks::verified(&signed, WRONG)?.iter().all(|said| said == NO_MATCH), "a secret of nobody");
        let times = signed.iter().map(Signed::seconds).collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(times.is_sorted() && times.first() < times.last(), "each attempt has its own time: {times:?}");
        for (signed, secret) in [(signed.first(), OLD), (signed.last(), NEW)] {
            webhooks::no_flipped_bit_passes(signed.context("no attempt")?, &[secret])?;
        }
    }
    Ok(())
}
