//! Goal: an order meets exactly the messages that it names, and no later ones.

use super::*;
use crate::filter::Whose;
use crate::queue::Tier;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_796_115_600_000 + second * 1_000)
}

fn listing() -> Listing {
    Listing {
        id: "m-1".to_owned(),
        generation: 1,
        tenant: "acme".to_owned(),
        producer: "crm".to_owned(),
        subject: "s".to_owned(),
        client: Some("c".to_owned()),
        labels: vec!["import".to_owned(), "blue".to_owned()],
        route: "messages".to_owned(),
        target: Some("https://e.org/hook/a".to_owned()),
        target_host: Some("e.org".to_owned()),
        received_at: at(0),
        flow: None,
        body: None,
    }
}

fn shard() -> QueueName {
    QueueName::Shard { route: "messages".to_owned(), shard: 2 }
}

fn paused(scope: PauseScope) -> Orders {
    Orders { pauses: vec![Pause { id: scope.id(), scope, created_at: at(0) }], ..Orders::default() }
}

fn holds(scope: PauseScope, queue: &QueueName) -> bool {
    matches!(paused(scope).order(&listing(), queue, at(0), at(1)), Order::Paused(_))
}

fn marked(what: CancelWhat) -> Orders {
    Orders { marks: vec![CancelMark::new(what, at(10), at(20))], ..Orders::default() }
}

fn cancels(filter: MessageFilter) -> bool {
    matches!(marked(CancelWhat::Fitting(filter)).order(&listing(), &shard(), at(5), at(11)), Order::Cancelled(_))
}

#[test]
fn a_pause_holds_its_scope_and_nothing_beside_it() {
    let subject = |tenant: &str, subject: &str| PauseScope::Subject { tenant: tenant.into(), subject: subject.into() };
    let tier = QueueName::Tier(Tier::Slow);
    for (scope, in_shard, in_tier) in [
        (PauseScope::All, true, true),
        (PauseScope::Queue("messages-2".into()), true, false),
        (PauseScope::Queue("messages-1".into()), false, false),
        (PauseScope::Queue("retry-slow".into()), false, true),
        (PauseScope::Route("messages".into()), true, true),
        (PauseScope::Route("assignments".into()), false, false),
        (subject("acme", "s"), true, true),
        (subject("", "s"), false, false),
        (subject("acme", "t"), false, false),
        (PauseScope::Target("e.org".into()), true, true),
        (PauseScope::Target("org".into()), false, false),
    ] {
        let seen = (holds(scope.clone(), &shard()), holds(scope.clone(), &tier));
        assert_eq!(seen, (in_shard, in_tier), "{scope:?}");
        // What the queues gave up is buried, whatever is paused.
        assert!(!holds(scope.clone(), &QueueName::LastNet), "{scope:?}");
    }
}

#[test]
fn a_queue_is_held_whole_by_what_names_no_message() {
    let whole = |scope, queue: &QueueName| paused(scope).holds_whole(queue);
    let tier = QueueName::Tier(Tier::Fast);
    assert!(whole(PauseScope::All, &shard()) && whole(PauseScope::All, &tier));
    assert!(whole(PauseScope::Queue("messages-2".into()), &shard()));
    assert!(whole(PauseScope::Route("messages".into()), &shard()));
    assert!(!whole(PauseScope::Route("messages".into()), &tier), "other routes' retries stand there too");
    assert!(!whole(PauseScope::Target("e.org".into()), &shard()) && !whole(PauseScope::All, &QueueName::LastNet));
}

#[test]
fn a_mark_meets_what_was_accepted_before_it_until_it_ends() {
    let orders = marked(CancelWhat::Message("m-1".to_owned()));
    let order = |accepted: i64, now: i64| orders.order(&listing(), &shard(), at(accepted), at(now));
    assert!(matches!(order(10, 11), Order::Cancelled(_)), "at the cut-off");
    assert_eq!(order(11, 12), Order::Go, "accepted, or sent again, after it");
    assert!(matches!(order(5, 19), Order::Cancelled(_)));
    assert_eq!(order(5, 20), Order::Go, "the mark has ended");
    let other = Listing { id: "m-2".to_owned(), ..listing() };
    assert_eq!(orders.order(&other, &shard(), at(5), at(11)), Order::Go);
}

