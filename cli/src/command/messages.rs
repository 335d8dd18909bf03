//! `chaski messages`: look at messages and where they stand, and cancel them.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::confirm::{Intent, ask};
use super::filters::MessageFilter;
use super::pages::Pages;
use super::{Context, Failure, filters, shown, when};
use crate::client::{Answer, Cancelled, CancelledAll, Client, ClientError, Fields, Message, TargetAnswer};
use crate::output::{Column, Sheet, Table, count, plain, talk, time, time_and_distance};

/// The longest time that a server waits for a message's end in one call.
const WAIT_A_CALL: Duration = Duration::from_secs(60);

/// Look at messages and where they stand, and cancel them
#[derive(Debug, Subcommand)]
pub(super) enum Messages {
    /// List messages, the newest first
    #[command(after_help = "\
Examples:
  chaski messages list --state retrying
  chaski messages list --subject pc_send_88 --from 2h
  chaski messages list --target example.org --from 2026-12-01 --to 2026-12-02
  chaski messages list --label import-7 --all-pages --json | jq -r .id")]
    List(ListMessages),
    /// Show one message: its attempts, when it is due, and the target's last answer
    #[command(after_help = "\
Examples:
  chaski messages show 0193a4f2-7c1b-7e3a-9d52-1f0c8e6b4a21
  chaski messages show 0193a4f2-7c1b-7e3a-9d52-1f0c8e6b4a21 --wait 10s")]
    Show(ShowMessage),
    /// Cancel one message by its id, or all that fit the filters
    #[command(
        override_usage = "chaski messages cancel <ID>\n       chaski messages cancel <FILTERS|--all> [--dry-run|--yes]"
    )]
    #[command(after_help = "\
A message whose attempt runs is cancelled when that attempt fails; if it succeeds, the message is delivered.

Examples:
  chaski messages cancel 0193a4f2-7c1b-7e3a-9d52-1f0c8e6b4a21
  chaski messages cancel --subject pc_send_88 --dry-run
  chaski messages cancel --label import-7 --yes")]
    Cancel(CancelMessages),
}

#[derive(Debug, Args)]
pub(super) struct ListMessages {
    #[command(flatten)]
    filter: MessageFilter,
    #[command(flatten)]
    pages: Pages,
}

#[derive(Debug, Args)]
pub(super) struct ShowMessage {
    /// The message's id
    #[arg(value_parser = filters::id)]
    id: String,
    /// Wait for its end, at most so long
    #[arg(long, value_name = "TIME", value_parser = when::span)]
    wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct CancelMessages {
    /// The message's id
    #[arg(required_unless_present_any = FILTERS, conflicts_with_all = FILTERS, value_parser = filters::id)]
    id: Option<String>,
    #[command(flatten)]
    filter: MessageFilter,
    /// All messages that are not at their end
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    intent: Intent,
}

const FILTERS: [&str; 8] = ["subject", "client", "label", "state", "target", "from", "to", "all"];

const COLUMNS: [Column; 6] = [
    Column::whole("ID"),
    Column::whole("STATE"),
    Column::whole("RECEIVED (UTC)"),
    Column::shrinks("SUBJECT"),
    Column::goes("TARGET"),
    Column::number_that_goes("TRIES"),
];

impl Messages {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let fetch = async |query| context.client.messages(query).await;
                list.pages.print(context, &list.filter.fields(), fetch, Table::new(&COLUMNS), row).await
            }
            Self::Show(show) => {
                let answer = ended(&context.client, &show.id, show.wait.unwrap_or_default()).await?;
                print(context, &answer)
            }
            Self::Cancel(cancel) => match &cancel.id {
                Some(id) => cancel_one(context, id).await,
                None => cancel.many(context).await,
            },
        }
    }
}

fn row(message: &Message) -> Vec<String> {
    vec![
        message.id.clone(),
        state(message),
        time(&message.received_at),
        plain(&message.subject),
        plain(message.target.as_deref().unwrap_or_default()),
        message.attempts.len().to_string(),
    ]
}

fn state(message: &Message) -> String {
    let own = plain(&message.state);
    if message.cancelling { format!("{own}, cancelling") } else { own }
}

/// The message when it is at its end, or when the wait is over.
pub(super) async fn ended(client: &Client, id: &str, wait: Duration) -> Result<Answer, ClientError> {
    let began = Instant::now();
    loop {
        let left = wait.saturating_sub(began.elapsed());
        let answer = client.message(id, left.min(WAIT_A_CALL)).await?;
        if began.elapsed() >= wait || answer.read::<Message>()?.is_at_its_end() {
            return Ok(answer);
        }
    }
}

