//! Archives that people really make.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use super::archives::{RawEntry, RawZip, deflated};
use super::{ARCHITECTURE, TRAINING, open_default, two_scripts};

const FILES: [(&str, &[u8]); 2] = [("architecture.py", ARCHITECTURE), ("training.py", TRAINING)];

#[test]
fn the_digest_depends_on_the_files_alone() {
    let stored = open_default(&two_scripts().build()).expect("stored");
    let packed = open_default(&deflated(&FILES)).expect("deflated");
    let reversed = RawZip::of(&[FILES[1], FILES[0]]);
    let reversed = open_default(&reversed.build()).expect("reversed");
    let foldered = RawZip::of(&[
        ("my-net/architecture.py", ARCHITECTURE),
        ("my-net/training.py", TRAINING),
    ]);
    let foldered = open_default(&foldered.build()).expect("one top folder");
    assert_ne!(stored.archive_sha256, packed.archive_sha256);
    for other in [&packed, &reversed, &foldered] {
        assert_eq!(other.digest, stored.digest);
        assert_eq!(other.files, stored.files);
    }
    assert_eq!(foldered.top_folder.as_deref(), Some("my-net"));
    assert_eq!(stored.top_folder, None);
    let mut more = two_scripts();
    more.add("notes.txt", b"");
    assert_ne!(
        open_default(&more.build()).expect("one more").digest,
        stored.digest
    );
}

#[test]
fn digest_of_a_known_bundle() {
    // sha256 over (u64 length, bytes) of path and content, computed with Python's hashlib.
    let zip = RawZip::of(&[("architecture.py", b"a\n"), ("training.py", b"b\n")]);
    let bundle = open_default(&zip.build()).expect("two scripts");
    assert_eq!(
        bundle.digest,
        "bb24ded8b52fc218de3b1fd668d1567c21a478bec0d3040b0ca632c0a4017837"
    );
}

#[test]
fn only_one_folder_common_to_all_files_is_removed() {
    let two = RawZip::of(&[
        ("a/b/architecture.py", ARCHITECTURE),
        ("a/b/training.py", TRAINING),
        ("a/b/prism.yaml", b""),
    ]);
    // `b` remains, so the defaults are not found.
    assert!(open_default(&two.build()).is_err());
    let mut beside = RawZip::of(&[
        ("a/architecture.py", ARCHITECTURE),
        ("a/training.py", TRAINING),
    ]);
    beside.add("__MACOSX/._a", b"");
    let mut folder = RawEntry::stored("a/", b"");
    folder.external_attributes = 0o040_755 << 16 | 0x10;
    beside.entries.insert(0, folder);
    let bundle = open_default(&beside.build()).expect("junk beside the folder");
    assert_eq!(bundle.top_folder.as_deref(), Some("a"));
    beside.add("README.md", b"");
    assert!(open_default(&beside.build()).is_err());
}

#[test]
fn a_stream_written_by_zip_rs() {
    let mut writer = zip::ZipWriter::new_stream(Vec::new());
    for (name, content) in FILES {
        writer
            .start_file(name, SimpleFileOptions::default())
            .expect("a name");
        writer.write_all(content).expect("memory");
    }
    let archive = writer.finish().expect("memory").into_inner();
    let bundle = open_default(&archive).expect("data descriptors");
    assert_eq!(bundle.files["architecture.py"], ARCHITECTURE);
}

#[test]
fn folders_and_modes_written_by_zip_rs() {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(0o600);
    writer.add_directory("net/", options).expect("a name");
    for (name, content) in FILES {
        writer
            .start_file(format!("net/{name}"), options)
            .expect("a name");
        writer.write_all(content).expect("memory");
    }
    let archive = writer.finish().expect("memory").into_inner();
    assert!(open_default(&archive).is_ok());
}

#[test]
fn a_folder_as_java_packs_it() {
    let mut zip = two_scripts();
    let mut folder = RawEntry::stored("parts/", b"");
    folder.method = 8;
    folder.packed = vec![3, 0];
    folder.external_attributes = 0;
    folder.local_extra = b"\xfe\xca\0\0".to_vec();
    zip.entries.push(folder);
    assert!(open_default(&zip.build()).is_ok());
}

#[test]
fn the_archive_is_described() {
    let archive = two_scripts().build();
    let bundle = open_default(&archive).expect("two scripts");
    assert_eq!(bundle.archive_bytes, archive.len() as u64);
    assert_eq!(bundle.archive_sha256.len(), 64);
    assert!(bundle.ignored.is_empty() && bundle.tokenizer.is_none());
}
