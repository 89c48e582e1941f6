//! What a run was made with: settings, corpus, runner, executables, tokenizer, and the figures of its probes.

use serde_json::{Value, json};

use super::documents::Documents;
use super::folder::Folder;
use super::replay::differences;
use super::report::Check;
use super::{Standards, manifest_of, transport};
use crate::config::recorded;
use crate::dataset::tokenizer::BYTES;
use crate::digest::file_digest;
use crate::pipeline::{CORPUS_MANIFEST, MANIFEST};
use crate::referee::runner_files::runner_digest;

/// The checks `settings`, `corpus`, `probes`, `transport`, `runner`, `referee`, `prism` and `tokenizer`.
pub fn check(folder: &Folder, documents: &Documents, standards: &Standards<'_>) -> Vec<Check> {
    let manifest = match manifest_of("settings", folder, documents) {
        Ok(manifest) => manifest,
        Err(check) => return vec![check],
    };
    let mut checks = vec![
        settings(folder, documents, manifest),
        corpus(folder, documents, manifest),
        probes(manifest),
        transport::check(manifest),
        program("runner", manifest, Some(runner_digest())),
        program("referee", manifest, standards.referee_sha256.clone()),
        program("prism", manifest, standards.prism_sha256.clone()),
    ];
    if let Some(name) = manifest["referee"]["tokenizer"].as_str()
        && name != BYTES
    {
        // the name comes from the folder: it must not choose a path
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let path = standards.tokenizers.join(format!("{name}.json"));
        let own = (is_plain && path.is_file())
            .then(|| file_digest(&path).ok())
            .flatten();
        checks.push(program("tokenizer", manifest, own));
    }
    checks
}

/// The recorded settings, by digest and where the manifest repeats them.
fn settings(folder: &Folder, documents: &Documents, manifest: &Value) -> Check {
    let name = "settings";
    let Some(config) = &documents.run_config else {
        let problem = format!("there is no readable {}", recorded::FILE);
        return Check::of(name, "", vec![problem]);
    };
    let referee = &manifest["referee"];
    let mut problems = digest_problems(folder, recorded::FILE, &referee["config_sha256"]);
    for (place, recorded, setting) in [
        ("/referee/budget", &referee["budget"], &config["budget"]),
        (
            "/referee/held_out",
            &referee["held_out"],
            &config["held_out"],
        ),
        (
            "/referee/threads",
            &referee["threads"],
            &config["run"]["threads"],
        ),
        (
            "/causality/audit",
            &manifest["causality"]["audit"],
            &config["audit"],
        ),
        (
            "/run/seed",
            &manifest["run"]["seed"],
            &config["contest"]["seed"],
        ),
        (
            "/run/world_size",
            &manifest["run"]["world_size"],
            &config["run"]["world_size"],
        ),
        (
            "/measurement/vocab_size",
            &manifest["measurement"]["vocab_size"],
            &config["contest"]["vocab_size"],
        ),
    ] {
        let place = format!("{MANIFEST} {place}");
        problems.extend(differences(&place, recorded, setting));
    }
    Check::of(
        name,
        format!(
            "{} has the recorded sha256 and agrees with the manifest",
            recorded::FILE
        ),
        problems,
    )
}

/// The corpus manifest, by digest. The text is elsewhere.
fn corpus(folder: &Folder, documents: &Documents, manifest: &Value) -> Check {
    let name = "corpus";
    let Some(corpus) = &documents.corpus_manifest else {
        let problem = format!("there is no readable {CORPUS_MANIFEST}");
        return Check::of(name, "", vec![problem]);
    };
    let sha256 = &manifest["referee"]["corpus_manifest_sha256"];
    let mut problems = digest_problems(folder, CORPUS_MANIFEST, sha256);
    let source = corpus["dataset"]["name"].as_str().unwrap_or_default();
    let source = json!(format!("locked-{source}-train"));
    let place = format!("{MANIFEST} /data/source");
    problems.extend(differences(&place, &manifest["data"]["source"], &source));
    let shards = corpus["splits"]["train"]["shards"]
        .as_array()
        .map_or(0, Vec::len);
    let place = format!("{MANIFEST} /data/shard_count");
    problems.extend(differences(
        &place,
        &manifest["data"]["shard_count"],
        &json!(shards),
    ));
    Check::of(
        name,
        format!("{CORPUS_MANIFEST} has the recorded sha256; the text itself is not here"),
        problems,
    )
}

