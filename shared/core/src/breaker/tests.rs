//! The breaker between messages and a host, on virtual time: a queue, a number of slots, and retries that come back.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;
use crate::history::AttemptRecord;

const START: i64 = 1_793_491_200_000;
const SLOTS: usize = 64;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// What a message meets at each of its attempts: the sign, how long it takes, and whether it is tried again.
type Answers = fn(kind: usize, now: i64) -> (Sign, i64);

struct World {
    breaker: Breaker,
    now: i64,
    answers: Answers,
    /// Messages by their kind and the attempts that they had.
    waiting: VecDeque<(usize, usize)>,
    due: BinaryHeap<Reverse<(i64, usize, usize)>>,
    running: Vec<(i64, Sign, usize, usize)>,
    /// Calls that a kind gets at most, and the delay before each.
    delays: fn(kind: usize) -> &'static [i64],
    begun: Vec<i64>,
    delivered: usize,
    dead: usize,
}

impl World {
    fn new(answers: Answers, delays: fn(usize) -> &'static [i64]) -> Self {
        Self {
            breaker: Breaker::default(),
            now: START,
            answers,
            waiting: VecDeque::new(),
            due: BinaryHeap::new(),
            running: Vec::new(),
            delays,
            begun: Vec::new(),
            delivered: 0,
            dead: 0,
        }
    }

    fn post(&mut self, at: i64, kind: usize) {
        self.due.push(Reverse((at, kind, 0)));
    }

    /// Goes on until nothing happens any more.
    fn run(&mut self) {
        loop {
            while let Some(Reverse((_, kind, had))) =
                self.due.peek().copied().filter(|Reverse((at, ..))| *at <= self.now)
            {
                self.due.pop();
                self.waiting.push_back((kind, had));
            }
            let ended: Vec<_> = self.running.extract_if(.., |(end, ..)| *end <= self.now).collect();
            ended.into_iter().for_each(|(_, sign, kind, had)| self.ended(sign, kind, had));
            while !self.waiting.is_empty()
                && self.running.len() < SLOTS
                && self.breaker.opens_at(at(self.now)).is_none()
            {
                let (kind, had) = self.waiting.pop_front().unwrap();
                self.breaker.begin(at(self.now));
                self.begun.push(self.now);
                let (sign, takes) = (self.answers)(kind, self.now);
                self.running.push((self.now + takes, sign, kind, had + 1));
            }
            let opens = self.breaker.opens_at(at(self.now)).filter(|_| !self.waiting.is_empty()).map(Timestamp::millis);
            let due = self.due.peek().map(|Reverse((at, ..))| *at);
            let Some(next) = self.running.iter().map(|(end, ..)| *end).chain(due).chain(opens).min() else { return };
            assert!(next > self.now, "the time stands still");
            self.now = next;
        }
    }

    fn ended(&mut self, sign: Sign, kind: usize, had: usize) {
        self.breaker.note(sign, at(self.now));
        if sign == Sign::Alive && kind != REFUSED {
            self.delivered += 1;
            return;
        }
        match (self.delays)(kind).get(had - 1) {
            // Jitter, as the tiers have it.
            Some(delay) => self.due.push(Reverse((
                self.now + delay + (self.now * 7 + had as i64 * 31) % (delay / 10 + 1),
                kind,
                had,
            ))),
            None => self.dead += 1,
        }
    }

    fn begun_within(&self, from: i64, to: i64) -> usize {
        self.begun.iter().filter(|at| (START + from..START + to).contains(at)).count()
    }
}

/// Kinds of messages, as the known answer has them.
const REFUSED: usize = 1;
const FAILING: usize = 2;
const LATE: usize = 3;

const TIERS: fn(usize) -> &'static [i64] = |kind| match kind {
    REFUSED => &[10_000, 10_000, 60_000, 60_000],
    FAILING => &[10_000, 10_000, 60_000, 60_000, 900_000],
    LATE => &[10_000, 60_000, 900_000],
    _ => &[],
};

const QUICK: fn(usize) -> &'static [i64] = |kind| match kind {
    REFUSED => &[1_000; 4],
    FAILING => &[1_000; 5],
    LATE => &[1_000; 3],
    _ => &[],
};

