//! The schedule against a file in memory: what is served, in which order, and what is never served twice.

use std::collections::{BTreeMap, HashMap};

use chaski_core::identity;
use chaski_core::pause::PauseScope;

use super::*;

mod protecting;

const NOW: Millis = 1_000_000;
/// The number of a queue of retries.
const TIER: i64 = 2;
/// The number of a queue whose entries are moved without an attempt.
const WAKE: i64 = 3;

/// The file as the loader reads it: lines with their entries.
struct World {
    schedule: Schedule,
    file: BTreeMap<i64, BTreeMap<i64, EntryRow>>,
    seq: i64,
    round: Option<i64>,
    now: Millis,
}

fn limits(total: usize, per_host: usize) -> Limits {
    Limits {
        total,
        per_host,
        lease: 60_000,
        tiers: HashSet::from([TIER]),
        passing: HashSet::from([WAKE]),
        breaker: true,
        ..Limits::default()
    }
}

impl World {
    fn new(limits: Limits) -> Self {
        let mut world = Self {
            schedule: Schedule::new(limits, PauseSet::default()),
            file: BTreeMap::new(),
            seq: 0,
            round: None,
            now: NOW,
        };
        world.load();
        world
    }

    fn write(&mut self, subject: &str, host: &str, due: Option<Millis>, body: usize) -> i64 {
        self.seq += 1;
        let group = identity::group_id("", subject);
        let entry = EntryRow {
            seq: self.seq,
            line: EntryRow::line_of(1, &group),
            queue: 1,
            message: Some(self.seq),
            due,
            sent_at: NOW,
            group,
            host: Some(host.into()),
            route: Some("messages".into()),
            flow: None,
            body: "x".repeat(body),
        };
        self.file.entry(entry.line).or_default().insert(entry.seq, entry);
        self.seq
    }

    fn add(&mut self, subject: &str, host: &str, body: usize) -> i64 {
        let seq = self.write(subject, host, None, body);
        let line = EntryRow::line_of(1, &identity::group_id("", subject));
        let behind = !self.schedule.knows(line) && self.file[&line].len() > 1;
        let entry = self.file[&line][&seq].clone();
        self.schedule.add(entry, behind, self.now);
        seq
    }

    fn read(&self, line: i64) -> (Vec<EntryRow>, bool) {
        let entries: Vec<EntryRow> =
            self.file.get(&line).into_iter().flat_map(|line| line.values().take(LINE_ENTRIES).cloned()).collect();
        let more = self.file.get(&line).is_some_and(|line| line.len() > LINE_ENTRIES);
        (entries, more)
    }

    /// What the loader does, until it has nothing to do.
    fn load(&mut self) {
        loop {
            let wants = self.schedule.wants();
            if wants.lines.is_empty() && !wants.round {
                return;
            }
            self.schedule.begin_reading();
            for line in wants.lines {
                let (entries, more) = self.read(line);
                self.schedule.offer(line, entries, more, self.now);
            }
            while self.schedule.goes_round() {
                let at = match self.round {
                    Some(at) => at,
                    None => {
                        self.schedule.begin_round();
                        i64::MIN
                    }
                };
                let next = self.file.range(at..).find(|(line, entries)| **line > at && !entries.is_empty());
                let Some((line, entries)) = next.map(|(line, entries)| (*line, entries.clone())) else {
                    self.schedule.end_round();
                    self.round = None;
                    break;
                };
                if entries.values().next().is_some_and(|head| self.schedule.would_take(head, self.now)) {
                    let (entries, more) = self.read(line);
                    self.schedule.offer(line, entries, more, self.now);
                }
                self.round = Some(line);
            }
            self.schedule.end_reading();
        }
    }

    fn lease(&mut self) -> Option<(Token, EntryRow)> {
        self.schedule.lease(self.now, None)
    }

    fn done(&mut self, token: Token, entry: &EntryRow) {
        let held = self.schedule.begin_settling(token, None, self.now).expect("its lease holds").0;
        assert_eq!(held.seq, entry.seq);
        self.file.get_mut(&entry.line).unwrap().remove(&entry.seq).expect("it is in the file");
        self.schedule.settled(token, self.now);
    }

    /// Serves everything; the order.
    fn drain(&mut self) -> Vec<EntryRow> {
        let mut served = Vec::new();
        loop {
            self.load();
            let Some((token, entry)) = self.lease() else { return served };
            self.done(token, &entry);
            served.push(entry);
        }
    }
}

