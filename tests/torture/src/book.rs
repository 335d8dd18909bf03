//! What was promised: for each message and each pause, what it was asked to become, and what was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use chaski_core::filter::{MessageFilter, Page};
use chaski_core::ledger::MessageState;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{DeskError, Ledger, Pauses};
use chaski_embedded::Store;

use crate::trace::Mark;

/// How something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// It is not there.
    Absent,
    /// A message.
    Message {
        /// Its state.
        state: MessageState,
        /// Its generation.
        generation: u32,
        /// Attempts of that generation.
        attempts: usize,
    },
    /// A pause.
    Paused,
}

/// How a key was asked to become, one after the other.
#[derive(Debug, Clone)]
struct Story {
    facts: Vec<Fact>,
    /// The last one that was answered; whatever came before it is over.
    answered: usize,
}

/// What was promised up to a moment.
#[derive(Debug, Clone, Default)]
pub struct Book {
    stories: BTreeMap<String, Story>,
    /// Whether a store was ever open.
    pub opened: bool,
}

impl Book {
    /// Somebody asked for something, or was answered.
    pub fn note(&mut self, mark: &Mark) {
        match mark {
            Mark::Opened => self.opened = true,
            Mark::Asked { key, then } => {
                let begins = || Story { facts: vec![Fact::Absent], answered: 0 };
                self.stories.entry(key.clone()).or_insert_with(begins).facts.push(then.clone());
            }
            Mark::Answered { key } => {
                if let Some(story) = self.stories.get_mut(key) {
                    story.answered = story.facts.len() - 1;
                }
            }
            Mark::Failed => {}
        }
    }

    /// Promises that were answered.
    #[must_use]
    pub fn promises(&self) -> usize {
        self.stories.values().filter(|story| story.answered > 0).count()
    }

    /// What of this is not as it was promised, or was never asked for.
    #[must_use]
    pub fn differences(&self, view: &BTreeMap<String, Fact>) -> Vec<String> {
        let mut found = Vec::new();
        for (key, Story { facts, answered }) in &self.stories {
            let stands = view.get(key).unwrap_or(&Fact::Absent);
            if !facts[*answered..].contains(stands) {
                found.push(format!("{key} is {stands:?}, promised {:?}", &facts[*answered..]));
            }
        }
        let unknown = view.keys().filter(|key| !self.stories.contains_key(*key));
        found.extend(unknown.map(|key| format!("{key} is there, and nobody asked for it")));
        found
    }
}

/// How everything stands in a store.
///
/// # Errors
/// The store does not answer.
pub async fn view(store: &Store) -> Result<BTreeMap<String, Fact>, DeskError> {
    let mut view = BTreeMap::new();
    let mut page = Page { limit: 500, cursor: None };
    loop {
        let listed = store.messages(&MessageFilter::default(), &page).await?;
        for record in listed.items {
            let fact = Fact::Message {
                state: record.state,
                generation: record.listing.generation,
                attempts: record.attempts.len(),
            };
            if view.insert(record.listing.id.clone(), fact).is_some() {
                return Err(DeskError::Refused(format!("{} is listed twice", record.listing.id)));
            }
            // By its own look-up too, for some.
            if record.listing.id.ends_with('7') {
                let whose = chaski_core::filter::Whose::default();
                if store.message(&record.listing.id, &whose, Duration::ZERO).await?.is_none() {
                    return Err(DeskError::Refused(format!("{} is listed, and not found", record.listing.id)));
                }
            }
        }
        let Some(cursor) = listed.next_cursor else { break };
        page.cursor = Some(cursor);
    }
    for pause in store.pauses().await? {
        if let PauseScope::Subject { subject, .. } = pause.scope {
            view.insert(format!("pause {subject}"), Fact::Paused);
        }
    }
    Ok(view)
}
