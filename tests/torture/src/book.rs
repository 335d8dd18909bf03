//! What was promised: for each message and each pause, what it was asked to become, and what was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use chaski_core::filter::{MessageFilter, Page};
use chaski_core::ledger::MessageState;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{DeskError, Ledger, Pauses};
use chaski_embedded::Store;

use crate::body;
use crate::message::{SUBJECTS, counted};
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
    /// A strict line that has come to this number.
    Counted(u64),
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
    /// Messages that tell of an end, with whose and of which generation.
    callbacks: BTreeMap<String, (String, u32)>,
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
            Mark::Tells { callback, of, generation } => {
                self.callbacks.insert(callback.clone(), (of.clone(), *generation));
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
        found.extend(
            self.callbacks
                .iter()
                .filter_map(|(callback, (of, generation))| self.told_apart(view, callback, of, *generation)),
        );
        let unknown = view.keys().filter(|key| !self.stories.contains_key(*key));
        found.extend(unknown.map(|key| format!("{key} is there, and nobody asked for it")));
        found
    }

    /// What is wrong with a message that tells of an end: it is written with the end, or neither is.
    fn told_apart(&self, view: &BTreeMap<String, Fact>, callback: &str, of: &str, own: u32) -> Option<String> {
        let Some(Fact::Message { state, generation, .. }) = view.get(of) else { return None };
        let ended = *generation > own || state.is_end();
        let forgotten = self.stories.get(callback).is_some_and(|story| story.facts[1..].contains(&Fact::Absent));
        match (ended, view.contains_key(callback)) {
            (true, false) if !forgotten => Some(format!("{of} has ended in generation {own}, and nobody is told")),
            (false, true) => Some(format!("{callback} tells of the end of {of}, which is {state:?}")),
            _ => None,
        }
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
            // By its own look-up too, for some: that tells of its body.
            if record.listing.id.ends_with('7') || body::has_one(&record.listing.id) {
                let whose = chaski_core::filter::Whose::default();
                let Some(found) = store.message(&record.listing.id, &whose, Duration::ZERO).await? else {
                    return Err(DeskError::Refused(format!("{} is listed, and not found", record.listing.id)));
                };
                if let Some(why) = body::wrong(store, &found.listing).await {
                    return Err(DeskError::Refused(why));
                }
            }
        }
        let Some(cursor) = listed.next_cursor else { break };
        page.cursor = Some(cursor);
    }
    for subject in (0..SUBJECTS).map(|n| format!("s{n}")) {
        if let Some(counted) = counted(store, &subject).await.filter(|counted| *counted > 0) {
            view.insert(format!("count {subject}"), Fact::Counted(counted));
        }
    }
    for pause in store.pauses().await? {
        if let PauseScope::Subject { subject, .. } = pause.scope {
            view.insert(format!("pause {subject}"), Fact::Paused);
        }
    }
    Ok(view)
}
