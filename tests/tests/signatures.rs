//! A target that knows the secret trusts what it gets, and nothing else: the store, the use cases and the client of
//! `chaski serve` deliver to a scripted target over two failed attempts and through a rotation, and PyPI's
//! standardwebhooks, which no one here wrote, verifies each request. Time passes by the test's hand, also the oracle's.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chaski_core::app::{Caller, Dispatcher, Ingress, Post};
use chaski_core::ports::{Clock, NoControl};
use chaski_core::settings::Settings;
use chaski_core::time::Timestamp;
use chaski_embedded::{Options, Store};
use chaski_http::HttpTarget;
use chaski_system::{SystemChance, SystemClock};
use chaski_tests::world::oracle;
use chaski_tests::world::target::{Call, Target};
use serde_json::json;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const WRONG: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// When the first attempt is made: 2021-02-25T15:02:10Z.
const START_S: i64 = 1_614_265_330;
/// From one attempt to the next; longer than the tier's delay with its jitter.
const STEP_S: i64 = 70;
/// How far from its own clock a target takes a request (Standard Webhooks).
const TOLERANCE_S: i64 = 300;
/// Nothing that is waited for takes longer, or the test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Verifies a request a line, at the time that the line says, and prints what the package says: `None` or the error.
const ORACLE: &str = r#"
import base64, datetime, json, sys
from standardwebhooks import webhooks

class Hand(datetime.datetime):
    at = 0
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(cls.at, tz)

webhooks.datetime = Hand
for line in sys.stdin:
    asked = json.loads(line)
    Hand.at = asked["now"]
    try:
        print(webhooks.Webhook(asked["secret"]).verify(base64.b64decode(asked["body"]), asked["headers"], json_parse=False))
    except webhooks.WebhookVerificationError as error:
        print(error)
"#;
const VERIFIED: &str = "None";
const NO_MATCH: &str = "No matching signature found";

/// What a target got, as the package is asked about it.
#[derive(Debug, Clone)]
struct Signed {
    id: String,
    timestamp: String,
    signature: String,
    body: Vec<u8>,
}

impl Signed {
    fn of(call: &Call) -> Self {
        let [id, timestamp, signature] =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| call.header(name).to_owned());
        Self { id, timestamp, signature, body: call.body.clone() }
    }

    fn seconds(&self) -> i64 {
        self.timestamp.parse().unwrap()
    }

    fn question(&self, secret: &str, now: i64) -> String {
        let headers = json!({
            "Webhook-Id": self.id, "Webhook-Timestamp": self.timestamp, "Webhook-Signature": self.signature,
        });
        let body = STANDARD.encode(&self.body);
        json!({"secret": secret, "headers": headers, "body": body, "now": now}).to_string() + "\n"
    }

    /// What the package says, at the time of the request.
    fn verified_with(&self, secret: &str) -> String {
        said(&self.question(secret, self.seconds())).remove(0)
    }
}

fn said(questions: &str) -> Vec<String> {
    let answers = oracle::ask(ORACLE, questions).unwrap();
    assert_eq!(answers.len(), questions.lines().count());
    answers
}

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
            assert_eq!(signed.verified_with(OLD), VERIFIED, "{signed:?}");
            assert_eq!(signed.verified_with(WRONG), NO_MATCH, "{signed:?}");
            let at = |now| said(&signed.question(OLD, signed.seconds() + now)).remove(0);
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
        assert_eq!([signed.verified_with(OLD), signed.verified_with(NEW)], [old, new], "{signed:?}");
        assert_eq!(signed.verified_with(WRONG), NO_MATCH);
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
    signed.verified_with(secret) == VERIFIED
}

/// The text with one bit flipped, once for each of the lower seven of every byte: ASCII stays ASCII.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).flat_map(move |n| (0..7).map(move |bit| (n, bit))).map(|(n, bit)| {
        let mut flipped = bytes.to_vec();
        flipped[n] ^= 1 << bit;
        flipped
    })
}

#[tokio::test]
async fn no_flipped_bit_passes() {
    let both = format!("{}\nprevious = \"{OLD}\"", only(NEW));
    let [signed, ..] = three_attempts(r#","body":{"test": 2432232314}"#, [&both, &both, &both]).await;
    let mut forged = Vec::new();
    forged.extend(flips(&signed.body).map(|body| Signed { body, ..signed.clone() }));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    forged.extend(flips(signed.id.as_bytes()).map(|id| Signed { id: text(id), ..signed.clone() }));
    // The lowest bit of a digit: the text stays a number. Those of high digits are refused as too old or too new.
    let digits = signed.timestamp.as_bytes();
    forged.extend((0..digits.len()).map(|n| {
        let mut digits = digits.to_vec();
        digits[n] ^= 1;
        Signed { timestamp: text(digits), ..signed.clone() }
    }));
    // Both signatures, each with a bit flipped: one that is right lets a request pass.
    let parts: Vec<Vec<u8>> =
        signed.signature.split(' ').map(|part| STANDARD.decode(part.strip_prefix("v1,").unwrap()).unwrap()).collect();
    assert_eq!(parts.len(), 2);
    forged.extend(flips(&parts[0]).zip(flips(&parts[1])).map(|(one, two)| {
        let signature = format!("v1,{} v1,{}", STANDARD.encode(one), STANDARD.encode(two));
        Signed { signature, ..signed.clone() }
    }));
    let expected = 7 * (signed.body.len() + signed.id.len() + 32) + digits.len();
    assert_eq!(forged.len(), expected);

    for secret in [OLD, NEW] {
        assert_eq!(signed.verified_with(secret), VERIFIED);
        let questions: String = forged.iter().map(|forged| forged.question(secret, signed.seconds())).collect();
        for (forged, said) in forged.iter().zip(said(&questions)) {
            let refused =
                said == NO_MATCH || said.starts_with("Message timestamp too") && forged.timestamp != signed.timestamp;
            assert!(refused, "{said}: {forged:?}");
        }
    }
}
