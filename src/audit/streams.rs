//! The streams against the manifest: their digests, then every block that was made from them, bit for bit.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::documents::Documents;
use super::folder::Folder;
use super::replay::differences;
use super::report::Check;
use super::{Recompute, manifest_of};
use crate::pipeline::{MANIFEST, seeds_again};
use crate::score::measurement::RecordedMeasurement;
use crate::score::streams::{HELDOUT_FILE, ONLINE_FILE};
use crate::score::{self, json as score_json};

/// Blocks that streams and measurement determine, whole.
const BLOCKS: [&str; 5] = ["metrics", "anti_cheat", "score", "measurement", "seeds"];

/// Makes the blocks of the run in a folder again: `metrics`, `anti_cheat`, `score`, `measurement`, `seeds`, and of `data` what
/// follows from the streams. Decodes parquet, so it belongs into a process of its own when the folder is not trusted.
///
/// # Errors
/// Why there is no score, without the folder's path.
pub fn recompute(folder: &Path) -> Result<Value, String> {
    let manifest = score_json::read(&folder.join(MANIFEST)).map_err(|error| error.to_string())?;
    let recorded: RecordedMeasurement = serde_json::from_value(manifest["measurement"].clone())
        .map_err(|error| format!("measurement: {error}"))?;
    let placeless = |reason: String| {
        // absolute first: the relative path may be the end of it
        let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        [absolute.as_path(), folder]
            .iter()
            .fold(reason, |text, folder| {
                text.replace(&format!("{}/", folder.display()), "")
            })
    };
    let told = |error: score::ScoreError| placeless(error.reasons().join("; "));
    recorded.streams.check(folder).map_err(told)?;
    let id = manifest["submission_id"].as_str().unwrap_or_default();
    let model_params = manifest["compute"]["model_params"].as_u64();
    let run = score::score_run(id, folder, &recorded.facts, model_params).map_err(told)?;
    let seeds = match manifest.get("seeds") {
        None => Value::Null,
        Some(_) => seeds_again(&manifest, folder, &run).map_err(placeless)?,
    };
    Ok(json!({
        "seeds": seeds,
        "metrics": run.blocks.metrics,
        "anti_cheat": run.blocks.anti_cheat,
        "score": run.blocks.score,
        "measurement": run.blocks.measurement,
        "data": {
            "covered_bytes": run.coverage.covered_bytes,
            "covered_bytes_cumulative": run.coverage.covered_bytes_cumulative,
            "consumed_batches": run.coverage.consumed_batches,
            "consumed_offsets": run.coverage.consumed_batches,
            "distinct_offsets": run.coverage.consumed_batches,
        },
    }))
}

/// The check `streams`. Streams in `damaged` are not decoded.
pub fn check(
    folder: &Folder,
    documents: &Documents,
    damaged: &BTreeSet<String>,
    recompute: &Recompute<'_>,
) -> Check {
    let name = "streams";
    let manifest = match manifest_of(name, folder, documents) {
        Ok(manifest) => manifest,
        Err(check) => return check,
    };
    let measurement = manifest["measurement"].clone();
    let recorded: RecordedMeasurement = match serde_json::from_value(measurement) {
        Ok(recorded) => recorded,
        Err(error) => return Check::of(name, "", vec![format!("measurement: {error}")]),
    };
    let mut problems = Vec::new();
    let wanted = [
        (ONLINE_FILE, Some(&recorded.streams.online_sha256)),
        (HELDOUT_FILE, recorded.streams.heldout_sha256.as_ref()),
    ];
    for (file, wanted) in wanted {
        let found = folder.has(file).then(|| folder.entry(file)).transpose();
        match (found, wanted) {
            (Ok(None), None) => {}
            (Ok(None), Some(_)) => problems.push(format!("{file}: missing")),
            (Ok(Some(found)), Some(wanted)) if found.sha256 == *wanted => {}
            (Ok(Some(found)), wanted) => problems.push(format!(
                "{file}: got sha256 {}, the manifest records {}",
                found.sha256,
                wanted.map_or("none", String::as_str)
            )),
            (Err(reason), _) => problems.push(reason),
        }
        if problems.is_empty() && damaged.contains(file) {
            problems.push(format!(
                "{file}: not what the digest list says, not decoded"
            ));
        }
    }
    if !problems.is_empty() {
        return Check::of(name, "", problems);
    }
    let again = match recompute(&folder.path) {
        Ok(again) => again,
        Err(reason) => return Check::of(name, "", vec![format!("no score: {reason}")]),
    };
    for block in BLOCKS {
        let place = format!("{MANIFEST} /{block}");
        problems.extend(differences(&place, &manifest[block], &again[block]));
    }
    for (field, value) in again["data"].as_object().into_iter().flatten() {
        let place = format!("{MANIFEST} /data/{field}");
        problems.extend(differences(&place, &manifest["data"][field], value));
    }
    let score = &again["score"];
    let agreed = format!(
        "made again from the streams, equal to the last bit: {} bits per byte, score {}",
        score["prequential_bpb"], score["final_score"]
    );
    Check::of(name, agreed, problems)
}
