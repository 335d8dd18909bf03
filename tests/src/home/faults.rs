//! What breaks in a home, and when: told by a story, or by a seed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chaski_core::ports::{Beside, Leased, Settle, SettleError, Settlement};

/// A sequence of chances that a seed repeats (SplitMix64, Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }

    /// Whether one of a hundred falls among the first `percent`.
    pub fn hits(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How often in a hundred each thing happens by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// An answer is lost: everything in the batch is seen again.
    pub lose: u64,
    /// A batch is delivered twice.
    pub again: u64,
    /// A settlement fails, before or after its effect.
    pub refuse: u64,
}

#[derive(Debug, Default)]
struct Plan {
    /// Settlements to refuse, by group.
    refuse: HashMap<String, u32>,
    /// Answers to lose.
    lose: u32,
    /// Batches to deliver twice.
    again: u32,
    /// How often the answer to a burial is lost: to each, and to those of some groups.
    lose_burials: u32,
    lose_burials_of: HashMap<String, u32>,
    /// Burials so far, by entry id, with how many of them are to be lost.
    burials: HashMap<String, (u32, u32)>,
    /// Callbacks to refuse.
    refuse_callbacks: u32,
    /// The groups of messages, by their ids.
    groups: HashMap<String, String>,
    /// What the queues refuse: entries whose text holds one of these.
    refused_entries: Vec<String>,
    weather: Weather,
    chance: Option<Seeded>,
}

/// What breaks. Clones share the plan.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

/// When a settlement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Nothing happened.
    Before,
    /// The effect is there, and nobody was told.
    After,
}

impl Faults {
    /// The next `times` retries, holds or burials of a group fail, without an effect. The empty group is that of what can't
    /// be read.
    pub fn refuse_settlements(&self, group: &str, times: u32) {
        self.plan().refuse.insert(group.to_owned(), times);
    }

    /// The next `times` callbacks can't be handed on, and with them the settlement that tells of the end.
    pub fn refuse_callbacks(&self, times: u32) {
        self.plan().refuse_callbacks = times;
    }

    /// A message of this id stands in that group: what tells of it may name one and not the other.
    pub fn know(&self, id: &str, group: String) {
        self.plan().groups.insert(id.to_owned(), group);
    }

    /// The group of a message.
    #[must_use]
    pub fn group_of(&self, id: &str) -> Option<String> {
        self.plan().groups.get(id).cloned()
    }

    /// The next `times` answers are lost.
    pub fn lose_answers(&self, times: u32) {
        self.plan().lose = times;
    }

    /// The next `times` batches are delivered twice.
    pub fn deliver_again(&self, times: u32) {
        self.plan().again = times;
    }

    /// The answer to each burial is lost `times` times.
    pub fn lose_burials(&self, times: u32) {
        self.plan().lose_burials = times;
    }

    /// The answer to each burial of a group is lost `times` times.
    pub fn lose_burials_of(&self, group: &str, times: u32) {
        self.plan().lose_burials_of.insert(group.to_owned(), times);
    }

    /// The queues refuse entries whose text holds that, until [`Faults::take_all_entries`].
    pub fn refuse_entries(&self, holding: &str) {
        self.plan().refused_entries.push(holding.to_owned());
    }

    /// The queues take everything again.
    pub fn take_all_entries(&self) {
        self.plan().refused_entries.clear();
    }

    /// From now on things break by chance.
    pub fn weather(&self, seed: u64, weather: Weather) {
        let mut plan = self.plan();
        plan.chance = Some(Seeded::new(seed));
        plan.weather = weather;
    }

    /// Whether the queue is to refuse this text.
    #[must_use]
    pub fn refuses_entry(&self, text: &str) -> bool {
        self.plan().refused_entries.iter().any(|marker| text.contains(marker.as_str()))
    }

    /// Whether this batch is to be delivered twice.
    #[must_use]
    pub fn delivers_again(&self) -> bool {
        let mut plan = self.plan();
        counted(&mut plan.again) || plan.hits(|weather| weather.again)
    }

    /// Whether the answer to these entries is to be lost.
    #[must_use]
    pub fn loses<'a>(&self, mut entries: impl Iterator<Item = &'a str>) -> bool {
        let mut plan = self.plan();
        let unheard = |id: &str| plan.burials.get(id).is_some_and(|(burials, lost)| burials <= lost);
        if entries.any(unheard) {
            return true;
        }
        counted(&mut plan.lose) || plan.hits(|weather| weather.lose)
    }

    /// How often an entry was buried.
    #[must_use]
    pub fn burials(&self) -> HashMap<String, u32> {
        self.plan().burials.iter().map(|(id, (burials, _))| (id.clone(), *burials)).collect()
    }

    /// Whether the next retry or burial of this group is to be refused by the queue or the store.
    #[must_use]
    pub fn refuses_settlement_of(&self, group: &str) -> bool {
        self.plan().refuse.get_mut(group).is_some_and(counted)
    }

    /// Whether the next callback is to be refused.
    #[must_use]
    pub fn refuses_callback(&self) -> bool {
        counted(&mut self.plan().refuse_callbacks)
    }

    fn refuses_by_chance(&self, settlement: &Settlement) -> Option<Refusal> {
        let mut plan = self.plan();
        if *settlement == Settlement::Done || !plan.hits(|weather| weather.refuse) {
            return None;
        }
        let after = plan.chance.as_mut().is_some_and(|chance| chance.hits(50));
        Some(if after { Refusal::After } else { Refusal::Before })
    }

    fn note_burial(&self, leased: &Leased) {
        let mut plan = self.plan();
        let lost = plan.lose_burials_of.get(&leased.group).copied().unwrap_or(plan.lose_burials);
        plan.burials.entry(leased.entry_id.clone()).or_insert((0, lost)).0 += 1;
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn hits(&mut self, percent: impl Fn(&Weather) -> u64) -> bool {
        let percent = percent(&self.weather);
        self.chance.as_mut().is_some_and(|chance| chance.hits(percent))
    }
}

/// Takes one off, if there is one.
fn counted(left: &mut u32) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

/// A home's own way to settle, with the weather in front of it.
#[derive(Debug, Clone)]
pub struct FaultySettle<S> {
    /// The home's own.
    pub inner: S,
    /// What breaks.
    pub faults: Faults,
}

impl<S: Settle> Settle for FaultySettle<S> {
    async fn settle(&self, leased: &Leased, settlement: &Settlement, beside: Beside<'_>) -> Result<(), SettleError> {
        let refusal = self.faults.refuses_by_chance(settlement);
        if refusal == Some(Refusal::Before) {
            return Err(SettleError("refused by the script".to_owned()));
        }
        self.inner.settle(leased, settlement, beside).await?;
        if matches!(settlement, Settlement::Bury(_)) {
            self.faults.note_burial(leased);
        }
        if refusal == Some(Refusal::After) {
            return Err(SettleError("its answer was lost by the script".to_owned()));
        }
        Ok(())
    }

    async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        self.inner.give_back(entries).await;
    }
}
