//! Everything around the functions, on loopback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use chaski_aws::{AwsSettings, Clients, QueuePrefix, SqsQueues};
use chaski_system::SystemClock;
use hyper::Request;

use super::aws_stub::AwsStub;
use super::events::QUEUE_PREFIX;
use super::function::Program;
use super::serve::{Answer, Service, answer, serve};

/// How long the slow target takes.
pub(crate) const SLOW: Duration = Duration::from_millis(200);

/// A target whose path is the status that it answers; `/slow` answers 200 after [`SLOW`].
struct Target;

impl Service for Target {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        let path = request.uri().path().trim_start_matches('/');
        if path == "slow" {
            tokio::time::sleep(SLOW).await;
        }
        answer(path.parse().unwrap_or(200), "")
    }
}

/// The stub of AWS, the target, and a folder that is removed with it.
pub(crate) struct World {
    pub(crate) aws: AwsStub,
    target: SocketAddr,
    folder: PathBuf,
}

impl World {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("chaski-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
        let (aws, target) = (AwsStub::start(&folder).await?, serve(Arc::new(Target), None).await?);
        let settings = format!("[targets]\nallow = [\"{target}\"]\n");
        std::fs::write(folder.join("chaski.toml"), settings).context("the settings can't be written")?;
        Ok(Self { aws, target, folder })
    }

    /// A target's URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.target)
    }

    /// The queues, as a program with this environment reaches them.
    pub(crate) fn queues(&self, program: &Program) -> anyhow::Result<SqsQueues> {
        let env = |name: &str| program.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Ok(SqsQueues::new(
            Clients::new(AwsSettings::read(env)?)?.sqs(),
            QueuePrefix::new(QUEUE_PREFIX),
            SystemClock::start(),
        ))
    }

    /// A program with the environment that Lambda and the template give it.
    pub(crate) fn program(&self, name: &'static str, path: &Path) -> Program {
        let env = [
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[$LATEST]0"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "bench"),
            ("AWS_SESSION_TOKEN", "bench"),
            ("AWS_ENDPOINT_URL", &format!("https://localhost:{}", self.aws.address.port())),
            ("AWS_CA_BUNDLE", &self.aws.ca_bundle.display().to_string()),
            ("LAMBDA_TASK_ROOT", &self.folder.display().to_string()),
            ("CHASKI_AWS_QUEUE_PREFIX", QUEUE_PREFIX),
            ("CHASKI_AWS_TABLE", "chaski-bench-dead-letters"),
            ("CHASKI_LOG_LEVEL", "info"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Program { name, path: path.to_owned(), env }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
