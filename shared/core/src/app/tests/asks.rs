//! What a message asks for, as the dispatcher does it: strict order, times, its own retries, callbacks, orders.

use super::*;
use crate::ledger::MessageState;
use crate::orders::{CancelMark, CancelWhat};
use crate::outcome::ErrorClass;
use crate::pause::{Pause, PauseScope};
use crate::ports::Hold;

/// The first entry of a message that asks for something; `meta` begins with a comma, or is empty.
fn asking(id: &str, path: &str, fields: &str, meta: &str) -> Leased {
    let body = format!(
        r#"{{"subject":"s","message":{{"url":"http://e.org{path}","body":1}},{fields},"meta":{{"v":2,"id":"{id}","received_at":"2026-12-01T09:00:00Z"{meta}}}}}"#
    );
    leased(id, "s", shard(), body)
}

fn strict(id: &str, path: &str) -> Leased {
    asking(id, path, r#""ordering":"strict""#, "")
}

impl World {
    fn hold(&self, id: &str) -> Hold {
        match self.settlement(id) {
            Some(Settlement::Hold(hold)) => *hold,
            other => panic!("{id} is not held: {other:?}"),
        }
    }

    fn given_back(&self) -> Vec<(String, Duration)> {
        self.book.given_back.lock().unwrap().clone()
    }

    fn callback(&self) -> Option<(Envelope, Entry)> {
        let entry = self.book.callbacks.lock().unwrap().first().cloned()?;
        Some((Envelope::read(&entry.body).unwrap(), entry))
    }
}

#[test]
fn a_strict_message_that_failed_holds_up_its_line() {
    let world = World::new();
    let back = world.run(&[strict("a", "/200"), strict("b", "/500"), first("c", "s", "/200"), first("d", "t", "/200")]);
    assert_eq!(back, ["b", "c"], "the rest of the subject waits, of whatever kind; other subjects do not");
    let (wait, none) = (Duration::from_secs(10), Duration::ZERO);
    assert_eq!(world.given_back(), [("b".to_owned(), wait), ("c".to_owned(), none)]);
    let hold = world.hold("b");
    let meta = hold.envelope.meta.unwrap();
    assert_eq!((meta.attempts, meta.history.len(), meta.sequence), (1, 1, Some(7)));
    assert_eq!((meta.next_due, meta.first_error.unwrap().class.as_str()), (Some(hold.due), "http_5xx"));
}

#[test]
fn what_a_line_remembers_is_gone_on_from() {
    let world = World::new();
    world.run(&[strict("a", "/500")]);
    let remembered = world.hold("a").envelope.meta.unwrap();
    *world.known.remembered.lock().unwrap() = Some(remembered);
    let again = || Leased { receives: 2, ..strict("a", "/410") };
    // It comes early: it is hidden for what is left, and no attempt is made.
    world.clock.0.fetch_add(4_000, Ordering::SeqCst);
    assert_eq!(world.run(&[again()]), ["a"]);
    assert_eq!(world.given_back().last().unwrap().1, Duration::from_secs(6));
    assert_eq!(world.calls(), 1);
    world.clock.0.fetch_add(6_000, Ordering::SeqCst);
    assert!(world.run(&[again()]).is_empty());
    let buried = world.book.settled.lock().unwrap().last().unwrap().1.clone();
    let Settlement::Bury(letter) = buried else { panic!("{buried:?}") };
    assert_eq!(letter.attempts.iter().map(|attempt| attempt.n).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((letter.first_error.class.as_str(), letter.last_error.class.as_str()), ("http_5xx", "gone"));
}

/// It has expired meanwhile, was cancelled, or is stuck: whoever is told of its end is told of the attempts before it.
#[test]
fn an_end_without_an_attempt_tells_of_those_that_a_line_remembers() {
    let fields = r#""ordering":"strict","failure_callback":{"url":"http://e.org/failed"}"#;
    let life = r#","expires_at":"2026-12-01T09:00:05Z""#;
    for (id, meta, receives) in [("expired", life, 2), ("stuck", "", crate::limits::RECEIVES)] {
        let world = World::new();
        world.run(&[asking(id, "/500", fields, meta)]);
        *world.known.remembered.lock().unwrap() = Some(world.hold(id).envelope.meta.unwrap());
        world.clock.0.fetch_add(6_000, Ordering::SeqCst);
        assert!(world.run(&[Leased { receives, ..asking(id, "/500", fields, meta) }]).is_empty());
        let last = world.book.settled.lock().unwrap().last().unwrap().1.clone();
        let (Settlement::End(_, Some(letter)) | Settlement::Bury(letter)) = last else { panic!("{last:?}") };
        assert_eq!((letter.last_error.class.as_str(), letter.attempts.len()), (id, 1));
        assert_eq!(letter.first_error.class, "http_5xx");
        assert_eq!(*world.book.remembered.lock().unwrap(), [(id.to_owned(), 1)], "what is remembered goes");
        let (callback, _) = world.callback().unwrap();
        assert!(String::from_utf8_lossy(callback.message.body.bytes()).contains(r#""attempts":[{"n":1,"#));
    }
}

#[test]
fn a_message_s_own_retries_go_before_the_policy() {
    let world = World::new();
    let none = asking("none", "/500", r#""retry":{"max_attempts":1}"#, "");
    let more = asking("more", "/400", r#""retry":{"max_attempts":6}"#, r#","attempts":4"#);
    let last = asking("last", "/400", r#""retry":{"max_attempts":6}"#, r#","attempts":5"#);
    let begins = asking("begins", "/500", r#""retry":{"delays":["2s","3h"]}"#, "");
    let own = asking("own", "/500", r#""retry":{"delays":["2s","3h"]}"#, r#","attempts":1"#);
    let over = asking("over", "/500", r#""retry":{"delays":["2s","3h"]}"#, r#","attempts":2"#);
    let line = asking("line", "/500", r#""ordering":"strict","retry":{"delays":["3h"]}"#, "");
    for entry in [none, more, last, begins, own, over, line] {
        world.run(&[entry]);
    }
    for id in ["none", "last", "over"] {
        world.letter(id);
    }
    let moved = |id: &str| match world.settlement(id) {
        Some(Settlement::Move(entry)) => entry,
        other => panic!("{id}: {other:?}"),
    };
    assert_eq!(moved("more").queue, QueueName::Tier(Tier::Medium), "the last tier of the policy again");
    let (now, begins, own) = (world.clock.now(), moved("begins"), moved("own"));
    assert_eq!((begins.queue, begins.due), (QueueName::Wake, Some(now.plus(Duration::from_secs(2)))));
    assert_eq!((&own.queue, own.due), (&QueueName::Wake, Some(now.plus(Duration::from_secs(3 * 3_600)))));
    assert_eq!(own.group, own.dedup, "it stands in nobody's way");
    assert_eq!(world.hold("line").due, own.due.unwrap());
}

#[test]
fn what_has_expired_is_not_sent_and_is_recorded() {
    let world = World::new();
    let over = r#","expires_at":"2026-12-01T09:00:00Z""#;
    let callback = r#""failure_callback":{"url":"http://e.org/failed"}"#;
    assert!(world.run(&[asking("a", "/200", callback, over), first("b", "s", "/200")]).is_empty());
    assert_eq!(world.calls(), 1, "the one behind it");
    let Some(Settlement::End(MessageState::Expired, Some(letter))) = world.settlement("a") else {
        panic!("{:?}", world.settlement("a"))
    };
    assert_eq!((letter.last_error.class.as_str(), letter.attempts.len()), (ErrorClass::Expired.name(), 0));
    let (callback, _) = world.callback().unwrap();
    assert!(String::from_utf8_lossy(callback.message.body.bytes()).contains(r#""state":"expired""#));
}

#[test]
fn whose_time_has_come_joins_its_line_and_who_is_early_waits_on() {
    let world = World::new();
    let waiting = |id: &str, at: &str| {
        let entry = asking(id, "/200", r#""labels":[]"#, &format!(r#","not_before":"{at}""#));
        Leased { queue: QueueName::Wake, ..entry }
    };
    assert!(world.run(&[waiting("a", "2026-12-01T09:00:00.000Z"), waiting("b", "2026-12-01T09:00:01Z")]).is_empty());
    assert_eq!(world.calls(), 0);
    let Some(Settlement::Move(entry)) = world.settlement("a") else { panic!("not moved") };
    let route = crate::route::default_routes().pop().unwrap();
    assert_eq!((entry.queue, entry.due), (route.queue("s"), None));
    let meta = Envelope::read(&entry.body).unwrap().meta.unwrap();
    assert_eq!((meta.hop, entry.group), (1, crate::identity::group_id("", "s")));
    let Some(Settlement::Move(entry)) = world.settlement("b") else { panic!("not moved") };
    assert_eq!((entry.queue, entry.due), (QueueName::Wake, Timestamp::parse("2026-12-01T09:00:01Z")));
}

#[test]
fn an_entry_that_its_queue_would_give_up_is_buried_before() {
    let world = World::new();
    let at = |receives: u32| Leased { receives, ..first(&receives.to_string(), "s", "/200") };
    world.run(&[at(crate::limits::RECEIVES - 1)]);
    world.run(&[at(crate::limits::RECEIVES)]);
    assert_eq!(world.settlement("989"), Some(Settlement::Done));
    assert_eq!(world.letter("990").last_error.class, "stuck");
    assert_eq!(world.calls(), 1);
}

#[test]
fn what_its_queue_would_forget_is_buried_before_unless_it_comes_for_the_first_time() {
    let world = World::new();
    world.clock.0.fetch_add(13 * 24 * 3_600_000, Ordering::SeqCst);
    let at = |receives: u32| Leased { receives, ..first(&receives.to_string(), "s", "/200") };
    world.run(&[at(1)]);
    world.run(&[at(2)]);
    assert_eq!(world.settlement("1"), Some(Settlement::Done));
    assert_eq!(world.letter("2").last_error.class, "stuck");
}

#[test]
fn a_line_that_can_not_remember_waits_the_first_tier_s_delay_and_goes_on() {
    let world = World::refusing(&["b"]);
    let back = world.run(&[strict("a", "/200"), strict("b", "/500"), strict("c", "/200"), first("d", "t", "/200")]);
    assert_eq!(back, ["b", "c"]);
    let (fast, none) = (Duration::from_secs(10), Duration::ZERO);
    assert_eq!(world.given_back(), [("b".to_owned(), fast), ("c".to_owned(), none)]);
    assert_eq!(world.settlement("b"), None);
}

#[test]
fn what_is_remembered_of_a_line_is_named_when_it_moves_on_and_not_before() {
    let world = World::new();
    world.run(&[strict("a", "/500")]);
    assert_eq!(*world.book.remembered.lock().unwrap(), []);
    *world.known.remembered.lock().unwrap() = Some(world.hold("a").envelope.meta.unwrap());
    world.clock.0.fetch_add(10_000, Ordering::SeqCst);
    world.run(&[Leased { receives: 2, ..strict("a", "/200") }]);
    assert_eq!(*world.book.remembered.lock().unwrap(), [("a".to_owned(), 2)]);
}

#[test]
fn a_callback_is_an_ordinary_message_that_tells_of_the_end_and_has_none_itself() {
    let world = World::new();
    let both = r#""ordering":"strict","labels":["l"],"callback":{"url":"http://e.org/done","retry":{"max_attempts":2}},"failure_callback":{"url":"http://e.org/failed"}"#;
    world.run(&[asking("a", "/200", both, r#","producer":"crm","tenant":"t""#)]);
    let (callback, entry) = world.callback().unwrap();
    let meta = callback.meta.clone().unwrap();
    assert_eq!((callback.message.url.as_str(), callback.subject.as_str()), ("http://e.org/done", "s"));
    assert_eq!((meta.producer.as_str(), meta.tenant.as_str(), meta.attempts), ("crm", "t", 0));
    assert_eq!((meta.callback_of.as_deref(), meta.id.clone()), (Some("a"), crate::identity::callback_id("a", 1)));
    assert_ne!(entry.group, crate::identity::group_id("t", "s"), "who is slow to be told holds up no message");
    assert_eq!(callback.options.ordering, Some(crate::route::Ordering::Relaxed));
    assert!(callback.options.callback.is_none() && callback.options.failure_callback.is_none());
    let told: serde_json::Value = serde_json::from_slice(callback.message.body.bytes()).unwrap();
    assert_eq!(
        (&told["id"], &told["state"], &told["response"]["status"], &told["attempts"][0]["n"]),
        (&"a".into(), &"delivered".into(), &200.into(), &1.into())
    );
    // Its own end, told to nobody.
    let callback_entry = leased("cb", &entry.group, entry.queue.clone(), entry.body.clone());
    world.book.callbacks.lock().unwrap().clear();
    world.run(&[callback_entry]);
    assert!(world.callback().is_none());

    world.run(&[asking("b", "/410", both, "")]);
    let (failed, _) = world.callback().unwrap();
    assert_eq!(failed.message.url, "http://e.org/failed");
    let told: serde_json::Value = serde_json::from_slice(failed.message.body.bytes()).unwrap();
    assert_eq!((&told["state"], &told["error"]["class"]), (&"dead".into(), &"gone".into()));
    world.book.callbacks.lock().unwrap().clear();
    world.run(&[asking("c", "/500", both, "")]);
    assert!(world.callback().is_none(), "it is not at its end");
}

#[test]
fn orders_are_honoured_before_the_attempt() {
    let world = World::new();
    let (cut_off, until) = (world.clock.now(), world.clock.now().plus(Duration::from_secs(60)));
    let mark = CancelMark::new(CancelWhat::Message("a".to_owned()), cut_off, until);
    let scope = PauseScope::Target("e.org".to_owned());
    let pause = Pause { id: scope.id(), scope, created_at: cut_off };
    *world.known.orders.lock().unwrap() = Orders { pauses: vec![pause], marks: vec![mark] };
    let back = world.run(&[first("a", "s", "/200"), first("b", "s", "/200"), first("c", "s", "/200")]);
    assert_eq!((back, world.calls()), (vec!["b".to_owned(), "c".to_owned()], 0));
    assert_eq!(world.settlement("a"), Some(Settlement::End(MessageState::Cancelled, None)));
    assert_eq!(world.given_back().first().unwrap().1, Duration::from_secs(60));
}

#[test]
fn who_is_not_admitted_waits_and_no_attempt_is_counted() {
    let world = World::new();
    *world.known.waits.lock().unwrap() = Some(Duration::from_secs(3));
    assert_eq!(world.run(&[first("a", "s", "/500"), first("b", "s", "/200")]), ["a", "b"]);
    assert_eq!((world.calls(), world.settlement("a")), (0, None));
    assert_eq!(world.given_back().first().unwrap().1, Duration::from_secs(3));
    *world.known.waits.lock().unwrap() = None;
    world.run(&[first("a", "s", "/500")]);
    assert_eq!(*world.known.reported.lock().unwrap(), ["e.org http_5xx"]);
    assert_eq!(world.known.rests.load(Ordering::SeqCst), 2, "each batch is told to be at its end");
    let Some(Settlement::Move(entry)) = world.settlement("a") else { panic!("not retried") };
    assert_eq!(Envelope::read(&entry.body).unwrap().meta.unwrap().attempts, 1);
}

/// A resume shows a paused head by its receive. Hidden after that, at the end of its batch, it would sleep for hours.
#[test]
fn who_waits_long_goes_back_before_a_slow_neighbour_has_ended() {
    let scope = PauseScope::Subject { tenant: String::new(), subject: "s".to_owned() };
    for (neighbour, ends) in [("/never", false), ("/200", true)] {
        let world = World::new();
        let pause = Pause { id: scope.id(), scope: scope.clone(), created_at: world.clock.now() };
        *world.known.orders.lock().unwrap() = Orders { pauses: vec![pause], marks: Vec::new() };
        let batch = [first("slow", "other", neighbour), first("head", "s", "/200"), first("follower", "s", "/200")];
        let until = world.clock.elapsed() + Duration::from_secs(42);
        let run = world.dispatcher.run(&batch, until).now_or_never();
        assert_eq!(run, ends.then(|| vec!["head".to_owned(), "follower".to_owned()]));
        let hidden = [("head".to_owned(), Duration::from_secs(60)), ("follower".to_owned(), Duration::ZERO)];
        assert_eq!(world.given_back(), hidden, "once, and at once");
    }
}

#[test]
fn a_message_s_own_timeout_is_what_it_waits_for() {
    let world = World::new();
    let before = world.clock.elapsed();
    world.run(&[asking("a", "/late", r#""timeout":"2s""#, "")]);
    assert_eq!(world.clock.elapsed() - before, Duration::from_secs(2));
    world.run(&[asking("b", "/late", r#""timeout":"9h""#, "")]);
    assert_eq!(world.clock.elapsed() - before, Duration::from_secs(32), "no longer than the deployment allows");
}
