//! Byte-pair encoding of one word: the pair that was learned first is merged first, leftmost first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use foldhash::fast::FixedState;

/// Symbols up to which the quadratic search is faster than a heap.
const SHORT_SYMBOLS: usize = 64;
const NONE: u32 = u32::MAX;

/// What two adjacent ids become, and how early it was learned.
#[derive(Debug, Clone, Copy)]
struct Merge {
    rank: u32,
    id: u32,
}

/// The merges of a vocabulary.
#[derive(Debug, Default)]
pub struct Pairs {
    merges: HashMap<u64, Merge, FixedState>,
}

/// Memory that encoding uses again for every word.
#[derive(Debug, Default)]
pub struct Scratch {
    pub symbols: Vec<u32>,
    ranks: Vec<Merge>,
    next: Vec<u32>,
    previous: Vec<u32>,
    heap: BinaryHeap<Reverse<(u32, u32, u32, u32)>>,
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

impl Pairs {
    /// Adds a merge, learned after those added before; the first of a pair counts.
    pub fn add(&mut self, left: u32, right: u32, id: u32) {
        let rank = self.merges.len() as u32;
        self.merges
            .entry(key(left, right))
            .or_insert(Merge { rank, id });
    }

    fn of(&self, left: u32, right: u32) -> Merge {
        let none = Merge {
            rank: NONE,
            id: NONE,
        };
        self.merges.get(&key(left, right)).copied().unwrap_or(none)
    }

    /// Merges `scratch.symbols` and appends what is left to `ids`. O(n log n) in the symbols.
    pub fn merge(&self, scratch: &mut Scratch, ids: &mut Vec<u32>) {
        if scratch.symbols.len() <= SHORT_SYMBOLS {
            self.merge_short(scratch);
            ids.extend_from_slice(&scratch.symbols);
        } else {
            self.merge_long(scratch, ids);
        }
    }

    /// Looks for the earliest pair each time.
    fn merge_short(&self, scratch: &mut Scratch) {
        let Scratch { symbols, ranks, .. } = scratch;
        ranks.clear();
        ranks.extend(symbols.windows(2).map(|pair| self.of(pair[0], pair[1])));
        loop {
            let mut best = NONE;
            let mut place = 0;
            for (index, merge) in ranks.iter().enumerate() {
                if merge.rank < best {
                    (best, place) = (merge.rank, index);
                }
            }
            if best == NONE {
                return;
            }
            symbols[place] = ranks[place].id;
            symbols.remove(place + 1);
            ranks.remove(place);
            if place > 0 {
                ranks[place - 1] = self.of(symbols[place - 1], symbols[place]);
            }
            if place < ranks.len() {
                ranks[place] = self.of(symbols[place], symbols[place + 1]);
            }
        }
    }

    /// Keeps the pairs in a heap and the symbols in a linked list.
    fn merge_long(&self, scratch: &mut Scratch, ids: &mut Vec<u32>) {
        let Scratch {
            symbols,
            next,
            previous,
            heap,
            ..
        } = scratch;
        let count = symbols.len() as u32;
        next.clear();
        next.extend(1..=count);
        previous.clear();
        previous.extend((0..count).map(|index| index.wrapping_sub(1)));
        heap.clear();
        let offer = |heap: &mut BinaryHeap<_>, symbols: &[u32], left: u32, right: u32| {
            if let (Some(&a), Some(&b)) = (symbols.get(left as usize), symbols.get(right as usize))
            {
                let merge = self.of(a, b);
                if merge.rank != NONE {
                    heap.push(Reverse((merge.rank, left, a, b)));
                }
            }
        };
        for left in 0..count - 1 {
            offer(heap, symbols, left, left + 1);
        }
        while let Some(Reverse((_, left, first, second))) = heap.pop() {
            let (place, right) = (left as usize, next[left as usize]);
            // One of the two may have been merged meanwhile.
            if symbols[place] != first || symbols.get(right as usize) != Some(&second) {
                continue;
            }
            symbols[place] = self.of(first, second).id;
            symbols[right as usize] = NONE;
            next[place] = next[right as usize];
            if let Some(before) = previous.get_mut(next[place] as usize) {
                *before = left;
            }
            offer(heap, symbols, left, next[place]);
            offer(heap, symbols, previous[place], left);
        }
        ids.extend(symbols.iter().copied().filter(|&id| id != NONE));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// a b c d are 0 to 3.
    fn pairs() -> Pairs {
        let mut pairs = Pairs::default();
        for (left, right, id) in [
            (0, 0, 4),
            (0, 1, 5),
            (4, 4, 6),
            (5, 2, 7),
            (1, 0, 8),
            (6, 6, 9),
        ] {
            pairs.add(left, right, id);
        }
        pairs
    }

    fn by(merge: impl Fn(&Pairs, &mut Scratch, &mut Vec<u32>), symbols: &[u32]) -> Vec<u32> {
        let mut scratch = Scratch {
            symbols: symbols.to_vec(),
            ..Scratch::default()
        };
        let mut ids = Vec::new();
        merge(&pairs(), &mut scratch, &mut ids);
        ids
    }

    #[test]
    fn the_earliest_pair_is_merged_first() {
        for (symbols, ids) in [
            (&[0u32, 0, 0][..], &[4u32, 0][..]),
            (&[0, 0, 1, 2], &[4, 1, 2]),
            (&[2, 0, 1, 2], &[2, 7]),
            (&[1, 0, 1], &[1, 5]),
            (&[], &[]),
        ] {
            assert_eq!(by(Pairs::merge, symbols), ids);
        }
    }

    proptest! {
        #[test]
        fn both_ways_agree(symbols in proptest::collection::vec(0u32..4, 1..60)) {
            prop_assert_eq!(by(Pairs::merge_long, &symbols), by(Pairs::merge, &symbols));
        }
    }
}