/// Prints one message.
pub(super) fn print(context: &Context, answer: &Answer) -> Result<(), Failure> {
    if context.output.json {
        return Ok(context.output.line(&answer.text)?);
    }
    let message: Message = answer.read()?;
    let now = when::now();
    let moment = |at: &Option<String>| at.as_deref().map(|at| time_and_distance(at, now)).unwrap_or_default();
    let waits = message.queue.as_deref().map(|queue| format!(", in {queue}")).unwrap_or_default();
    let body = message.body.as_ref().map(|body| format!("{} bytes, kept as {}", body.bytes, body.body_ref));
    let body = body.unwrap_or_default();
    let mut sheet = Sheet::default();
    sheet.field("id", &message.id);
    if message.generation > 1 {
        sheet.field("generation", message.generation.to_string());
    }
    sheet
        .field("state", state(&message))
        .field("subject", &message.subject)
        .field("client", message.client.as_deref().unwrap_or_default())
        .field("labels", message.labels.join(", "))
        .field("tenant", &message.tenant)
        .field("producer", message.producer.as_deref().unwrap_or_default())
        .field("target", message.target.as_deref().unwrap_or_default())
        .field("body", body)
        .field("route", format!("{}{waits}", message.route))
        .field("received", time_and_distance(&message.received_at, now))
        .field("ordering", message.ordering.as_deref().unwrap_or_default())
        .field("next due", moment(&message.next_due))
        .field("expires", moment(&message.expires_at))
        .field("ended", moment(&message.ended_at))
        .field("error", message.error.as_ref().map(shown::fault).unwrap_or_default());
    context.output.line(&sheet.render())?;
    shown::attempts(context, &message.attempts)?;
    message.answer.as_ref().map_or(Ok(()), |answer| target_answer(context, answer))
}

fn target_answer(context: &Context, answer: &TargetAnswer) -> Result<(), Failure> {
    let cut = if answer.truncated { ", its beginning" } else { "" };
    let heading = format!("The target's last answer, {}{cut}", answer.status);
    shown::body(context, &heading, answer.body.as_deref(), answer.body_base64.as_deref())
}

async fn cancel_one(context: &Context, id: &str) -> Result<(), Failure> {
    let answer = context.client.cancel(id).await?;
    let Cancelled { id, state } = answer.read()?;
    let words = match state.as_str() {
        "cancelling" => format!("{id} is being cancelled: no other attempt is made than one that runs now"),
        state => format!("{id} {state}"),
    };
    context.say(&answer, &plain(&words))
}

impl CancelMessages {
    async fn many(&self, context: &Context) -> Result<(), Failure> {
        let mut which = self.filter.fields();
        if self.all {
            which.add("all", true);
        }
        if self.intent.dry_run {
            let answer = context.client.cancel_all(&which.with("dry_run", true)).await?;
            let matched = count_of(answer.read::<CancelledAll>()?.matched);
            return context.say(&answer, &format!("{matched} would be cancelled"));
        }
        if self.intent.asks()? {
            let matched = match context.client.cancel_all(&which.with("dry_run", true)).await {
                Ok(answer) => answer.read::<CancelledAll>()?.matched,
                // A stack can't count, and whoever is asked is told so.
                Err(error) if error.refusal().is_some_and(|refusal| refusal.status == 501) => None,
                Err(error) => return Err(error.into()),
            };
            ask(&format!("Cancel {}?", count_of(matched)))?;
        }
        self.act(context, &which).await
    }

    async fn act(&self, context: &Context, which: &Fields) -> Result<(), Failure> {
        let answer = context.client.cancel_all(which).await?;
        let counted: CancelledAll = answer.read()?;
        if counted.matched.is_none() {
            return context.say(&answer, "all messages that fit are being cancelled, each when its attempt is due");
        }
        context.say(&answer, &format!("{} cancelled", count(counted.cancelled, "message")))?;
        if counted.cancelling > 0 {
            talk(&format!("{} more when the attempt that runs has failed", count(counted.cancelling, "message")));
        }
        Ok(())
    }
}

fn count_of(matched: Option<u64>) -> String {
    matched.map_or_else(|| "all messages that fit (how many is not known)".to_owned(), |many| count(many, "message"))
}
