//! Bytes and letters without a pattern, the same at every run.

/// Bytes that no packer makes smaller: all values, so that escapes and base64 count (xorshift). The same seed gives
/// the same bytes.
#[must_use]
pub fn bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64 ^ seed.wrapping_mul(0x2545_F491_4F6C_DD1D);
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_body() {
        assert_eq!(bytes(1, 100), bytes(1, 100));
        assert_ne!(bytes(1, 100), bytes(2, 100));
        let mut seen = [false; 256];
        for byte in bytes(0, 10_000) {
            seen[usize::from(byte)] = true;
        }
        assert!(seen.iter().all(|seen| *seen), "every value is there");
    }
}
