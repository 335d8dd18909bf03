//! Protecting targets: what waits at a gate waits without a slot, without memory, and without anybody asking again and
//! again; and it goes when the gate opens. The time is the test's.

use chaski_core::breaker::{Sign, Turn};
use chaski_core::flow::Flow;

use super::*;
use crate::row::FlowRow;

fn flow(key: &str, rate: Option<u32>, parallelism: Option<u32>) -> Arc<FlowRow> {
    FlowRow::of(&Flow::new(key, rate, None, parallelism).unwrap(), "").into()
}

impl World {
    /// Adds an entry that is changed before it is written.
    fn add_with(&mut self, subject: &str, host: &str, change: impl FnOnce(&mut EntryRow)) -> i64 {
        self.seq += 1;
        let group = identity::group_id("", subject);
        let mut entry = EntryRow {
            seq: self.seq,
            line: 0,
            queue: 1,
            message: Some(self.seq),
            due: None,
            sent_at: NOW,
            group,
            host: Some(host.into()),
            route: Some("messages".into()),
            flow: None,
            body: "x".to_owned(),
        };
        change(&mut entry);
        entry.line = EntryRow::line_of(entry.queue, &entry.group);
        let behind =
            !self.schedule.knows(entry.line) && self.file.get(&entry.line).is_some_and(|line| !line.is_empty());
        self.file.entry(entry.line).or_default().insert(entry.seq, entry.clone());
        self.schedule.add(entry, behind, self.now);
        self.seq
    }

    fn add_flow(&mut self, subject: &str, host: &str, flow: &Arc<FlowRow>) -> i64 {
        self.add_with(subject, host, |entry| entry.flow = Some(flow.clone()))
    }

    fn add_late(&mut self, subject: &str, host: &str) -> i64 {
        self.add_with(subject, host, |entry| entry.queue = TIER)
    }

    /// All that may be attempted now.
    fn lease_all(&mut self) -> Vec<(Token, EntryRow)> {
        self.load();
        std::iter::from_fn(|| self.lease()).collect()
    }

    /// Ends an attempt with what it says of its host.
    fn ended(&mut self, (token, entry): &(Token, EntryRow), sign: Sign) -> Option<Turn> {
        let (_, turn) = self.schedule.begin_settling(*token, Some(sign), self.now).expect("its lease holds");
        let line = self.file.get_mut(&entry.line).unwrap();
        line.remove(&entry.seq).expect("it is in the file");
        if line.is_empty() {
            self.file.remove(&entry.line);
        }
        self.schedule.settled(*token, self.now);
        turn
    }

    /// Lets the time pass to the next event that the schedule names, as the loader does; whether there is one.
    fn wait(&mut self, until: Millis) -> bool {
        let next = self.schedule.next_event().filter(|at| *at <= until);
        self.now = next.unwrap_or(until).max(self.now + 1);
        self.schedule.pass_time(self.now);
        next.is_some()
    }
}

#[test]
fn a_rate_and_a_parallelism_of_a_key_hold_whoever_its_subjects_and_hosts_are() {
    let mut world = World::new(limits(512, 64));
    let crm = flow("crm", Some(10), Some(2));
    for n in 0..400 {
        world.add_flow(&format!("s{n}"), &format!("h{}", n % 7), &crm);
    }
    let free = world.add("free", "h0", 1);
    let (mut begun, mut running, mut looks) = (0, Vec::new(), 0);
    let end = NOW + 30_000;
    while world.now < end {
        for lease in world.lease_all() {
            begun += usize::from(lease.1.seq != free);
            running.push((world.now + 120, lease));
        }
        let at_once = running.iter().filter(|(_, (_, entry))| entry.seq != free).count();
        assert!(at_once <= 2, "{at_once} at once");
        let next = running.iter().map(|(ends, _)| *ends).min().unwrap_or(end).min(end);
        world.wait(next);
        looks += 1;
        let ended: Vec<_> = running.extract_if(.., |(ends, _)| *ends <= world.now).collect();
        ended.iter().for_each(|(_, lease)| assert_eq!(world.ended(lease, Sign::Alive), None));
    }
    assert!((270..=330).contains(&begun), "{begun}");
    // An event for each begin and each end, and few beside: nobody asks again and again.
    assert!(looks <= 3 * begun, "{looks} looks for {begun} attempts");
    assert!(!world.file.values().any(|line| line.contains_key(&free)), "who is in no flow does not wait");
}