fn digest_problems(folder: &Folder, file: &str, recorded: &Value) -> Vec<String> {
    match folder.entry(file) {
        Ok(entry) if *recorded == entry.sha256.as_str() => Vec::new(),
        Ok(entry) => vec![format!(
            "{file}: got sha256 {}, the manifest records {recorded}",
            entry.sha256
        )],
        Err(reason) => vec![reason],
    }
}

/// A run that passed its causality check has no probe beyond the tolerance, one that passed its snapshot check no replay.
fn probes(manifest: &Value) -> Check {
    let name = "probes";
    let causality = &manifest["causality"];
    let (Some(probes), Some(tolerance)) = (
        causality["probes"].as_array(),
        causality["audit"]["tolerance_nats"].as_f64(),
    ) else {
        return Check::of(
            name,
            "",
            vec![format!(
                "{MANIFEST} /causality: no probes and tolerance in it"
            )],
        );
    };
    let beyond: Vec<String> = probes
        .iter()
        .filter(|probe| {
            probe["largest_difference_nats"]
                .as_f64()
                .is_none_or(|nats| nats > tolerance)
        })
        .map(|probe| {
            format!(
                "{MANIFEST} /causality/probes: largest_difference_nats of step {} of {} is {}, tolerance {tolerance}",
                probe["step"], probe["phase"], probe["largest_difference_nats"]
            )
        })
        .collect();
    let checked = |name: &str| {
        let checks = manifest["measurement"]["checks"].as_array();
        checks
            .into_iter()
            .flatten()
            .any(|check| check["name"] == name && check["passed"] == true)
    };
    let passed = checked("causality");
    let snapshots = &causality["snapshots"];
    let replays = snapshots["replays"].as_array().map_or(0, Vec::len);
    let mut beyond = beyond;
    if passed && checked("snapshot") {
        beyond.extend(contradicting_snapshots(snapshots, tolerance));
    }
    let agreed = format!(
        "{} recorded figures, none beyond {tolerance} nats",
        probes.len() + replays
    );
    match (passed, beyond.is_empty()) {
        (true, _) => Check::of(name, agreed, beyond),
        (false, true) => Check::not_checked(name, "the run did not pass its causality check"),
        (false, false) => Check::not_checked(
            name,
            format!(
                "{} figures beyond the tolerance, and the check is recorded as not passed",
                beyond.len()
            ),
        ),
    }
}

/// What a snapshot check that was passed cannot have found.
fn contradicting_snapshots(snapshots: &Value, tolerance: f64) -> Vec<String> {
    let mut found: Vec<String> = snapshots["replays"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|replay| {
            replay["largest_difference_nats"]
                .as_f64()
                .is_none_or(|nats| nats > tolerance)
        })
        .map(|replay| {
            format!(
                "{MANIFEST} /causality/snapshots/replays: largest_difference_nats of step {} is {}, tolerance {tolerance}",
                replay["step"], replay["largest_difference_nats"]
            )
        })
        .collect();
    if snapshots["changed"]
        .as_array()
        .is_none_or(|changed| !changed.is_empty())
    {
        found.push(format!(
            "{MANIFEST} /causality/snapshots/changed: {}, expected no step",
            snapshots["changed"]
        ));
    }
    found
}

/// A program by its digest: the same as here, or another one, which is no contradiction.
fn program(name: &'static str, manifest: &Value, own: Option<String>) -> Check {
    let Some(recorded) = manifest["versions"]["digests"][name].as_str() else {
        let problem = format!("{MANIFEST} /versions/digests/{name}: missing");
        return Check::of(name, "", vec![problem]);
    };
    match own {
        Some(own) if own == recorded => Check::of(
            name,
            format!("sha256 {recorded}, the one that is installed here"),
            Vec::new(),
        ),
        Some(own) => Check::not_checked(
            name,
            format!("the run's has sha256 {recorded:.64}, the one here {own}"),
        ),
        None => Check::not_checked(
            name,
            format!("the run's has sha256 {recorded:.64}, there is none here"),
        ),
    }
}
