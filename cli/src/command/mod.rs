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

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::client::{Answer, Client, ServerUrl};
use crate::output::Output;

const AFTER: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage.

CHASKI_URL names the server, CHASKI_KEY holds a producer's key (ck_<id>_<secret>) where the server wants one,
CHASKI_STACK names a stack on AWS instead, which is asked with your own AWS credentials (AWS_PROFILE, AWS_REGION, ...).
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
    /// Whether the stack is named on the command line itself.
    #[arg(skip)]
    stack_is_said: bool,
}

/// Where the value of an argument comes from; `None` where it is the default one.
fn source(matches: &ArgMatches, name: &str) -> Option<ValueSource> {
    matches.value_source(name).filter(|source| *source != ValueSource::DefaultValue)
}

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// Where Chaski listens
    #[arg(long, global = true, value_name = "URL", env = "CHASKI_URL", default_value = "http://127.0.0.1:8080")]
    #[arg(help_heading = EVERYWHERE)]
    server: ServerUrl,
    /// A stack on AWS instead of a server, asked with your AWS credentials and rights
    #[arg(long, global = true, value_name = "NAME", env = "CHASKI_STACK", help_heading = EVERYWHERE)]
    stack: Option<String>,
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
    /// Commands that can't mean a stack.
    fn refuse_a_stack(&self) -> Result<(), Failure> {
        match (&self.command, &self.global.stack) {
            (Command::Serve(_), Some(_)) if self.stack_is_said => {
                Err(Failure::Usage("serve is the dispatcher itself, and works on no stack".to_owned()))
            }
            (Command::Doctor(_), Some(_)) if self.stack_is_said => Err(Failure::Failed(
                "doctor reads a folder of `chaski serve`, and a stack has none: CloudWatch's alarms watch over a stack, \
                 and infra/README.md says what each means"
                    .to_owned(),
            )),
            (Command::Send(send), Some(_)) if send.waits() => Err(Failure::Failed(
                "nothing is sent: --wait asks for the message's end, which a stack does not keep; send without it, and \
                 look for its id in `chaski dead-letters show` and in the functions' logs"
                    .to_owned(),
            )),
            (Command::Selftest(_), Some(_)) => Err(Failure::Failed(
                "selftest asks for the end of each message, which a stack does not keep: use infra/bin/smoke --stack NAME"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Whether it serves others, and wants all cores for that.
    pub(crate) const fn serves(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }

    /// Reads the command line. What is said there goes before what the environment says; both a server and a
    /// stack in the same place is a wrong usage.
    pub(crate) fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let said = |name: &str| source(&matches, name);
        match (said("stack"), said("server")) {
            (Some(stack), Some(server)) if stack == server => {
                let words = "--stack (CHASKI_STACK) and --server (CHASKI_URL) can't be used together";
                Self::command().error(clap::error::ErrorKind::ArgumentConflict, words).exit()
            }
            (Some(ValueSource::EnvVariable), Some(_)) => cli.global.stack = None,
            _ => {}
        }
        cli.stack_is_said = said("stack") == Some(ValueSource::CommandLine);
        cli
    }

    /// Does what is asked for.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let output = Output::new(self.global.json);
        self.refuse_a_stack()?;
        // What needs no server.
        match self.command {
            Command::Completions(completions) => return completions.run(output),
            Command::Doctor(doctor) => return doctor.run(output),
            Command::Serve(serve) => return Box::pin(serve.run()).await,
            _ => {}
        }
        let key = std::env::var("CHASKI_KEY").ok().filter(|key| !key.is_empty());
        let client = match &self.global.stack {
            Some(stack) => Box::pin(Client::of_stack(stack, key.as_deref())).await?,
            None => Client::new(&self.global.server, key.as_deref())?,
        };
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
