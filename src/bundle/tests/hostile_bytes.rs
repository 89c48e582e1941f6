//! Random and damaged archives: an answer, never a panic.

use proptest::prelude::*;

use super::super::manifest_guard;
use super::archives::deflated;
use super::{ARCHITECTURE, TRAINING, open_default, two_scripts};

fn valid_archives() -> [Vec<u8>; 2] {
    let prism: &[u8] = b"tokenizer: bytes\narchitecture:\n  entrypoint: architecture.py::f\n";
    [
        two_scripts().build(),
        deflated(&[
            ("n/architecture.py", ARCHITECTURE),
            ("n/training.py", TRAINING),
            ("n/prism.yaml", prism),
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = open_default(&bytes);
    }

    #[test]
    fn random_bytes_with_an_end_record(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        entries in 0u16..3,
        size in 0u32..300,
        start in 0u32..300,
    ) {
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend([entries.to_le_bytes(), entries.to_le_bytes()].concat());
        bytes.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
        bytes.extend([0, 0]);
        let _ = open_default(&bytes);
    }

    #[test]
    fn damaged_archives(
        which in 0usize..2,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = valid_archives()[which].clone();
        for (place, value) in edits {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(bundle) = open_default(&bytes) {
            // Times and versions may change unseen; content may not.
            let original = open_default(&valid_archives()[which]).expect("valid");
            prop_assert_eq!(bundle.digest, original.digest);
        }
    }

    #[test]
    fn manifests_that_pass_the_guard_unfold_to_nothing_larger(
        text in "[a-c:&*!<\\[\\]{}'\" \\-,|>#\n]{0,80}"
    ) {
        if manifest_guard::check(text.as_bytes()).is_ok()
            && let Ok(value) = serde_yaml::from_str::<serde_yaml::Value>(&text)
        {
            let written = serde_yaml::to_string(&value).unwrap_or_default();
            prop_assert!(!written.contains(": !") && !written.starts_with('!'), "{}", written);
        }
    }
}
