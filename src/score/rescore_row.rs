//! What a rescoring says of one input.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::constants::{SCORE_V1, SCORE_V2};
use super::drift::{self, FieldDrift};
use super::identity::{Identity, Index};
use super::leaderboard::LeaderboardRow;
use super::{v1, v2, v3};

/// One rescored input.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RescoreRow {
    /// As the manifest says; the file's name when it says nothing.
    pub submission_id: String,
    /// File or folder; `file:line` for a line of a file.
    pub path: String,
    pub hotkey: Option<String>,
    /// Milliseconds since 1970, UTC.
    pub accepted_at_unix_ms: Option<u64>,
    pub scoring_version: String,
    /// Prequential bits per byte; v1 has none.
    pub bpb: Option<f64>,
    /// With the code's length (v3 only).
    pub two_part_bpb: Option<f64>,
    /// Architecture and training score (v1 only).
    pub q_arch: Option<f64>,
    pub q_recipe: Option<f64>,
    pub final_score: f64,
    pub flags: Vec<String>,
    pub heldout_delta: Option<f64>,
    pub train_heldout_gap: Option<f64>,
    pub memorization_flag: bool,
    pub memorization_penalty: f64,
    pub anti_cheat_multiplier: f64,
    pub recorded_scoring_version: Option<String>,
    pub recorded_final_score: Option<f64>,
    /// `final_score - recorded_final_score`, when both are of the same version.
    pub drift: Option<f64>,
    /// Fields of the recorded score, of the same version, that differ by more than the tolerance.
    pub drifted: Vec<FieldDrift>,
}

/// One input without a score.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RescoreFailure {
    pub submission_id: Option<String>,
    pub path: String,
    /// All reasons.
    pub error: Vec<String>,
}

impl RescoreFailure {
    /// An input without a score.
    pub fn new(submission_id: Option<String>, path: String, error: Vec<String>) -> Self {
        Self {
            submission_id,
            path,
            error,
        }
    }
}

/// What became of one input.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are of the large kind"
)]
pub enum RescoreOutcome {
    Scored(RescoreRow),
    Failed(RescoreFailure),
}

/// What a manifest says about itself.
pub struct Head {
    submission_id: String,
    path: String,
    identity: Identity,
    recorded: Map<String, Value>,
    tolerance: f64,
}

impl Head {
    /// Takes the head of a manifest; `name` is the submission's when it has none. What the index does not know of it is
    /// taken from the manifest.
    ///
    /// # Errors
    /// What is said of an input whose head is not as it should be.
    pub fn take(
        manifest: &mut Value,
        name: String,
        path: String,
        index: Option<&Index>,
        tolerance: f64,
    ) -> Result<Self, RescoreFailure> {
        let Some(fields) = manifest.as_object_mut() else {
            return Err(RescoreFailure::new(
                None,
                path,
                vec!["expected an object".to_owned()],
            ));
        };
        let submission_id = match fields.get("submission_id") {
            None | Some(Value::Null) => name,
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(_) => {
                let reason = "submission_id: expected a text that is not empty".to_owned();
                return Err(RescoreFailure::new(None, path, vec![reason]));
            }
        };
        let listed = index.and_then(|index| index.get(&submission_id)).cloned();
        let identity = match listed {
            Some(listed) if listed.hotkey.is_some() && listed.accepted_at_unix_ms.is_some() => {
                listed
            }
            listed => match Identity::of(fields) {
                Ok(own) => listed.unwrap_or_default().or(own),
                Err(reason) => {
                    return Err(RescoreFailure::new(Some(submission_id), path, vec![reason]));
                }
            },
        };
        let recorded = match fields.get("score") {
            Some(Value::Object(score)) => score.clone(),
            _ => Map::new(),
        };
        Ok(Self {
            submission_id,
            path,
            identity,
            recorded,
            tolerance,
        })
    }

    /// The submission.
    pub fn submission_id(&self) -> &str {
        &self.submission_id
    }

    /// Fills what the index and the manifest leave open.
    pub fn fill_identity(&mut self, identity: Identity) {
        self.identity = std::mem::take(&mut self.identity).or(identity);
    }

    /// The input has no score.
    pub fn fail(self, reasons: Vec<String>) -> RescoreOutcome {
        failure(Some(self.submission_id), self.path, reasons)
    }

