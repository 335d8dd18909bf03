//! What a target thinks of the signatures that it gets: PyPI's standardwebhooks, which no one here wrote, is asked.

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::oracle;
use super::target::Call;

/// A secret.
pub const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The one that takes its place.
pub const NEW: &str = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
/// One that nobody signs with.
pub const WRONG: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// What the package says of what it trusts.
pub const VERIFIED: &str = "None";
/// What it says of a signature of another secret, or of another text.
pub const NO_MATCH: &str = "No matching signature found";
/// How it begins to speak of a request of another time.
const OF_ANOTHER_TIME: &str = "Message timestamp too";

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

/// What a target got, as the package is asked about it.
#[derive(Debug, Clone)]
pub struct Signed {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Signed {
    /// Of a request.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        let [id, timestamp, signature] =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| call.header(name).to_owned());
        Self { id, timestamp, signature, body: call.body.clone() }
    }

    /// When it was signed, in seconds since 1970.
    ///
    /// # Errors
    /// It does not say.
    pub fn seconds(&self) -> anyhow::Result<i64> {
        self.timestamp.parse().with_context(|| format!("no time: {self:?}"))
    }

    /// How many signatures it has.
    #[must_use]
    pub fn signatures(&self) -> usize {
        self.signature.split(' ').filter(|part| !part.is_empty()).count()
    }

    /// What the package says to a holder of the secret, at the time of the request.
    ///
    /// # Errors
    /// It can't be asked.
    pub fn verified_with(&self, secret: &str) -> anyhow::Result<String> {
        self.verified_after(secret, 0)
    }

    /// The same, so many seconds after the time of the request.
    ///
    /// # Errors
    /// It can't be asked.
    pub fn verified_after(&self, secret: &str, seconds: i64) -> anyhow::Result<String> {
        let said = ask(&[self.question(secret, self.seconds()? + seconds)])?;
        said.into_iter().next().context("nothing was said")
    }

    fn question(&self, secret: &str, now: i64) -> String {
        let headers = json!({
            "Webhook-Id": self.id, "Webhook-Timestamp": self.timestamp, "Webhook-Signature": self.signature,
        });
        let body = STANDARD.encode(&self.body);
        json!({"secret": secret, "headers": headers, "body": body, "now": now}).to_string() + "\n"
    }
}

fn ask(questions: &[String]) -> anyhow::Result<Vec<String>> {
    let answers = oracle::ask(ORACLE, &questions.concat())?;
    ensure!(answers.len() == questions.len(), "{} answers to {} questions", answers.len(), questions.len());
    Ok(answers)
}

/// What the package says of each, to a holder of the secret at the time of the request.
///
/// # Errors
/// It can't be asked.
pub fn verified(all: &[Signed], secret: &str) -> anyhow::Result<Vec<String>> {
    let question = |signed: &Signed| anyhow::Ok(signed.question(secret, signed.seconds()?));
    ask(&all.iter().map(question).collect::<anyhow::Result<Vec<_>>>()?)
}

/// The text with one bit flipped, once for each of the lower seven of every byte: ASCII stays ASCII.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).flat_map(move |n| (0..7).map(move |bit| (n, bit))).map(|(n, bit)| {
        let mut flipped = bytes.to_vec();
        if let Some(byte) = flipped.get_mut(n) {
            *byte ^= 1 << bit;
        }
        flipped
    })
}

/// The request with a bit flipped in its body, its id, its time, or in every signature that it has: one that is right
/// lets a request pass.
fn forged(signed: &Signed) -> anyhow::Result<Vec<Signed>> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).context("no text");
    let mut forged: Vec<Signed> = flips(&signed.body).map(|body| Signed { body, ..signed.clone() }).collect();
    for id in flips(signed.id.as_bytes()) {
        forged.push(Signed { id: text(id)?, ..signed.clone() });
    }
    // The lowest bit of a digit: the text stays a number. Those of high digits are refused as too old or too new.
    for digits in flips(signed.timestamp.as_bytes()).step_by(7) {
        forged.push(Signed { timestamp: text(digits)?, ..signed.clone() });
    }
    let part = |part: &str| {
        let bytes = part.strip_prefix("v1,").context("another kind of signature")?;
        anyhow::Ok(STANDARD.decode(bytes)?)
    };
    let parts = signed.signature.split(' ').map(part).collect::<anyhow::Result<Vec<_>>>()?;
    let mut each: Vec<_> = parts.iter().map(|part| flips(part)).collect();
    loop {
        let flipped: Vec<Vec<u8>> = each.iter_mut().filter_map(Iterator::next).collect();
        if flipped.is_empty() {
            break;
        }
        let signature: Vec<String> = flipped.iter().map(|part| format!("v1,{}", STANDARD.encode(part))).collect();
        forged.push(Signed { signature: signature.join(" "), ..signed.clone() });
    }
    let bits = 7 * (signed.body.len() + signed.id.len() + parts.first().map_or(0, Vec::len)) + signed.timestamp.len();
    ensure!(forged.len() == bits && !parts.is_empty(), "{} forgeries of {bits} bits", forged.len());
    Ok(forged)
}

/// What these secrets verify they refuse with any bit of it flipped; how often they were asked.
///
/// # Errors
/// One passes, or the request does not as it is.
pub fn no_flipped_bit_passes(signed: &Signed, secrets: &[&str]) -> anyhow::Result<usize> {
    let forged = forged(signed)?;
    for secret in secrets {
        ensure!(signed.verified_with(secret)? == VERIFIED, "{signed:?}");
        // At the time of the request, whatever they say of theirs.
        let now = signed.seconds()?;
        let questions: Vec<String> = forged.iter().map(|forged| forged.question(secret, now)).collect();
        for (forged, said) in forged.iter().zip(ask(&questions)?) {
            let of_another_time = said.starts_with(OF_ANOTHER_TIME) && forged.timestamp != signed.timestamp;
            ensure!(said == NO_MATCH || of_another_time, "{said}: {forged:?}");
        }
    }
    Ok(forged.len() * secrets.len())
}
