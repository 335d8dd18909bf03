//! A target that knows the secret trusts what it gets, and nothing else: the store, the use cases and the client of
//! `chaski serve` deliver to a scripted target over two failed attempts and through a rotation, and PyPI's
//! standardwebhooks, which no one here wrote, verifies each request. Time passes by the test's hand, also the oracle's.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chaski_core::app::{Caller, Dispatcher, Ingress, Post};
use chaski_core::ports::{Clock, NoControl};
use chaski_core::settings::Settings;
use chaski_core::time::Timestamp;
use chaski_embedded::{Options, Store};
use chaski_http::HttpTarget;
use chaski_system::{SystemChance, SystemClock};
use chaski_tests::world::target::{Call, Target};
use chaski_tests::world::webhooks::{NEW, NO_MATCH, OLD, Signed, VERIFIED, WRONG, no_flipped_bit_passes};

/// When the first attempt is made: 2021-02-25T15:02:10Z.
const START_S: i64 = 1_614_265_330;
/// From one attempt to the next; longer than the tier's delay with its jitter.
const STEP_S: i64 = 70;
/// How far from its own clock a target takes a request (Standard Webhooks).
const TOLERANCE_S: i64 = 300;
/// Nothing that is waited for takes longer, or the test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time, in milliseconds, by the test's hand.
#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Delivers one message whose first two attempts fail, each attempt under the settings of its own, and gives what the
/// target got.
async fn three_attempts(body: &str, signing: [&str; 3]) -> [Signed; 3] {
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let read = |signing: &str| {
        let file = format!("{signing}\n[targets]\nallow = [\"{}\"]", target.address);
        Arc::new(Settings::read(&file, &|_| None).unwrap())
    };
    let clock = Hand(Arc::new(AtomicI64::new(START_S * 1_000)));
    let folder = tempfile::tempdir().unwrap();
    let options = Options { data: folder.path().to_owned(), ..Options::of(&read("")) };
    let store = Store::open(options, Arc::new(clock.clone())).unwrap();

    let ingress = Ingress::new(read(""), store.clone(), clock.clone(), SystemChance);
    let text = format!(r#"{{"subject":"s","message":{{"url":"{}"{body}}}}}"#, target.url("signed", "from/3"));
    let receipt = ingress.accept(&Caller::default(), Post { text: text.as_bytes(), key: None, trace: None }).await;
    let id = receipt.unwrap().id;

    for settings in signing.map(read) {
        store.look_at_the_clock();
        let leased = tokio::time::timeout(PATIENCE, store.lease()).await.unwrap();
        let caller = HttpTarget::new(settings.guard.clone(), Arc::new(SystemClock::start()));
        let dispatcher = Dispatcher::new(settings, caller, store.clone(), clock.clone(), NoControl);
        let until = clock.elapsed() + Duration::from_secs(60);
        assert!(Box::pin(dispatcher.run(&[leased], until)).await.is_empty());
        clock.0.fetch_add(STEP_S * 1_000, Ordering::SeqCst);
    }
    store.close();
    let calls = target.calls("signed");
    assert_eq!(calls.iter().map(Call::attempt).collect::<Vec<_>>(), [1, 2, 3]);
    let signed: Vec<Signed> = calls.iter().map(Signed::of).collect();
    for (n, (signed, settings)) in (0..).zip(signed.iter().zip(signing)) {
        // The message's id at every attempt, each attempt's own time; without a secret nothing.
        let seconds = (START_S + n * STEP_S).to_string();
        let [id, seconds] = if settings.is_empty() { ["", ""] } else { [id.as_str(), seconds.as_str()] };
        assert_eq!([signed.id.as_str(), signed.timestamp.as_str()], [id, seconds]);
    }
    signed.try_into().unwrap()
}

fn only(secret: &str) -> String {
    format!("[signing]\nsecret = \"{secret}\"")
}

#[tokio::test]
async fn each_attempt_is_verified_and_the_wrong_secret_is_not() {
    for body in [r#","body":{ "test" : 2432232314.0, "test":"ñ" }"#, r#","body":"日本 \u0000 text""#, ""] {
        let alone = only(OLD);
        for signed in three_attempts(body, [&alone, &alone, &alone]).await {
            assert_eq!(signed.verified_with(OLD).unwrap(), VERIFIED, "{signed:?}");
            assert_eq!(signed.verified_with(WRONG).unwrap(), NO_MATCH, "{signed:?}");
            let at = |seconds| signed.verified_after(OLD, seconds).unwrap();
            assert_eq!([at(TOLERANCE_S), at(-TOLERANCE_S)], [VERIFIED, VERIFIED]);
            assert_eq!(at(TOLERANCE_S + 1), "Message timestamp too old");
            assert_eq!(at(-TOLERANCE_S - 1), "Message timestamp too new");
        }
    }
}

/// A rotation in the middle of a message: a target may hold either secret while both sign.
#[tokio::test]
async fn a_rotation_loses_no_target() {
    let both = format!("{}\nprevious = \"{OLD}\"", only(NEW));
    let [before, between, after] = three_attempts(r#","body":[1]"#, [&only(OLD), &both, &only(NEW)]).await;
    for (signed, old, new) in [(before, VERIFIED, NO_MATCH), (between, VERIFIED, VERIFIED), (after, NO_MATCH, VERIFIED)]
    {
        assert_eq!(
            [OLD, NEW, WRONG].map(|secret| signed.verified_with(secret).unwrap()),
            [old, new, NO_MATCH],
            "{signed:?}"
        );
    }
}

#[tokio::test]
async fn a_host_s_own_secrets_replace_the_deployment_s() {
    let own = |host: &str| format!("{}\n[[signing.hosts]]\nhost = \"{host}\"\nsecret = \"{NEW}\"", only(OLD));
    let [own, other] = [own("127.0.0.1"), own("127.0.0.2")];
    let signed = three_attempts(r#","body":[1]"#, [&own, &other, ""]).await;
    assert_eq!([OLD, NEW].map(|secret| signed_with(&signed[0], secret)), [false, true]);
    assert_eq!([OLD, NEW].map(|secret| signed_with(&signed[1], secret)), [true, false]);
    assert_eq!(signed[2].signature, "", "without a secret nothing is signed");
}

fn signed_with(signed: &Signed, secret: &str) -> bool {
    signed.verified_with(secret).unwrap() == VERIFIED
}

#[tokio::test]
async fn no_flipped_bit_passes_both_signatures() {
    let both = format!("{}\nprevious = \"{OLD}\"", only(NEW));
    let [signed, ..] = three_attempts(r#","body":{"test": 2432232314}"#, [&both, &both, &both]).await;
    assert_eq!(signed.signatures(), 2);
    let asked = no_flipped_bit_passes(&signed, &[OLD, NEW]).unwrap();
    assert_eq!(asked, 2 * (7 * (signed.body.len() + signed.id.len() + 32) + signed.timestamp.len()));
}
