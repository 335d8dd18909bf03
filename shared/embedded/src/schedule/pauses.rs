//! What is held back.

use std::collections::HashSet;

use chaski_core::identity;
use chaski_core::pause::PauseScope;

use super::Schedule;
use crate::row::EntryRow;

/// The pauses in force, as they are asked of an entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct PauseSet {
    pub(crate) all: bool,
    pub(crate) queues: HashSet<i64>,
    routes: HashSet<String>,
    groups: HashSet<String>,
    hosts: HashSet<String>,
}

impl PauseSet {
    /// Adds a scope; `queue` gives the number of a queue by its name.
    pub(crate) fn add(&mut self, scope: &PauseScope, queue: impl Fn(&str) -> Option<i64>) {
        match scope {
            PauseScope::All => self.all = true,
            PauseScope::Queue(name) => self.queues.extend(queue(name)),
            PauseScope::Route(name) => {
                self.routes.insert(name.clone());
            }
            PauseScope::Subject { tenant, subject } => {
                self.groups.insert(identity::group_id(tenant, subject));
            }
            PauseScope::Target(host) => {
                self.hosts.insert(host.clone());
            }
        }
    }

    fn holds(&self, entry: &EntryRow) -> bool {
        let named = |set: &HashSet<String>, name: &Option<super::Name>| {
            !set.is_empty() && name.as_deref().is_some_and(|name| set.contains(name))
        };
        self.all
            || self.queues.contains(&entry.queue)
            || self.groups.contains(&entry.group)
            || named(&self.routes, &entry.route)
            || named(&self.hosts, &entry.host)
    }
}

impl Schedule {
    /// Whether a pause holds the entry back. What is to be moved or buried is held by its queue's alone: a message
    /// whose time has come joins its line, and is held there.
    pub(super) fn is_paused(&self, entry: &EntryRow) -> bool {
        if self.limits.passing.contains(&entry.queue) {
            self.pauses.all || self.pauses.queues.contains(&entry.queue)
        } else {
            self.pauses.holds(entry)
        }
    }
}
