//! Goal: whichever way the records are looked up, all that are there come, the newest first, and none twice.

use chaski_core::filter::DeadLetterFilter;

use super::*;
use crate::dead_letters::tests::letter;
use crate::testing::FakeTable;
use crate::{DeadLetters, Records};

const NOON: i64 = 1_796_126_400_000;

fn now() -> Timestamp {
    Timestamp::from_millis(NOON)
}

/// Forty letters, one every three hours, of four subjects; and one in several items.
async fn table() -> Records {
    let fake = FakeTable::default();
    let letters = DeadLetters::new(fake.client(), "letters");
    for n in 0..40 {
        let mut letter = letter(&format!("id-{n:02}"), b"{}".to_vec());
        letter.entry_sent_at = Timestamp::from_millis(NOON - n * 3 * 3_600_000);
        letter.subject = Some(format!("s{}", n % 4));
        letters.put(&letter).await.unwrap();
    }
    let mut large = letter("large", crate::dead_letters::tests::noise(900_000));
    large.entry_sent_at = Timestamp::from_millis(NOON - 1);
    large.subject = None;
    large.target_host = None;
    letters.put(&large).await.unwrap();
    Records::new(fake.client(), "letters")
}

async fn ids(records: &Records, filter: &DeadLetterFilter, to: Option<&str>, most: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let take = |record: Record| {
        ids.push(record.letter.id);
        ids.len() < most
    };
    records.walk(filter, Some(&[String::new()]), to, now(), take).await.unwrap();
    ids
}

#[tokio::test(start_paused = true)]
async fn the_days_give_all_the_newest_first() {
    let records = table().await;
    let found = ids(&records, &DeadLetterFilter::default(), None, usize::MAX).await;
    let mut expected: Vec<String> = (0..40).map(|n| format!("id-{n:02}")).collect();
    expected.insert(1, "large".to_owned());
    assert_eq!(found, expected);
    assert_eq!(ids(&records, &DeadLetterFilter::default(), None, 5).await, expected[..5]);
}

#[tokio::test(start_paused = true)]
async fn a_span_is_read_by_its_days_alone() {
    let fake = FakeTable::default();
    let records = Records::new(fake.client(), "letters");
    let day = |days: i64| Some(Timestamp::from_millis(NOON - days * DAY_MS));
    let filter = DeadLetterFilter { from: day(2), to: day(1), ..DeadLetterFilter::default() };
    assert!(ids(&records, &filter, None, usize::MAX).await.is_empty());
    // From noon to noon: two days of sixteen partitions, and nothing is scanned.
    assert_eq!(fake.calls(), vec!["Query"; 32]);

    let records = table().await;
    let found = ids(&records, &filter, None, usize::MAX).await;
    // 24 h ago is `to`, which is left out; 48 h ago is `from`, which is not.
    assert_eq!(found, (9..=16).map(|n| format!("id-{n:02}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn subject_and_target_are_looked_up_by_their_index() {
    let records = table().await;
    let of_subject = DeadLetterFilter { subject: Some("s1".to_owned()), ..DeadLetterFilter::default() };
    let found = ids(&records, &of_subject, None, usize::MAX).await;
    assert_eq!(found, (0..40).filter(|n| n % 4 == 1).map(|n| format!("id-{n:02}")).collect::<Vec<_>>());
    let target = Some(TargetFilter::Host("example.org".to_owned()));
    let to_target = DeadLetterFilter { target, ..DeadLetterFilter::default() };
    let found = ids(&records, &to_target, None, usize::MAX).await;
    assert_eq!(found, (0..40).map(|n| format!("id-{n:02}")).collect::<Vec<_>>());
}

#[test]
fn a_subject_of_an_unknown_tenant_is_looked_for_by_day() {
    let filter = DeadLetterFilter { subject: Some("s1".to_owned()), ..DeadLetterFilter::default() };
    assert_eq!(Plan::new(&filter, None, None, now()).groups[0][0].attribute, DATE);
    assert_eq!(Plan::new(&filter, Some(&[String::new()]), None, now()).groups[0][0].attribute, "subject_digest");
}

#[tokio::test(start_paused = true)]
async fn an_empty_span_is_not_asked_for() {
    let fake = FakeTable::default();
    let records = Records::new(fake.client(), "letters");
    let (from, to) = (Some(now()), Some(Timestamp::from_millis(NOON - 1)));
    let subject = Some("s1".to_owned());
    for filter in [
        DeadLetterFilter { from, to, subject: subject.clone(), ..DeadLetterFilter::default() },
        DeadLetterFilter { to: Some(Timestamp::from_millis(1)), subject, ..DeadLetterFilter::default() },
    ] {
        assert!(ids(&records, &filter, None, usize::MAX).await.is_empty());
    }
    assert!(fake.is_empty() && fake.calls().is_empty());
}