#[test]
fn a_host_that_fails_for_a_minute_gets_at_most_a_tenth_and_everything_after() {
    for a_second in [5_i64, 10, 50, 500] {
        let mut world = World::new(
            |_, now| match now - START {
                0..30_000 | 90_000.. => (Sign::Alive, 3),
                _ => (Sign::Failing, 3),
            },
            |_| &[10_000, 10_000, 60_000, 60_000, 900_000],
        );
        let messages = 120 * a_second;
        (0..messages).for_each(|n| world.post(START + n * 1_000 / a_second, 0));
        world.run();
        let (before, during) = (world.begun_within(0, 30_000), world.begun_within(30_000, 90_000));
        assert_eq!(before as i64, 30 * a_second, "everything, at once, while it is well");
        assert!(during as i64 <= 60 * a_second / 10, "{during} of {} at {a_second} a second", 60 * a_second);
        assert_eq!((world.delivered as i64, world.dead), (messages, 0));
        // It is noticed within a pause that the host is well, and what waited goes at once.
        assert!(world.begun_within(0, 121_000) as i64 >= messages, "{a_second} a second");
    }
}

fn known_answer(delays: fn(usize) -> &'static [i64], timeout: Answers) -> World {
    let mut world = World::new(timeout, delays);
    (0..200).for_each(|n| world.post(START, n % 4));
    world.run();
    world
}

const SECOND_S_TIMEOUT: Answers = |kind, _| match kind {
    0 | REFUSED => (Sign::Alive, 2),
    LATE => (Sign::Failing, 1_000),
    _ => (Sign::Failing, 2),
};

#[test]
fn the_known_answer_of_one_host_stays_exact_and_ends_in_time() {
    let world = known_answer(TIERS, SECOND_S_TIMEOUT);
    assert_eq!((world.begun.len(), world.delivered, world.dead), (800, 50, 150));
    // 18 minutes by the tiers alone.
    assert!(world.now - START <= 25 * 60_000, "{} s", (world.now - START) / 1_000);
    let world = known_answer(QUICK, SECOND_S_TIMEOUT);
    assert_eq!((world.begun.len(), world.delivered, world.dead), (800, 50, 150));
    assert!(world.now - START <= 120_000, "{} s", (world.now - START) / 1_000);
}

#[test]
fn as_many_failing_attempts_to_one_host_and_nothing_else_end_in_time_too() {
    for (delays, minutes) in [(TIERS, 25), (QUICK, 6)] {
        let mut world = World::new(|_, _| (Sign::Failing, 2), delays);
        (0..125).for_each(|_| world.post(START, FAILING));
        world.run();
        assert_eq!((world.begun.len(), world.delivered, world.dead), (750, 0, 125));
        assert!(world.now - START <= minutes * 60_000, "{} s", (world.now - START) / 1_000);
    }
}

#[test]
fn one_that_fails_too_seldom_or_for_a_moment_only_stays_closed() {
    let fails = |gap: i64, count: i64| {
        let mut breaker = Breaker::default();
        (0..count).find_map(|n| breaker.note(Sign::Failing, at(START + n * gap)))
    };
    assert_eq!(fails(600, 1_000), None, "under two a second");
    assert_eq!(fails(0, 1_000), None, "all at once");
    assert_eq!(fails(50, 19), None, "nineteen");
    assert_eq!(fails(50, 100), Some(Turn::Opened(at(START + 20 * 50 + 1_000))), "a second");
    assert_eq!(fails(400, 100), Some(Turn::Opened(at(START + 19 * 400 + 1_000))), "twenty");
}

/// An open breaker of a host that got 100 a second.
fn open() -> (Breaker, i64) {
    let mut breaker = Breaker::default();
    let opened = (0..=100).find_map(|n| breaker.note(Sign::Failing, at(START + n * 10)));
    assert_eq!(opened, Some(Turn::Opened(at(START + 2_000))));
    (breaker, START + 1_000)
}

#[test]
fn pauses_grow_and_each_ends_with_a_few_probes() {
    let (mut breaker, mut now) = open();
    let mut bursts = Vec::new();
    while let Some(until) = breaker.opens_at(at(now)) {
        let pause = until.since(at(now)).as_secs();
        now = until.millis();
        let mut probes = 0;
        while breaker.opens_at(at(now)).is_none() {
            breaker.begin(at(now));
            probes += 1;
        }
        breaker.note(Sign::Failing, at(now));
        bursts.push((pause, probes));
        if bursts.len() == 7 {
            break;
        }
    }
    assert_eq!(bursts, [(1, 5), (2, 10), (4, 20), (8, 40), (16, 80), (30, 151), (30, 151)]);
}

