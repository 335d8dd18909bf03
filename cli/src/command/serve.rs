//! `chaski serve`: the whole dispatcher in one process.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use chaski_core::logger::{self, Service};
use chaski_core::settings::{self, Settings, variable};
use chaski_serve::LogWriter;
use chaski_system::SystemClock;
use clap::Args;

use super::Failure;

/// Run the whole dispatcher in this process, on a store in a folder
///
/// Settings come from chaski.toml and from the environment (http.timeout is CHASKI_HTTP_TIMEOUT), and the options
/// here win. The log is JSON lines on standard output; the first line there is the address. SIGTERM and Ctrl-C end it
/// in order, a second one at once; SIGHUP has the TLS certificate read again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chaski serve
  chaski serve --allow-private-targets           # for a try, with targets on this machine
  CHASKI_TIERS_FAST=1s chaski serve --listen 127.0.0.1:9090 --data /var/lib/chaski --config /etc/chaski.toml")]
pub(crate) struct Serve {
    /// The address of the API (the setting `listen`)
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The store's folder, made where there is none (the setting `data`)
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The settings; without it chaski.toml of this folder, if there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Let messages go to private and loopback addresses (the setting `targets.allow_private`)
    #[arg(long)]
    allow_private_targets: bool,
}

impl Serve {
    /// Serves until a signal ends it.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = Arc::new(self.settings()?);
        let log = LogWriter::start(std::io::stdout())?;
        let level = settings.log.level;
        let service = Service { name: "chaski", version: env!("CARGO_PKG_VERSION"), level, cloudwatch: false };
        // A second start in one process, as in a test, keeps the first one's log.
        let _ = tracing::subscriber::set_global_default(logger::subscriber(service, SystemClock::start(), log.clone()));
        let mut out = log.clone();
        let ended = chaski_serve::run(settings, move |ready| {
            // The log takes every line.
            let _ = writeln!(out, "chaski listens on {}", ready.url());
        })
        .await;
        log.close();
        ended.map_err(|error| Failure::Failed(error.to_string()))
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let path = self.config.clone().unwrap_or_else(|| settings::FILE.into());
        let file = match std::fs::read_to_string(&path) {
            Ok(file) => file,
            Err(error) if self.config.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::Input { what: path.display().to_string(), error }),
        };
        let private = self.allow_private_targets.then(|| "true".to_owned());
        let given = [
            (variable("listen"), self.listen.clone()),
            (variable("data"), self.data.clone()),
            (variable("targets.allow_private"), private),
        ];
        let env = |name: &str| {
            let option = given.iter().find(|(variable, _)| variable == name).and_then(|(_, value)| value.clone());
            option.or_else(|| std::env::var(name).ok())
        };
        Settings::read(&file, &env).map_err(|error| Failure::Usage(error.to_string()))
    }
}
