//! Ids and digests: a message's id, its group in a queue, and what makes two entries one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::ports::Chance;
use crate::time::Timestamp;

/// The version of a UUID whose bytes are its maker's own business (RFC 9562).
const KEYED_VERSION: usize = 8;

/// base64url of SHA-256 over the parts with a zero byte between them, unpadded: 43 characters that are
/// legal in every id and key of AWS.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> String {
    URL_SAFE_NO_PAD.encode(hash(parts))
}

/// The 32 bytes of SHA-256 over the parts with a zero byte between them.
#[must_use]
pub fn bytes(parts: &[&str]) -> [u8; 32] {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    hash(&parts)
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            sha.update([0]);
        }
        sha.update(part);
    }
    sha.finalize().into()
}

/// The message group: messages of one subject of one tenant are one line.
#[must_use]
pub fn group_id(tenant: &str, subject: &str) -> String {
    digest(&[tenant.as_bytes(), subject.as_bytes()])
}

/// The message group of the callbacks about a subject's messages.
#[must_use]
pub fn callback_group_id(tenant: &str, subject: &str) -> String {
    digest(&[tenant.as_bytes(), subject.as_bytes(), b"callback"])
}

/// The id of the callback that tells of a message's end: the same, however often it is made.
#[must_use]
pub fn callback_id(id: &str, generation: u32) -> String {
    named_id(&["callback", id, &generation.to_string()])
}

/// What makes two entries one: the same move sent twice collapses, the next move never does.
/// `attempt` is the one that the entry is for; `hop` counts the moves that are not attempts.
#[must_use]
pub fn dedup_id(id: &str, generation: u32, attempt: u32, hop: u32) -> String {
    let [generation, attempt, hop] = [generation, attempt, hop].map(|n| n.to_string());
    digest(&[id.as_bytes(), generation.as_bytes(), attempt.as_bytes(), hop.as_bytes()])
}

/// The id of a message without an idempotency key: UUIDv7, from the wall clock and chance.
#[must_use]
pub fn new_id(now: Timestamp, chance: [u8; 10]) -> String {
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &chance).into_uuid().to_string()
}

/// The id of a message with an idempotency key: UUIDv8 from SHA-256 of the producer, the key and the
/// canonical envelope. The same key with another body is another message, and two producers never meet.
#[must_use]
pub fn keyed_id(producer: &str, key: &str, canonical: &[u8]) -> String {
    let body = Sha256::digest(canonical);
    first_of(hash(&[producer.as_bytes(), key.as_bytes(), &body]))
}

/// A reference for a producer's upload, of chance: nobody can guess it, and no other producer can name it.
#[must_use]
pub fn body_reference(producer: &str, chance: &impl Chance) -> String {
    let chance = [chance.ten_bytes(), chance.ten_bytes()].concat();
    let chance = URL_SAFE_NO_PAD.encode(chance);
    let owner = body_owner(producer, &chance);
    format!("{chance}.{owner}")
}

/// Whether a reference may have been given to this producer.
#[must_use]
pub fn is_body_reference(reference: &str, producer: &str) -> bool {
    let parts = reference.split_once('.').filter(|(chance, _)| chance.len() == BODY_CHANCE_CHARS);
    parts.is_some_and(|(chance, owner)| owner == body_owner(producer, chance))
}

/// Twenty bytes in base64.
const BODY_CHANCE_CHARS: usize = 27;

fn body_owner(producer: &str, chance: &str) -> String {
    digest(&[b"body", producer.as_bytes(), chance.as_bytes()])
}

/// The id of what is known by these parts: UUIDv8 from their SHA-256.
#[must_use]
pub fn named_id(parts: &[&str]) -> String {
    first_of(bytes(parts))
}

/// A UUIDv8 of the first bytes of a digest.
fn first_of(whole: [u8; 32]) -> String {
    let mut first = [0; 16];
    first.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    Builder::from_custom_bytes(first).into_uuid().to_string()
}

/// Whether an id is one of [`keyed_id`]: such an id is met again when the same message is posted again.
#[must_use]
pub fn is_keyed(id: &str) -> bool {
    Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == KEYED_VERSION)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_subject_gives_a_legal_group_id(tenant in ".{0,32}", subject in "\\PC{0,512}|(?s).{0,64}") {
            let group = group_id(&tenant, &subject);
            prop_assert_eq!(group.len(), 43);
            prop_assert!(group.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        }
    }

    #[test]
    fn each_part_of_a_move_makes_it_another_one() {
        let base = dedup_id("a", 1, 1, 0);
        assert_eq!(base, dedup_id("a", 1, 1, 0));
        for other in [dedup_id("b", 1, 1, 0), dedup_id("a", 2, 1, 0), dedup_id("a", 1, 2, 0), dedup_id("a", 1, 1, 1)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn an_upload_is_its_producer_s() {
        struct Sevens;
        impl Chance for Sevens {
            fn ten_bytes(&self) -> [u8; 10] {
                [7; 10]
            }
        }
        let reference = body_reference("crm", &Sevens);
        assert!(is_body_reference(&reference, "crm"), "{reference}");
        assert!(reference.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{reference}");
        assert!(!is_body_reference(&reference, "erp"));
        assert!(!is_body_reference(&reference.replace("Bw", "Bx"), "crm"));
        for other in ["", ".", "0193f0a0-0000-7000-8000-000000000001", reference.trim_end_matches(|c| c != '.')] {
            assert!(!is_body_reference(other, "crm"), "{other}");
        }
    }

    #[test]
    fn a_key_meets_itself_and_nobody_else() {
        let id = keyed_id("crm", "k", b"{}");
        assert_eq!(id, keyed_id("crm", "k", b"{}"));
        assert_eq!(id.as_bytes().get(14), Some(&b'8'), "version 8: {id}");
        for other in [keyed_id("erp", "k", b"{}"), keyed_id("crm", "l", b"{}"), keyed_id("crm", "k", b"{ }")] {
            assert_ne!(id, other);
        }
        let seven = new_id(Timestamp::from_millis(1_796_115_600_123), [7; 10]);
        assert_eq!(seven.as_bytes().get(14), Some(&b'7'), "version 7: {seven}");
        assert!(is_keyed(&id) && !is_keyed(&seven) && !is_keyed("") && !is_keyed("q-8"));
    }
}
