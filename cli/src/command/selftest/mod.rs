//! `chaski selftest`: the known answer against a running server.

mod kind;
mod known_answer;
mod pace;
mod round;
mod target;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::{Context, Failure, when};
use crate::client::{List, Queue};
use crate::output::{Column, Progress, Table, age, talk};
use known_answer::Figure;
use pace::Pace;
use round::Run;
use target::Target;

/// Send messages whose outcome is known through the running server, and count what becomes of them
///
/// 200 messages of one subject and 200 of 200 subjects, 50 each to targets that answer 200, 400, 500 and too late:
/// with the default retry policies each round makes 50 + 250 + 300 + 200 = 800 requests and 150 dead letters. The
/// targets are this process's own, so the server has to allow private targets. Quick with tiers and a timeout of 1s.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  CHASKI_TIERS_FAST=1s CHASKI_TIERS_MEDIUM=1s CHASKI_TIERS_SLOW=1s CHASKI_HTTP_TIMEOUT=1s \\
    chaski serve --allow-private-targets
  chaski selftest --timeout 1s")]
pub(super) struct Selftest {
    /// Where the targets listen; the server has to reach this address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The server's http.timeout, by which the time that it takes is told
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = when::span)]
    timeout: Duration,
    /// Give up after this time; three times what it should take, unless said
    #[arg(long, value_name = "TIME", value_parser = when::span)]
    within: Option<Duration>,
    /// Keep the dead letters; otherwise they are deleted when all is as expected
    #[arg(long)]
    keep: bool,
}

const COLUMNS: [Column; 4] = [
    Column::whole("KNOWN ANSWER"),
    Column::number("EXPECTED"),
    Column::number("ONE SUBJECT"),
    Column::number("200 SUBJECTS"),
];

/// The outcome, for a program.
#[derive(Serialize)]
struct Report {
    ok: bool,
    label: String,
    seconds: u64,
    rounds: Vec<Round>,
}

#[derive(Serialize)]
struct Round {
    round: &'static str,
    figures: Vec<Figure>,
}

impl Selftest {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let queues: List<Queue> = context.client.queues().await?.read()?;
        let pace = Pace::of(&queues.items, self.timeout);
        let target = Target::start(self.listen)
            .await
            .map_err(|error| Failure::Input { what: format!("the targets can't listen on {}", self.listen), error })?;
        let run = Run::new(&context.client, target);
        let began = Instant::now();
        run.send().await?;
        talk(&format!(
            "400 messages sent to {}, labelled {}; it takes {}",
            context.client.server(),
            run.label,
            pace.words()
        ));
        let within = self.within.unwrap_or_else(|| pace.estimate() * 3 + Duration::from_secs(60));
        let ended = self.wait(&run, pace, within).await?;
        let seconds = began.elapsed().as_secs();
        let rounds = vec![
            Round { round: "one subject", figures: run.outcome(round::ONE).await?.figures() },
            Round { round: "200 subjects", figures: run.outcome(round::MANY).await?.figures() },
        ];
        let fits = rounds.iter().all(|round| round.figures.iter().all(Figure::fits));
        let report = Report { ok: ended && fits, label: run.label.clone(), seconds, rounds };
        print(context, &report)?;
        self.conclude(&run, &report, ended, within).await
    }

    /// Waits for the end of all messages; whether it came in time.
    async fn wait(&self, run: &Run<'_>, pace: Pace, within: Duration) -> Result<bool, Failure> {
        let began = Instant::now();
        let progress = Progress::new(Some(round::MESSAGES));
        // Often enough to end soon after the last message, seldom enough to be no load.
        let rest = (pace.estimate() / 200).clamp(Duration::from_millis(200), Duration::from_secs(2));
        loop {
            let ended = run.ended().await?;
            progress.at(ended, format!("{ended} of {} messages are at their end", round::MESSAGES));
            if ended >= round::MESSAGES {
                return Ok(true);
            }
            if began.elapsed() >= within {
                return Ok(false);
            }
            tokio::time::sleep(rest).await;
        }
    }

    async fn conclude(&self, run: &Run<'_>, report: &Report, ended: bool, within: Duration) -> Result<(), Failure> {
        if report.ok {
            talk(&format!("As expected, after {}.", age(Duration::from_secs(report.seconds))));
            return if self.keep { Ok(()) } else { run.clean_up().await };
        }
        let label = &run.label;
        let why = match ended {
            true => "What is seen is not what the default retry policies make; is [retry] set otherwise?".to_owned(),
            false => format!("After {} not all messages are at their end.", age(within)),
        };
        Err(Failure::Failed(format!(
            "{why}\nLook with `chaski messages list --label {label}` and `chaski dead-letters list --client {label}`."
        )))
    }
}

fn print(context: &Context, report: &Report) -> Result<(), Failure> {
    if context.output.json {
        let json = serde_json::to_string(report).map_err(std::io::Error::from)?;
        return Ok(context.output.line(&json)?);
    }
    let seen = |figure: &Figure| if figure.fits() { figure.seen.to_string() } else { format!("≠ {}", figure.seen) };
    let rows: Vec<Vec<String>> = match report.rounds.as_slice() {
        [one, many] => one.figures.iter().zip(&many.figures).map(|(one, many)| {
            let expected = one.expected.map_or_else(|| "any".to_owned(), |expected| expected.to_string());
            vec![one.what.clone(), expected, seen(one), seen(many)]
        }),
        _ => return Ok(()),
    }
    .collect();
    Ok(context.output.table(&mut Table::new(&COLUMNS), &rows)?)
}
