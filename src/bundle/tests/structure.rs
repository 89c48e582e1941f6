//! Local headers, directory, and the space between.

use super::super::{BundleError, StructureFault as Fault};
use super::archives::{RawEntry, RawZip};
use super::{ARCHITECTURE, TRAINING, open_default, refusal, two_scripts};

fn fault(archive: &[u8]) -> Fault {
    match refusal(archive) {
        BundleError::Structure { fault, .. } => fault,
        other => panic!("not a structure fault: {other}"),
    }
}

#[test]
fn local_header_and_directory_must_agree() {
    let written = two_scripts().write();
    let second = written.local[1];
    // Offset in the local header, what to write there.
    let cases: [(usize, &[u8]); 6] = [
        (6, &[1 << 1, 0]),
        (8, &[8, 0]),
        (14, &[1, 2, 3, 4]),
        (18, &[1, 0, 0, 0]),
        (22, &[1, 0, 0, 0]),
        (30, b"T"),
    ];
    for (field, value) in cases {
        let archive = written.patched(second + field, value);
        assert_eq!(fault(&archive), Fault::HeaderMismatch, "field {field}");
    }
    let error = refusal(&written.patched(second + 14, &[0; 4]));
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "broken archive at byte {second}: local header differs"
        )),
        "{text}"
    );
    assert!(text.contains("got CRC-32 0, expected CRC-32 "), "{text}");
}

#[test]
fn records_begin_with_their_signatures() {
    let written = two_scripts().write();
    for at in [
        written.local[0],
        written.local[1],
        written.central[0],
        written.central[1],
    ] {
        assert_eq!(
            fault(&written.patched(at + 2, &[9])),
            Fault::Signature,
            "byte {at}"
        );
    }
}

#[test]
fn entries_fill_the_file_without_overlap_or_gap() {
    // Both entries at byte 0.
    let written = two_scripts().write();
    let same = written.patched(written.central[1] + 42, &[0; 4]);
    assert_eq!(fault(&same), Fault::Overlap);
    // Quoted overlap: the first entry's data swallows the second entry whole.
    let mut quoted = written.bytes.clone();
    let inner = written.central[0] - written.local[1];
    let size = ((ARCHITECTURE.len() + inner) as u32).to_le_bytes();
    for at in [written.local[0] + 18, written.local[0] + 22] {
        quoted[at..at + 4].copy_from_slice(&size);
    }
    for at in [written.central[0] + 20, written.central[0] + 24] {
        quoted[at..at + 4].copy_from_slice(&size);
    }
    assert_eq!(fault(&quoted), Fault::Overlap);
    // Data beyond the directory.
    let mut beyond = two_scripts().write();
    let large = 1_000_000u32.to_le_bytes();
    for at in [
        beyond.local[1] + 18,
        beyond.local[1] + 22,
        beyond.central[1] + 20,
        beyond.central[1] + 24,
    ] {
        beyond.bytes[at..at + 4].copy_from_slice(&large);
    }
    assert_eq!(fault(&beyond.bytes), Fault::Overrun);
    // Bytes after the data that no flag announces, between entries and before the directory.
    for index in [0, 1] {
        let mut zip = two_scripts();
        zip.entries[index].descriptor = b"hidden".to_vec();
        assert_eq!(fault(&zip.build()), Fault::Gap, "after entry {index}");
    }
    // An entry that only the file knows, not the directory.
    let mut zip = RawZip::of(&[("hidden.py", b"x = 1\n")]);
    zip.entries.extend(two_scripts().entries);
    let mut written = zip.write();
    let skipped = written.central[1] - written.central[0];
    written.bytes.drain(written.central[0]..written.central[1]);
    let end = written.end - skipped;
    let directory_bytes = (end - written.central[0]) as u32;
    written.bytes[end + 8..end + 12].copy_from_slice(&[2, 0, 2, 0]);
    written.bytes[end + 12..end + 16].copy_from_slice(&directory_bytes.to_le_bytes());
    assert_eq!(fault(&written.bytes), Fault::LeadingBytes);
}

#[test]
fn the_directory_may_list_entries_in_another_order() {
    let mut written = two_scripts().write();
    let (first, second) = (written.central[0], written.central[1]);
    let moved: Vec<u8> = written.bytes[first..second].to_vec();
    written.bytes.drain(first..second);
    let at = written.end - moved.len();
    written.bytes.splice(at..at, moved);
    assert!(open_default(&written.bytes).is_ok());
}

