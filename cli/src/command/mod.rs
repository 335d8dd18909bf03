//! What can be said on the command line, and who does it: one file a command.

mod backup;
mod completions;
mod confirm;
mod dead_letters;
mod doctor;
mod failure;
mod filters;
mod messages;
mod pages;
mod pauses;
mod queues;
mod selftest;
mod send;
mod serve;
mod shown;
mod when;

pub(crate) use failure::Failure;

use clap::{Args, Parser, Subcommand};

use crate::client::{Answer, Client, ServerUrl};
use crate::output::Output;

const AFTER: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage.

CHASKI_URL names the server, CHASKI_KEY holds a producer's key (ck_<id>_<secret>) where the server wants one,
SSL_CERT_FILE names a file with certificates (PEM) to trust besides the well-known ones.";

/// Where the help shows what every command takes.
const EVERYWHERE: &str = "Everywhere";

/// Sends HTTP requests later, in order and with retries; and shows what became of them.
#[derive(Debug, Parser)]
#[command(name = "chaski", version, after_help = AFTER, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// Where Chaski listens
    #[arg(long, global = true, value_name = "URL", env = "CHASKI_URL", default_value = "http://127.0.0.1:8080")]
    #[arg(help_heading = EVERYWHERE)]
    server: ServerUrl,
    /// Print the server's JSON instead of tables: one document, or one a line where there are many
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Send(Box<send::Send>),
    #[command(subcommand)]
    Messages(messages::Messages),
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    #[command(subcommand)]
    Queues(queues::Queues),
    Pause(pauses::Pause),
    Resume(pauses::Resume),
    Pauses(pauses::Pauses),
    Backup(backup::Backup),
    Selftest(selftest::Selftest),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
}

/// What a command works with.
#[derive(Debug)]
struct Context {
    client: Client,
    output: Output,
}

impl Context {
    /// Tells a person these words, and a program the server's answer.
    fn say(&self, answer: &Answer, words: &str) -> Result<(), Failure> {
        Ok(self.output.line(if self.output.json { &answer.text } else { words })?)
    }
}

impl Cli {
    /// Whether it serves others, and wants all cores for that.
    pub(crate) const fn serves(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }

    /// Does what is asked for.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let output = Output::new(self.global.json);
        // What needs no server.
        match self.command {
            Command::Completions(completions) => return completions.run(output),
            Command::Doctor(doctor) => return doctor.run(output),
            Command::Serve(serve) => return Box::pin(serve.run()).await,
            _ => {}
        }
        let key = std::env::var("CHASKI_KEY").ok().filter(|key| !key.is_empty());
        let client = Client::new(&self.global.server, key.as_deref())?;
        let context = Context { client, output };
        match self.command {
            Command::Send(send) => send.run(&context).await,
            Command::Messages(messages) => messages.run(&context).await,
            Command::DeadLetters(dead_letters) => dead_letters.run(&context).await,
            Command::Queues(queues) => queues.run(&context).await,
            Command::Pause(pause) => pause.run(&context).await,
            Command::Resume(resume) => resume.run(&context).await,
            Command::Pauses(pauses) => pauses.run(&context).await,
            Command::Backup(backup) => backup.run(&context).await,
            Command::Selftest(selftest) => Box::pin(selftest.run(&context)).await,
            Command::Serve(_) | Command::Doctor(_) | Command::Completions(_) => Ok(()),
        }
    }
}
