//! Names and file types of entries.

use super::super::{BundleError, PathFault as Fault};
use super::archives::{RawEntry, RawZip};
use super::{open_default, refusal, two_scripts};

/// The two scripts and one entry more.
fn with_entry(name: &[u8]) -> RawZip {
    let mut zip = two_scripts();
    let mut entry = RawEntry::stored("", b"");
    entry.name = name.to_vec();
    entry.external_attributes = 0;
    zip.entries.push(entry);
    zip
}

#[test]
fn names_that_are_refused() {
    let long = format!("{}.py", "a".repeat(198));
    let cases: [(&[u8], Fault); 32] = [
        (b"../evil.py", Fault::ParentSegment),
        (b"a/../../evil.py", Fault::ParentSegment),
        (b"..", Fault::ParentSegment),
        (b"__MACOSX/../evil.py", Fault::ParentSegment),
        (b"/etc/evil.py", Fault::Absolute),
        (b"/", Fault::Absolute),
        (b"//host/share.py", Fault::Absolute),
        (b"C:/evil.py", Fault::Drive),
        (b"c:evil.py", Fault::Drive),
        (b"a\\b.py", Fault::Backslash),
        (b"..\\evil.py", Fault::Backslash),
        (b"a//b.py", Fault::EmptySegment),
        (b"./a.py", Fault::EmptySegment),
        (b"a/./b.py", Fault::EmptySegment),
        (b"a//", Fault::EmptySegment),
        (b"a.py\0.txt", Fault::ControlCharacter),
        (b"a\n.py", Fault::ControlCharacter),
        (b"a\x7f.py", Fault::ControlCharacter),
        (b"a b.py", Fault::Character),
        (b"ab:c.py", Fault::Character),
        (b"~.py", Fault::Character),
        (b"\xc3\xa9.py", Fault::Character),
        (b"e\xcc\x81.py", Fault::Character),
        (b"\xff.py", Fault::Character),
        (b".hidden.py", Fault::Hidden),
        (b".git/config.txt", Fault::Hidden),
        (b".../a.py", Fault::Hidden),
        (b"a./b.py", Fault::TrailingDot),
        (b"nul.py", Fault::Reserved),
        (b"Com1/a.py", Fault::Reserved),
        (long.as_bytes(), Fault::TooLong),
        (b"a/b/c/d/e/f/g/h/i.py", Fault::TooDeep),
    ];
    for (name, expected) in cases {
        let error = refusal(&with_entry(name).build());
        let shown = String::from_utf8_lossy(name);
        let BundleError::Path { fault, .. } = &error else {
            panic!("{shown}: {error}");
        };
        assert_eq!(*fault, expected, "{shown}");
        assert_eq!(error.rule_id(), "prism:archive-path");
    }
}

#[test]
fn names_are_shown_escaped_and_shortened() {
    let text = refusal(&with_entry(b"\x1b[2J.py").build()).to_string();
    assert_eq!(
        text,
        r#"the path "\u{1b}[2J.py" contains a control character"#
    );
    let long = refusal(&with_entry(&[b'a'; 60_000]).build()).to_string();
    assert!(long.len() < 200, "{} bytes", long.len());
}

#[test]
fn suffixes_are_listed() {
    for name in ["model.pt", "README", "a.PY", "x.so", "x.py.", "data.npz"] {
        let error = refusal(&with_entry(name.as_bytes()).build());
        let expected = if name == "x.py." {
            "prism:archive-path"
        } else {
            "prism:archive-suffix"
        };
        assert_eq!(error.rule_id(), expected, "{name}");
    }
    for name in [
        "a.toml",
        "a.yaml",
        "a.yml",
        "a.json",
        "a.txt",
        "a.md",
        "d/e/f.py",
        "-x_1.2.py",
    ] {
        let zip = with_entry(name.as_bytes());
        assert!(open_default(&zip.build()).is_ok(), "{name}");
    }
    let error = refusal(&with_entry(b"model.pt").build()).to_string();
    assert_eq!(
        error,
        r#""model.pt" has suffix "pt", expected one of .py .toml .yaml .yml .json .txt .md"#
    );
}

#[test]
fn junk_is_left_out_and_listed() {
    let mut zip = two_scripts();
    let junk: [&str; 6] = [
        "__MACOSX/._architecture.py",
        ".DS_Store",
        "sub/Thumbs.db",
        "__pycache__/architecture.cpython-311.pyc",
        "stray.pyc",
        "__pycache__/",
    ];
    for name in junk {
        zip.entries.push(RawEntry::stored(name, b""));
    }
    zip.entries[7].external_attributes = 0o040_755 << 16;
    let bundle = open_default(&zip.build()).expect("junk is no error");
    assert_eq!(bundle.files.len(), 2);
    assert_eq!(bundle.ignored.len(), junk.len());
    assert_eq!(bundle.ignored[0], r#""__MACOSX/._architecture.py""#);
}

#[test]
fn one_name_twice() {
    let cases: [&[&str]; 6] = [
        &["a.py", "a.py"],
        &["a.py", "A.py"],
        &["lib/a.py", "LIB/b.py"],
        &["a.py", "a.py/b.py"],
        &["a.py/b.py", "a.py"],
        &["lib/", "LIB/"],
    ];
    for names in cases {
        let mut zip = two_scripts();
        for name in names {
            zip.entries.push(RawEntry::stored(name, b""));
            if name.ends_with('/')
                && let Some(entry) = zip.entries.last_mut()
            {
                entry.external_attributes = 0;
            }
        }
        let error = refusal(&zip.build());
        assert_eq!(
            error.rule_id(),
            "prism:archive-duplicate",
            "{names:?}: {error}"
        );
    }
    let mut zip = two_scripts();
    for name in ["lib/", "lib/a.py", "lib/b.py"] {
        zip.entries.push(RawEntry::stored(name, b""));
    }
    zip.entries[2].external_attributes = 0;
    assert!(open_default(&zip.build()).is_ok(), "a folder and its files");
}

#[test]
fn only_files_and_directories() {
    let cases: [(&str, u32, &str); 9] = [
        ("link.py", 0o120_777 << 16, "symbolic link"),
        ("__MACOSX/link", 0o120_777 << 16, "symbolic link"),
        ("pipe.py", 0o010_644 << 16, "named pipe"),
        ("tty.py", 0o020_644 << 16, "character device"),
        ("disk.py", 0o060_644 << 16, "block device"),
        ("socket.py", 0o140_644 << 16, "socket"),
        ("folder.py", 0o040_755 << 16, "directory without a final /"),
        ("dos.py", 0x10, "directory without a final /"),
        ("file/", 0o100_644 << 16, "file with a final /"),
    ];
    for (name, attributes, expected) in cases {
        let mut zip = with_entry(name.as_bytes());
        zip.entries[2].external_attributes = attributes;
        let error = refusal(&zip.build());
        assert_eq!(error.rule_id(), "prism:archive-link", "{name}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
