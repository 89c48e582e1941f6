//! The end of the file.

use super::super::{BundleError, StructureFault as Fault};
use super::{open_default, refusal, two_scripts};

fn fault(archive: &[u8]) -> (Fault, u64) {
    match refusal(archive) {
        BundleError::Structure { fault, offset, .. } => (fault, offset),
        other => panic!("not a structure fault: {other}"),
    }
}

#[test]
fn what_is_no_zip_says_what_it_begins_with() {
    let error = refusal(b"\x1f\x8b\x08\x00 a gzip file, rather");
    assert_eq!(
        error.to_string(),
        r#"not a zip archive: the file begins with "\u{1f}�\u{8}\0", expected "PK\x03\x04""#
    );
    assert_eq!(error.rule_id(), "prism:archive-not-zip");
    assert_eq!(refusal(b"P").rule_id(), "prism:archive-not-zip");
}

#[test]
fn zero_bytes_and_zero_entries_are_empty() {
    for archive in [
        b"".as_slice(),
        b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        assert_eq!(refusal(archive).rule_id(), "prism:archive-empty");
    }
}

#[test]
fn a_cut_upload_is_truncated_at_any_length() {
    let written = two_scripts().write();
    for length in 4..written.bytes.len() {
        let (got, _) = fault(&written.bytes[..length]);
        assert_eq!(got, Fault::Truncated, "cut to {length} bytes");
    }
}

#[test]
fn bytes_outside_the_archive_are_refused() {
    let written = two_scripts().write();
    let mut trailing = written.bytes.clone();
    trailing.push(b'\n');
    assert_eq!(
        fault(&trailing),
        (Fault::TrailingBytes, written.bytes.len() as u64)
    );

    let mut leading = b"#!/bin/sh\n".to_vec();
    leading.extend(&written.bytes);
    assert_eq!(
        fault(&leading),
        (Fault::LeadingBytes, written.end as u64 + 10)
    );

    // The same, with offsets that account for the prefix.
    let mut adjusted = leading.clone();
    for (index, &at) in written.central.iter().enumerate() {
        let offset = (written.local[index] + 10) as u32;
        adjusted[at + 10 + 42..at + 10 + 46].copy_from_slice(&offset.to_le_bytes());
    }
    let start = (written.central[0] + 10) as u32;
    adjusted[written.end + 10 + 16..written.end + 10 + 20].copy_from_slice(&start.to_le_bytes());
    assert_eq!(fault(&adjusted), (Fault::LeadingBytes, 10));
}

#[test]
fn only_a_commit_id_may_stand_as_comment() {
    let mut zip = two_scripts();
    zip.comment = b"0123456789abcdef0123456789abcdef01234567".to_vec();
    assert!(open_default(&zip.build()).is_ok());
    zip.comment = b"made with love".to_vec();
    let (got, at) = fault(&zip.build());
    assert_eq!(
        (got, at),
        (Fault::ArchiveComment, two_scripts().build().len() as u64)
    );
    // An end record hidden in the comment is the one that other readers would take.
    zip.comment = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    assert_eq!(fault(&zip.build()).0, Fault::CentralDirectoryPosition);
}

#[test]
fn the_end_record_must_describe_the_directory() {
    let written = two_scripts().write();
    let end = written.end;
    let start = written.central[0] as u32;
    let cases: [(usize, Vec<u8>, Fault); 8] = [
        (4, vec![1, 0], Fault::MultiDisk),
        (6, vec![1, 0], Fault::MultiDisk),
        (8, vec![1, 0], Fault::MultiDisk),
        (8, vec![1, 0, 1, 0], Fault::CentralDirectoryCount),
        (8, vec![3, 0, 3, 0], Fault::CentralDirectoryCount),
        (
            12,
            7u32.to_le_bytes().to_vec(),
            Fault::CentralDirectoryPosition,
        ),
        (
            16,
            (start + 1).to_le_bytes().to_vec(),
            Fault::CentralDirectoryPosition,
        ),
        (16, (start - 1).to_le_bytes().to_vec(), Fault::LeadingBytes),
    ];
    for (field, value, expected) in cases {
        let (got, _) = fault(&written.patched(end + field, &value));
        assert_eq!(got, expected, "field {field} = {value:?}");
    }
    // A second end record inside the directory.
    let mut zip = two_scripts();
    zip.entries[1].central_extra = b"\xfe\xca\x04\0PK\x05\x06".to_vec();
    assert_eq!(fault(&zip.build()).0, Fault::SecondEndRecord);
}

#[test]
fn zip64_is_refused_by_name() {
    let written = two_scripts().write();
    let saturated = written.patched(written.end + 16, &[0xff; 4]);
    let mut with_locator = written.bytes[..written.end].to_vec();
    with_locator.extend(b"PK\x06\x07");
    with_locator.extend([0; 16]);
    with_locator.extend(&written.bytes[written.end..]);
    let in_directory = written.patched(written.central[0] + 24, &[0xff; 4]);
    let mut zip = two_scripts();
    zip.entries[0].local_extra = b"\x01\0\x10\0                ".to_vec();
    for archive in [saturated, with_locator, in_directory, zip.build()] {
        let error = refusal(&archive);
        assert!(matches!(error, BundleError::Zip64 { .. }), "{error}");
        assert_eq!(error.rule_id(), "prism:archive-structure");
    }
}
