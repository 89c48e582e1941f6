//! Near-duplicates of val and test among the documents of train, found by MinHash and banding.
//!
//! A document is the set of its shingles: five words in a row. The share of shingles that two documents have in common is their
//! Jaccard similarity. One-permutation MinHash (Li, Owen, Zhang, "One Permutation Hashing", NIPS 2012; empty bins
//! filled by rotation, Shrivastava and Li, ICML 2014) keeps 128 minima, 16 bands of 8. Two documents whose bands agree
//! anywhere count as near-duplicates: with similarity s that happens with probability `1 - (1 - s^8)^16`, which is
//! 0.06 at s = 0.5, 0.61 at 0.7, 0.95 at 0.8 and 1 - 1e-4 at 0.9.

use serde_json::{Value, json};

/// Words in a shingle. A shorter document is one shingle.
pub const SHINGLE_WORDS: usize = 5;
/// Bands of a signature.
pub const BANDS: usize = 16;
/// Minima in a band.
pub const ROWS: usize = 8;
const BINS: usize = BANDS * ROWS;

/// What the manifest says of the method: with it, anybody can decide again which documents were left out.
pub fn rule() -> Value {
    json!({
        "method": "one-permutation MinHash over word shingles, any band equal",
        "word": "run of alphanumeric characters, in lower case",
        "shingle_words": SHINGLE_WORDS,
        "bands": BANDS,
        "rows": ROWS,
        "hash": "word: FNV-1a 64; n of them: h = n, then h = rotl((h xor word) * 0x9e3779b97f4a7c15, 29) for each, then splitmix64's finaliser",
    })
}

/// One hash per band. No bands (all zero) for a text without words: it is compared exactly only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bands(pub [u64; BANDS]);

impl Bands {
    /// The bands of a text.
    pub fn of(text: &str) -> Self {
        let mut minima = [u64::MAX; BINS];
        let mut window = [0u64; SHINGLE_WORDS];
        let mut words = 0usize;
        let mut add = |shingle: u64| {
            // The upper 7 bits choose the bin, the others compete in it.
            let bin = (shingle >> (64 - BINS.trailing_zeros())) as usize;
            let value = shingle & (u64::MAX >> BINS.trailing_zeros());
            minima[bin] = minima[bin].min(value);
        };
        for_each_word(text, |word| {
            window[words % SHINGLE_WORDS] = word;
            words += 1;
            if words >= SHINGLE_WORDS {
                add(shingle(&window, words % SHINGLE_WORDS, SHINGLE_WORDS));
            }
        });
        if words == 0 {
            return Self([0; BANDS]);
        }
        if words < SHINGLE_WORDS {
            add(shingle(&window, 0, words));
        }
        fill_empty_bins(&mut minima);
        let mut bands = [0; BANDS];
        for (index, (band, rows)) in bands.iter_mut().zip(minima.chunks(ROWS)).enumerate() {
            let hash = rows
                .iter()
                .fold(index as u64 + 1, |hash, &row| combine(hash, row));
            // Zero means "no bands".
            *band = finish(hash).max(1);
        }
        Self(bands)
    }

    fn is_none(&self) -> bool {
        self.0 == [0; BANDS]
    }
}

/// Calls `each` with the hash of every word.
fn for_each_word(text: &str, mut each: impl FnMut(u64)) {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = START;
    let mut inside = false;
    let mut character = |char: char| {
        if char.is_alphanumeric() {
            inside = true;
            if char.is_ascii() {
                let byte = char.to_ascii_lowercase() as u8;
                hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
            } else {
                for lower in char.to_lowercase() {
                    for &byte in lower.encode_utf8(&mut [0; 4]).as_bytes() {
                        hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
                    }
                }
            }
        } else if inside {
            each(hash);
            hash = START;
            inside = false;
        }
    };
    text.chars().for_each(&mut character);
    // The end of the text ends its last word.
    character(' ');
}

/// Hash of `count` words of the ring `window`, from `first` on.
fn shingle(window: &[u64; SHINGLE_WORDS], first: usize, count: usize) -> u64 {
    let hash = (0..count).fold(count as u64, |hash, offset| {
        combine(hash, window[(first + offset) % SHINGLE_WORDS])
    });
    finish(hash)
}

fn combine(hash: u64, word: u64) -> u64 {
    (hash ^ word)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
}