#[test]
fn a_line_with_many_takes_its_turn_like_one_with_a_single_entry() {
    let mut world = World::new(limits(1, 10));
    for _ in 0..500 {
        world.add("hog", "h", 10);
    }
    let first = world.lease().unwrap();
    let singles: Vec<i64> = (0..5).map(|n| world.add(&format!("s{n}"), "h", 10)).collect();
    world.done(first.0, &first.1);
    let served = world.drain();
    let places: Vec<usize> =
        singles.iter().map(|seq| served.iter().position(|entry| entry.seq == *seq).unwrap()).collect();
    assert!(places.iter().all(|place| *place <= 6), "{places:?}");
    assert_eq!(served.len(), 504);
    let hog: Vec<i64> = served.iter().filter(|entry| !singles.contains(&entry.seq)).map(|entry| entry.seq).collect();
    assert!(hog.is_sorted(), "its own order");
}

#[test]
fn only_the_head_of_a_line_is_at_work() {
    let mut world = World::new(limits(10, 10));
    world.add("a", "h", 1);
    world.add("a", "h", 1);
    let (token, head) = world.lease().unwrap();
    assert!(world.lease().is_none());
    world.done(token, &head);
    assert_eq!(world.lease().unwrap().1.seq, 2);
}

#[test]
fn a_hanging_host_takes_its_own_slots_only() {
    let mut world = World::new(limits(100, 4));
    for n in 0..2_000 {
        world.add(&format!("hang{n}"), "hanging", 10);
    }
    let other = world.add("other", "well", 10);
    let mut leased = Vec::new();
    while let Some(lease) = world.lease() {
        leased.push(lease);
    }
    assert_eq!(leased.len(), 5, "four hang, and the other host is served");
    assert!(leased.iter().any(|(_, entry)| entry.seq == other));
    // They hang on; what comes for the other host is served all the same.
    for n in 0..50 {
        let seq = world.add(&format!("later{n}"), "well", 10);
        let (token, entry) = world.lease().unwrap();
        assert_eq!(entry.seq, seq);
        world.done(token, &entry);
    }
    for (token, entry) in leased {
        world.done(token, &entry);
    }
    assert_eq!(world.drain().len(), 1_996, "the parked and the spilled ones are served in the end");
}

#[test]
fn a_route_has_a_limit_of_its_own_and_two_gates_lose_no_turn() {
    let routes = HashMap::from([("messages".to_owned(), 2)]);
    let mut world = World::new(Limits { routes, ..limits(100, 1) });
    for n in 0..20 {
        world.add(&format!("s{n}"), if n % 2 == 0 { "a" } else { "b" }, 10);
    }
    let first = world.lease().unwrap();
    let second = world.lease().unwrap();
    assert_ne!(first.1.host, second.1.host);
    assert!(world.lease().is_none(), "the route is full");
    world.done(first.0, &first.1);
    let third = world.lease().unwrap();
    assert_eq!(third.1.host, first.1.host);
    world.done(second.0, &second.1);
    world.done(third.0, &third.1);
    assert_eq!(world.drain().len(), 17);
}

#[test]
fn what_memory_has_no_room_for_is_served_from_the_file_and_in_order() {
    let mut world = World::new(limits(8, 8));
    // Twice the room, in lines of three.
    let lines = 2 * ROOM_BYTES / 20_000 / 3;
    for round in 0..3 {
        for n in 0..lines {
            world.add(&format!("s{n}"), "h", 20_000 + round);
        }
    }
    assert!(world.schedule.room_used <= ROOM_BYTES + 3 * 21_000, "{}", world.schedule.room_used);
    let served = world.drain();
    assert_eq!(served.len(), 3 * lines);
    let mut last: HashMap<i64, i64> = HashMap::new();
    for entry in &served {
        assert!(last.insert(entry.line, entry.seq).is_none_or(|before| before < entry.seq), "out of order");
    }
    assert_eq!(world.schedule.room_used, 0, "the count of the room is exact");
    // Whoever was first served again had to wait for those that were not served yet: nobody starves.
    let second = served.iter().map(|entry| entry.line).collect::<Vec<_>>();
    let firsts: HashSet<i64> = second.iter().take(2 * lines).copied().collect();
    assert!(firsts.len() > lines * 9 / 10, "{} of {lines} lines in the first two thirds", firsts.len());
}

