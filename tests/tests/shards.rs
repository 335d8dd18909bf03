//! 10,000 random subjects land on the shard that an independent murmur3 says: PyPI's mmh3, which no one here wrote.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chaski_core::identity;
use chaski_core::route::shard_of;
use chaski_tests::world::oracle;

const SUBJECTS: u32 = 10_000;
const ORACLE: &str =
    "import sys, base64, mmh3\nfor line in sys.stdin: print(mmh3.hash(base64.b64decode(line), 0, signed=False))";

/// A subject of 1 to 64 characters of one to four bytes, the same at every run.
fn subject(n: u32) -> String {
    let noise = [0, 1, 2, 3].map(|part| identity::bytes(&["subject", &n.to_string(), &part.to_string()])).concat();
    let length = 1 + usize::from(noise[0]) % 64;
    let character = |byte: &u8| match byte % 4 {
        0 => char::from(b'a' + byte % 26),
        1 => char::from_u32(0xC0 + u32::from(*byte) % 0x40).unwrap(),
        2 => char::from_u32(0x65E5 + u32::from(*byte)).unwrap(),
        _ => char::from_u32(0x1F600 + u32::from(*byte) % 0x40).unwrap(),
    };
    noise.iter().cycle().skip(1).take(length).map(character).collect()
}

#[test]
fn ten_thousand_subjects_are_where_another_murmur3_puts_them() {
    let subjects: Vec<String> = (0..SUBJECTS).map(subject).collect();
    let lines: String = subjects.iter().map(|subject| STANDARD.encode(subject) + "\n").collect();
    let hashes: Vec<u32> = oracle::ask(ORACLE, &lines).unwrap().iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(hashes.len(), subjects.len());
    for (subject, hash) in subjects.iter().zip(hashes) {
        for shards in [1, 4, 7, 64] {
            assert_eq!(shard_of(subject, shards), hash % shards, "{subject:?} of {shards}");
        }
    }
}
