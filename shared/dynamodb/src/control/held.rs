//! A paused head: what a resume needs to show it again at once.

use chaski_core::ports::Leased;
use chaski_core::queue::QueueName;
use chaski_core::time::Timestamp;

use super::keys::{EXPIRES, PK, SK, held_of};
use super::row::{read_text, seconds, text};
use crate::item::Item;

/// The head of a line, hidden for as long as its queue allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Where it stands.
    pub queue: QueueName,
    /// Its line.
    pub group: String,
    /// By which its queue knows the receive that hid it.
    pub handle: String,
    /// The pause that holds it, by its id. Others may as well: when this one ends, they are asked anew.
    pub pause: String,
    /// It is hidden until then.
    pub until: Timestamp,
}

impl Held {
    pub(crate) const HANDLE: &str = "handle";
    pub(crate) const PAUSE: &str = "pause";
    const QUEUE: &str = "queue";
    const GROUP: &str = "group";
    const UNTIL: &str = "until";

    /// This entry, held by this pause.
    #[must_use]
    pub fn new(leased: &Leased, pause: &str, until: Timestamp) -> Self {
        Self {
            queue: leased.queue.clone(),
            group: leased.group.clone(),
            handle: leased.handle.clone(),
            pause: pause.to_owned(),
            until,
        }
    }

    /// Partition and sort key: one row a line of a queue, since only a head can be held.
    pub(crate) fn key(&self) -> (String, String) {
        (held_of(&self.group), format!("{}#{}", self.queue, self.group))
    }

    pub(crate) fn item(&self) -> Item {
        let (partition, sort_key) = self.key();
        [
            (PK, text(partition)),
            (SK, text(sort_key)),
            (Self::QUEUE, text(self.queue.to_string())),
            (Self::GROUP, text(&self.group)),
            (Self::HANDLE, text(&self.handle)),
            (Self::PAUSE, text(&self.pause)),
            (Self::UNTIL, text(self.until.to_string())),
            (EXPIRES, seconds(self.until)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    pub(crate) fn read(item: &Item) -> Option<Self> {
        Some(Self {
            queue: QueueName::parse(&read_text(item, Self::QUEUE)?)?,
            group: read_text(item, Self::GROUP)?,
            handle: read_text(item, Self::HANDLE)?,
            pause: read_text(item, Self::PAUSE)?,
            until: Timestamp::parse(&read_text(item, Self::UNTIL)?)?,
        })
    }
}
