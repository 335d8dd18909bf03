//! Schedules of the local AWS. They are looked at and fired here, since it has no clock to move.

use anyhow::{Context, ensure};
use chaski_core::queue::QueueName;
use chaski_core::time::Timestamp;
use chaski_dynamodb::Schedules;
use chaski_signed::Scheduler;
use serde_json::Value;

use super::{ACCOUNT, Places};

/// One that happens once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// When it writes.
    pub at: Timestamp,
    /// What it writes into `wake`.
    pub text: String,
}

impl Places {
    /// Where this home's schedules are made, and what they may do.
    pub(in crate::home::aws) fn schedules(&self, scheduler: Scheduler) -> Schedules {
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{}-wake", self.name);
        let (wake, net) = (self.arn(&QueueName::Wake), self.arn(&QueueName::WakeNet));
        Schedules { scheduler, group: self.name.clone(), role, wake, net }
    }

    pub(super) async fn make_group(&self) -> anyhow::Result<()> {
        let path = format!("/schedule-groups/{}", self.name);
        self.ask("POST", &path, "{}").await.context("making the group of schedules").map(drop)
    }

    /// The schedules of this home, each of which must be for once, in UTC, to the second, and write into `wake`.
    pub(in crate::home::aws) async fn all_schedules(&self) -> anyhow::Result<Vec<Schedule>> {
        let list = self.ask("GET", &format!("/schedules?ScheduleGroup={}&MaxResults=1000", self.name), "").await?;
        let mut found = Vec::new();
        for listed in list.get("Schedules").and_then(Value::as_array).into_iter().flatten() {
            let name = listed.get("Name").and_then(Value::as_str).context("a schedule without a name")?;
            let whole = self.ask("GET", &format!("/schedules/{name}?groupName={}", self.name), "").await?;
            found.push(self.read(&whole).with_context(|| format!("no schedule of ours: {whole}"))?);
        }
        Ok(found)
    }

    /// Writes what a schedule writes, and takes it away.
    pub(in crate::home::aws) async fn fire(&self, schedule: &Schedule) -> anyhow::Result<()> {
        let send = self.sqs.send_message().queue_url(self.url(&QueueName::Wake)).message_body(&schedule.text);
        Box::pin(send.send()).await.context("firing a schedule")?;
        let path = format!("/schedules/{}?groupName={}", schedule.name, self.name);
        self.ask("DELETE", &path, "").await.map(drop)
    }

    fn read(&self, whole: &Value) -> Option<Schedule> {
        let text = |path: &str| whole.pointer(path).and_then(Value::as_str);
        let at = text("/ScheduleExpression")?.strip_prefix("at(")?.strip_suffix(')')?;
        let ours = text("/ScheduleExpressionTimezone") == Some("UTC")
            && text("/FlexibleTimeWindow/Mode") == Some("OFF")
            && text("/ActionAfterCompletion") == Some("DELETE")
            && text("/Target/Arn") == Some(&self.arn(&QueueName::Wake))
            && text("/Target/DeadLetterConfig/Arn") == Some(&self.arn(&QueueName::WakeNet));
        let schedule = Schedule {
            name: text("/Name")?.to_owned(),
            at: Timestamp::parse(&format!("{at}Z"))?,
            text: text("/Target/Input")?.to_owned(),
        };
        ours.then_some(schedule)
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let json = [("content-type", "application/json")];
        let answer = self.aws.send("scheduler", method, path, &json, body.to_owned(), true).await?;
        ensure!(answer.status == 200, "{method} {path} was answered {}: {}", answer.status, answer.body);
        Ok(answer.json())
    }
}
