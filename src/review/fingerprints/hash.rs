//! A small stable hash: the index on disk holds its values, so it may not change with a library or a process.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Takes one more word into a running hash.
pub fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER)
}

/// Hashes bytes, eight at a time.
pub fn bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(seed, bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    let rest = chunks.remainder().iter().rev();
    mix(
        hash,
        rest.fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    )
}

/// Spreads the bits of a running hash (the finaliser of MurmurHash3) and keeps 32 of them.
pub fn finish(mut hash: u64) -> u32 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_index_on_disk() {
        assert_eq!(finish(bytes(0, b"")), 0);
        assert_eq!(finish(bytes(1, b"")), 1107921001);
        assert_eq!(finish(bytes(1, b"forward")), 990133045);
        assert_ne!(bytes(1, b"a"), bytes(1, b"a\0"));
    }
}
