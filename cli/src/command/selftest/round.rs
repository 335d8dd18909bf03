//! A run: the messages of both rounds, sent and found again.

use serde_json::{Value, json};

use super::super::{Failure, when};
use super::kind::Kind;
use super::known_answer::{EACH, Outcome};
use super::target::Target;
use crate::client::{BatchAnswer, Client, DeadLetter, Fields, List, Message, Refusal};

/// The round with one subject, as paths and labels name it.
pub(super) const ONE: &str = "one";
/// The round in which each message has a subject of its own.
pub(super) const MANY: &str = "many";

/// Messages of a round.
const ROUND: usize = 4 * EACH as usize;

/// Messages in all.
pub(super) const MESSAGES: u64 = 2 * ROUND as u64;

/// The largest page; a run fits one.
const PAGE: u64 = 1_000;

/// A run, whose messages have its label and whose dead letters are found by their client.
#[derive(Debug)]
pub(super) struct Run<'a> {
    client: &'a Client,
    target: Target,
    /// What tells it from other runs.
    pub(super) label: String,
}

impl<'a> Run<'a> {
    pub(super) fn new(client: &'a Client, target: Target) -> Self {
        let label = format!("selftest-{}-{}", when::now().millis(), std::process::id());
        Self { client, target, label }
    }

    /// Sends both rounds in one call, by turns and kind by kind.
    pub(super) async fn send(&self) -> Result<(), Failure> {
        let mut lines = String::new();
        for (number, kind) in (0..ROUND).zip(Kind::ALL.into_iter().cycle()) {
            for round in [ONE, MANY] {
                let subject = if round == ONE { ONE.to_owned() } else { number.to_string() };
                let envelope = json!({
                    "subject": format!("{}-{subject}", self.label),
                    "client": self.label,
                    "labels": [self.label, format!("{}-{round}", self.label)],
                    "message": {"url": self.target.url(round, kind, number)},
                });
                lines.push_str(&envelope.to_string());
                lines.push('\n');
            }
        }
        let answer: BatchAnswer = self.client.send_batch(lines.into_bytes()).await?.read()?;
        for item in &answer.items {
            let refusal: Refusal = serde_json::from_str(item.get()).unwrap_or_default();
            if refusal.status != 200 {
                return Err(self.refused(&refusal));
            }
        }
        match u64::try_from(answer.items.len()) {
            Ok(MESSAGES) => Ok(()),
            _ => Err(Failure::Failed(format!("the server answers for {} messages of {MESSAGES}", answer.items.len()))),
        }
    }

    fn refused(&self, refusal: &Refusal) -> Failure {
        let advice = match refusal.blames("/message/url") {
            true => "\nThe targets are on this machine: start the server with --allow-private-targets.",
            false => "",
        };
        let taken = format!("What was taken is cancelled by `chaski messages cancel --label {}`.", self.label);
        Failure::Failed(format!("the server does not take the messages: {}{advice}\n{taken}", refusal.brief()))
    }

    /// How many messages are at their end.
    pub(super) async fn ended(&self) -> Result<u64, Failure> {
        let messages = self.messages(&self.label).await?;
        let ended = messages.iter().filter(|message| message.is_at_its_end()).count();
        Ok(u64::try_from(ended).unwrap_or(u64::MAX))
    }

    async fn messages(&self, label: &str) -> Result<Vec<Message>, Failure> {
        let list: List<Message> = self.client.messages(query("label", label)).await?.read()?;
        Ok(list.items)
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Failure> {
        let list: List<DeadLetter> = self.client.dead_letters(query("client", &self.label)).await?.read()?;
        Ok(list.items)
    }

    /// What became of a round.
    pub(super) async fn outcome(&self, round: &str) -> Result<Outcome, Failure> {
        let mut outcome = Outcome { target: self.target.seen(round), ..Outcome::default() };
        for message in self.messages(&format!("{}-{round}", self.label)).await? {
            *outcome.states.entry(message.state).or_default() += 1;
        }
        let one = format!("{}-{ONE}", self.label);
        for letter in self.dead_letters().await? {
            if (letter.subject.as_deref() == Some(&one)) == (round == ONE) {
                *outcome.dead_letters.entry(letter.error.last.class).or_default() += 1;
            }
        }
        Ok(outcome)
    }

    /// Deletes the run's dead letters.
    pub(super) async fn clean_up(&self) -> Result<(), Failure> {
        for letter in self.dead_letters().await? {
            self.client.delete_dead_letter(&letter.id).await?;
        }
        Ok(())
    }
}

fn query(name: &'static str, value: &str) -> Fields {
    let mut query = Fields::default();
    query.add(name, Value::from(value));
    query.add("limit", PAGE);
    query
}
