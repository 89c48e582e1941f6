//! What a run of the first contract leaves besides its losses: recipe, hooks that were used, checkpoint, diagnostics.
//! Recipe and calls are the sandbox's word: recorded, never scored.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::checkpoint::{self, Checkpoint, HookReturn};
use super::diagnostics::Diagnostics;
use super::lineage;
use super::measured::Fault;
use super::plan::V1Plan;
use crate::signing::digest_list::open_regular;

/// What the loop writes into the artifacts' folder.
const REPORT: &str = "v1_report.json";
const MAX_REPORT_BYTES: u64 = 256 << 10;
const MAX_NAME_CHARACTERS: usize = 64;

/// The fields of a TrainingRecipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub learning_rate: f64,
    pub batch_size: u64,
    pub optimizer: String,
    pub scheduler: String,
    pub weight_decay: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    recipe: Recipe,
    learning_rate: Option<f64>,
    calls: BTreeMap<String, u64>,
    checkpoint: Option<HookReturn>,
}

/// The outcome, for the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V1Outcome {
    pub recipe: Recipe,
    /// Of the default optimizer, after its cap; none where the submission made its own.
    pub learning_rate: Option<f64>,
    /// Calls of each hook in the training process.
    pub calls: BTreeMap<String, u64>,
    pub checkpoint: Option<Checkpoint>,
    /// Measured by the referee.
    pub diagnostics: Diagnostics,
}

/// Takes it from the artifacts' folder of a training that has ended.
///
/// # Errors
/// `prism:protocol` for a report that is not one, `prism:checkpoint` for a checkpoint that is not accepted.
pub fn collect(
    submission_id: &str,
    plan: &V1Plan,
    artifacts: &Path,
    diagnostics: Diagnostics,
) -> Result<V1Outcome, Fault> {
    let report =
        read(&artifacts.join(REPORT), plan).map_err(|reason| not_usable(REPORT, &reason))?;
    let folder = checkpoint::folder(submission_id, plan.attempt);
    let checkpoint = report
        .checkpoint
        .map(|returned| checkpoint::accept(artifacts, &folder, &returned, checkpoint::MAX_BYTES))
        .transpose()
        .map_err(refused)?;
    Ok(V1Outcome {
        recipe: report.recipe,
        learning_rate: report.learning_rate,
        calls: report.calls,
        checkpoint,
        diagnostics,
    })
}

/// What `save_checkpoint` returned in the middle of a training.
///
/// # Errors
/// `prism:protocol` for a file that is none of the runner's.
pub fn read_return(path: &Path) -> Result<HookReturn, Fault> {
    read_json(path).map_err(|reason| not_usable(lineage::RETURN, &reason))
}

/// A checkpoint that is not accepted.
pub fn refused(reason: String) -> Fault {
    Fault::new(
        "prism:checkpoint",
        format!("save_checkpoint: {reason}"),
        "write one regular file below checkpoint_dir and return its relative path",
    )
}

fn not_usable(name: &str, reason: &str) -> Fault {
    Fault::new(
        "prism:protocol",
        format!("the training left no usable {name}: {reason}"),
        "leave the files of artifacts_dir alone; hooks return, and write below checkpoint_dir only",
    )
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let mut content = Vec::new();
    open_regular(path)
        .and_then(|file| file.take(MAX_REPORT_BYTES + 1).read_to_end(&mut content))
        .map_err(|error| error.kind().to_string())?;
    if content.len() as u64 > MAX_REPORT_BYTES {
        return Err(format!("more than {MAX_REPORT_BYTES} bytes"));
    }
    serde_json::from_slice(&content)
        .map_err(|error| error.to_string().chars().take(200).collect::<String>())
}

fn read(path: &Path, plan: &V1Plan) -> Result<Report, String> {
    let report: Report = read_json(path)?;
    if let Some(name) = report
        .calls
        .keys()
        .find(|name| !plan.hooks.contains_key(*name))
    {
        let shown: String = name.escape_debug().take(100).collect();
        return Err(format!(
            "calls of {shown}, which is no hook of the submission"
        ));
    }
    let mut report = report;
    for name in [&mut report.recipe.optimizer, &mut report.recipe.scheduler] {
        *name = name.escape_debug().take(MAX_NAME_CHARACTERS).collect();
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::super::diagnostics::not_measured;
    use super::*;
    use crate::review::HookRole;

    #[test]
    fn a_report_is_read_strictly() {
        let folder = tempfile::tempdir().unwrap();
        let plan = V1Plan {
            kind: "full".to_owned(),
            architecture_id: None,
            attempt: 2,
            hooks: BTreeMap::from([("infer".to_owned(), HookRole::Training)]),
        };
        let recipe = r#""recipe":{"learning_rate":0.1,"batch_size":4,"optimizer":"adamw","scheduler":"cosine","weight_decay":0}"#;
        let collected = |text: &str| {
            std::fs::write(folder.path().join(REPORT), text).unwrap();
            collect("s1", &plan, folder.path(), not_measured("a test"))
        };
        let good = collected(&format!(
            r#"{{{recipe},"learning_rate":null,"calls":{{"infer":3}},"checkpoint":null}}"#
        ));
        assert_eq!(good.unwrap().calls["infer"], 3);
        for (text, rule) in [
            ("{}".to_owned(), "prism:protocol"),
            ("[".repeat(200_000), "prism:protocol"),
            (
                format!(
                    r#"{{{recipe},"learning_rate":null,"calls":{{"train_step":3}},"checkpoint":null}}"#
                ),
                "prism:protocol",
            ),
            (
                format!(
                    r#"{{{recipe},"learning_rate":null,"calls":{{"infer":-1}},"checkpoint":null}}"#
                ),
                "prism:protocol",
            ),
            (
                format!(
                    r#"{{{recipe},"learning_rate":null,"calls":{{}},"checkpoint":null,"score":1}}"#
                ),
                "prism:protocol",
            ),
            (
                format!(
                    r#"{{{recipe},"learning_rate":null,"calls":{{}},"checkpoint":{{"path":"a.pt"}}}}"#
                ),
                "prism:checkpoint",
            ),
            (
                format!(
                    r#"{{{recipe},"learning_rate":null,"calls":{{}},"checkpoint":{{"path":"../a.pt"}}}}"#
                ),
                "prism:checkpoint",
            ),
            (
                format!(
                    r#"{{{recipe},"learning_rate":null,"calls":{{}},"checkpoint":{{"path":"a","extra":1}}}}"#
                ),
                "prism:protocol",
            ),
        ] {
            let fault = collected(&text).unwrap_err();
            assert_eq!(fault.rule_id, rule, "{fault}");
        }
        std::fs::remove_file(folder.path().join(REPORT)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join(REPORT)).unwrap();
        let fault = collect("s1", &plan, folder.path(), not_measured("a test")).unwrap_err();
        assert_eq!(fault.rule_id, "prism:protocol");
    }
}