/// The limits of the host `slow`, ten a second and two at once, hold whatever the flows of its messages.
#[test]
fn a_host_has_limits_of_its_own_besides_those_of_flows() {
    let slow = Flow::new("-", Some(10), None, Some(2)).unwrap().limits();
    let hosts = HostLimits::new([("slow".to_owned(), slow)].into());
    let mut world = World::new(Limits { hosts, ..limits(512, 64) });
    for n in 0..400 {
        world.add_flow(&format!("s{n}"), "slow", &flow(&format!("k{}", n % 3), Some(1_000), Some(100)));
    }
    let others: Vec<i64> = (0..20).map(|n| world.add(&format!("o{n}"), "quick", 1)).collect();
    let (mut begun, mut running) = (0, Vec::new());
    let end = NOW + 30_000;
    while world.now < end {
        for lease in world.lease_all() {
            let is_other = others.contains(&lease.1.seq);
            assert!(!is_other || world.now == NOW, "who goes elsewhere does not wait");
            begun += usize::from(!is_other);
            running.push((world.now + 120, lease));
        }
        let at_once = running.iter().filter(|(_, (_, entry))| !others.contains(&entry.seq)).count();
        assert!(at_once <= 2, "{at_once} at once");
        let next = running.iter().map(|(ends, _)| *ends).min().unwrap_or(end).min(end);
        world.wait(next);
        let ended: Vec<_> = running.extract_if(.., |(ends, _)| *ends <= world.now).collect();
        ended.iter().for_each(|(_, lease)| assert_eq!(world.ended(lease, Sign::Alive), None));
    }
    assert!((270..=330).contains(&begun), "{begun}");
}

#[test]
fn retries_have_half_of_what_a_host_s_own_limit_leaves() {
    let own = Flow::new("-", None, None, Some(4)).unwrap().limits();
    let hosts = HostLimits::new([("slow".to_owned(), own)].into());
    let mut world = World::new(Limits { hosts, ..limits(512, 64) });
    for n in 0..10 {
        world.add_late(&format!("old{n}"), "slow");
    }
    assert_eq!(world.lease_all().len(), 2);
    for n in 0..10 {
        world.add(&format!("new{n}"), "slow", 1);
    }
    assert_eq!(world.lease_all().len(), 2, "the other half is left to new messages");
}

#[test]
fn a_hundred_thousand_subjects_of_one_key_wait_in_the_file_and_cost_neither_memory_nor_looks() {
    let mut world = World::new(limits(512, 64));
    let crm = flow("crm", None, Some(1));
    let mut running = Vec::new();
    for n in 0..100_000 {
        world.add_flow(&format!("s{n}"), "h", &crm);
        if n % 1_000 == 0 && n < 3_000 {
            // They are tried as they come.
            running.extend(world.lease_all());
        }
    }
    running.extend(world.lease_all());
    assert!(world.schedule.room_used <= ROOM_BYTES, "{}", world.schedule.room_used);
    assert!(world.schedule.lines.len() <= 2 * PARKED, "{} lines are in memory", world.schedule.lines.len());
    // One round finds out at which gate they wait, and none follows.
    world.load();
    running.extend(world.lease_all());
    assert!(!world.schedule.is_wanting(), "the loader looks on and on");
    // Another key, and another host, are not in its way.
    let other = world.add_flow("other", "h2", &flow("other", Some(1), None));
    let leases = world.lease_all();
    assert_eq!(leases.iter().map(|(_, entry)| entry.seq).collect::<Vec<_>>(), [other]);
    // One after the other is served, from the file when memory has no more of them.
    for _ in 0..5_000 {
        assert!(running.len() <= 1);
        let lease = running.pop().unwrap_or_else(|| world.lease_all().pop().expect("nobody has a turn"));
        world.ended(&lease, Sign::Alive);
    }
    assert!(world.schedule.lines.len() <= 2 * PARKED);
}

#[test]
fn the_message_accepted_last_names_the_limits_of_a_key() {
    let mut world = World::new(limits(512, 64));
    for n in 0..10 {
        world.add_flow(&format!("s{n}"), "h", &flow("k", None, Some(1)));
    }
    let first = world.lease_all();
    assert_eq!(first.len(), 1);
    world.add_flow("newer", "h", &flow("k", None, Some(4)));
    assert_eq!(world.lease_all().len(), 3, "the others that wait go by it too");
    // A retry is as old as its message.
    world.add_with("s0-again", "h", |entry| {
        entry.queue = TIER;
        entry.message = Some(1);
        entry.flow = Some(flow("k", None, Some(1)));
    });
    world.ended(&first[0], Sign::Alive);
    assert_eq!(world.lease_all().len(), 1);
}

