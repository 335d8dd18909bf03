//! Four processes share a key. They see nothing of each other but the ledger; the order in which they come, how late
//! they are and when one dies is chance, from a seed.

use proptest::prelude::*;

use super::*;

const START: i64 = 1_793_491_200_000;
/// How long an attempt lasts at most.
const HOLD_MS: i64 = 2_000;
/// What the world looks at the clock by.
const TICK_MS: i64 = 10;
const SPAN_MS: i64 = 30_000;

/// Chance that comes from a seed (Lehmer, Park and Miller's multiplier).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = (self.0.max(1) * 48_271) % 0x7fff_ffff;
        self.0 % bound.max(1)
    }
}

#[derive(Default)]
struct Process {
    name: String,
    permits: u32,
    permits_until: i64,
    slots: u32,
    slots_until: i64,
    /// When its attempts end.
    running: Vec<i64>,
    asks_at: i64,
}

impl Process {
    fn may_begin(&self, now: i64, limits: &FlowLimits) -> bool {
        let slot = limits.parallelism.is_none()
            || (self.running.len() < self.slots as usize && now + HOLD_MS <= self.slots_until);
        self.permits > 0 && now < self.permits_until && slot
    }

    fn ask(&mut self, now: i64, ledger: &mut Ledger, limits: FlowLimits, dice: &mut Dice) {
        let want = 1 + dice.below(8) as u32;
        if now + HOLD_MS > self.slots_until {
            // Its slots are as good as lost, but for those in which something runs.
            ledger.give_back(at(now), &self.name, 0, self.slots - self.running.len() as u32);
            self.slots = self.running.len() as u32;
        }
        let idle = self.slots - self.running.len() as u32;
        let ask = Ask {
            me: &self.name,
            permits: want,
            slots: want.saturating_sub(idle),
            hold: Duration::from_millis(2 * HOLD_MS as u64),
            limits,
            accepted_at: at(START),
        };
        match ledger.grant(at(now), &ask) {
            Granted::Share(share) => {
                self.permits = share.permits;
                self.permits_until = share.permits_until.millis();
                self.slots += share.slots;
                self.slots_until = share.slots_until.millis();
            }
            Granted::Wait(wait) => self.asks_at = now + wait.as_millis() as i64 + dice.below(150) as i64,
        }
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

struct Seen {
    begun: Vec<i64>,
    most_at_once: usize,
    /// Asks that changed the ledger.
    writes: usize,
}

fn run(limits: FlowLimits, seed: u64, deaths: bool) -> Seen {
    let (mut ledger, mut dice) = (Ledger::default(), Dice(seed));
    let mut processes: Vec<Process> = (0..4).map(|n| Process { name: format!("p{n}"), ..Process::default() }).collect();
    // Attempts of processes that died run on at the target.
    let mut orphans: Vec<i64> = Vec::new();
    let mut seen = Seen { begun: Vec::new(), most_at_once: 0, writes: 0 };
    for now in (START..START + SPAN_MS).step_by(TICK_MS as usize) {
        orphans.retain(|end| *end > now);
        let first = dice.below(4) as usize;
        for n in (0..4).map(|n| (first + n) % 4) {
            let process = &mut processes[n];
            process.running.retain(|end| *end > now);
            if dice.below(10) < 3 {
                continue;
            }
            if deaths && dice.below(600) == 0 {
                orphans.append(&mut process.running);
                *process = Process { name: format!("p{n}-{now}"), ..Process::default() };
            }
            while process.may_begin(now, &limits) {
                process.permits -= 1;
                process.running.push(now + 1 + dice.below(HOLD_MS as u64 - 1) as i64);
                seen.begun.push(now);
            }
            let wants = process.permits == 0 || now >= process.permits_until || process.slots == 0;
            if wants && now >= process.asks_at {
                let before = ledger.clone();
                process.ask(now, &mut ledger, limits, &mut dice);
                seen.writes += usize::from(ledger != before);
            } else if dice.below(20) == 0 {
                let idle = process.slots - process.running.len() as u32;
                ledger.give_back(at(now), &process.name, process.permits, idle);
                process.permits = 0;
                process.slots -= idle;
            }
        }
        let running: usize = processes.iter().map(|process| process.running.len()).sum();
        seen.most_at_once = seen.most_at_once.max(running + orphans.len());
    }
    let text = serde_json::to_string(&ledger).unwrap();
    assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger, "it reads what it writes");
    seen
}

fn limits(rate: Option<u32>, parallelism: Option<u32>) -> FlowLimits {
    FlowLimits { rate, per: Duration::from_secs(1), parallelism }
}

#[test]
fn ten_a_second_hold_within_a_tenth_with_four_side_by_side() {
    for seed in 1..40 {
        let seen = run(limits(Some(10), None), seed, false);
        assert!((270..=330).contains(&seen.begun.len()), "seed {seed}: {}", seen.begun.len());
    }
}

#[test]
fn a_high_rate_is_not_a_write_for_each_attempt() {
    let seen = run(limits(Some(1_000), None), 7, false);
    assert!((27_000..=33_000).contains(&seen.begun.len()), "{}", seen.begun.len());
    // Each asks for at most eight at a time here, and for four and a half on average.
    assert!(seen.writes * 3 <= seen.begun.len(), "{} writes for {}", seen.writes, seen.begun.len());
}

#[test]
fn slots_of_a_process_that_died_come_free_and_no_one_starves() {
    let mut ledger = Ledger::default();
    let ask = |me, slots| Ask {
        me,
        permits: slots,
        slots,
        hold: Duration::from_secs(10),
        limits: limits(None, Some(2)),
        accepted_at: at(START),
    };
    assert!(matches!(ledger.grant(at(START), &ask("dead", 5)), Granted::Share(Share { permits: 2, slots: 2, .. })));
    let Granted::Wait(wait) = ledger.grant(at(START), &ask("other", 1)) else { panic!("three at once") };
    assert!(wait <= AHEAD);
    let free = START + 10_000 + CLOCKS.as_millis() as i64;
    assert!(matches!(ledger.grant(at(free - 1), &ask("other", 1)), Granted::Wait(_)));
    assert_eq!(ledger.idle_at(), at(free));
    assert!(matches!(ledger.grant(at(free), &ask("other", 1)), Granted::Share(Share { slots: 1, .. })));
}

#[test]
fn a_refusal_changes_nothing() {
    let mut ledger = Ledger::default();
    let ask = |accepted_at| Ask {
        me: "a",
        permits: 50,
        slots: 50,
        hold: Duration::from_secs(1),
        limits: limits(Some(10), Some(100)),
        accepted_at: at(accepted_at),
    };
    let Granted::Share(share) = ledger.grant(at(START), &ask(START)) else { panic!("nothing at all") };
    assert_eq!((share.permits, share.slots), (10, 10), "a second's worth, and no slot without a permit");
    let before = ledger.clone();
    assert_eq!(ledger.grant(at(START), &ask(START + 1)), Granted::Wait(PATIENCE));
    assert_eq!(ledger, before);
    // What was not used may be used by somebody else.
    ledger.give_back(at(START), "a", 10, 10);
    assert_eq!(ledger.idle_at(), at(START));
    assert!(matches!(ledger.grant(at(START), &ask(START)), Granted::Share(Share { permits: 10, .. })));
}

#[test]
fn what_slower_limits_gave_does_not_hold_up_quicker_ones() {
    let mut ledger = Ledger::default();
    let ask = |per_s, accepted_at| Ask {
        me: "a",
        permits: 1,
        slots: 0,
        hold: Duration::from_secs(1),
        limits: FlowLimits { rate: Some(1), per: Duration::from_secs(per_s), parallelism: None },
        accepted_at: at(accepted_at),
    };
    assert!(matches!(ledger.grant(at(START), &ask(3_600, START)), Granted::Share(_)));
    assert!(matches!(ledger.grant(at(START + 1), &ask(3_600, START)), Granted::Wait(_)));
    let quicker = ask(1, START + 1);
    assert!(matches!(ledger.grant(at(START + 1), &quicker), Granted::Share(_)));
    assert_eq!(ledger.limits(), Some((quicker.limits, at(START + 1))));
    assert!(matches!(ledger.grant(at(START + 2), &quicker), Granted::Wait(span) if span <= Duration::from_secs(1)));
}

#[test]
fn the_message_accepted_last_names_the_limits() {
    let mut ledger = Ledger::default();
    let mut share = |rate, accepted_at| {
        let ask = Ask {
            me: "a",
            permits: 1_000,
            slots: 0,
            hold: Duration::from_secs(1),
            limits: limits(Some(rate), None),
            accepted_at: at(accepted_at),
        };
        match ledger.grant(at(START + accepted_at * 2_000), &ask) {
            Granted::Share(share) => share.permits,
            Granted::Wait(_) => 0,
        }
    };
    assert_eq!(share(10, 5), 10);
    assert_eq!(share(50, 6), 50);
    assert_eq!(share(10, 8), 10);
    assert_eq!(share(500, 7), 0, "an earlier message's limits, two seconds back");
}

#[test]
fn a_rare_one_is_given_when_its_turn_has_come() {
    let mut ledger = Ledger::default();
    let limits = FlowLimits { rate: Some(1), per: Duration::from_secs(60), parallelism: None };
    let ask = Ask { me: "a", permits: 5, slots: 5, hold: Duration::from_secs(1), limits, accepted_at: at(START) };
    assert!(matches!(ledger.grant(at(START), &ask), Granted::Share(Share { permits: 1, .. })));
    assert_eq!(ledger.grant(at(START + 1_000), &ask), Granted::Wait(Duration::from_secs(59)));
    assert!(matches!(ledger.grant(at(START + 60_000), &ask), Granted::Share(Share { permits: 1, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_interleaving_no_limit_is_passed(
        rate in prop::option::of(1_u32..60), slots in 1_u32..7, seed in 1_u64..1_000_000, deaths: bool,
    ) {
        let seen = run(limits(rate, Some(slots)), seed, deaths);
        prop_assert!(seen.most_at_once <= slots as usize, "{} at once of {slots}", seen.most_at_once);
        prop_assert!(seen.begun.len() > 5, "nobody gets on: {}", seen.begun.len());
        if let Some(rate) = rate {
            // A second's worth beyond, as that is given ahead.
            let most = rate as usize * 31 + 1;
            prop_assert!(seen.begun.len() <= most, "{} of {most}", seen.begun.len());
        }
    }

    #[test]
    fn whatever_the_interleaving_a_rate_is_reached(rate in 4_u32..60, seed in 1_u64..1_000_000) {
        let begun = run(limits(Some(rate), None), seed, false).begun.len() as f64;
        let expected = f64::from(rate * 30);
        prop_assert!((begun - expected).abs() <= expected / 10.0, "{begun} of {expected}");
    }
}
