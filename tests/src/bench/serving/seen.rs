//! What the target saw, and whether it is what was sent.

use std::fmt;

use super::mark::Mark;
use super::work::Work;

/// One request as the target got it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) mark: Mark,
    /// 0 where the dispatcher names none.
    pub(crate) id: u128,
    /// 1 where the dispatcher does not say.
    pub(crate) attempt: u32,
    /// The number in the subject that the dispatcher names.
    pub(crate) subject: Option<u32>,
}

/// Whether what arrived is what was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    /// First attempts that came after one sent later of their subject.
    pub(crate) out_of_order: usize,
    /// Of another load, or with another message's subject, or with an id that another message has.
    pub(crate) strange: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, twice, out_of_order, strange } = self;
        write!(f, "{lost} lost, {twice} twice, {out_of_order} out of order, {strange} strange")
    }
}

/// Compares.
pub(crate) fn tally(work: &Work, seen: &[Seen]) -> Tally {
    let mut tally = Tally::default();
    let mut times = vec![0_u32; work.messages];
    let mut next = vec![0_u32; work.subjects];
    for request in seen {
        let subject = work.place(request.mark).map(|place| (place, place % work.subjects));
        let Some((place, subject)) = subject else {
            tally.strange += 1;
            continue;
        };
        tally.strange += usize::from(request.subject.is_some_and(|named| named != request.mark.subject));
        if let Some(times) = times.get_mut(place) {
            *times += 1;
            tally.twice += usize::from(*times > 1);
        }
        if let Some(next) = next.get_mut(subject).filter(|_| request.attempt == 1) {
            tally.out_of_order += usize::from(request.mark.number < *next);
            *next = (*next).max(request.mark.number);
        }
    }
    tally.lost = times.iter().filter(|&&times| times == 0).count();
    let mut ids: Vec<_> = seen.iter().map(|request| request.id).filter(|&id| id != 0).collect();
    ids.sort_unstable();
    ids.dedup();
    // A message that came twice has one id.
    let messages = work.messages - tally.lost;
    tally.strange += if ids.is_empty() { 0 } else { messages.abs_diff(ids.len()) };
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(subject: u32, number: u32) -> Seen {
        let id = (u128::from(subject) << 32) | (u128::from(number) + 1);
        Seen { mark: Mark { subject, number }, id, attempt: 1, subject: Some(subject) }
    }

    #[test]
    fn each_flaw_is_counted() {
        let work = Work { first: 0, subjects: 2, messages: 5, asks: Vec::new() };
        let all = [seen(0, 0), seen(1, 0), seen(0, 1), seen(1, 1), seen(0, 2)];
        assert_eq!(tally(&work, &all), Tally::default());
        assert_eq!(tally(&work, &all[1..]), Tally { lost: 1, ..Tally::default() });
        let [a, b, c, d, e] = all;
        assert_eq!(tally(&work, &[a, b, c, d, e, e]), Tally { twice: 1, ..Tally::default() });
        assert_eq!(tally(&work, &[a, b, e, c, d]), Tally { out_of_order: 1, ..Tally::default() });
        // A retry may come after its successors.
        let late = Seen { attempt: 2, ..c };
        assert_eq!(tally(&work, &[a, b, e, late, d]), Tally::default());
        assert_eq!(tally(&work, &[a, b, c, d, e, seen(2, 0)]).strange, 2);
        assert_eq!(tally(&work, &[a, b, c, d, Seen { subject: Some(1), ..e }]).strange, 1);
        assert_eq!(tally(&work, &[a, b, c, d, Seen { id: d.id, ..e }]).strange, 1);
    }
}
