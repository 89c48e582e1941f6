//! Sets of hashes as sorted lists.

/// Bits by which one pass sorts.
const DIGIT_BITS: u32 = 8;
const DIGITS: usize = 1 << DIGIT_BITS;
const PASSES: usize = u32::BITS.div_ceil(DIGIT_BITS) as usize;
/// Below this, counting costs more than comparing.
const MIN_COUNTED: usize = 192;

/// Sorts and removes repetitions.
pub fn set(mut hashes: Vec<u32>) -> Vec<u32> {
    if hashes.len() < MIN_COUNTED {
        hashes.sort_unstable();
    } else {
        hashes = sorted_by_digits(hashes);
    }
    hashes.dedup();
    hashes
}

/// Radix sort: hashes are spread evenly, so that comparisons could not be foretold.
fn sorted_by_digits(mut hashes: Vec<u32>) -> Vec<u32> {
    let digit = |hash: u32, pass: usize| (hash >> (pass as u32 * DIGIT_BITS)) as usize % DIGITS;
    let mut starts = [[0usize; DIGITS]; PASSES];
    for hash in &hashes {
        for (pass, counts) in starts.iter_mut().enumerate() {
            counts[digit(*hash, pass)] += 1;
        }
    }
    let mut sorted = vec![0; hashes.len()];
    for (pass, starts) in starts.iter_mut().enumerate() {
        let mut next = 0;
        for start in starts.iter_mut() {
            next += std::mem::replace(start, next);
        }
        for hash in &hashes {
            let place = &mut starts[digit(*hash, pass)];
            sorted[*place] = *hash;
            *place += 1;
        }
        std::mem::swap(&mut hashes, &mut sorted);
    }
    hashes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn both_ways_of_sorting_agree(hashes in proptest::collection::vec(any::<u32>(), 0..2 * MIN_COUNTED), repeated in any::<u32>()) {
            let mut hashes = hashes;
            hashes.extend([repeated, repeated, 0, u32::MAX]);
            let mut expected = hashes.clone();
            expected.sort_unstable();
            prop_assert_eq!(&sorted_by_digits(hashes.clone()), &expected);
            expected.dedup();
            prop_assert_eq!(set(hashes), expected);
        }
    }
}
