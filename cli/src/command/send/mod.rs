//! `chaski send`: one message by its fields, or many as lines of JSON.

mod asks;
mod body;
mod lines;
mod many;
mod one;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;

use super::{Context, Failure, when};

/// Send one message, or many: lines of JSON (NDJSON) from a file or standard input
///
/// A message is given by --subject and --url. Without them each line read is an envelope as POST /messages takes it;
/// lines are sent in order, and those that can't be accepted are named by their number.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chaski send --subject hello --url http://127.0.0.1:4580/hook --body '{\"hello\":\"world\"}'
  chaski send --subject hello --url https://example.org/hook -H 'X-A: 1' --body @order.json --wait
  chaski send --subject hello --url https://example.org/hook --ordering strict --delay 90s --max-attempts 3
  chaski send messages.ndjson
  generate | chaski send

  A line: {\"subject\":\"hello\",\"message\":{\"url\":\"https://example.org/hook\",\"body\":{\"any\":\"json\"}}}")]
pub(super) struct Send {
    /// Lines of JSON to send; - is standard input
    #[arg(value_name = "FILE", conflicts_with_all = ONE.iter().chain(&asks::NAMES))]
    file: Option<String>,
    #[command(flatten)]
    one: One,
}

const ONE: [&str; 9] = ["subject", "url", "method", "headers", "body", "key", "client", "labels", "wait"];

/// One message.
#[derive(Debug, Args)]
struct One {
    /// The subject, which decides the order
    #[arg(long, value_name = "SUBJECT", requires = "url")]
    subject: Option<String>,
    /// The target
    #[arg(long, value_name = "URL", requires = "subject")]
    url: Option<String>,
    /// The HTTP method; POST where none is given
    #[arg(long, value_name = "METHOD", requires = "url")]
    method: Option<String>,
    /// A header of the request, 'Name: value'; as often as needed
    #[arg(short = 'H', long = "header", id = "headers", value_name = "HEADER", requires = "url", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The body: a text, @FILE or @- for standard input. JSON is sent as application/json, everything else with
    /// no content type unless -H names one
    #[arg(long, value_name = "BODY", requires = "url")]
    body: Option<String>,
    /// An idempotency key: the same key and content is the same message
    #[arg(long = "id", id = "key", value_name = "KEY", requires = "url")]
    key: Option<String>,
    /// The client that the message belongs to
    #[arg(long, value_name = "CLIENT", requires = "url")]
    client: Option<String>,
    /// A label; as often as needed
    #[arg(long = "label", id = "labels", value_name = "LABEL", requires = "url")]
    labels: Vec<String>,
    /// Wait for the message's end, at most so long where a time is given (--wait=30s); fails unless it is delivered
    #[arg(long, value_name = "TIME", requires = "url", num_args = 0..=1, require_equals = true,
          default_missing_value = "365d", value_parser = when::span)]
    wait: Option<Duration>,
    #[command(flatten)]
    asks: asks::Asks,
}

impl Send {
    /// Whether it asks for the message's end.
    pub(super) const fn waits(&self) -> bool {
        self.one.wait.is_some()
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        if let (Some(subject), Some(url)) = (&self.one.subject, &self.one.url) {
            return one::send(context, &self.one, subject, url).await;
        }
        match self.file.as_deref() {
            Some("-") => many::send(context, None).await,
            None if !io::stdin().is_terminal() => many::send(context, None).await,
            Some(file) => many::send(context, Some(file)).await,
            None => Err(Failure::Usage(
                "say --subject and --url for one message, or give lines of JSON: a file, or - for standard input"
                    .to_owned(),
            )),
        }
    }
}

/// Reads `Name: value`.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it takes the form 'Name: value'")?;
    if name.trim().is_empty() {
        Err("it has no name".to_owned())
    } else {
        Ok((name.trim().into(), value.trim().into()))
    }
}
