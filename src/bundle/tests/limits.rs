//! Sizes and counts.

use super::super::{Bundle, BundleError, Limits, StructureFault, open};
use super::archives::{RawZip, deflated};
use super::{ARCHITECTURE, TRAINING, refusal, two_scripts};

fn open_with(archive: &[u8], change: impl Fn(&mut Limits)) -> Result<Bundle, BundleError> {
    let mut limits = Limits::default();
    change(&mut limits);
    open(archive, &limits)
}

#[test]
fn a_hundred_megabytes_of_zeros_are_a_bomb() {
    let zeros = vec![0; 100_000_000];
    let archive = deflated(&[
        ("architecture.py", ARCHITECTURE),
        ("training.py", TRAINING),
        ("zeros.txt", &zeros),
    ]);
    let error = refusal(&archive);
    assert_eq!(error.rule_id(), "prism:archive-bomb");
    assert!(
        error.to_string().ends_with("at most 2000000 are accepted"),
        "{error}"
    );
}

#[test]
fn a_bomb_that_lies_about_its_size_stops_at_its_claim() {
    let zeros = vec![0; 10_000_000];
    let mut archive = deflated(&[("architecture.py", ARCHITECTURE), ("training.py", &zeros)]);
    let claim = 100u32.to_le_bytes();
    let real = 10_000_000u32.to_le_bytes();
    let places: Vec<usize> = (0..archive.len() - 4)
        .filter(|&at| archive[at..at + 4] == real)
        .collect();
    assert_eq!(places.len(), 2, "local header and directory");
    for at in places {
        archive[at..at + 4].copy_from_slice(&claim);
    }
    let error = refusal(&archive);
    assert!(
        matches!(
            error,
            BundleError::Structure {
                fault: StructureFault::Content,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn content_over_the_limit_without_a_bomb() {
    let archive = two_scripts().build();
    let error = open_with(&archive, |limits| limits.max_unpacked_bytes = 69).err();
    assert_eq!(
        error,
        Some(BundleError::ContentTooLarge {
            what: "unpacked content",
            got_bytes: 70,
            limit_bytes: 69,
        })
    );
    assert!(open_with(&archive, |limits| limits.max_unpacked_bytes = 70).is_ok());
}

#[test]
fn code_has_a_limit_of_its_own() {
    let mut zip = two_scripts();
    zip.add("notes.txt", &[b'x'; 1000]);
    let archive = zip.build();
    assert!(open_with(&archive, |limits| limits.max_code_bytes = 70).is_ok());
    let error = open_with(&archive, |limits| limits.max_code_bytes = 69).err();
    assert_eq!(
        error.as_ref().map(BundleError::rule_id),
        Some("prism:artifact-size")
    );
    assert_eq!(
        error.map(|error| error.to_string()),
        Some("Python code too large: got 70 bytes, at most 69 are accepted".to_owned())
    );
}

#[test]
fn the_archive_has_a_limit() {
    let archive = two_scripts().build();
    let limit = archive.len() as u64;
    assert!(open_with(&archive, |limits| limits.max_archive_bytes = limit).is_ok());
    let error = open_with(&archive, |limits| limits.max_archive_bytes = limit - 1).err();
    assert_eq!(
        error.as_ref().map(BundleError::rule_id),
        Some("prism:archive-too-large")
    );
}

#[test]
fn files_and_entries_are_counted() {
    let many = |files: usize| {
        let mut zip = two_scripts();
        for index in 2..files {
            zip.add(&format!("f{index}.txt"), b"");
        }
        zip.build()
    };
    assert!(open_with(&many(200), |_| {}).is_ok());
    let error = refusal(&many(201));
    assert_eq!(
        error.to_string(),
        "too many files: got 201, at most 200 are accepted"
    );
    let error = refusal(&many(1001));
    assert_eq!(
        error.to_string(),
        "too many entries: got 1001, at most 1000 are accepted"
    );
    assert_eq!(error.rule_id(), "prism:archive-too-many-files");
}

#[test]
fn nothing_but_directories_and_junk_is_empty() {
    let mut zip = RawZip::of(&[("folder/", b""), (".DS_Store", b"x")]);
    zip.entries[0].external_attributes = 0;
    let error = refusal(&zip.build());
    assert_eq!(error.rule_id(), "prism:archive-empty");
}

#[test]
fn limits_read_from_configuration_refuse_unknown_keys() {
    let limits: Result<Limits, _> = serde_yaml::from_str("max_files: 3");
    assert_eq!(
        limits
            .map(|limits| (limits.max_files, limits.max_depth))
            .ok(),
        Some((3, 8))
    );
    assert!(serde_yaml::from_str::<Limits>("max_filez: 3").is_err());
}
