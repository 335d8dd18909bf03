//! `chaski dead-letters`: look at messages that were given up, send them again, delete them.

use clap::{Args, Subcommand};

use super::confirm::{Intent, ask};
use super::filters::DeadLetterFilter;
use super::pages::Pages;
use super::{Context, Failure, filters, shown, when};
use crate::client::{Answer, Counted, DeadLetter};
use crate::output::{Column, Sheet, Table, count, indented, plain, talk, time, time_and_distance};

/// Look at messages that were given up, send them again, delete them
#[derive(Debug, Subcommand)]
pub(super) enum DeadLetters {
    /// List dead letters that were not replayed, the newest first
    #[command(after_help = "\
Examples:
  chaski dead-letters list --from 1d
  chaski dead-letters list --error timeout --target example.org
  chaski dead-letters list --error 503 --all-pages --json | jq -r .id")]
    List(ListDeadLetters),
    /// Show one dead letter: why it died, its attempts, its message, the target's last answer
    #[command(after_help = "Example:\n  chaski dead-letters show 0193a4f2-7c1b-7e3a-9d52-1f0c8e6b4a21")]
    Show(ShowDeadLetter),
    /// Send one dead letter again by its id, or all that fit the filters
    #[command(
        override_usage = "chaski dead-letters replay <ID>\n       chaski dead-letters replay <FILTERS|--all> [--dry-run|--yes]"
    )]
    #[command(after_help = "\
A replay is the next generation of the same message, with fresh attempts, at the end of its subject's line.

Examples:
  chaski dead-letters replay 0193a4f2-7c1b-7e3a-9d52-1f0c8e6b4a21
  chaski dead-letters replay --target example.org --from 1d --dry-run
  chaski dead-letters replay --all --yes")]
    Replay(ReplayDeadLetters),
    /// Delete one dead letter for good
    #[command(after_help = "Example:\n  chaski dead-letters delete 0193a4f2-7c1b-7e3a-9d52-1f0c8e6b4a21")]
    Delete(DeleteDeadLetter),
}

#[derive(Debug, Args)]
pub(super) struct ListDeadLetters {
    #[command(flatten)]
    filter: DeadLetterFilter,
    /// Those that were replayed, instead of those that were not
    #[arg(long)]
    replayed: bool,
    #[command(flatten)]
    pages: Pages,
}

#[derive(Debug, Args)]
pub(super) struct ShowDeadLetter {
    /// The message's id
    #[arg(value_parser = filters::id)]
    id: String,
    /// Its generation; without it the newest
    #[arg(long, value_name = "N")]
    generation: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct ReplayDeadLetters {
    /// The message's id
    #[arg(required_unless_present_any = FILTERS, conflicts_with_all = FILTERS, value_parser = filters::id)]
    id: Option<String>,
    #[command(flatten)]
    filter: DeadLetterFilter,
    /// All that were not replayed
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    intent: Intent,
}

#[derive(Debug, Args)]
pub(super) struct DeleteDeadLetter {
    /// The message's id
    #[arg(value_parser = filters::id)]
    id: String,
}

const FILTERS: [&str; 7] = ["subject", "client", "target", "error", "from", "to", "all"];

const COLUMNS: [Column; 6] = [
    Column::whole("ID"),
    Column::whole("ERROR"),
    Column::whole("DIED (UTC)"),
    Column::shrinks("SUBJECT"),
    Column::goes("TARGET"),
    Column::number_that_goes("TRIES"),
];

impl DeadLetters {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context).await,
            Self::Show(show) => print(context, &context.client.dead_letter(&show.id, show.generation).await?),
            Self::Replay(replay) => match &replay.id {
                Some(id) => {
                    let answer = context.client.replay(id).await?;
                    context.say(&answer, &format!("{} is on its way again", plain(id)))
                }
                None => replay.many(context).await,
            },
            Self::Delete(delete) => {
                let answer = context.client.delete_dead_letter(&delete.id).await?;
                context.say(&answer, &format!("{} deleted", plain(&delete.id)))
            }
        }
    }
}

impl ListDeadLetters {
    async fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut filter = self.filter.fields();
        if self.replayed {
            filter.add("replayed", true);
        }
        let fetch = async |query| context.client.dead_letters(query).await;
        self.pages.print(context, &filter, fetch, Table::new(&COLUMNS), row).await
    }
}

fn row(letter: &DeadLetter) -> Vec<String> {
    vec![
        letter.id.clone(),
        shown::class(&letter.error.last),
        time(&letter.died_at),
        plain(letter.subject.as_deref().unwrap_or_default()),
        plain(letter.target.as_deref().unwrap_or_default()),
        letter.attempts.len().to_string(),
    ]
}

fn print(context: &Context, answer: &Answer) -> Result<(), Failure> {
    if context.output.json {
        return Ok(context.output.line(&answer.text)?);
    }
    let letter: DeadLetter = answer.read()?;
    let now = when::now();
    let moment = |at: &Option<String>| at.as_deref().map(|at| time_and_distance(at, now)).unwrap_or_default();
    let first = shown::fault(&letter.error.first);
    let last = shown::fault(&letter.error.last);
    let mut sheet = Sheet::default();
    sheet.field("id", &letter.id);
    if letter.generation > 1 {
        sheet.field("generation", letter.generation.to_string());
    }
    sheet
        .field("subject", letter.subject.as_deref().unwrap_or_default())
        .field("client", letter.client.as_deref().unwrap_or_default())
        .field("tenant", &letter.tenant)
        .field("producer", letter.producer.as_deref().unwrap_or_default())
        .field("target", letter.target.as_deref().unwrap_or_default())
        .field("received", moment(&letter.received_at))
        .field("died", time_and_distance(&letter.died_at, now))
        .field("replayed", moment(&letter.replayed_at))
        .field("first error", if first == last { "" } else { first.as_str() })
        .field("error", &last);
    context.output.line(&sheet.render())?;
    shown::attempts(context, &letter.attempts)?;
    let message = letter.message.as_deref().map(|message| indented(message.get()));
    shown::body(context, "The message", message.as_deref(), letter.message_base64.as_deref())?;
    let (text, base64) = (letter.response.as_deref(), letter.response_base64.as_deref());
    shown::body(context, "The target's last answer", text, base64)
}

impl ReplayDeadLetters {
    async fn many(&self, context: &Context) -> Result<(), Failure> {
        let mut which = self.filter.fields();
        if self.all {
            which.add("all", true);
        }
        if self.intent.dry_run || self.intent.asks()? {
            let answer = context.client.replay_all(&which.with("dry_run", true)).await?;
            let matched = count(answer.read::<Counted>()?.matched, "dead letter");
            if self.intent.dry_run {
                return context.say(&answer, &format!("{matched} would be sent again"));
            }
            ask(&format!("Send {matched} again?"))?;
        }
        let answer = context.client.replay_all(&which).await?;
        let counted: Counted = answer.read()?;
        context.say(&answer, &format!("{} on their way again", count(counted.replayed, "dead letter")))?;
        match counted.matched.saturating_sub(counted.replayed) {
            0 => Ok(()),
            left => {
                talk(&format!("{} could not be sent, and can be replayed later", count(left, "dead letter")));
                Err(Failure::Told)
            }
        }
    }
}
