//! A queue's name on AWS, from its short name and back.

use chaski_core::queue::QueueName;

/// Every FIFO queue's name ends so.
const FIFO: &str = ".fifo";

/// What stands before the short name in a queue's URL:
/// `https://sqs.us-east-1.amazonaws.com/000000000000/chaski-dev-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePrefix(String);

impl QueuePrefix {
    /// From the URL of a queue up to its short name.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The queue's URL.
    #[must_use]
    pub fn url(&self, queue: &QueueName) -> String {
        format!("{}{queue}{}", self.0, suffix(queue))
    }

    /// The queue's ARN, in the account of the URL.
    #[must_use]
    pub fn arn(&self, queue: &QueueName, partition: &str, region: &str) -> String {
        let mut parts = self.0.rsplit('/');
        let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("arn:{partition}:sqs:{region}:{account}:{name}{queue}{}", suffix(queue))
    }

    /// The queue of an ARN or a URL. `None` when it is not one of this stack; the account and the region are
    /// not compared, since a function's mappings and role are what binds it to its own.
    #[must_use]
    pub fn queue(&self, arn_or_url: &str) -> Option<QueueName> {
        let name = last_part(arn_or_url).strip_prefix(last_part(&self.0))?;
        let queue = QueueName::parse(name.strip_suffix(FIFO).unwrap_or(name))?;
        (name.ends_with(FIFO) == is_fifo(&queue)).then_some(queue)
    }
}

/// Whether a queue keeps lines. What waits for its time stands in none, and a FIFO queue can't delay a message by
/// itself, nor be the target of a schedule.
#[must_use]
pub fn is_fifo(queue: &QueueName) -> bool {
    !matches!(queue, QueueName::Wake | QueueName::WakeNet)
}

/// What the name of a queue on AWS ends with, after its short name.
#[must_use]
pub fn suffix(queue: &QueueName) -> &'static str {
    if is_fifo(queue) { FIFO } else { "" }
}

/// What follows the last `/` or `:`; neither can stand in a queue's name.
fn last_part(text: &str) -> &str {
    text.rsplit(['/', ':']).next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_queue_is_found_again_by_url_and_by_arn() {
        let prefix = QueuePrefix::new("https://sqs.us-east-1.amazonaws.com/000000000000/chaski-dev-");
        for (name, suffix) in [
            ("messages-0", ".fifo"),
            ("a-b-12", ".fifo"),
            ("retry-fast", ".fifo"),
            ("retry-medium", ".fifo"),
            ("retry-slow", ".fifo"),
            ("last-net", ".fifo"),
            ("wake", ""),
            ("wake-net", ""),
        ] {
            let queue = QueueName::parse(name).unwrap();
            let url = prefix.url(&queue);
            assert_eq!(url, format!("https://sqs.us-east-1.amazonaws.com/000000000000/chaski-dev-{name}{suffix}"));
            assert_eq!(prefix.queue(&url), Some(queue.clone()));
            let arn = format!("arn:aws:sqs:us-east-1:000000000000:chaski-dev-{name}{suffix}");
            assert_eq!(prefix.arn(&queue, "aws", "us-east-1"), arn);
            assert_eq!(prefix.queue(&arn), Some(queue));
        }
    }

    #[test]
    fn another_stacks_queue_is_none_of_ours() {
        let prefix = QueuePrefix::new("http://127.0.0.1:4566/000000000000/chaski-dev-");
        for other in [
            "",
            "messages-0",
            "chaski-prod-messages-0.fifo",
            "chaski-dev-messages-0",
            "chaski-dev-x.fifo",
            "chaski-dev-wake.fifo",
            "chaski-prod-wake",
        ] {
            assert_eq!(prefix.queue(&format!("arn:aws:sqs:us-east-1:000000000000:{other}")), None, "{other}");
        }
    }
}
