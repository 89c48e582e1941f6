//! Which file plays which role.

use super::archives::RawZip;
use super::{ARCHITECTURE, TRAINING, open_default, refusal, two_scripts, with_manifest};

#[test]
fn defaults() {
    let bundle = open_default(&two_scripts().build()).expect("two scripts");
    let roles = [bundle.architecture, bundle.training].map(|role| (role.path, role.symbol));
    assert_eq!(
        roles[0],
        ("architecture.py".to_owned(), "build_model".to_owned())
    );
    assert_eq!(roles[1], ("training.py".to_owned(), "train".to_owned()));
}

#[test]
fn declared_entrypoints_are_taken_exactly() {
    let manifest = "architecture:\n  entrypoint: src/net.py::make\n  files: [src/parts.py]\n\
                    training:\n  entrypoint: fit.py\n  function: run\n  files: fit.py\n";
    let zip = RawZip::of(&[
        ("src/net.py", ARCHITECTURE),
        ("src/parts.py", b"x = 1\n"),
        ("fit.py", TRAINING),
        ("architecture.py", b"unused = True\n"),
        ("prism.yaml", manifest.as_bytes()),
    ]);
    let bundle = open_default(&zip.build()).expect("declared roles");
    assert_eq!(bundle.architecture.path, "src/net.py");
    assert_eq!(bundle.architecture.symbol, "make");
    assert_eq!(bundle.training.symbol, "run");
}

#[test]
fn a_tokenizer_of_its_own_must_be_there() {
    let mut zip = with_manifest("tokenizer: tokenizer.json\n");
    let error = refusal(&zip.build());
    assert_eq!(error.rule_id(), "prism:tokenizer");
    assert!(error.to_string().contains("not at the top"), "{error}");
    zip.add("tokenizer.json", b"{}");
    let bundle = open_default(&zip.build()).expect("a tokenizer beside the scripts");
    assert_eq!(bundle.tokenizer.as_deref(), Some("tokenizer.json"));
}

#[test]
fn what_is_declared_must_be_there() {
    let section = |text: &str| with_manifest(&format!("architecture: {{{text}}}\n")).build();
    let cases = [
        (
            RawZip::of(&[("architecture.py", ARCHITECTURE)]).build(),
            "missing-entrypoint",
        ),
        (
            RawZip::of(&[("training.py", TRAINING)]).build(),
            "missing-entrypoint",
        ),
        (
            RawZip::of(&[
                ("x/architecture.py", ARCHITECTURE),
                ("training.py", TRAINING),
            ])
            .build(),
            "missing-entrypoint",
        ),
        (section("entrypoint: net.py"), "missing-entrypoint"),
        (
            section("entrypoint: ./architecture.py"),
            "missing-entrypoint",
        ),
        (section("entrypoint: Architecture.py"), "missing-entrypoint"),
        (
            section("entrypoint: ../architecture.py"),
            "missing-entrypoint",
        ),
        (section("files: [parts.py]"), "missing-entrypoint"),
        (section("entrypoint: training.py"), "same-file"),
        (section("entrypoint: prism.yaml"), "entrypoint-suffix"),
        (
            RawZip::of(&[("architecture.py", b" \n\t"), ("training.py", TRAINING)]).build(),
            "empty-entrypoint",
        ),
        (
            RawZip::of(&[("architecture.py", ARCHITECTURE), ("training.py", b"")]).build(),
            "empty-entrypoint",
        ),
    ];
    for (index, (archive, expected)) in cases.into_iter().enumerate() {
        let error = refusal(&archive);
        assert_eq!(
            error.rule_id(),
            format!("prism:contract-{expected}"),
            "case {index}: {error}"
        );
    }
    let error = refusal(&RawZip::of(&[("architecture.py", ARCHITECTURE)]).build());
    assert_eq!(
        error.to_string(),
        "training: training.py is not in the archive, which holds architecture.py"
    );
}

#[test]
fn functions_are_identifiers_and_declared_once() {
    let refused = [
        "entrypoint: 'architecture.py::a b'",
        "entrypoint: 'architecture.py::'",
        "entrypoint: '::build_model'",
        "factory: 1a",
        "factory: bé",
        "entrypoint: 'architecture.py::a', factory: b",
        "factory: a, entry: b",
    ];
    for section in refused {
        let archive = with_manifest(&format!("architecture: {{{section}}}\n")).build();
        assert_eq!(
            refusal(&archive).rule_id(),
            "prism:manifest-invalid",
            "{section}"
        );
    }
    let twice = with_manifest("architecture: {entrypoint: 'architecture.py::a', factory: a}\n");
    assert!(open_default(&twice.build()).is_ok());
}
