//! prism.yaml.

use super::super::{BundleError, ContractVersion, Kind, ManifestPlace};
use super::{open_default, refusal, two_scripts, with_manifest};

#[test]
fn what_the_contract_knows_is_read() {
    let text = "---\n# a comment with *stars* & more\nkind: full\narchitecture_id: net-1\nname: Net\r\n\
                version: 1.0\ndescription: |\n  Fast & small.\n  * one\n  * two\nauthor: Jo (R&D)!\n\
                tokenizer: prism-4096\narchitecture:\ntraining: {entrypoint: training.py}\n";
    let bundle = open_default(&with_manifest(text).build()).expect("a full manifest");
    assert_eq!(bundle.tokenizer.as_deref(), Some("prism-4096"));
    assert_eq!(bundle.manifest.version.as_deref(), Some("1.0"));
    assert_eq!(bundle.manifest.name.as_deref(), Some("Net"));
    for empty in [
        "",
        "---\n",
        "# nothing\n",
        "{}",
        "version: 3\n",
        "version:\n",
    ] {
        assert!(
            open_default(&with_manifest(empty).build()).is_ok(),
            "{empty:?}"
        );
    }
}

#[test]
fn both_spellings_are_read_but_not_both_at_once() {
    let mut zip = two_scripts();
    zip.add("prism.yml", b"tokenizer: bytes\n");
    let bundle = open_default(&zip.build()).expect("prism.yml");
    assert_eq!(bundle.tokenizer.as_deref(), Some("bytes"));
    zip.add("prism.yaml", b"");
    let error = refusal(&zip.build());
    assert_eq!(
        error.to_string(),
        "prism.yml: prism.yaml and prism.yml are both there, expected one"
    );
}

#[test]
fn a_manifest_below_the_top_is_an_ordinary_file() {
    let mut zip = two_scripts();
    zip.add("docs/prism.yaml", b"kind: nonsense\n");
    assert!(open_default(&zip.build()).is_ok());
}