    /// The input has a score under the v1 rules.
    pub fn score_v1(self, score: v1::ScoreV1) -> RescoreOutcome {
        let mut row = self.row(SCORE_V1, score.final_score, &[]);
        (row.q_arch, row.q_recipe) = (Some(score.q_arch), Some(score.q_recipe));
        RescoreOutcome::Scored(row)
    }

    /// The input has a score under the v2 rules.
    pub fn score_v2(self, score: v2::ScoreV2) -> RescoreOutcome {
        let fields = drift::v2_fields(&score);
        RescoreOutcome::Scored(RescoreRow {
            bpb: Some(score.prequential_bpb),
            flags: score.flags.into_iter().map(str::to_owned).collect(),
            heldout_delta: score.heldout_delta,
            train_heldout_gap: score.train_heldout_gap,
            memorization_flag: score.memorization_flag,
            memorization_penalty: score.memorization_penalty,
            anti_cheat_multiplier: score.anti_cheat_multiplier,
            ..self.row(SCORE_V2, score.final_score, &fields)
        })
    }

    /// The input has a score under the v3 rules.
    pub fn score_v3(self, score: v3::ScoreV3) -> RescoreOutcome {
        let fields = drift::v3_fields(&score);
        RescoreOutcome::Scored(RescoreRow {
            bpb: Some(score.prequential_bpb),
            two_part_bpb: Some(score.two_part_bpb),
            heldout_delta: score.heldout_delta,
            train_heldout_gap: score.train_heldout_gap,
            memorization_flag: score.memorization_flag,
            memorization_penalty: score.memorization_penalty,
            anti_cheat_multiplier: score.anti_cheat_multiplier,
            ..self.row(&score.schema, score.final_score, &fields)
        })
        .with_flags(score.flags)
    }

    fn row(self, version: &str, final_score: f64, fields: &[(&str, Value)]) -> RescoreRow {
        let recorded_scoring_version = match self.recorded.get("schema") {
            Some(Value::String(recorded)) => Some(recorded.clone()),
            _ => None,
        };
        let recorded_final_score = self.recorded.get("final_score").and_then(Value::as_f64);
        let same_rules = recorded_scoring_version.as_deref() == Some(version);
        RescoreRow {
            drift: recorded_final_score
                .filter(|_| same_rules)
                .map(|recorded| final_score - recorded),
            drifted: if same_rules {
                drift::field_drifts(&self.recorded, fields, self.tolerance)
            } else {
                Vec::new()
            },
            submission_id: self.submission_id,
            path: self.path,
            hotkey: self.identity.hotkey,
            accepted_at_unix_ms: self.identity.accepted_at_unix_ms,
            scoring_version: version.to_owned(),
            bpb: None,
            two_part_bpb: None,
            q_arch: None,
            q_recipe: None,
            final_score,
            flags: Vec::new(),
            heldout_delta: None,
            train_heldout_gap: None,
            memorization_flag: false,
            memorization_penalty: 1.0,
            anti_cheat_multiplier: 1.0,
            recorded_scoring_version,
            recorded_final_score,
        }
    }
}

impl RescoreOutcome {
    fn with_flags(mut self, flags: Vec<String>) -> Self {
        if let Self::Scored(row) = &mut self {
            row.flags = flags;
        }
        self
    }

    /// The row, as the leaderboard takes it; none without a score.
    pub fn standing(&self) -> Option<LeaderboardRow> {
        let Self::Scored(row) = self else {
            return None;
        };
        Some(LeaderboardRow {
            rank: 0,
            submission_id: row.submission_id.clone(),
            hotkey: row.hotkey.clone(),
            accepted_at_unix_ms: row.accepted_at_unix_ms,
            scoring_version: row.scoring_version.clone(),
            final_score: row.final_score,
            prequential_bpb: row.bpb,
            two_part_bpb: row.two_part_bpb,
            heldout_delta: row.heldout_delta,
            flags: row.flags.clone(),
            tied_with_above: None,
        })
    }
}

/// The outcome of an input without a score.
pub fn failure(submission_id: Option<String>, path: String, error: Vec<String>) -> RescoreOutcome {
    RescoreOutcome::Failed(RescoreFailure::new(submission_id, path, error))
}
