//! What this version did not write: older and newer envelopes, and what is no envelope at all. Nothing is lost.

use anyhow::{Context, ensure};

use super::{Held, raw, until_idle};
use crate::home::{Home, script};

/// The golden envelopes of a kind, filled in.
fn golden(text: &str, subject: &str, path: &str) -> String {
    text.replace("{subject}", subject).replace("{target}", &script::url(path)).replace("{id}", subject)
}

const V1: &str = include_str!("../../envelopes/v1/message.json");
const FIRST: [(&str, &str); 4] = [
    ("v1", V1),
    ("v2-bare", include_str!("../../envelopes/v2/without-meta.json")),
    ("v2", include_str!("../../envelopes/v2/first-entry.json")),
    ("next", include_str!("../../envelopes/next/first-entry.json")),
];

/// Envelopes of 1.0, 2.0, this and a next version at the consumer: one that fails once is retried like any other, and
/// keeps one id over its attempts (H-24).
///
/// # Errors
/// The rule does not hold.
pub async fn first_entries_of_every_version_are_delivered<H: Home>(home: &H) -> Held {
    for (name, text) in FIRST {
        home.put(&raw("messages-0", name, &golden(text, name, "/once"))?).await?;
    }
    until_idle(home).await?;
    for (name, _) in FIRST {
        let attempts = home.target().of(name);
        let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
        ensure!(numbers == [1, 2], "{name}: {numbers:?}");
        let ids: Vec<&str> = attempts.iter().map(|attempt| attempt.id.as_str()).collect();
        ensure!(ids.iter().all(|id| !id.is_empty() && ids.first() == Some(id)), "{name}: {ids:?}");
    }
    ensure!(home.dead_letters().await?.is_empty());
    Ok(())
}

/// An envelope of 1.0 in a tier has no `meta`: buried without an attempt, whole.
///
/// # Errors
/// The rule does not hold.
pub async fn an_envelope_without_meta_in_a_tier_is_buried<H: Home>(home: &H) -> Held {
    home.put(&raw("retry-fast", "old", &golden(V1, "old", "/200"))?).await?;
    until_idle(home).await?;
    let letters = home.dead_letters().await?;
    let letter = letters.first().context("no dead letter")?;
    ensure!(letters.len() == 1 && letter.class == "no_meta" && letter.subject.as_deref() == Some("old"), "{letters:?}");
    ensure!(home.target().attempts().is_empty(), "it was attempted");
    let kept: serde_json::Value = serde_json::from_slice(&letter.message)?;
    ensure!(kept.pointer("/message/body/from").is_some_and(|from| from == "1.0"), "{kept}");
    Ok(())
}

/// What can't be read is buried as it is, byte for byte; those behind it in its line are delivered (H-23).
///
/// # Errors
/// The rule does not hold.
pub async fn what_can_not_be_read_is_buried_as_it_is<H: Home>(home: &H) -> Held {
    let texts =
        ["no JSON at all", "[]", "{}", r#"{"subject":"s"}"#, r#"{"subject":"s","message":{}}"#, "{\"subject\":"];
    for text in texts {
        home.put(&raw("messages-1", "s", text)?).await?;
    }
    let (_, readable) = FIRST.first().context("no golden envelope")?;
    home.put(&raw("messages-1", "s", &golden(readable, "s", "/200"))?).await?;
    until_idle(home).await?;
    let letters = home.dead_letters().await?;
    ensure!(letters.iter().all(|letter| letter.class == "undecodable" && letter.attempts.is_empty()), "{letters:?}");
    let mut kept: Vec<&[u8]> = letters.iter().map(|letter| letter.message.as_slice()).collect();
    let mut sent: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    kept.sort_unstable();
    sent.sort_unstable();
    ensure!(kept == sent, "{letters:?}");
    ensure!(home.target().of("s").len() == 1, "the message behind them");
    Ok(())
}

/// What the queues gave up is buried without an attempt, whether it can be read or not.
///
/// # Errors
/// The rule does not hold.
pub async fn what_the_queues_gave_up_is_buried<H: Home>(home: &H) -> Held {
    for (name, text) in FIRST {
        home.put(&raw("last-net", name, &golden(text, name, "/200"))?).await?;
    }
    home.put(&raw("last-net", "raw", "no envelope")?).await?;
    until_idle(home).await?;
    let letters = home.dead_letters().await?;
    ensure!(letters.len() == FIRST.len() + 1, "{} dead letters", letters.len());
    ensure!(letters.iter().all(|letter| letter.class == "last_net"), "{letters:?}");
    ensure!(letters.iter().any(|letter| letter.message == b"no envelope"), "{letters:?}");
    ensure!(home.target().attempts().is_empty(), "something was attempted");
    Ok(())
}
