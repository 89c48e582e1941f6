//! Copies and honest neighbours of one submission, and the index on disk.

use std::collections::BTreeMap;

use super::likeness::{self, jaccard};
use super::{Duplicate, Earlier, Index, Kind, Newcomer, StoreError, Thresholds, check, store};
use crate::review::{self, Fingerprints, Roles};

const THRESHOLDS: Thresholds = Thresholds {
    source: 0.85,
    graph: 0.82,
    structure: 0.85,
};

type Files = BTreeMap<String, Vec<u8>>;

fn folder(path: &str) -> Files {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    ["architecture.py", "training.py"]
        .into_iter()
        .map(|name| (name.to_owned(), std::fs::read(root.join(name)).unwrap()))
        .collect()
}

fn original() -> Files {
    folder("tests/fixtures/duplicates/original")
}

fn prints(files: &Files) -> Fingerprints {
    let roles = Roles {
        architecture: ("architecture.py", "build_model"),
        training: ("training.py", "train"),
        contract: crate::bundle::ContractVersion::V2,
    };
    review::fingerprints(files, &roles).expect("Python")
}

fn text(files: &Files, name: &str) -> String {
    String::from_utf8(files[name].clone()).unwrap()
}

/// Replaces words in both scripts.
fn renamed(files: &Files, words: &[(&str, &str)]) -> Files {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    files
        .iter()
        .map(|(name, content)| {
            let mut text = String::new();
            let content = String::from_utf8(content.clone()).unwrap();
            let mut rest = content.as_str();
            while let Some(first) = rest.chars().next() {
                let length = if is_word(first) {
                    rest.find(|c| !is_word(c)).unwrap_or(rest.len())
                } else {
                    first.len_utf8()
                };
                let (word, after) = rest.split_at(length);
                let new = words.iter().find(|(old, _)| *old == word);
                text.push_str(new.map_or(word, |(_, new)| new));
                rest = after;
            }
            (name.clone(), text.into_bytes())
        })
        .collect()
}

const OTHER_NAMES: &[(&str, &str)] = &[
    ("Decay", "Fade"),
    ("Recurrence", "Scan"),
    ("Layer", "Stage"),
    ("RecurrentModel", "Net9"),
    ("raw", "theta"),
    ("inward", "w_in"),
    ("outward", "w_out"),
    ("decay", "fade"),
    ("first_norm", "n1"),
    ("second_norm", "n2"),
    ("recurrence", "scan"),
    ("widen", "up"),
    ("narrow", "down"),
    ("embed", "table"),
    ("layers", "stages"),
    ("layer", "stage"),
    ("reset", "start"),
    ("module", "part"),
    ("hidden", "h"),
    ("mixed", "y"),
    ("state", "s"),
    ("states", "ss"),
    ("position", "t"),
    ("value", "v"),
    ("gate", "g"),
    ("rate", "r"),
    ("rate_at", "schedule"),
    ("smoothed", "ema"),
    ("optimizer", "opt"),
    ("batch", "chunk"),
    ("progress", "done"),
    ("width", "dim"),
    ("WIDTH", "D"),
    ("DEPTH", "N"),
    ("RATE_FLOOR", "EPS"),
    ("PEAK", "LR"),
    ("WARM_STEPS", "W"),
    ("model", "learner"),
    ("group", "grp"),
];

fn padded(mut files: Files) -> Files {
    let mut text = text(&files, "architecture.py");
    for number in 0..40 {
        text.push_str(&format!(
            "\n\nclass Unused{number}(nn.Module):\n    def helper_{number}(self, a{number}, b{number}):\n        total_{number} = a{number}.cumsum({number}) @ b{number}.flip({number})\n        return torch.where(total_{number} > {number}, a{number}, b{number}).mean()\n"
        ));
    }
    files.insert("architecture.py".to_owned(), text.into_bytes());
    files
}

/// Other layout, comments, types and docstrings.
fn reformatted(files: &Files) -> Files {
    files
        .keys()
        .map(|name| {
            let text = text(files, name)
                .replace(": int", "")
                .replace(" -> torch.Tensor", "")
                .replace(", ", ",  ")
                .replace(" = ", "  =  ")
                .replace("\n\n\n", "\n\n# a comment\n\n\n\n")
                .replace("    def forward", "    # forward\n    def forward")
                .replace("'", "\"");
            (name.clone(), text.into_bytes())
        })
        .collect()
}