#[test]
fn an_idle_key_and_a_host_that_is_well_leave_nothing_behind() {
    let mut world = World::new(limits(512, 64));
    for n in 0..200 {
        world.add_flow(&format!("s{n}"), &format!("h{n}"), &flow(&format!("k{n}"), Some(10), Some(1)));
    }
    for (n, lease) in world.lease_all().iter().enumerate() {
        world.ended(lease, if n % 2 == 0 { Sign::Alive } else { Sign::Failing });
    }
    assert!(world.schedule.gates.known() >= 200, "a rate is remembered");
    world.now += 10_001;
    world.schedule.pass_time(world.now);
    assert_eq!(world.schedule.gates.known(), 0);
    assert_eq!(world.schedule.next_event(), None);
}

#[test]
fn a_host_that_fails_for_a_minute_gets_at_most_a_tenth_and_everything_after() {
    const A_SECOND: i64 = 20;
    let mut world = World::new(limits(512, 64));
    let (mut during, mut turns, mut delivered, mut posted) = (0, Vec::new(), 0, 0);
    let fails = NOW + 20_000..NOW + 80_000;
    while world.now < NOW + 110_000 {
        while posted < (world.now - NOW) * A_SECOND / 1_000 {
            world.add(&format!("s{posted}"), "down", 10);
            world.add(&format!("w{posted}"), "well", 10);
            posted += 1;
        }
        loop {
            let leases = world.lease_all();
            if leases.is_empty() {
                break;
            }
            for lease in leases {
                let failing = &*lease.1.host.clone().unwrap() == "down" && fails.contains(&world.now);
                during += i64::from(failing);
                delivered += i64::from(!failing);
                turns.extend(world.ended(&lease, if failing { Sign::Failing } else { Sign::Alive }));
                if failing {
                    // It comes back in a tier.
                    let (subject, due) = (format!("r{}", lease.1.seq), world.now + 10_000);
                    world.seq += 1;
                    let group = identity::group_id("", &subject);
                    let line = EntryRow::line_of(TIER, &group);
                    let row = EntryRow { seq: world.seq, line, queue: TIER, due: Some(due), group, ..lease.1.clone() };
                    world.file.entry(line).or_default().insert(row.seq, row);
                }
            }
        }
        let well =
            world.file.values().flat_map(BTreeMap::values).filter(|entry| &*entry.host.clone().unwrap() == "well");
        assert_eq!(well.count(), 0, "the other host waits");
        assert!(world.schedule.pressure().open_breakers <= 1);
        world.wait(world.now + 20);
        // What the loader does when entries fall due.
        let now = world.now;
        let due: Vec<EntryRow> = world
            .file
            .values()
            .flat_map(BTreeMap::values)
            .filter(|row| row.due.is_some_and(|at| at <= now))
            .cloned()
            .collect();
        for row in due {
            if world.schedule.has(row.line) {
                continue;
            }
            let (entries, more) = world.read(row.line);
            world.schedule.offer(row.line, entries, more, now);
        }
    }
    assert!(during <= 60 * A_SECOND / 10, "{during} of {}", 60 * A_SECOND);
    assert!(matches!(turns.first(), Some(Turn::Opened(_))) && turns.last() == Some(&Turn::Closed), "{turns:?}");
    assert_eq!(delivered, 2 * posted, "all of both hosts");
    assert_eq!(world.schedule.pressure().open_breakers, 0);
    assert!(world.schedule.pressure().waits.iter().any(|(kind, waits)| *kind == "host" && *waits > 0));
}

#[test]
fn without_the_breaker_nothing_waits_for_a_host_that_fails() {
    let mut world = World::new(Limits { breaker: false, ..limits(512, 64) });
    for n in 0..2_000 {
        world.add(&format!("s{n}"), "h", 10);
        let lease = world.lease().expect("it waits");
        assert_eq!(world.ended(&lease, Sign::Failing), None);
        world.now += 10;
    }
}

