//! One submission under several seeds: every further seed is a run of its own, with streams in a folder of its own.
//!
//! The submission's score, and its place, come from the first seed; the others tell how much of it is chance.

use std::path::Path;

use serde_json::{Value, json};

use super::guard::Guard;
use super::measure::{self, MeasureFailure};
use super::publish;
use crate::bundle::Bundle;
use crate::config::Config;
use crate::outbox::status::Status;
use crate::outbox::{Outbox, atomic};
use crate::progress::RunProgress;
use crate::score::measurement::RecordedMeasurement;
use crate::score::stream_digests::StreamDigests;
use crate::score::{self, ScoreError, ScoredRun};

/// Folder of the further seeds, below the submission's.
pub const FOLDER: &str = "seeds";

/// What a further seed came to.
pub struct SeedRun {
    seed: u64,
    /// The run and its facts, or why it has no score.
    outcome: Result<(Box<ScoredRun>, Value), String>,
}

/// Measures the further seeds, one after the other, in the work folder. After one without a score the rest is not
/// measured: the first seed decides what becomes of the submission.
pub fn measure(
    config: &Config,
    outbox: &Outbox,
    status: &Status,
    bundle: &Bundle,
    work: &Path,
    news: &mut RunProgress<'_>,
    guard: &Guard<'_>,
) -> Result<Vec<SeedRun>, MeasureFailure> {
    let mut runs = Vec::new();
    for seed in config.contest.seeds.iter().skip(1) {
        let mut config = config.clone();
        config.contest.seed = *seed;
        atomic::remove_folder(work)?;
        let outcome = one(&config, outbox, status, bundle, work, news, guard)?;
        let failed = outcome.is_err();
        runs.push(SeedRun {
            seed: *seed,
            outcome,
        });
        if failed {
            break;
        }
    }
    Ok(runs)
}

fn one(
    config: &Config,
    outbox: &Outbox,
    status: &Status,
    bundle: &Bundle,
    work: &Path,
    news: &mut RunProgress<'_>,
    guard: &Guard<'_>,
) -> Result<Result<(Box<ScoredRun>, Value), String>, MeasureFailure> {
    let id = &status.submission_id;
    let folder = outbox
        .submission(id)
        .join(FOLDER)
        .join(config.contest.seed.to_string());
    atomic::create_folder(&folder)?;
    let plan = measure::prepare(config, outbox, status, bundle, work)?;
    let measured = measure::run_referee(config, &plan, news, guard)?;
    let has_stream = publish::publish_streams(&plan, &folder)?;
    if let Some(fault) = &measured.fault {
        return Ok(Err(format!("{}: {}", fault.rule_id, fault.message)));
    }
    if !has_stream {
        return Ok(Err(
            "the run came to its end without a stream of losses".to_owned()
        ));
    }
    let facts = publish::measurement(bundle, &measured).map_err(publish::ours)?;
    let infrastructure = |error: ScoreError| publish::ours(error.to_string());
    match score::score_run(id, &folder, &facts, measured.model_params) {
        Ok(scored) => {
            let streams = StreamDigests::of(&folder).map_err(infrastructure)?;
            let recorded = json!(RecordedMeasurement { facts, streams });
            Ok(Ok((Box::new(scored), recorded)))
        }
        Err(ScoreError::Unscorable { reasons, .. }) => Ok(Err(reasons.join("; "))),
        Err(error) => Err(infrastructure(error)),
    }
}

/// The block of a manifest made again from the streams in its folder, for audits; `first` is the first seed's run.
///
/// # Errors
/// Why a seed that has a score in the manifest has none here.
pub fn again(manifest: &Value, folder: &Path, first: &ScoredRun) -> Result<Value, String> {
    let id = manifest["submission_id"].as_str().unwrap_or_default();
    let first_seed = manifest["run"]["seed"].as_u64().unwrap_or_default();
    let mut others = Vec::new();
    for run in manifest["seeds"]["runs"]
        .as_array()
        .into_iter()
        .flatten()
        .skip(1)
    {
        let seed = run["seed"].as_u64().unwrap_or_default();
        let outcome = match run["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(one_again(id, seed, &run["measurement"], folder)
                .map_err(|reason| format!("{FOLDER}/{seed}: {reason}"))?),
        };
        others.push(SeedRun { seed, outcome });
    }
    Ok(block(first_seed, first, &others))
}

fn one_again(
    id: &str,
    seed: u64,
    measurement: &Value,
    folder: &Path,
) -> Result<(Box<ScoredRun>, Value), String> {
    let recorded: RecordedMeasurement =
        serde_json::from_value(measurement.clone()).map_err(|error| error.to_string())?;
    let folder = folder.join(FOLDER).join(seed.to_string());
    let told = |error: ScoreError| error.reasons().join("; ");
    recorded.streams.check(&folder).map_err(told)?;
    let scored = score::score_run(id, &folder, &recorded.facts, None).map_err(told)?;
    Ok((Box::new(scored), json!(recorded)))
}

/// The manifest's block: every seed with its figures, then mean and spread over those that have a score.
pub fn block(first_seed: u64, first: &ScoredRun, others: &[SeedRun]) -> Value {
    let figures = |seed: u64, run: &ScoredRun| {
        json!({
            "seed": seed, "prequential_bpb": run.score.prequential_bpb, "two_part_bpb": run.score.two_part_bpb,
            "heldout_delta": run.score.heldout_delta, "final_score": run.score.final_score, "flags": run.score.flags,
        })
    };
    let mut runs = vec![figures(first_seed, first)];
    let mut scored = vec![first];
    for other in others {
        match &other.outcome {
            Ok((run, measurement)) => {
                let mut entry = figures(other.seed, run);
                entry["folder"] = json!(format!("{FOLDER}/{}", other.seed));
                entry["measurement"] = measurement.clone();
                runs.push(entry);
                scored.push(run);
            }
            Err(error) => runs.push(json!({"seed": other.seed, "error": error})),
        }
    }
    let figure = |pick: fn(&ScoredRun) -> f64| {
        let values: Vec<f64> = scored.iter().map(|run| pick(run)).collect();
        let (mean, spread) = mean_and_spread(&values);
        json!({"mean": mean, "spread": spread})
    };
    json!({
        "runs": runs,
        "scored": scored.len(),
        "prequential_bpb": figure(|run| run.score.prequential_bpb),
        "two_part_bpb": figure(|run| run.score.two_part_bpb),
        "final_score": figure(|run| run.score.final_score),
    })
}

/// Mean, and standard deviation of a sample (n - 1); none for fewer than two values.
fn mean_and_spread(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let spread = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
    (mean, spread)
}

#[cfg(test)]
mod tests {
    use super::mean_and_spread;

    #[test]
    fn mean_and_spread_are_those_of_a_sample() {
        assert_eq!(mean_and_spread(&[2.0]), (2.0, None));
        assert_eq!(mean_and_spread(&[1.0, 3.0]), (2.0, Some(2.0_f64.sqrt())));
        assert_eq!(mean_and_spread(&[2.0, 2.0, 2.0]), (2.0, Some(0.0)));
    }
}
