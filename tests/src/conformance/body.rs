//! Bodies that are too large for a queue: in a call, and named by their uploads.

use std::time::Instant;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chaski_core::app::{Receipt, next_generation};
use chaski_core::envelope::Envelope;
use chaski_core::filter::Whose;
use chaski_core::limits;
use chaski_core::ports::{Bodies, Buried, DeadLetters, KeptBody, Replayed};
use chaski_core::settings::Settings;
use serde_json::{Value, json};

use super::{Held, PATIENCE, accept, attempts_of, until_idle};
use crate::home::{Home, Message, SETTINGS, script};
use crate::world::noise;

/// A mail with its attachments; the stories of each home's processes go to the limit.
const MAIL_BYTES: usize = 6_000_000;
/// Over the inline limit, and small enough for a call.
const CALL_BYTES: usize = 900_000;

/// A message to a path whose body is given in that field.
fn carrying(subject: &str, path: &str, field: &str, body: &str) -> Message {
    let message = Value::from_iter([("url", json!(script::url(path))), (field, json!(body))]);
    Message::new(subject, path, 0).with("message", message)
}

fn in_a_call(subject: &str, path: &str, body: &[u8]) -> Message {
    carrying(subject, path, "body_base64", &STANDARD.encode(body))
}

async fn by_upload<H: Home>(home: &H, subject: &str, path: &str, body: &[u8]) -> anyhow::Result<Message> {
    Ok(carrying(subject, path, "body_ref", &home.upload(body.to_vec()).await?))
}

async fn accept_one<H: Home>(home: &H, message: Message) -> anyhow::Result<Receipt> {
    accept(home, &[message]).await?.pop().context("no receipt")
}

/// All requests of a subject had this body, and there were so many. It is not shown: it is large.
fn ensure_all_had<H: Home>(home: &H, subject: &str, body: &[u8], count: usize) -> Held {
    let attempts = home.target().of(subject);
    ensure!(attempts.len() == count, "{} requests of {subject}, not {count}", attempts.len());
    for attempt in attempts {
        let (n, got) = (attempt.number, attempt.body);
        ensure!(got == body, "attempt {n} of {subject} had {} bytes for {}, or others", got.len(), body.len());
    }
    Ok(())
}

async fn dead_letter<H: Home>(home: &H, id: &str) -> anyhow::Result<Buried> {
    home.desk().dead_letter(id, None, &Whose::default()).await?.with_context(|| format!("{id} is no dead letter"))
}

/// What a dead letter knows its body by.
fn kept_by(letter: &Buried) -> anyhow::Result<KeptBody> {
    let envelope = Envelope::read(std::str::from_utf8(&letter.letter.message)?)?;
    KeptBody::of(&envelope.message.body).context("the dead letter names no body")
}

async fn is_there<H: Home>(home: &H, reference: &str) -> anyhow::Result<bool> {
    Ok(home.bodies().look(reference, None).await?.is_some())
}

/// Bodies around the inline limit and far above it arrive byte for byte, in a call and by an upload.
///
/// # Errors
/// The rule does not hold.
pub async fn a_body_of_any_size_arrives_as_it_was_given<H: Home>(home: &H) -> Held {
    let inline = limits::BODY_BYTES;
    let sizes = [inline - 1, inline, inline + 1, CALL_BYTES];
    let bodies = sizes.map(|size| (format!("s-{size}"), noise::bytes(1, size)));
    let messages: Vec<Message> = bodies.iter().map(|(subject, body)| in_a_call(subject, "/200", body)).collect();
    accept(home, &messages).await?;
    let mail = noise::bytes(2, MAIL_BYTES);
    accept_one(home, by_upload(home, "mail", "/200", &mail).await?).await?;
    until_idle(home).await?;
    for (subject, body) in &bodies {
        ensure_all_had(home, subject, body, 1)?;
    }
    ensure_all_had(home, "mail", &mail, 1)
}

/// A body is read again for each attempt.
///
/// # Errors
/// The rule does not hold.
pub async fn a_retry_sends_the_same_body<H: Home>(home: &H) -> Held {
    let (called, mail) = (noise::bytes(3, CALL_BYTES), noise::bytes(4, MAIL_BYTES));
    let first = accept_one(home, in_a_call("call", "/twice", &called)).await?;
    let second = accept_one(home, by_upload(home, "mail", "/once", &mail).await?.strict()).await?;
    until_idle(home).await?;
    ensure_all_had(home, "call", &called, 3)?;
    ensure_all_had(home, "mail", &mail, 2)?;
    let numbers = (attempts_of(home, &first.id), attempts_of(home, &second.id));
    ensure!(numbers == (vec![1, 2, 3], vec![1, 2]), "{numbers:?}");
    Ok(())
}