#[test]
fn retries_leave_room_for_first_attempts() {
    let mut world = World::new(limits(16, 8));
    for host in 0..5 {
        for n in 0..20 {
            world.add_late(&format!("late{host}-{n}"), &format!("h{host}"));
        }
    }
    let late = world.lease_all();
    assert_eq!(late.len(), 12, "three quarters of all");
    for host in 0..5 {
        let there = late.iter().filter(|(_, entry)| *entry.host.clone().unwrap() == *format!("h{host}"));
        assert!(there.count() <= 4, "half of a host's");
    }
    let first: Vec<i64> = (0..4).map(|n| world.add(&format!("first{n}"), "h0", 10)).collect();
    let leases = world.lease_all();
    assert_eq!(leases.iter().map(|(_, entry)| entry.seq).collect::<Vec<_>>(), first, "each new message has its turn");
    // And retries go on as others of them end.
    let mut served = 12;
    let mut running = late;
    while let Some(lease) = running.pop() {
        world.ended(&lease, Sign::Alive);
        let next = world.lease_all();
        served += next.len();
        running.extend(next);
    }
    assert_eq!(served, 100, "all of them in the end");
}

#[test]
fn a_turn_that_a_line_can_not_use_is_handed_on() {
    let mut world = World::new(limits(512, 1));
    let [first, cancelled, third] = ["a", "b", "c"].map(|subject| world.add(subject, "h", 1));
    let lease = world.lease_all().pop().unwrap();
    assert_eq!(lease.1.seq, first);
    world.ended(&lease, Sign::Alive);
    // The second one has the turn, and is cancelled before it is leased.
    let line = EntryRow::line_of(1, &identity::group_id("", "b"));
    world.schedule.freeze(line);
    world.file.get_mut(&line).unwrap().remove(&cancelled);
    world.schedule.thaw(line);
    assert_eq!(world.lease_all().iter().map(|(_, entry)| entry.seq).collect::<Vec<_>>(), [third]);
}

#[test]
fn what_is_moved_without_an_attempt_passes_no_gate_and_a_strict_retry_is_a_late_one() {
    let mut world = World::new(limits(512, 2));
    let crm = flow("crm", Some(1), Some(1));
    for n in 0..20 {
        world.add_with(&format!("s{n}"), "h", |entry| {
            entry.queue = WAKE;
            entry.flow = Some(crm.clone());
        });
    }
    let moved = world.lease_all();
    assert_eq!(moved.len(), 20);
    // Its shard's head that fell due: half of the host's two slots.
    for n in 0..3 {
        world.add_with(&format!("strict{n}"), "h", |entry| entry.due = Some(NOW));
    }
    assert_eq!(world.lease_all().len(), 1);
    world.add("first", "h", 1);
    assert_eq!(world.lease_all().len(), 1);
}

#[test]
fn hosts_with_many_retries_do_not_hand_the_slots_of_all_to_each_other() {
    // Seven retries at once in all, three of a host.
    let mut world = World::new(limits(10, 6));
    let mut running = VecDeque::new();
    for host in ["a", "b"] {
        for n in 0..60 {
            world.add_late(&format!("{host}{n}"), host);
        }
        running.extend(world.lease_all());
    }
    // One hangs, and nothing is left for another host.
    world.add_late("hangs", "d");
    let hangs = world.lease_all();
    let other = world.add_late("c", "c");
    assert_eq!((running.len(), hangs.len(), world.lease_all().len()), (6, 1, 0));
    let lease = running.pop_front().unwrap();
    world.ended(&lease, Sign::Alive);
    running.extend(world.lease_all());
    assert!(running.iter().any(|(_, entry)| entry.seq == other), "the slot goes from one of a host to the next of it");
    running.extend(hangs);
    while let Some(lease) = running.pop_front() {
        world.ended(&lease, Sign::Alive);
        running.extend(world.lease_all());
    }
    assert!(world.file.is_empty(), "all are served in the end");
}

#[test]
fn a_turn_of_a_line_that_waits_elsewhere_and_goes_is_handed_on() {
    let mut world = World::new(limits(2, 2));
    // One retry at once in all, and one to a host.
    let a = world.add_late("a", "h");
    world.add_late("b", "h");
    let c = world.add_late("c", "h");
    let lease = world.lease_all().pop().unwrap();
    assert_eq!(lease.1.seq, a);
    let line = EntryRow::line_of(TIER, &identity::group_id("", "b"));
    world.schedule.freeze(line);
    world.file.remove(&line);
    world.schedule.thaw(line);
    world.ended(&lease, Sign::Alive);
    assert_eq!(world.lease_all().iter().map(|(_, entry)| entry.seq).collect::<Vec<_>>(), [c]);
}