fn entry(id: &str, owner: Option<&str>, second: usize) -> Earlier {
    Earlier {
        id: id.to_owned(),
        owner: owner.map(str::to_owned),
        accepted_at: format!("2026-01-01T00:00:{second:02}.000Z"),
    }
}

/// Compares `new`, of nobody, with `earlier`, of somebody.
fn against(new: &Files, earlier: &Files) -> Option<Duplicate> {
    let (new, old) = (prints(new), prints(earlier));
    let mut index = Index::default();
    index.add(entry("earlier", Some("somebody"), 1), &old);
    let newcomer = Newcomer {
        id: "new",
        owner: None,
        fingerprints: &new,
    };
    check(&index, &newcomer, THRESHOLDS, &mut |_| Some(old.clone()))
}

#[test]
fn copies_are_recognised_under_other_names_layout_and_padding() {
    let original = original();
    let other_names = renamed(&original, OTHER_NAMES);
    let table: Vec<(&str, Files, Kind)> = vec![
        ("the same", original.clone(), Kind::Exact),
        ("another layout", reformatted(&original), Kind::Exact),
        ("other names", other_names.clone(), Kind::Exact),
        ("unused code", padded(original.clone()), Kind::Exact),
        (
            "all of it",
            padded(renamed(&reformatted(&original), OTHER_NAMES)),
            Kind::Exact,
        ),
        (
            "another width",
            renamed(&original, &[("96", "128")]),
            Kind::Near,
        ),
        (
            "other names and numbers",
            renamed(&other_names, &[("96", "64"), ("3", "7"), ("40", "90")]),
            Kind::Near,
        ),
    ];
    for (title, files, kind) in &table {
        let found = against(files, &original).unwrap_or_else(|| panic!("{title}: nothing"));
        assert_eq!(found.kind, *kind, "{title}: {found:?}");
        assert!(found.likeness.structure > 0.95, "{title}: {found:?}");
        assert!(!found.regions.is_empty(), "{title}");
    }
}

#[test]
fn padding_and_names_do_not_move_the_structure() {
    let plain = prints(&original());
    for files in [
        padded(original()),
        renamed(&original(), OTHER_NAMES),
        reformatted(&original()),
    ] {
        let other = prints(&files);
        let hashes = |prints: &Fingerprints| -> Vec<u32> {
            prints.grams.iter().map(|gram| gram.hash).collect()
        };
        assert_eq!(hashes(&other), hashes(&plain));
        assert_eq!(other.exact, plain.exact);
    }
    // which is more than the historical measures can say
    let likeness = likeness::of(&prints(&padded(original())), &plain);
    assert!(likeness.graph < 0.82, "{likeness:?}");
}

#[test]
fn other_work_is_no_copy() {
    let original = original();
    let other = folder("tests/fixtures/duplicates/other");
    assert_eq!(against(&other, &original), None);
    assert_eq!(against(&original, &other), None);
    // a training script that anybody would write around another model
    let mut mixed = other.clone();
    mixed.insert("training.py".to_owned(), original["training.py"].clone());
    assert_eq!(against(&mixed, &original), None);
    // too little to be anybody's
    let tiny: Files = BTreeMap::from([
        ("architecture.py".to_owned(), b"from torch import nn\n\n\ndef build_model(ctx):\n    return nn.Embedding(ctx.vocab_size, ctx.vocab_size)\n".to_vec()),
        ("training.py".to_owned(), b"def train(ctx):\n    for batch in ctx.iter_train_batches(ctx.build_model()):\n        pass\n".to_vec()),
    ]);
    assert!(against(&tiny, &original).is_none());
}

#[test]
fn examples_are_free_to_build_on() {
    let gru = folder("examples/gru");
    assert_eq!(against(&gru, &gru), None);
    let changed = renamed(&gru, &[("192", "256"), ("64", "96")]);
    assert_eq!(against(&changed, &gru), None);
    assert_eq!(against(&gru, &changed), None);
    // two people change one example each in their own way
    let narrower = renamed(&gru, &[("192", "128")]);
    assert_eq!(against(&narrower, &changed), None);
}