/// A dead letter keeps its body, and each of its replays sends that.
///
/// # Errors
/// The rule does not hold.
pub async fn a_dead_letter_keeps_its_body_and_a_replay_sends_it<H: Home>(home: &H) -> Held {
    let settings = Settings::read(SETTINGS, &|_| None)?;
    let (called, mail) = (noise::bytes(5, CALL_BYTES), noise::bytes(6, MAIL_BYTES));
    let first = accept_one(home, in_a_call("call", "/410", &called)).await?;
    let second = accept_one(home, by_upload(home, "mail", "/410", &mail).await?).await?;
    for generation in 1..=3 {
        until_idle(home).await?;
        ensure_all_had(home, "call", &called, generation)?;
        ensure_all_had(home, "mail", &mail, generation)?;
        for id in [&first.id, &second.id] {
            let found = dead_letter(home, id).await?;
            ensure!(usize::try_from(found.letter.generation)? == generation, "{}", found.letter.generation);
            ensure!(is_there(home, &kept_by(&found)?.reference).await?, "generation {generation} lost its body");
            let next = next_generation(&found.letter, &settings, found.letter.died_at)?;
            ensure!(home.desk().replay(&found.letter, &next).await? == Replayed::Sent, "not sent again");
        }
    }
    until_idle(home).await
}

/// An upload serves one message: posted again it is still the same, and another one is refused.
///
/// # Errors
/// The rule does not hold.
pub async fn an_upload_is_one_message_s<H: Home>(home: &H) -> Held {
    let mail = noise::bytes(7, CALL_BYTES);
    let message = by_upload(home, "s", "/200", &mail).await?.keyed("k");
    let first = accept_one(home, message.clone()).await?;
    ensure!(accept_one(home, message.clone()).await?.id == first.id, "the same message, posted again");
    let another = Message { subject: "t".to_owned(), key: None, ..message };
    // Posted once more, and in one call with others.
    for posted in [vec![another.clone()], vec![Message::new("u", "/200", 1), another]] {
        let answers = home.accept(&posted).await;
        let refused = answers.last().and_then(|answer| answer.as_ref().err()).context("a second message has it")?;
        let pointers: Vec<&str> = refused.errors.iter().map(|error| error.pointer.as_str()).collect();
        ensure!((refused.status, pointers) == (400, vec!["/message/body_ref"]), "{refused:?}");
    }
    until_idle(home).await?;
    ensure_all_had(home, "s", &mail, 1)?;
    ensure!(home.target().of("t").is_empty(), "what was refused was sent");
    Ok(())
}

/// The body of a delivered message goes with its retention, that of a dead letter with the dead letter, and neither
/// before.
///
/// # Errors
/// The rule does not hold.
pub async fn a_body_goes_with_what_names_it<H: Home>(home: &H) -> Held {
    let body = noise::bytes(8, CALL_BYTES);
    let delivered = home.upload(body.clone()).await?;
    accept_one(home, carrying("s", "/200", "body_ref", &delivered)).await?;
    let dead = accept_one(home, in_a_call("t", "/410", &body)).await?;
    until_idle(home).await?;
    let letter = dead_letter(home, &dead.id).await?;
    let kept = kept_by(&letter)?;
    ensure!(kept.bytes == CALL_BYTES as u64, "{kept:?}");
    ensure!(is_there(home, &delivered).await? && is_there(home, &kept.reference).await?, "gone too early");
    ensure!(home.desk().delete(&dead.id, letter.letter.generation, &Whose::default()).await?, "not deleted");
    let mut go = vec![kept.reference];
    if let Some(retention) = home.capabilities().bodies_last {
        home.advance(retention + retention / 7).await?;
        go.push(delivered);
    }
    let began = Instant::now();
    for reference in go {
        while is_there(home, &reference).await? {
            ensure!(began.elapsed() < PATIENCE, "{reference} is still there");
            home.rest().await?;
        }
    }
    Ok(())
}
