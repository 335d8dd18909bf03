//! Walking through the table the newest first: partitions side by side, merged by their sort key.

use std::collections::VecDeque;

use chaski_core::filter::{DeadLetterFilter, TargetFilter};
use chaski_core::identity;
use chaski_core::ports::DeskError;
use chaski_core::time::Timestamp;
use futures_util::future::try_join_all;

use crate::item::{DATE, Item};
use crate::record::Record;
use crate::records::{Partition, Records};

/// Partitions of one day, and of one target host.
const WRITE_SHARDS: u8 = 16;
/// No table is older: the first day of the project's first month.
const FIRST_DAY_MS: i64 = 1_793_491_200_000;
const DAY_MS: i64 = 86_400_000;
/// Days that are asked for at once, when those before held too little.
const DAYS_MAX: usize = 8;
/// Items of one call; the service gives a megabyte at most in any case.
const CALL_ITEMS: i32 = 250;

/// Where the records that a filter asks for can be found, in groups of which each is older than the one before.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<Vec<Partition>>,
    /// The sort keys between which they are, both included.
    from: String,
    to: String,
}

impl Plan {
    /// The shortest way: by the subject's index where its tenant is known, by the target's, else by the days.
    /// `tenants` are all there are, where that is known.
    pub(crate) fn new(filter: &DeadLetterFilter, tenants: Option<&[String]>, to: Option<&str>, now: Timestamp) -> Self {
        // Nothing has died after now, but for another machine's clock.
        let end = filter.to.unwrap_or_else(|| Timestamp::from_millis(now.millis() + DAY_MS));
        let begin = filter.from.unwrap_or_default().max(Timestamp::from_millis(FIRST_DAY_MS));
        let last = end.to_string();
        let to = to.map_or(last.clone(), |to| to.min(last.as_str()).to_owned());
        let from = begin.to_string();
        // DynamoDB takes a span whose end is before its beginning for a mistake.
        if from > to {
            return Self { groups: Vec::new(), from, to };
        }
        let own = filter.whose.tenant.as_ref().map(std::slice::from_ref);
        let groups = match (&filter.subject, own.or(tenants), &filter.target) {
            (Some(subject), Some(tenants), _) => {
                vec![tenants.iter().map(|tenant| by_subject(tenant, subject)).collect()]
            }
            (_, _, Some(TargetFilter::Host(host) | TargetFilter::Prefix { host, .. })) => vec![by_target(host)],
            _ => days(begin, to.get(..DATE_CHARS).and_then(day).unwrap_or(end).min(end)),
        };
        Self { groups, from, to }
    }
}

/// `2026-12-01`
const DATE_CHARS: usize = 10;

fn day(date: &str) -> Option<Timestamp> {
    Timestamp::parse(&format!("{date}T00:00:00Z"))
}

fn by_subject(tenant: &str, subject: &str) -> Partition {
    let value = identity::digest(&[tenant.as_bytes(), subject.as_bytes()]);
    Partition { index: Some("by_subject"), attribute: "subject_digest", value }
}

fn by_target(host: &str) -> Vec<Partition> {
    let digest = identity::digest(&[host.as_bytes()]);
    let shard =
        |n| Partition { index: Some("by_target"), attribute: "target_digest", value: format!("{digest}#{n:02}") };
    (0..WRITE_SHARDS).map(shard).collect()
}

/// The days from the last to the first: alone at first, then more at once.
fn days(first: Timestamp, last: Timestamp) -> Vec<Vec<Partition>> {
    let mut groups = Vec::new();
    let (mut group, mut room) = (Vec::new(), 1);
    let mut at = last.millis() / DAY_MS;
    while at >= first.millis() / DAY_MS {
        let date = Timestamp::from_millis(at * DAY_MS).date();
        let shard = |n| Partition { index: None, attribute: DATE, value: format!("{date}#{n:02}") };
        group.extend((0..WRITE_SHARDS).map(shard));
        if group.len() >= room * usize::from(WRITE_SHARDS) {
            groups.push(std::mem::take(&mut group));
            room = DAYS_MAX.min(room * 2);
        }
        at -= 1;
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

/// A partition that is being read.
struct Source {
    partition: Partition,
    read: VecDeque<Record>,
    next: Option<Item>,
    begun: bool,
}

impl Source {
    fn needs_more(&self) -> bool {
        self.read.is_empty() && (!self.begun || self.next.is_some())
    }
}

impl Records {
    /// Hands out the records that the filter's look-up finds, the newest first, until `take` has enough and says
    /// `false`. What the look-up can't tell apart comes too: `take` looks at each.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn walk(
        &self,
        filter: &DeadLetterFilter,
        tenants: Option<&[String]>,
        to: Option<&str>,
        now: Timestamp,
        mut take: impl FnMut(Record) -> bool + Send,
    ) -> Result<(), DeskError> {
        let plan = Plan::new(filter, tenants, to, now);
        for group in plan.groups {
            let source = |partition| Source { partition, read: VecDeque::new(), next: None, begun: false };
            let mut sources: Vec<Source> = group.into_iter().map(source).collect();
            loop {
                let hungry = sources.iter_mut().filter(|source| source.needs_more());
                try_join_all(hungry.map(|source| self.feed(source, &plan.from, &plan.to))).await?;
                if sources.iter().any(Source::needs_more) {
                    continue;
                }
                let newest = sources.iter_mut().max_by(|one, other| {
                    let key = |source: &Source| source.read.front().map(|record| record.key.clone());
                    key(one).cmp(&key(other))
                });
                match newest.and_then(|source| source.read.pop_front()) {
                    Some(record) => {
                        if !take(record) {
                            return Ok(());
                        }
                    }
                    None => break,
                }
            }
        }
        Ok(())
    }

    async fn feed(&self, source: &mut Source, from: &str, to: &str) -> Result<(), DeskError> {
        let page = self.page(&source.partition, from, to, source.next.take(), CALL_ITEMS).await?;
        source.begun = true;
        source.next = page.next;
        source.read.extend(page.records);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
