//! Hash tables for names that an author chose: fast on short keys, under a seed that no author knows.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// From the system's random numbers, once for each process.
static SEED: LazyLock<(u64, SharedSeed)> = LazyLock::new(|| {
    let number = || RandomState::new().build_hasher().finish();
    (number(), SharedSeed::from_u64(number()))
});

/// Makes the hashers of [`Table`] and [`Set`].
#[derive(Clone, Copy)]
pub struct Seeded(&'static (u64, SharedSeed));

impl Default for Seeded {
    fn default() -> Seeded {
        Seeded(&SEED)
    }
}

impl BuildHasher for Seeded {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> FoldHasher<'static> {
        FoldHasher::with_seed(self.0.0, &self.0.1)
    }
}

pub type Table<K, V> = HashMap<K, V, Seeded>;
pub type Set<T> = HashSet<T, Seeded>;

/// What the tables of most files hold.
const ROOM: usize = 112;

/// A table that does not grow for most files.
pub fn roomy_table<K, V>() -> Table<K, V> {
    Table::with_capacity_and_hasher(ROOM, Seeded::default())
}

/// A set that does not grow for most files.
pub fn roomy_set<T>() -> Set<T> {
    Set::with_capacity_and_hasher(ROOM, Seeded::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_hashes_alike() {
        let hash = |text: &str| Seeded::default().hash_one(text);
        assert_eq!(hash("forward"), hash("forward"));
        assert_ne!(hash("forward"), hash("backward"));
    }
}
