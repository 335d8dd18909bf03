//! Which entries of one queue go into which call: at most one of a group, so that what follows an entry that
//! was not taken is not sent; groups take turns.
//!
//! SQS takes the entries of one call independently of each other. Were two of a group in one call, the first
//! could be refused and the second taken, and the subject's order be broken with an honest answer.

use std::collections::{HashMap, VecDeque};

use chaski_core::limits::{ENQUEUE_CALL_BYTES, ENQUEUE_CALL_ENTRIES};
use chaski_core::ports::{EnqueueError, Entry, Taken};

/// What became of an entry.
pub(crate) type Fate = Result<Taken, EnqueueError>;

/// An entry with its place in the caller's list.
type Placed<'a> = (usize, &'a Entry);

/// The entries of one queue that are not sent yet, a lane a group.
#[derive(Debug)]
pub(crate) struct Lanes<'a> {
    waiting: VecDeque<VecDeque<Placed<'a>>>,
    fates: Vec<(usize, Fate)>,
}

impl<'a> Lanes<'a> {
    pub(crate) fn new(entries: impl IntoIterator<Item = Placed<'a>>) -> Self {
        let mut lanes: Vec<VecDeque<Placed<'a>>> = Vec::new();
        let mut of_group: HashMap<&str, usize> = HashMap::new();
        for (place, entry) in entries {
            let lane = *of_group.entry(&entry.group).or_insert(lanes.len());
            match lanes.get_mut(lane) {
                Some(lane) => lane.push_back((place, entry)),
                None => lanes.push(VecDeque::from([(place, entry)])),
            }
        }
        Self { waiting: lanes.into(), fates: Vec::new() }
    }

    /// The entries of the next call, each the head of its lane; `None` when nothing waits. The lanes of a
    /// call are out until [`Lanes::told`].
    pub(crate) fn next_call(&mut self) -> Option<Call<'a>> {
        let mut call = Call::default();
        let mut bytes = 0;
        while call.heads.len() < ENQUEUE_CALL_ENTRIES {
            let Some(mut lane) = self.waiting.pop_front() else {
                break;
            };
            let Some(head) = lane.pop_front() else { continue };
            bytes += head.1.body.len();
            if bytes > ENQUEUE_CALL_BYTES && !call.heads.is_empty() {
                lane.push_front(head);
                self.waiting.push_front(lane);
                break;
            }
            call.heads.push(head);
            call.rest.push(lane);
        }
        (!call.heads.is_empty()).then_some(call)
    }

    /// Notes the fates of a call, one for each of its entries: a lane goes on after an entry that was taken,
    /// and ends at one that was not.
    pub(crate) fn told(&mut self, call: Call<'a>, fates: Vec<Fate>) {
        let untold = || Err(EnqueueError::Unavailable("the queue's answer does not name it".to_owned()));
        let fates = fates.into_iter().chain(std::iter::repeat_with(untold));
        for (((place, _), lane), fate) in call.heads.into_iter().zip(call.rest).zip(fates) {
            if fate.is_err() {
                self.end(lane, "an earlier entry of its group was not taken");
            } else if !lane.is_empty() {
                self.waiting.push_back(lane);
            }
            self.fates.push((place, fate));
        }
    }

    /// Gives up all that waits.
    pub(crate) fn give_up(&mut self, why: &str) {
        for lane in std::mem::take(&mut self.waiting) {
            self.end(lane, why);
        }
    }

    /// Each entry's place and fate.
    pub(crate) fn fates(self) -> Vec<(usize, Fate)> {
        self.fates
    }

    fn end(&mut self, lane: VecDeque<Placed<'a>>, why: &str) {
        let not_sent = lane.into_iter().map(|(place, _)| (place, Err(EnqueueError::Unavailable(why.to_owned()))));
        self.fates.extend(not_sent);
    }
}

/// One call: entries of different groups, and what waits behind each.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    heads: Vec<Placed<'a>>,
    rest: Vec<VecDeque<Placed<'a>>>,
}

