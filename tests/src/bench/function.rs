//! One process of a function.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::runtime_api::{Invocation, RuntimeApi};

/// What is run.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The function's name.
    pub(crate) name: &'static str,
    /// Its `bootstrap`.
    pub(crate) path: PathBuf,
    /// Its environment; nothing else is inherited.
    pub(crate) env: Vec<(String, String)>,
}

impl Program {
    /// The size of the file in MB (of 1,000,000 bytes).
    pub(crate) fn megabytes(&self) -> anyhow::Result<f64> {
        let bytes =
            std::fs::metadata(&self.path).with_context(|| format!("{} can't be read", self.path.display()))?.len();
        Ok(bytes as f64 / 1e6)
    }
}

/// A running one; it is ended when this is dropped.
pub(crate) struct Function {
    child: Child,
    /// When it was started.
    pub(crate) started: Instant,
    /// From its start to its first question for an event.
    pub(crate) to_next: Duration,
    api: RuntimeApi,
}

impl Function {
    /// Starts it and waits for its first question.
    pub(crate) async fn start(program: &Program) -> anyhow::Result<Self> {
        let mut api = RuntimeApi::start().await?;
        let mut command = Command::new(&program.path);
        command.env_clear().envs(program.env.iter().map(|(name, value)| (name, value)));
        command.env("AWS_LAMBDA_RUNTIME_API", api.address.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("{} can't be started", program.path.display()))?;
        let next = api.next().await.with_context(|| format!("{} did not ask for an event", program.name));
        // From here on the drop ends it, also when it never asked.
        let mut function = Self { child, started, to_next: Duration::ZERO, api };
        function.to_next = next?.saturating_duration_since(started);
        Ok(function)
    }

    /// Gives it an event, and waits for its answer and its next question.
    pub(crate) async fn invoke(&mut self, event: &bytes::Bytes) -> anyhow::Result<Invocation> {
        self.api.invoke(event).await
    }

    /// Its memory in MB (of 1,000,000 bytes): the most it ever had, and what it has.
    pub(crate) fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let file = Path::new("/proc").join(self.child.id().to_string()).join("status");
        let status = std::fs::read_to_string(file).context("memory is read from /proc")?;
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kilobytes: f64 = line?.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kilobytes * 1_024.0 / 1e6)
        };
        megabytes("VmHWM").zip(megabytes("VmRSS")).context("/proc does not tell VmHWM and VmRSS")
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended by itself, and is then only waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
