//! A single change anywhere in a sealed folder is found.

use std::path::{Path, PathBuf};

use super::super::documents::Documents;
use super::super::folder::Folder;
use super::super::report::Outcome;
use super::super::seal;
use super::{RunVerdict, audited, fixture};

/// The part of an audit that covers every byte: files, digests, signature.
fn seal_holds(folder: &Path) -> bool {
    let folder = Folder::look(folder).unwrap();
    let (documents, problems) = Documents::read_seal(&folder);
    let sealed = seal::check(&folder, &documents, true, &[]);
    let checks = [
        folder.check(&sealed.listed),
        sealed.digests,
        sealed.signature,
    ];
    problems.is_empty() && checks.iter().all(|check| check.outcome != Outcome::Failed)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Every byte of every file, one bit of each; the whole audit for a sample of them.
#[test]
fn every_flipped_bit_is_found() {
    for signer in [Some(fixture::signer()), None] {
        let run = fixture::run(signer);
        assert!(seal_holds(&run.folder));
        let (mut flips, mut whole_audits) = (0_usize, 0);
        for path in files(&run.folder) {
            let whole = std::fs::read(&path).unwrap();
            let mut damaged = whole.clone();
            for at in 0..whole.len() {
                damaged[at] ^= 1 << (at % 8);
                std::fs::write(&path, &damaged).unwrap();
                assert!(!seal_holds(&run.folder), "{} at {at}", path.display());
                if flips.is_multiple_of(331) {
                    let audit = audited(&run.folder);
                    let is_found = audit.verdict == RunVerdict::Inconsistent;
                    assert!(is_found, "{} at {at}: {audit:#?}", path.display());
                    whole_audits += 1;
                }
                damaged[at] = whole[at];
                flips += 1;
            }
            std::fs::write(&path, &whole).unwrap();
        }
        assert!(
            flips > 15_000 && whole_audits > 40,
            "{flips}, {whole_audits}"
        );
        assert!(seal_holds(&run.folder));
    }
}

/// In the seal itself, which no other list covers: all eight bits.
#[test]
fn every_bit_of_the_seal_counts() {
    let run = fixture::run(Some(fixture::signer()));
    for name in ["digests.json", "signature.json"] {
        let path = run.folder.join(name);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                std::fs::write(&path, &damaged).unwrap();
                assert!(!seal_holds(&run.folder), "{name} at {at}, bit {bit}");
            }
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn files_that_go_come_shrink_or_grow_are_found() {
    for signer in [Some(fixture::signer()), None] {
        let run = fixture::run(signer);
        for path in files(&run.folder) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let whole = std::fs::read(&path).unwrap();
            let found = |what: &str| {
                let audit = audited(&run.folder);
                assert_eq!(audit.verdict, RunVerdict::Inconsistent, "{name} {what}");
                assert!(
                    super::told(&audit).contains(&name),
                    "{name} {what}: {audit:#?}"
                );
            };
            std::fs::remove_file(&path).unwrap();
            found("removed");
            for length in [0, 1, whole.len() / 2, whole.len() - 1] {
                std::fs::write(&path, &whole[..length]).unwrap();
                found("truncated");
            }
            std::fs::write(&path, [&whole[..], b"\n"].concat()).unwrap();
            found("longer");
            std::fs::write(&path, &whole).unwrap();
        }
        for name in ["extra.txt", ".hidden", "sub/extra.json"] {
            let path = run.folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            let audit = audited(&run.folder);
            assert_eq!(super::failed(&audit), ["files", "digests"], "{name}");
            assert!(super::told(&audit).contains(name));
            std::fs::remove_file(&path).unwrap();
        }
        // a removed signature is missed, because the list names its key
        assert!(seal_holds(&run.folder));
    }
}