impl<'a> Call<'a> {
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &'a Entry> + '_ {
        self.heads.iter().map(|(_, entry)| *entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sqs_queues::tests::entry;

    /// Runs all calls; `takes` says which entry the queue takes. The entries written, in their order.
    fn run(entries: &[Entry], takes: impl Fn(&Entry) -> bool) -> (Vec<&Entry>, Vec<Fate>) {
        let mut lanes = Lanes::new(entries.iter().enumerate());
        let mut written = Vec::new();
        while let Some(call) = lanes.next_call() {
            let fates = call
                .entries()
                .map(|entry| {
                    if takes(entry) {
                        written.push(entry);
                        Ok(Taken::New)
                    } else {
                        Err(EnqueueError::Unavailable("no".to_owned()))
                    }
                })
                .collect();
            lanes.told(call, fates);
        }
        let mut fates = lanes.fates();
        fates.sort_by_key(|(place, _)| *place);
        assert_eq!(fates.iter().map(|(place, _)| *place).collect::<Vec<_>>(), (0..entries.len()).collect::<Vec<_>>());
        (written, fates.into_iter().map(|(_, fate)| fate).collect())
    }

    proptest! {
        /// Whatever the queue refuses: the written ones of a group are its first, in order, each is told
        /// taken, and nothing else is.
        #[test]
        fn what_is_written_of_a_group_is_its_beginning(groups in prop::collection::vec((0..5_u8, any::<bool>()), 0..60)) {
            let entries: Vec<Entry> = groups.iter().enumerate().map(|(n, (group, _))| entry(&format!("g{group}"), &n.to_string())).collect();
            let (written, fates) = run(&entries, |entry| groups[entry.body.parse::<usize>().unwrap()].1);
            for group in 0..5 {
                let group = format!("g{group}");
                let all: Vec<_> = entries.iter().filter(|entry| entry.group == group).collect();
                let taken: Vec<_> = written.iter().copied().filter(|entry| entry.group == group).collect();
                let expected = all.iter().take_while(|entry| groups[entry.body.parse::<usize>().unwrap()].1).copied();
                prop_assert_eq!(taken, expected.collect::<Vec<_>>());
            }
            for (entry, fate) in entries.iter().zip(fates) {
                prop_assert_eq!(fate.is_ok(), written.contains(&entry));
            }
        }
    }

    #[test]
    fn a_call_is_within_both_limits_of_sqs() {
        let body = "x".repeat(ENQUEUE_CALL_BYTES / 4);
        let entries: Vec<Entry> = (0..25).map(|n| entry(&format!("g{n}"), if n < 6 { &body } else { "x" })).collect();
        let mut lanes = Lanes::new(entries.iter().enumerate());
        let mut sizes = Vec::new();
        while let Some(call) = lanes.next_call() {
            assert!(call.entries().map(|entry| entry.body.len()).sum::<usize>() <= ENQUEUE_CALL_BYTES);
            sizes.push(call.entries().len());
            let fates = call.entries().map(|_| Ok(Taken::New)).collect();
            lanes.told(call, fates);
        }
        assert_eq!(sizes, [4, 10, 10, 1]);
    }

    #[test]
    fn what_is_given_up_is_told() {
        let entries = [entry("a", "1"), entry("a", "2"), entry("b", "3")];
        let mut lanes = Lanes::new(entries.iter().enumerate());
        let call = lanes.next_call().unwrap();
        lanes.told(call, vec![Ok(Taken::New)]);
        lanes.give_up("down");
        let mut fates = lanes.fates();
        fates.sort_by_key(|(place, _)| *place);
        let untold = "the queue's answer does not name it";
        let why: Vec<_> = fates.into_iter().map(|(_, fate)| fate.err()).collect();
        let unavailable = |why: &str| Some(EnqueueError::Unavailable(why.to_owned()));
        assert_eq!(why, [None, unavailable("down"), unavailable(untold)]);
    }
}