#[test]
fn a_restart_serves_what_the_file_holds() {
    let mut world = World::new(limits(8, 8));
    for n in 0..100 {
        world.write(&format!("s{}", n % 10), "h", None, 10);
    }
    world.schedule = Schedule::new(limits(8, 8), PauseSet::default());
    let served = world.drain();
    assert_eq!(served.len(), 100);
}

#[test]
fn a_pause_holds_and_a_resume_lets_go() {
    let mut world = World::new(limits(8, 8));
    let scopes = [
        PauseScope::All,
        PauseScope::Route("messages".to_owned()),
        PauseScope::Subject { tenant: String::new(), subject: "s".to_owned() },
        PauseScope::Target("h".to_owned()),
        PauseScope::Queue("messages-0".to_owned()),
    ];
    for scope in scopes {
        let mut held = PauseSet::default();
        held.add(&scope, |_| Some(1));
        world.schedule.set_pauses(held);
        world.add("s", "h", 10);
        world.add("s", "h", 10);
        world.load();
        assert!(world.lease().is_none(), "{scope:?} does not hold");
        world.schedule.set_pauses(PauseSet::default());
        assert_eq!(world.drain().len(), 2, "{scope:?} does not let go");
    }
}

#[test]
fn a_pause_of_a_subject_leaves_the_others_alone() {
    let mut world = World::new(limits(8, 8));
    let mut held = PauseSet::default();
    held.add(&PauseScope::Subject { tenant: String::new(), subject: "a".to_owned() }, |_| None);
    world.schedule.set_pauses(held);
    world.add("a", "h", 10);
    let other = world.add("b", "h", 10);
    assert_eq!(world.drain().iter().map(|entry| entry.seq).collect::<Vec<_>>(), [other]);
    // What comes for the held subject while its line is in the file alone stays behind what waits there.
    world.add("a", "h", 10);
    world.schedule.set_pauses(PauseSet::default());
    let served: Vec<i64> = world.drain().iter().map(|entry| entry.seq).collect();
    assert_eq!(served, [1, 3]);
}

#[test]
fn a_lease_that_ran_out_can_not_settle_and_its_entry_is_seen_again() {
    let mut world = World::new(limits(8, 8));
    world.add("s", "h", 10);
    let (token, entry) = world.lease().unwrap();
    assert_eq!(world.schedule.pass_time(NOW + 59_999).ran_out, 0);
    assert_eq!(world.schedule.pass_time(NOW + 60_000).ran_out, 1);
    assert!(world.schedule.begin_settling(token, None, NOW).is_none());
    world.load();
    let (again, same) = world.lease().unwrap();
    assert_eq!((same.seq, world.schedule.receives(again)), (entry.seq, 2));
    assert_ne!(again, token);
}

#[test]
fn a_settlement_under_way_does_not_run_out() {
    let mut world = World::new(limits(8, 8));
    world.add("s", "h", 10);
    let (token, _) = world.lease().unwrap();
    assert!(world.schedule.begin_settling(token, None, NOW).is_some());
    assert!(world.schedule.begin_settling(token, None, NOW).is_none(), "a second settlement of the same lease");
    assert_eq!(world.schedule.pass_time(NOW + 600_000).ran_out, 0);
    world.schedule.not_settled(token);
    assert_eq!(world.schedule.pass_time(NOW + 600_000).ran_out, 1);
}

