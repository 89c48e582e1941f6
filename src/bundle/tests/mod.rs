//! Tests of the room through its entry function, by stage.

mod archives;
mod end_record;
mod honest;
mod hostile_bytes;
mod limits;
mod manifest;
mod names;
mod roles;
mod structure;

use super::{Bundle, BundleError, Limits, open};
use archives::RawZip;

const ARCHITECTURE: &[u8] = b"def build_model(ctx):\n    return None\n";
const TRAINING: &[u8] = b"def train(ctx):\n    return None\n";

/// The two scripts, stored.
fn two_scripts() -> RawZip {
    RawZip::of(&[("architecture.py", ARCHITECTURE), ("training.py", TRAINING)])
}

/// The two scripts and prism.yaml.
fn with_manifest(manifest: &str) -> RawZip {
    let mut zip = two_scripts();
    zip.add("prism.yaml", manifest.as_bytes());
    zip
}

fn open_default(archive: &[u8]) -> Result<Bundle, BundleError> {
    open(archive, &Limits::default())
}

fn refusal(archive: &[u8]) -> BundleError {
    match open_default(archive) {
        Ok(bundle) => panic!("accepted: {:?}", bundle.files.keys()),
        Err(error) => error,
    }
}

#[test]
fn every_refusal_has_a_rule_and_a_hint() {
    let samples = [
        refusal(b""),
        refusal(b"not a zip"),
        refusal(&RawZip::of(&[("../a.py", b"x")]).build()),
    ];
    for error in samples {
        assert!(error.rule_id().starts_with("prism:"), "{error}");
        assert!(error.hint().ends_with('.'), "{error}");
    }
}
