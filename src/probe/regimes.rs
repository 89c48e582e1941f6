//! The sizes that a submission is probed in, one setting at a time against the base.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::{Config, Quarantine, Target};
use crate::duplicates::DuplicatePolicy;

/// Held-out text of a probe, in bytes, where the contest has more.
const MAX_HELD_OUT_BYTES: u64 = 16_384;
/// What sizes are multiplied by.
const FACTORS: [f64; 2] = [0.5, 2.0];
/// Seeds beside the contest's own.
const FURTHER_SEEDS: u64 = 2;

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Nothing: what the others are compared with.
    Base,
    Seed,
    /// Row length of the contest, in tokens.
    Sequence,
    /// Parameters by width, if the submission follows `ctx.probe["width"]`.
    Width,
    /// Depth, if it follows `ctx.probe["depth"]`.
    Depth,
    /// Rows per batch, if it follows `ctx.probe["batch"]`.
    Batch,
}

impl Kind {
    pub const VARIED: [Kind; 5] = [
        Kind::Seed,
        Kind::Sequence,
        Kind::Width,
        Kind::Depth,
        Kind::Batch,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Base => "base",
            Kind::Seed => "seed",
            Kind::Sequence => "sequence",
            Kind::Width => "width",
            Kind::Depth => "depth",
            Kind::Batch => "batch",
        }
    }
}

/// One run of a probe.
#[derive(Debug, Clone)]
pub struct Setting {
    pub kind: Kind,
    /// The seed, the row length, or the factor.
    pub value: f64,
    /// File name of the run.
    pub label: String,
    pub config: Config,
}

/// All settings, the base first.
pub fn settings(config: &Config, bytes: u64) -> Vec<Setting> {
    let mut base = config.clone();
    base.budget.bytes = bytes;
    base.held_out.val_bytes = base.held_out.val_bytes.min(MAX_HELD_OUT_BYTES);
    base.held_out.train_tail_bytes = base.held_out.train_tail_bytes.min(MAX_HELD_OUT_BYTES);
    base.duplicates.policy = DuplicatePolicy::Off;
    base.quarantine = Quarantine {
        floor_bpb: 0.0,
        references: Vec::new(),
        ..base.quarantine
    };
    base.keys.signing_key = None;
    base.contest.seeds = Vec::new();
    base.told.target = Target::Unchecked;
    let mut settings = Vec::new();
    let mut add = |kind: Kind, value: f64, config: Config| {
        settings.push(Setting {
            kind,
            value,
            label: format!("{}-{value}", kind.name()),
            config,
        });
    };
    add(Kind::Base, 1.0, base.clone());
    for further in 1..=FURTHER_SEEDS {
        let mut config = base.clone();
        config.contest.seed = base.contest.seed.wrapping_add(further);
        add(Kind::Seed, config.contest.seed as f64, config);
    }
    let length = base.contest.sequence_length;
    for tokens in [length / 2, length.saturating_mul(2)] {
        if (2..=base.contest.max_seq_len).contains(&tokens) {
            let mut config = base.clone();
            config.contest.sequence_length = tokens;
            add(Kind::Sequence, f64::from(tokens), config);
        }
    }
    for kind in [Kind::Width, Kind::Depth, Kind::Batch] {
        for factor in FACTORS {
            let mut config = base.clone();
            config.told.probe = BTreeMap::from([(kind.name().to_owned(), factor)]);
            add(kind, factor, config);
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_differs_at_a_time() {
        let mut config = Config::default();
        config.contest.seeds = vec![5, 6];
        config.contest.seed = 5;
        config.contest.max_seq_len = 200;
        let settings = settings(&config, 10_000);
        let labels: Vec<&str> = settings.iter().map(|one| one.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "base-1",
                "seed-6",
                "seed-7",
                "sequence-64",
                "width-0.5",
                "width-2",
                "depth-0.5",
                "depth-2",
                "batch-0.5",
                "batch-2",
            ]
        );
        let base = &settings[0].config;
        assert_eq!((base.budget.bytes, base.contest.seeds.len()), (10_000, 0));
        assert!(base.told.probe.is_empty());
        for setting in &settings[1..] {
            let mut same = setting.config.clone();
            same.told.probe.clear();
            same.contest.seed = base.contest.seed;
            same.contest.sequence_length = base.contest.sequence_length;
            assert_eq!(&same, base, "{}", setting.label);
            assert_ne!(&setting.config, base, "{}", setting.label);
        }
    }
}
