//! One check against 100,000 earlier submissions. `just bench-duplicates [SUBMISSIONS]`.
//!
//! Two corpora: one in which nobody is like anybody, and one in which all are near copies of the newcomer, the worst
//! that a scan can meet. Wanted: at most 50 ms a check.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use prism::duplicates::{Earlier, Index, Newcomer, Thresholds, check};
use prism::review::{self, Fingerprints, Roles};

const THRESHOLDS: Thresholds = Thresholds {
    source: 0.85,
    graph: 0.82,
    structure: 0.85,
};
const CHECKS: usize = 20;

/// xorshift: repeatable, and good enough for hashes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}

fn original() -> Fingerprints {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/duplicates/original");
    let files: BTreeMap<String, Vec<u8>> = ["architecture.py", "training.py"]
        .into_iter()
        .map(|name| (name.to_owned(), std::fs::read(root.join(name)).expect(name)))
        .collect();
    let roles = Roles {
        architecture: ("architecture.py", "build_model"),
        training: ("training.py", "train"),
        contract: prism::bundle::ContractVersion::V2,
    };
    review::fingerprints(&files, &roles).expect("Python")
}

/// The original with this share of its hashes replaced.
fn changed(original: &Fingerprints, percent: u32, random: &mut Random) -> Fingerprints {
    let mut copy = original.clone();
    copy.exact = u64::from(random.next());
    for set in [
        &mut copy.files,
        &mut copy.features,
        &mut copy.shingles,
        &mut copy.graph,
    ] {
        for hash in set.iter_mut() {
            if random.next() % 100 < percent {
                *hash = random.next();
            }
        }
        set.sort_unstable();
        set.dedup();
    }
    for gram in &mut copy.grams {
        if random.next() % 100 < percent {
            gram.hash = random.next();
        }
    }
    copy.grams.sort_unstable();
    copy
}

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse::<usize>().ok())
        .unwrap_or(100_000);
    let original = original();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("similarity.bin");
    for (title, percent) in [("nobody is like anybody", 70), ("all are near copies", 5)] {
        let mut random = Random(0x5eed);
        let mut index = Index::default();
        let mut accepted = Vec::with_capacity(count);
        for number in 0..count {
            let earlier = Earlier {
                id: format!("{number:024x}"),
                owner: None,
                accepted_at: format!("2026-01-01T{number:08}"),
            };
            accepted.push(earlier.clone());
            index.add(earlier, &changed(&original, percent, &mut random));
        }
        let start = Instant::now();
        index.save(&path).expect("a file");
        let saved = start.elapsed();
        let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let start = Instant::now();
        let index = Index::open(&path, accepted, &|_| None);
        let opened = start.elapsed();
        assert_eq!(index.len(), count);
        let earlier = changed(&original, percent, &mut random);
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..CHECKS {
            let newcomer = changed(&original, percent, &mut random);
            let newcomer = Newcomer {
                id: "newcomer",
                owner: None,
                fingerprints: &newcomer,
            };
            let start = Instant::now();
            let duplicate = check(&index, &newcomer, THRESHOLDS, &mut |_| {
                Some(earlier.clone())
            });
            times.push(start.elapsed());
            found += usize::from(duplicate.is_some());
        }
        times.sort_unstable();
        let slowest = times.last().copied().unwrap_or_default();
        let middle = times.get(times.len() / 2).copied().unwrap_or_default();
        let verdict = if slowest <= Duration::from_millis(50) {
            "holds"
        } else {
            "does not hold"
        };
        println!(
            "{title}: {count} earlier, file {:.1} MB, saved in {saved:.1?}, opened in {opened:.1?}; a check takes {middle:.1?} (median), {slowest:.1?} (slowest of {CHECKS}), {found} found; at most 50 ms: {verdict}",
            size as f64 / 1e6
        );
    }
}