/// The finaliser of splitmix64: every bit of the input moves every bit of the output.
fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// An empty bin takes the next full one to its right, marked by the distance.
fn fill_empty_bins(minima: &mut [u64; BINS]) {
    let full = *minima;
    for (bin, minimum) in minima.iter_mut().enumerate() {
        let mut distance = 0u64;
        while full[(bin + distance as usize) % BINS] == u64::MAX && distance < BINS as u64 {
            distance += 1;
        }
        *minimum = full[(bin + distance as usize) % BINS].wrapping_add(distance << 57);
    }
}

/// The bands of the documents of val and test: 128 bytes for each.
#[derive(Debug, Default)]
pub struct SecretBands {
    hashes: Vec<u64>,
}

impl SecretBands {
    pub fn add(&mut self, bands: &Bands) {
        if !bands.is_none() {
            self.hashes.extend(bands.0);
        }
    }

    /// Ends the adding.
    pub fn close(mut self) -> SecretIndex {
        use rayon::slice::ParallelSliceMut;
        self.hashes.par_sort_unstable();
        self.hashes.dedup();
        let prefixes = 1u64 << PREFIX_BITS;
        let start = |prefix: u64| {
            self.hashes
                .partition_point(|hash| hash >> (64 - PREFIX_BITS) < prefix)
        };
        SecretIndex {
            starts: (0..=prefixes).map(start).collect(),
            hashes: self.hashes,
        }
    }
}

/// Bits of a hash that lead to its neighbourhood: 65,536 of them, so that a search touches a few lines of memory.
const PREFIX_BITS: u32 = 16;

/// What train is compared with.
#[derive(Debug)]
pub struct SecretIndex {
    hashes: Vec<u64>,
    /// Where the hashes of each prefix begin.
    starts: Vec<usize>,
}

impl SecretIndex {
    /// Whether a document shares a band with any of val or test. (The number of the band is part of its hash.)
    pub fn resembles(&self, bands: &Bands) -> bool {
        let known = |hash: &u64| {
            let prefix = (hash >> (64 - PREFIX_BITS)) as usize;
            let neighbours = self.starts[prefix]..self.starts[prefix + 1];
            self.hashes[neighbours].binary_search(hash).is_ok()
        };
        !bands.is_none() && bands.0.iter().any(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that depend on a number only.
    fn words(seed: u64, count: u64) -> Vec<String> {
        (0..count)
            .map(|n| format!("w{}", finish(seed * 1_000_003 + n) % 50_000))
            .collect()
    }

    fn found(secret: &str, train: &str) -> bool {
        let mut bands = SecretBands::default();
        bands.add(&Bands::of(secret));
        bands.close().resembles(&Bands::of(train))
    }

    #[test]
    fn case_space_and_punctuation_make_no_difference() {
        let text = "The quick brown fox jumps over the lazy dog, ÉTÉ after été.";
        let other = "the  QUICK brown\nfox jumps; over the lazy dog été after Été";
        assert_eq!(Bands::of(text), Bands::of(other));
        assert!(!found(text, "the quick brown dog jumps over the lazy fox"));
    }

    #[test]
    fn texts_without_words_resemble_nothing() {
        assert!(!found("!!! …", "!!! …"));
        assert!(!found("", "word"));
        assert!(found("one two", "One. Two."));
    }

    /// Documents in which `changed` of 400 words are others, in one stretch.
    fn share_found(changed: usize) -> f64 {
        let rounds = 200;
        let hits = (0..rounds)
            .filter(|&round| {
                let secret = words(round, 400);
                let mut train = secret.clone();
                train.splice(100..100 + changed, words(round + 10_000, changed as u64));
                found(&secret.join(" "), &train.join(" "))
            })
            .count();
        hits as f64 / rounds as f64
    }

    #[test]
    fn likeness_decides() {
        // Jaccard of n changed words: (396 - n - 4) / (396 + n + 4).
        assert!(share_found(10) > 0.99, "s = 0.93");
        assert!(share_found(40) > 0.85, "s = 0.80");
        assert!(share_found(200) < 0.15, "s = 0.32");
        assert_eq!(share_found(300), 0.0, "s = 0.13");
    }

    /// From an implementation of [`rule`] in Python.
    #[test]
    fn the_bands_of_a_text_never_change() {
        let bands = Bands::of("It is a truth universally acknowledged, that a single man");
        assert_eq!(bands.0[0], 0x590da43e98dee590);
        assert_eq!(bands.0[15], 0xab54f48eb146c47c);
    }
}
