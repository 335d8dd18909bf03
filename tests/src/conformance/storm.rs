//! Everything at once: answers get lost, batches come twice, settlements fail before and after their effect. A
//! failure names its seed.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, ensure};

use super::line::ends_are_suffixes;
use super::{Held, accept, until_idle};
use crate::home::faults::{Seeded, Weather};
use crate::home::script::Attempt;
use crate::home::{Home, Message};

const MESSAGES: u64 = 80;
const SUBJECTS: u64 = 8;

/// 80 messages in eight subjects: each is delivered or is one dead letter and never neither, attempts are numbered
/// without a hole, a chain of retries never forks, first attempts of a subject begin in order, and what goes back is
/// always the end of its line.
///
/// # Errors
/// The rule does not hold.
pub async fn in_bad_weather_nothing_is_lost<H: Home>(home: &H, seed: u64) -> Held {
    let mut chance = Seeded::new(seed);
    let paths = ["/200", "/200", "/200", "/once", "/twice", "/410", "/400"];
    let mut any = || paths.get(usize::try_from(chance.below(7)).unwrap_or(0)).copied().unwrap_or("/200");
    let messages: Vec<Message> = (0..MESSAGES).map(|n| Message::new(format!("s{}", n % SUBJECTS), any(), n)).collect();
    let receipts = accept(home, &messages).await?;
    home.faults().weather(seed, Weather { lose: 20, again: 10, refuse: 15 });
    until_idle(home).await.with_context(|| format!("CHASKI_SEED={seed}"))?;

    let attempts = home.target().attempts();
    let mut of: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    for attempt in &attempts {
        of.entry(&attempt.id).or_default().push(attempt);
    }
    let letters = home.dead_letters().await?;
    let dead: HashSet<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
    ensure!(dead.len() == letters.len(), "CHASKI_SEED={seed}: a message has two dead letters");
    for (message, receipt) in messages.iter().zip(&receipts) {
        let calls: u32 = match message.path.as_str() {
            "/once" => 2,
            "/twice" => 3,
            "/400" => 5,
            _ => 1,
        };
        let dies = matches!(message.path.as_str(), "/410" | "/400");
        let own = of.get(receipt.id.as_str()).with_context(|| format!("CHASKI_SEED={seed}: {message:?} is lost"))?;
        let numbers: HashSet<u32> = own.iter().map(|attempt| attempt.number).collect();
        ensure!(numbers == (1..=calls).collect(), "CHASKI_SEED={seed}: {message:?} was attempted {numbers:?}");
        ensure!(dead.contains(receipt.id.as_str()) == dies, "CHASKI_SEED={seed}: {message:?} dead: {}", !dies);
    }
    for subject in 0..SUBJECTS {
        let mut begun = Vec::new();
        for attempt in home.target().of(&format!("s{subject}")) {
            if attempt.number == 1 && !begun.contains(&attempt.n()) {
                begun.push(attempt.n());
            }
        }
        ensure!(begun.is_sorted(), "CHASKI_SEED={seed}: first attempts of s{subject}: {begun:?}");
    }
    ends_are_suffixes(&home.batches()).with_context(|| format!("CHASKI_SEED={seed}"))
}
