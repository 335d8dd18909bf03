//! The deployed stack: its API, its dead letters, its logs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::aws::{Answer, Aws};

/// What `infra/local/up` wrote of the stack.
#[derive(Debug, Clone, Deserialize)]
struct Description {
    endpoint: String,
    api_host: String,
    region: String,
    queue_prefix: String,
    table: String,
    control_table: String,
    bucket: String,
    functions: BTreeMap<String, String>,
    log_groups: BTreeMap<String, String>,
}

/// A deployed stack.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Signed calls to where it is deployed.
    pub aws: Aws,
    /// Where `infra/local/up` keeps what belongs to it.
    folder: PathBuf,
    description: Description,
}

/// How long a test waits for a condition at most; the machines are noisy.
pub const PATIENCE: Duration = Duration::from_secs(300);

impl Stack {
    /// The stack that is up, as `stack.json` in `CHASKI_LOCAL_DIR` (or `.local`) describes it.
    ///
    /// # Errors
    /// None is up; says how to start one.
    pub fn find() -> anyhow::Result<Self> {
        let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.local");
        let folder = std::env::var("CHASKI_LOCAL_DIR").map_or(default, PathBuf::from);
        let path = folder.join("stack.json");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("no local stack is up ({}): run `make test`, or `make local` first", path.display())
        })?;
        let description: Description = serde_json::from_str(&text)?;
        let aws = Aws::new(&description.endpoint, &description.region)?;
        Ok(Self { aws, folder, description })
    }

    /// The URL of a queue, by its short name.
    #[must_use]
    pub fn queue_url(&self, name: &str) -> String {
        // What waits for its time stands in no line.
        let suffix = if name.starts_with("wake") { "" } else { ".fifo" };
        format!("{}{name}{suffix}", self.description.queue_prefix)
    }

    /// The control table's name.
    #[must_use]
    pub fn control_table(&self) -> &str {
        &self.description.control_table
    }

    /// The schedules of the stack, as EventBridge Scheduler describes each.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn schedules(&self) -> anyhow::Result<Vec<Value>> {
        let ask = async |path: String| {
            let answer = self.aws.send("scheduler", "GET", &path, &[], String::new(), true).await?;
            anyhow::ensure!(answer.status == 200, "{path} was answered {}: {}", answer.status, answer.body);
            anyhow::Ok(answer.json())
        };
        let group = self.name();
        let list = ask(format!("/schedules?ScheduleGroup={group}&MaxResults=1000")).await?;
        let mut found = Vec::new();
        for name in list["Schedules"].as_array().into_iter().flatten().filter_map(|one| one["Name"].as_str()) {
            found.push(ask(format!("/schedules/{name}?groupName={group}")).await?);
        }
        Ok(found)
    }

    /// The folder of a function's package.
    #[must_use]
    pub fn package(&self, function: &str) -> PathBuf {
        self.folder.join(self.name()).join("packages").join(function)
    }

    /// The function's deployed name.
    #[must_use]
    pub fn function(&self, name: &str) -> &str {
        self.description.functions.get(name).map_or("", String::as_str)
    }

    /// The stack's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        let prefix = self.description.queue_prefix.rsplit('/').next().unwrap_or_default();
        prefix.trim_end_matches('-')
    }

    /// What AWS's tools need in their environment to ask the local AWS, and no other.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, &str); 7] {
        [
            ("AWS_ENDPOINT_URL", &self.description.endpoint),
            ("AWS_REGION", &self.description.region),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ]
    }

    /// Asks the API, as IAM's caller or as nobody.
    ///
    /// # Errors
    /// It could not be asked.
    pub async fn api(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
        signed: bool,
    ) -> anyhow::Result<Answer> {
        let mut all = vec![("host", self.description.api_host.as_str())];
        all.extend_from_slice(headers);
        self.aws.send("execute-api", method, path, &all, body, signed).await
    }

    /// Posts one envelope.
    ///
    /// # Errors
    /// It could not be asked.
    pub async fn post(&self, envelope: &Value) -> anyhow::Result<Answer> {
        self.api("POST", "/messages", &[("content-type", "application/json")], envelope.to_string(), true).await
    }

    /// Posts many envelopes in one call, and gives the items of the answer.
    ///
    /// # Errors
    /// The batch was not answered with items.
    pub async fn post_batch(&self, envelopes: &[Value]) -> anyhow::Result<Vec<Value>> {
        let answer = self
            .api("POST", "/messages/batch", &[("content-type", "application/json")], json!(envelopes).to_string(), true)
            .await?;
        match answer.json().get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => bail!("the batch was answered {}: {}", answer.status, answer.body),
        }
    }

    /// Writes an entry straight into a queue, past the ingress.
    ///
    /// # Errors
    /// The queue did not take it.
    pub async fn enqueue(&self, queue: &str, group: &str, dedup: &str, body: &str) -> anyhow::Result<()> {
        let mut call = json!({"QueueUrl": self.queue_url(queue), "MessageBody": body});
        if self.queue_url(queue).ends_with(".fifo") {
            call["MessageGroupId"] = group.into();
            call["MessageDeduplicationId"] = dedup.into();
        }
        self.aws.json("sqs", "AmazonSQS.SendMessage", &call).await.map(drop)
    }

    /// The keys in the bucket of large bodies that begin so.
    ///
    /// # Errors
    /// The bucket can't be listed, or holds more than one page of them.
    pub async fn objects(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let prefix = prefix.replace('/', "%2F");
        let path = format!("/{}?list-type=2&prefix={prefix}", self.description.bucket);
        let answer = self.aws.send("s3", "GET", &path, &[], String::new(), true).await?;
        if answer.status != 200 || answer.body.contains("<IsTruncated>true") {
            bail!("{path} was answered {}: {}", answer.status, answer.body);
        }
        let keys = answer.body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        Ok(keys.map(str::to_owned).collect())
    }

    /// How many entries stand in all queues: visible, in flight and delayed.
    ///
    /// # Errors
    /// The queues can't be asked.
    pub async fn depth(&self) -> anyhow::Result<u64> {
        let mut depth = 0;
        for name in [
            "assignments-0",
            "messages-0",
            "messages-1",
            "messages-2",
            "messages-3",
            "retry-fast",
            "retry-medium",
            "retry-slow",
            "wake",
            "wake-net",
            "last-net",
        ] {
            let call = json!({"QueueUrl": self.queue_url(name), "AttributeNames": ["All"]});
            let answer = self.aws.json("sqs", "AmazonSQS.GetQueueAttributes", &call).await?;
            for attribute in [
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            ] {
                depth += answer["Attributes"][attribute].as_str().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        Ok(depth)
    }

    /// All dead letters whose subject begins so, as DynamoDB's items.
    ///
    /// # Errors
    /// The table can't be read.
    pub async fn dead_letters(&self, subject: &str) -> anyhow::Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut start = Value::Null;
        loop {
            let mut call = json!({"TableName": self.description.table, "ConsistentRead": true});
            if !start.is_null() {
                call["ExclusiveStartKey"] = start;
            }
            let page = self.aws.json("dynamodb", "DynamoDB_20120810.Scan", &call).await?;
            let items = page["Items"].as_array().cloned().unwrap_or_default();
            found.extend(
                items.into_iter().filter(|item| item["subject"]["S"].as_str().unwrap_or_default().starts_with(subject)),
            );
            start = page["LastEvaluatedKey"].clone();
            if start.is_null() {
                return Ok(found);
            }
        }
    }

    /// The lines of a function's log that hold a text.
    ///
    /// # Errors
    /// The log can't be read, or holds more such lines than the local AWS gives out.
    pub async fn log_lines(&self, function: &str, text: &str) -> anyhow::Result<Vec<Value>> {
        let group = self.description.log_groups.get(function).context("no such function")?;
        let call = json!({"logGroupName": group, "limit": LOG_LINES, "filterPattern": format!("\"{text}\"")});
        let page = self.aws.json("logs", "Logs_20140328.FilterLogEvents", &call).await?;
        let events = page["events"].as_array().map_or(&[][..], Vec::as_slice);
        if events.len() >= LOG_LINES {
            bail!("over {LOG_LINES} lines of {function} hold {text}");
        }
        let messages = events.iter().filter_map(|event| event["message"].as_str());
        Ok(messages.filter_map(|message| serde_json::from_str(message).ok()).collect())
    }
}

/// What one look into a log gives at most; the local AWS has no second page.
const LOG_LINES: usize = 10_000;

/// Waits until a condition holds, and gives what it found.
///
/// # Errors
/// It did not hold in time; says what was waited for, and the last it saw.
pub async fn eventually<T, F, Fut>(what: &str, mut look: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<Result<T, String>>>,
{
    let began = Instant::now();
    loop {
        match look().await? {
            Ok(found) => return Ok(found),
            Err(seen) if began.elapsed() > PATIENCE => bail!("waited for {what} and saw {seen}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