#[test]
fn streamed_entries_need_a_descriptor_that_agrees() {
    for signature in [true, false] {
        let zip = RawZip {
            entries: vec![
                RawEntry::streamed("architecture.py", ARCHITECTURE, signature),
                RawEntry::streamed("training.py", TRAINING, signature),
            ],
            comment: Vec::new(),
        };
        let bundle = open_default(&zip.build()).expect("a streamed archive");
        assert_eq!(bundle.files["training.py"], TRAINING);

        let mut wrong = zip.clone();
        if let Some(last) = wrong.entries[0].descriptor.last_mut() {
            *last ^= 1;
        }
        assert_eq!(fault(&wrong.build()), Fault::DataDescriptor);

        let mut short = zip.clone();
        short.entries[1].descriptor.pop();
        assert_eq!(fault(&short.build()), Fault::DataDescriptor);

        let mut unannounced = zip;
        unannounced.entries[0].flags = 0;
        unannounced.entries[0].deferred = false;
        assert_eq!(fault(&unannounced.build()), Fault::Gap);
    }
    let mut no_signature = two_scripts();
    no_signature.entries[0] = RawEntry::streamed("architecture.py", ARCHITECTURE, true);
    no_signature.entries[0].descriptor[0] = b'X';
    assert_eq!(fault(&no_signature.build()), Fault::Signature);
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let mut zip = two_scripts();
    zip.entries[0].unpacked_bytes += 1;
    assert_eq!(fault(&zip.build()), Fault::DeclaredSize);
    let mut zip = two_scripts();
    zip.entries.push(RawEntry::stored("folder/", b"smuggled"));
    zip.entries[2].external_attributes = 0;
    assert_eq!(fault(&zip.build()), Fault::DeclaredSize);
}

#[test]
fn flags_methods_and_encryption() {
    let with = |change: fn(&mut RawEntry)| {
        let mut zip = two_scripts();
        change(&mut zip.entries[0]);
        refusal(&zip.build())
    };
    for encrypted in [
        with(|entry| entry.flags = 1),
        with(|entry| entry.flags = 1 << 6),
        with(|entry| entry.flags = 1 << 13),
    ] {
        assert_eq!(encrypted.rule_id(), "prism:archive-encrypted");
    }
    let patched = with(|entry| entry.flags = 1 << 5);
    assert!(matches!(
        patched,
        BundleError::Structure {
            fault: Fault::Flags,
            ..
        }
    ));
    let bzip2 = with(|entry| entry.method = 12);
    assert!(
        matches!(bzip2, BundleError::Method { got: 12, .. }),
        "{bzip2}"
    );
}

#[test]
fn extra_fields_must_be_whole_and_harmless() {
    let extra = |bytes: &[u8], central: bool| {
        let mut zip = two_scripts();
        let entry = &mut zip.entries[0];
        if central {
            entry.central_extra = bytes.to_vec();
        } else {
            entry.local_extra = bytes.to_vec();
        }
        zip.build()
    };
    let unicode_path = b"\x75\x70\x0c\0\x01\0\0\0\0evil.py";
    let refused: [&[u8]; 6] = [
        unicode_path,
        b"\x75\x63\0\0",
        b"\x17\0\0\0",
        b"\x01\x99\0\0",
        b"\xfe\xca\x05\0abc",
        b"\xfe\xca\0",
    ];
    for bytes in refused {
        for central in [false, true] {
            assert_eq!(
                fault(&extra(bytes, central)),
                Fault::ExtraField,
                "{bytes:?}"
            );
        }
    }
    // Extended timestamps of Info-ZIP, and Java's empty marker.
    for bytes in [b"UT\x05\0\x01\0\0\0\0".as_slice(), b"\xfe\xca\0\0"] {
        assert!(open_default(&extra(bytes, false)).is_ok(), "{bytes:?}");
    }
}

#[test]
fn comments_names_and_disks_of_entries() {
    let mut zip = two_scripts();
    zip.entries[0].comment = b"hello".to_vec();
    assert_eq!(fault(&zip.build()), Fault::EntryComment);
    let written = two_scripts().write();
    assert_eq!(
        fault(&written.patched(written.central[1] + 34, &[1])),
        Fault::MultiDisk
    );
    let zip = RawZip::of(&[("", b"")]);
    assert_eq!(fault(&zip.build()), Fault::EmptyName);
}

#[test]
fn content_must_match_its_checksum() {
    let written = two_scripts().write();
    let data = written.local[1] + 30 + "training.py".len();
    let error = refusal(&written.patched(data, b"D"));
    assert!(
        matches!(
            error,
            BundleError::Structure {
                fault: Fault::Content,
                ..
            }
        ),
        "{error}"
    );
    // A deflate stream that ends early.
    let mut zip = two_scripts();
    zip.entries[0].method = 8;
    zip.entries[0].packed = vec![3, 0];
    assert_eq!(fault(&zip.build()), Fault::Content);
    // A deflate stream that is none.
    zip.entries[0].packed = vec![0xff; 40];
    assert_eq!(fault(&zip.build()), Fault::Content);
}