#[test]
fn own_earlier_work_is_exempt_and_the_earliest_wins() {
    let old = prints(&original());
    let mut index = Index::default();
    index.add(entry("first", Some("anna"), 1), &old);
    index.add(entry("second", Some("anna"), 2), &old);
    index.add(entry("third", None, 3), &old);
    let compare = |owner: Option<&str>, id: &str| {
        let newcomer = Newcomer {
            id,
            owner,
            fingerprints: &old,
        };
        check(&index, &newcomer, THRESHOLDS, &mut |_| Some(old.clone()))
            .map(|duplicate| duplicate.earlier)
    };
    assert_eq!(compare(None, "new").as_deref(), Some("first"));
    assert_eq!(compare(Some("bert"), "new").as_deref(), Some("first"));
    assert_eq!(compare(Some("anna"), "new").as_deref(), Some("third"));
    assert_eq!(compare(None, "first").as_deref(), Some("second"));
}

#[test]
fn regions_name_the_lines_on_both_sides() {
    let mut moved = original();
    let text = text(&moved, "architecture.py");
    moved.insert(
        "architecture.py".to_owned(),
        format!("# one\n# two\n# three\n{text}").into_bytes(),
    );
    let found = against(&moved, &original()).unwrap();
    for region in &found.regions {
        assert_eq!(region.new.path, region.earlier.path);
        let shift = if region.new.path == "architecture.py" {
            3
        } else {
            0
        };
        assert_eq!(region.new.first_line, region.earlier.first_line + shift);
        assert_eq!(region.new.last_line, region.earlier.last_line + shift);
    }
    let message = found.message();
    assert!(
        message.contains("submission earlier of 2026-01-01T00:00:01.000Z"),
        "{message}"
    );
    assert!(message.contains("architecture.py:"), "{message}");
}

#[test]
fn the_index_survives_restarts_and_is_made_anew_when_it_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(super::INDEX_FILE);
    let old = prints(&original());
    let fetched = std::sync::atomic::AtomicUsize::new(0);
    let fetch = |id: &str| {
        fetched.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (id != "gone").then(|| old.clone())
    };
    let open = |ids: &[&str]| {
        fetched.store(0, std::sync::atomic::Ordering::Relaxed);
        let accepted = ids
            .iter()
            .zip(0..)
            .map(|(id, second)| entry(id, None, second))
            .collect();
        let mut index = Index::open(&path, accepted, &fetch);
        index.save(&path).unwrap();
        (
            index.len(),
            fetched.load(std::sync::atomic::Ordering::Relaxed),
        )
    };
    assert_eq!(open(&["a", "b"]), (2, 2), "missing");
    assert_eq!(open(&["a", "b"]), (2, 0), "there");
    assert_eq!(open(&["a", "b", "c"]), (3, 1), "one is new");
    assert_eq!(open(&["b", "c"]), (2, 0), "one was removed");
    assert_eq!(open(&["b", "c", "gone"]), (2, 1), "one cannot be read");
    let whole = std::fs::read(&path).unwrap();
    let last = whole.len() - 40;
    let mut flipped = whole.clone();
    flipped[last] ^= 1;
    for (broken, expected) in [
        (b"".to_vec(), StoreError::Version),
        (whole[..whole.len() / 2].to_vec(), StoreError::Checksum),
        (flipped, StoreError::Checksum),
        (
            b"another file altogether, long enough to be one".to_vec(),
            StoreError::Version,
        ),
    ] {
        assert_eq!(store::decode(&broken).unwrap_err(), expected);
        std::fs::write(&path, &broken).unwrap();
        assert_eq!(open(&["b", "c"]), (2, 2), "{expected}");
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn jaccard_of_sets() {
    for (left, right, expected) in [
        (&[][..], &[][..], 1.0),
        (&[1], &[], 0.0),
        (&[1, 2, 3], &[2, 3, 4], 0.5),
        (&[1, 5], &[1, 5], 1.0),
    ] {
        assert_eq!(jaccard(left, right), expected, "{left:?} {right:?}");
    }
}