#[test]
fn kinds_are_three_and_a_training_names_its_architecture() {
    let kinds = [
        ("kind: full\n", Kind::Full, ContractVersion::V2),
        (
            "kind: architecture_only\n",
            Kind::ArchitectureOnly,
            ContractVersion::V1,
        ),
        (
            "kind: training_for_arch\narchitecture_id: arch-1\n",
            Kind::TrainingForArch,
            ContractVersion::V1,
        ),
    ];
    for (text, kind, version) in kinds {
        let bundle = open_default(&with_manifest(text).build()).expect(text);
        let got = (bundle.contract.kind, bundle.contract.version);
        assert_eq!(got, (kind, version), "{text}");
    }
    for (text, part) in [
        ("kind: fancy\n", "kind: got \"fancy\""),
        ("kind: training_for_arch\n", "architecture_id: got \"\""),
        (
            "kind: training_for_arch\narchitecture_id: a/b\n",
            "architecture_id: got \"a/b\"",
        ),
    ] {
        let error = refusal(&with_manifest(text).build());
        assert_eq!(error.rule_id(), "prism:manifest-invalid");
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// Text, line and column (0 for the whole file), and a part of the reason.
const REFUSED: [(&str, usize, usize, &str); 36] = [
    ("a: &x 1\n", 1, 4, "anchor '&'"),
    ("&x a: 1\n", 1, 1, "anchor '&'"),
    ("name: a\nversion: *x\n", 2, 10, "alias '*'"),
    ("files: [a,*x]\n", 1, 11, "alias '*'"),
    ("{\"a\":*x}\n", 1, 6, "alias '*'"),
    ("- *x\n", 1, 3, "alias '*'"),
    ("name: 'it *x'\n", 1, 11, "alias '*'"),
    (
        "name: a\n  'b\nversion: *x\nauthor: it's\n",
        3,
        10,
        "alias '*'",
    ),
    (
        "description: |\n        \n  x\nname: *x\n",
        4,
        7,
        "alias '*'",
    ),
    ("<<: {a: 1}\n", 1, 1, "merge key '<'"),
    ("name: !!python/object:os.system x\n", 1, 7, "tag '!'"),
    ("!x {}\n", 1, 1, "tag '!'"),
    ("name: a\n---\nname: b\n", 2, 1, "more than one document"),
    ("--- {name: b}\n", 1, 1, "more than one document"),
    ("name: a\n...\nname: b\n", 2, 1, "more than one document"),
    ("%YAML 1.1\n---\n", 1, 1, "directives"),
    ("name:\ta\n", 1, 6, "U+0009"),
    ("name: a\u{2028}b: *x\n", 1, 8, "U+2028"),
    ("name: a\rversion: b\n", 1, 8, "U+000D"),
    ("\u{feff}name: a\n", 1, 1, "U+FEFF"),
    ("name: \0\n", 1, 7, "U+0000"),
    (
        "a:\n                                    b: 1\n",
        2,
        37,
        "indented by 36",
    ),
    ("colour: red\n", 1, 1, "unknown field `colour`"),
    (
        "training:\n  path: training.py\n",
        2,
        3,
        "unknown field `path`",
    ),
    ("name: a\nname: b\n", 2, 1, "duplicate field `name`"),
    (
        "training:\n  entry: a\n  entry: b\n",
        3,
        3,
        "duplicate field `entry`",
    ),
    ("name: a\nkind: fancy\n", 2, 1, "kind: got"),
    ("{kind: fancy}\n", 0, 0, "kind: got"),
    ("- a\n- b\n", 1, 1, "invalid type: sequence"),
    ("just text\n", 1, 1, "invalid type: string"),
    ("name: [a]\n", 1, 7, "invalid type: sequence"),
    (
        "training: {files: {a: b}}\n",
        1,
        11,
        "expected a path or a list of paths",
    ),
    ("version: [1]\n", 1, 1, "expected text or a number"),
    ("name: \"open\n", 2, 1, "quoted scalar"),
    ("tokenizer: ../../etc/passwd\n", 1, 1, "tokenizer: got"),
    ("tokenizer: ''\n", 1, 1, "tokenizer: got"),
];

#[test]
fn what_is_refused_says_where() {
    let mut wrong = Vec::new();
    for (text, line, column, part) in REFUSED {
        let error = refusal(&with_manifest(text).build());
        let expected = match (line, column) {
            (0, 0) => ManifestPlace::WholeFile,
            _ => ManifestPlace::At { line, column },
        };
        match &error {
            BundleError::Manifest { place, reason, .. }
                if *place == expected && reason.contains(part) => {}
            _ => wrong.push(format!("{text:?}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn messages_do_not_grow_with_the_manifest() {
    let long = "x".repeat(10_000);
    for text in [
        format!("{long}: 1\n"),
        format!("tokenizer: {long}\n"),
        format!("kind: {long}\n"),
    ] {
        let message = refusal(&with_manifest(&text).build()).to_string();
        assert!(message.len() < 400, "{} bytes", message.len());
    }
}

#[test]
fn size_encoding_and_nesting() {
    let reason = |archive: Vec<u8>| refusal(&archive).to_string();
    let large = with_manifest(&format!("description: {}\n", "x".repeat(16 * 1024)));
    assert!(reason(large.build()).contains("at most 16384 are read"));
    let deep = with_manifest(&format!("files: {}\n", "[".repeat(65)));
    assert!(reason(deep.build()).contains("got 65 opening brackets"));
    let mut latin1 = two_scripts();
    latin1.add("prism.yaml", b"name: a\nauthor: Ren\xe9\n");
    assert_eq!(
        reason(latin1.build()),
        "prism.yaml:2:1: not UTF-8 at byte 19"
    );
}

#[test]
fn a_bomb_of_aliases_costs_nothing() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(",");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let error = refusal(&with_manifest(&text).build());
    assert_eq!(error.rule_id(), "prism:manifest-invalid");
}

#[test]
fn compact_nesting_ends_in_an_error() {
    let text = "- ".repeat(8000);
    assert_eq!(
        refusal(&with_manifest(&text).build()).rule_id(),
        "prism:manifest-invalid"
    );
}