#[test]
fn a_filter_meets_what_fits_all_of_it() {
    let all = MessageFilter::default;
    let some = |text: &str| Some(text.to_owned());
    let host = |host: &str| Some(TargetFilter::Host(host.to_owned()));
    let prefix = |url: &str| Some(TargetFilter::Prefix { prefix: url.to_owned(), host: "e.org".to_owned() });
    let of = |tenant, producer| Whose { tenant, producer };
    for (filter, expected) in [
        (all(), true),
        (MessageFilter { subject: some("s"), ..all() }, true),
        (MessageFilter { subject: some("S"), ..all() }, false),
        (MessageFilter { client: some("c"), ..all() }, true),
        (MessageFilter { client: some("d"), ..all() }, false),
        (MessageFilter { label: some("blue"), ..all() }, true),
        (MessageFilter { label: some("red"), ..all() }, false),
        (MessageFilter { target: host("e.org"), ..all() }, true),
        (MessageFilter { target: host("f.org"), ..all() }, false),
        (MessageFilter { target: prefix("https://e.org/hook"), ..all() }, true),
        (MessageFilter { target: prefix("https://e.org/other"), ..all() }, false),
        (MessageFilter { whose: of(some("acme"), None), ..all() }, true),
        (MessageFilter { whose: of(some(""), None), ..all() }, false),
        (MessageFilter { whose: of(None, some("erp")), ..all() }, false),
        (MessageFilter { from: Some(at(5)), to: Some(at(6)), ..all() }, true),
        (MessageFilter { from: Some(at(6)), ..all() }, false),
        (MessageFilter { to: Some(at(5)), ..all() }, false),
        (MessageFilter { subject: some("s"), label: some("red"), ..all() }, false),
    ] {
        assert_eq!(cancels(filter.clone()), expected, "{filter:?}");
    }
}

#[test]
fn what_is_cancelled_does_not_wait_for_a_pause() {
    let mut orders = paused(PauseScope::All);
    orders.marks = marked(CancelWhat::Message("m-1".to_owned())).marks;
    assert!(matches!(orders.order(&listing(), &shard(), at(5), at(11)), Order::Cancelled(_)));
    assert!(matches!(orders.order(&listing(), &shard(), at(15), at(16)), Order::Paused(_)));
    assert_eq!(Orders::default().order(&listing(), &shard(), at(5), at(11)), Order::Go);
    assert!(Orders::default().is_empty() && !orders.is_empty());
}

#[test]
fn the_same_order_has_the_same_id_and_no_other_has() {
    let subject = |tenant: &str, subject: &str| PauseScope::Subject { tenant: tenant.into(), subject: subject.into() };
    let scopes = [
        PauseScope::All,
        PauseScope::Queue("x".into()),
        PauseScope::Route("x".into()),
        PauseScope::Target("x".into()),
        subject("", "x"),
        subject("x", ""),
    ];
    let all = MessageFilter::default;
    let some = |text: &str| Some(text.to_owned());
    let whats = [
        CancelWhat::Message("x".to_owned()),
        CancelWhat::Fitting(all()),
        CancelWhat::Fitting(MessageFilter { subject: some("x"), ..all() }),
        CancelWhat::Fitting(MessageFilter { client: some("x"), ..all() }),
        CancelWhat::Fitting(MessageFilter { label: some("x"), ..all() }),
        CancelWhat::Fitting(MessageFilter { label: some(""), ..all() }),
        CancelWhat::Fitting(MessageFilter { from: Some(at(1)), ..all() }),
        CancelWhat::Fitting(MessageFilter { to: Some(at(1)), ..all() }),
    ];
    let ids: Vec<String> = scopes.iter().map(PauseScope::id).chain(whats.iter().map(CancelWhat::id)).collect();
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    assert_eq!(scopes[4].id(), subject("", "x").id());
    for scope in scopes {
        let (kind, value, tenant) = scope.parts();
        assert_eq!(PauseScope::of_parts(kind, value.to_owned(), tenant.to_owned()), Some(scope.clone()));
    }
    assert_eq!(PauseScope::of_parts("galaxy", String::new(), String::new()), None);
}