#[test]
fn a_sign_of_life_closes_it_at_once() {
    let (mut breaker, now) = open();
    assert_eq!(breaker.note(Sign::Failing, at(now + 1)), None);
    assert_eq!(breaker.note(Sign::Alive, at(now + 2)), Some(Turn::Closed));
    assert_eq!((breaker.opens_at(at(now + 2)), breaker.note(Sign::Alive, at(now + 3))), (None, None));
    assert_eq!(breaker, Breaker::default());
}

#[test]
fn a_host_that_asks_for_it_is_left_alone() {
    let (now, asks) = (START, |seconds| Sign::Asks(Duration::from_secs(seconds)));
    let mut breaker = Breaker::default();
    assert_eq!(breaker.note(asks(7), at(now)), Some(Turn::Opened(at(now + 7_000))));
    assert_eq!(breaker.opens_at(at(now + 6_999)), Some(at(now + 7_000)));
    // A longer one counts, a shorter one does not, and none is for hours.
    breaker.note(asks(9), at(now));
    breaker.note(asks(1), at(now));
    assert_eq!(breaker.opens_at(at(now)), Some(at(now + 9_000)));
    breaker.note(asks(86_400), at(now));
    assert_eq!(breaker.opens_at(at(now)), Some(at(now + 60_000)));
    breaker.begin(at(now + 60_000));
    assert!(breaker.opens_at(at(now + 60_000)).is_some(), "one probe");
    assert_eq!(breaker.note(Sign::Alive, at(now + 60_010)), Some(Turn::Closed));
}

#[test]
fn what_is_not_asked_for_is_forgotten() {
    let (breaker, now) = open();
    assert_eq!(breaker.idle_at(), at(now + 1_000 + 60_000));
    let mut failed_once = Breaker::default();
    assert_eq!(failed_once.idle_at(), Timestamp::default());
    failed_once.note(Sign::Failing, at(now));
    assert_eq!(failed_once.idle_at(), at(now + 10_000));
}

#[test]
fn every_answer_but_that_it_can_not_is_a_sign_of_life() {
    let sign = |outcome: &str, seconds: Option<u64>| {
        let record = AttemptRecord {
            n: 1,
            at: at(START),
            tier: "messages-0".to_owned(),
            outcome: outcome.to_owned(),
            status: None,
            duration_ms: 1,
            extra: Default::default(),
        };
        let retry_after = seconds.map(Duration::from_secs);
        Sign::of(&AttemptReport { record, answer: None, error: None, delay_ms: None, retry_after })
    };
    for alive in ["delivered", "http_4xx", "gone", "rejected"] {
        assert_eq!(sign(alive, None), Some(Sign::Alive), "{alive}");
    }
    for failing in ["connection", "timeout", "http_5xx", "throttled"] {
        assert_eq!(sign(failing, None), Some(Sign::Failing), "{failing}");
    }
    assert_eq!(sign("throttled", Some(0)), Some(Sign::Failing));
    assert_eq!(sign("throttled", Some(5)), Some(Sign::Asks(Duration::from_secs(5))));
    for nothing in ["blocked", "internal", "last_net", "of another version"] {
        assert_eq!(sign(nothing, None), None, "{nothing}");
    }
}

#[test]
fn one_of_several_processes_takes_all_probes_of_a_pause_and_it_reads_what_it_writes() {
    let mut breaker = Breaker::default();
    for n in 0..i64::from(RUN) * 10 {
        breaker.note(Sign::Failing, at(START + n * 10));
    }
    let opens = breaker.opens_at(at(START + 1_990)).unwrap();
    assert_eq!(breaker.take_probes(at(opens.millis() - 1)), 0, "before their time");
    let text = serde_json::to_string(&breaker).unwrap();
    let mut other: Breaker = serde_json::from_str(&text).unwrap();
    assert_eq!(other, breaker);
    let probes = breaker.take_probes(opens);
    assert!(probes >= 1);
    assert_eq!(breaker.take_probes(opens), 0, "nobody else has any");
    assert!(breaker.opens_at(opens).is_some_and(|next| next > opens));
    // The same as when they are begun one by one.
    let mut begun = 0;
    while other.opens_at(opens).is_none() {
        other.begin(opens);
        begun += 1;
    }
    assert_eq!((begun, other.opens_at(opens)), (probes, breaker.opens_at(opens)));
}