#[test]
fn what_is_given_back_is_hidden_for_its_time_and_nothing_overtakes_it() {
    let mut world = World::new(limits(8, 8));
    world.add("s", "h", 10);
    world.add("s", "h", 10);
    let (token, _) = world.lease().unwrap();
    world.schedule.give_back(token, NOW + 5_000, NOW);
    world.load();
    assert!(world.lease().is_none());
    assert_eq!(world.schedule.next_event(), Some(NOW + 5_000));
    world.schedule.pass_time(NOW + 5_000);
    assert_eq!(world.drain().iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_was_settled_while_the_loader_read_is_not_served_again() {
    let mut world = World::new(limits(8, 8));
    world.add("s", "h", 10);
    let line = EntryRow::line_of(1, &identity::group_id("", "s"));
    world.schedule.begin_reading();
    let (stale, more) = world.read(line);
    let (token, entry) = world.lease().unwrap();
    world.done(token, &entry);
    world.schedule.offer(line, stale, more, NOW);
    world.schedule.end_reading();
    world.load();
    assert!(world.lease().is_none(), "delivered twice");
}

#[test]
fn an_entry_written_while_its_line_is_read_is_not_forgotten() {
    let mut world = World::new(limits(8, 8));
    for _ in 0..=LINE_ENTRIES {
        world.add("s", "h", 10);
    }
    let mut served = 0;
    while let Some((token, entry)) = world.lease() {
        world.done(token, &entry);
        served += 1;
    }
    assert_eq!(served, LINE_ENTRIES, "the rest is asked for");
    let wants = world.schedule.wants();
    world.schedule.begin_reading();
    let (entries, more) = world.read(wants.lines[0]);
    world.add("s", "h", 10);
    world.schedule.offer(wants.lines[0], entries, more, NOW);
    world.schedule.end_reading();
    assert_eq!(world.drain().len(), 2);
}

#[test]
fn a_frozen_line_is_not_served_and_goes_on_as_the_file_says() {
    let mut world = World::new(limits(8, 8));
    for _ in 0..3 {
        world.add("s", "h", 10);
    }
    let line = EntryRow::line_of(1, &identity::group_id("", "s"));
    world.schedule.freeze(line);
    world.load();
    assert!(world.lease().is_none());
    world.file.get_mut(&line).unwrap().remove(&2);
    world.schedule.thaw(line);
    assert_eq!(world.drain().iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 3]);
    world.add("s", "h", 10);
    let (token, entry) = world.lease().unwrap();
    world.schedule.freeze(line);
    assert!(world.schedule.is_leased(line, 4), "what is at work stays so");
    world.schedule.thaw(line);
    world.done(token, &entry);
}

#[test]
fn an_entry_that_the_loader_met_before_the_writer_told_of_it_is_served_once() {
    let mut world = World::new(limits(10, 10));
    world.add("a", "host", 1);
    let (token, first) = world.lease().unwrap();
    // Written, and read with its line, before it is told.
    let seq = world.write("a", "host", None, 1);
    world.schedule.give_back(token, NOW, NOW);
    world.schedule.pass_time(NOW);
    world.load();
    let told = world.file[&first.line][&seq].clone();
    world.schedule.add(told, false, NOW);
    let served: Vec<i64> = world.drain().iter().map(|entry| entry.seq).collect();
    assert_eq!(served, [first.seq, seq]);
}

#[test]
fn an_entry_told_while_its_line_is_brought_in_is_not_forgotten() {
    let mut world = World::new(limits(10, 10));
    let first = world.write("a", "host", None, 1);
    let line = *world.file.keys().next().unwrap();
    world.schedule.begin_reading();
    let (entries, more) = world.read(line);
    let second = world.write("a", "host", None, 1);
    let told = world.file[&line][&second].clone();
    world.schedule.add(told, true, NOW);
    world.schedule.offer(line, entries, more, NOW);
    world.schedule.end_reading();
    world.load();
    let served: Vec<i64> = world.drain().iter().map(|entry| entry.seq).collect();
    assert_eq!(served, [first, second]);
}

#[test]
fn a_line_that_is_written_all_the_time_is_read_all_the_same() {
    let mut world = World::new(limits(10, 10));
    world.add("a", "host", 1);
    let (token, first) = world.lease().unwrap();
    world.schedule.give_back(token, NOW, NOW);
    world.schedule.pass_time(NOW);
    let wants = world.schedule.wants();
    world.schedule.begin_reading();
    let (entries, more) = world.read(first.line);
    world.add("a", "host", 1);
    wants.lines.iter().for_each(|line| {
        world.schedule.offer(*line, entries.clone(), more, NOW);
    });
    world.schedule.end_reading();
    assert!(world.lease().is_some_and(|(_, entry)| entry.seq == first.seq));
}

#[test]
fn what_is_at_work_while_its_line_changes_does_not_bring_the_old_line_back() {
    let mut world = World::new(limits(10, 10));
    let [first, second] = [(), ()].map(|()| world.add("a", "host", 1));
    let (token, entry) = world.lease().unwrap();
    world.schedule.freeze(entry.line);
    world.schedule.give_back(token, NOW, NOW);
    world.schedule.pass_time(NOW);
    world.load();
    assert!(world.lease().is_none(), "the line is served while it changes");
    world.file.get_mut(&entry.line).unwrap().remove(&second);
    world.schedule.thaw(entry.line);
    world.load();
    let served: Vec<i64> = world.drain().iter().map(|entry| entry.seq).collect();
    assert_eq!(served, [first]);
}
