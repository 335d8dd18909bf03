//! Retries: never early, each with the next number, as many as the first error's policy says.

use anyhow::ensure;
use chaski_core::queue::Tier;

use super::{Held, accept, until_idle};
use crate::home::{Home, Message};

/// A message fails to its end: between two attempts lies at least the tier's delay, the numbers rise by one, and the
/// dead letter tells of all of them.
///
/// # Errors
/// The rule does not hold.
pub async fn a_retry_is_not_early_and_carries_the_next_attempt<H: Home>(home: &H) -> Held {
    // Each at a host of its own: one that all of them fail at would be given pauses.
    let path = |n| format!("//host{n}.example/500");
    let messages: Vec<Message> = (0..5).map(|n| Message::new(format!("s{n}"), &path(n), n)).collect();
    accept(home, &messages).await?;
    until_idle(home).await?;
    let capabilities = home.capabilities();
    let tiers = [Tier::Fast, Tier::Fast, Tier::Medium, Tier::Medium, Tier::Slow];
    for n in 0..5 {
        let attempts = home.target().of(&format!("s{n}"));
        let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
        ensure!(numbers == [1, 2, 3, 4, 5, 6], "s{n}: {numbers:?}");
        for (pair, tier) in attempts.windows(2).zip(tiers) {
            let [before, after] = pair else { continue };
            let (waited, delay) = (after.at - before.at, capabilities.tiers.of(tier));
            ensure!(waited + capabilities.tier_precision >= delay, "attempt {} came after {waited:?}", after.number);
        }
    }
    let letters = home.dead_letters().await?;
    ensure!(letters.len() == 5, "{} dead letters", letters.len());
    ensure!(
        letters.iter().all(|letter| letter.class == "http_5xx" && letter.attempts == [1, 2, 3, 4, 5, 6]),
        "{letters:?}"
    );
    Ok(())
}

/// A message times out first and is answered 500 from then on: it is tried as often as a timeout is, and its dead
/// letter tells of both.
///
/// # Errors
/// The rule does not hold.
pub async fn the_first_error_picks_the_policy<H: Home>(home: &H) -> Held {
    accept(home, &[Message::new("s", "/late-once", 0), Message::new("t", "/500", 0)]).await?;
    until_idle(home).await?;
    for (subject, calls) in [("s", 4), ("t", 6)] {
        let numbers: Vec<u32> = home.target().of(subject).iter().map(|attempt| attempt.number).collect();
        ensure!(numbers == (1..=calls).collect::<Vec<_>>(), "{subject}: {numbers:?}");
    }
    let letters = home.dead_letters().await?;
    ensure!(letters.len() == 2 && letters.iter().all(|letter| letter.class == "http_5xx"), "{letters:?}");
    Ok(())
}
