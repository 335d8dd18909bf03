//! Identity: whose key, which body, which message.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use chaski_core::app::Caller;
use serde_json::json;

use super::{Held, accept, alone_until_idle, counts};
use crate::home::{Home, Message};

/// Two producers post the same key and body: two messages under two ids, each delivered once. One of them twice: the
/// same id, and no second delivery. The same key with another body: another message.
///
/// # Errors
/// The rule does not hold.
pub async fn a_key_belongs_to_its_producer_and_body<H: Home>(home: &H) -> Held {
    let keyed = |n| Message::new("s", "/200", n).keyed("order-7");
    let mut ids = Vec::new();
    for (producer, n) in [("crm", 0), ("erp", 0), ("crm", 0), ("crm", 1)] {
        let caller = Caller { producer: producer.to_owned(), tenant: String::new() };
        let answers = home.accept_from(&caller, &[keyed(n)]).await;
        let receipt = answers.into_iter().next().context("no answer")?;
        let receipt = receipt.map_err(|problem| anyhow::anyhow!("{producer} was answered {problem:?}"))?;
        let repeats = ids.contains(&receipt.id);
        ensure!(receipt.duplicate == (repeats && home.capabilities().knows_duplicates), "{producer}: {receipt:?}");
        ids.push(receipt.id);
        alone_until_idle(home).await?;
    }
    let [crm, erp, again, other] = ids.as_slice() else { anyhow::bail!("{ids:?}") };
    ensure!(crm == again && HashSet::from([crm, erp, other]).len() == 3, "{ids:?}");
    let attempts = home.target().attempts();
    let counts = counts(&attempts);
    ensure!(counts.len() == 3 && counts.values().all(|count| *count == 1), "{counts:?}");
    Ok(())
}

/// A delayed message is posted twice, once more when it has joined its line, and once more when it was delivered: one
/// delivery under one id.
///
/// # Errors
/// The rule does not hold.
pub async fn a_delayed_message_posted_again_is_one<H: Home>(home: &H) -> Held {
    let message = Message::new("s", "/once", 0).keyed("later").asking(json!({"delay": "2s"})).strict();
    let post = async || accept(home, std::slice::from_ref(&message)).await;
    let mut receipts = post().await?;
    receipts.extend(post().await?);
    home.advance(Duration::from_secs(2)).await?;
    super::until(home, "its time", |attempts| !attempts.is_empty()).await?;
    receipts.extend(post().await?);
    alone_until_idle(home).await?;
    receipts.extend(post().await?);
    alone_until_idle(home).await?;
    let ids: HashSet<&str> = receipts.iter().map(|receipt| receipt.id.as_str()).collect();
    ensure!(receipts.len() == 4 && ids.len() == 1, "{receipts:?}");
    if home.capabilities().knows_duplicates {
        ensure!(receipts.iter().skip(1).all(|receipt| receipt.duplicate), "{receipts:?}");
    }
    let made: Vec<u32> = home.target().attempts().iter().map(|attempt| attempt.number).collect();
    ensure!(made == [1, 2], "{made:?}");
    Ok(())
}
