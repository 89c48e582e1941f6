//! The range of every setting.

use super::{Config, ConfigError, Isolation};
use crate::identity::decode_address;
use crate::sandbox;

impl Config {
    /// Whether every setting is in its range.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let range = |ok: bool, key, got: &dyn std::fmt::Display, expected| {
            if ok {
                Ok(())
            } else {
                Err(ConfigError::Range {
                    key,
                    got: got.to_string(),
                    expected,
                })
            }
        };
        if let Some(key) = &self.corpus.order_key {
            range(
                key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "corpus.order_key",
                key,
                "64 hexadecimal digits",
            )?;
        }
        let image = self.sandbox.image.as_deref();
        range(
            image.map_or_else(
                || matches!(self.sandbox.isolation, Isolation::Bwrap | Isolation::None),
                sandbox::is_pinned,
            ),
            "sandbox.image",
            &image.unwrap_or("none"),
            "with isolation docker or podman an image pinned by digest: name@sha256: and 64 hexadecimal digits",
        )?;
        self.gate.check()?;
        let contest = &self.contest;
        range(
            (1..=8).contains(&self.run.world_size),
            "run.world_size",
            &self.run.world_size,
            "1 to 8",
        )?;
        range(
            (1..=64).contains(&self.run.threads),
            "run.threads",
            &self.run.threads,
            "1 to 64",
        )?;
        range(
            (1..=64).contains(&self.run.referee_threads),
            "run.referee_threads",
            &self.run.referee_threads,
            "1 to 64",
        )?;
        range(
            (257..=1 << 20).contains(&contest.vocab_size),
            "contest.vocab_size",
            &contest.vocab_size,
            "257 to 1048576",
        )?;
        range(
            (2..=contest.max_seq_len).contains(&contest.sequence_length),
            "contest.sequence_length",
            &contest.sequence_length,
            "2 to contest.max_seq_len",
        )?;
        range(
            contest.max_seq_len <= 65_536,
            "contest.max_seq_len",
            &contest.max_seq_len,
            "at most 65536",
        )?;
        range(
            (1..=4_096).contains(&contest.max_batch_size),
            "contest.max_batch_size",
            &contest.max_batch_size,
            "1 to 4096",
        )?;
        range(
            self.budget.bytes > 0,
            "budget.bytes",
            &self.budget.bytes,
            "more than 0",
        )?;
        for (key, threshold) in [
            ("duplicates.source", self.duplicates.source),
            ("duplicates.graph", self.duplicates.graph),
            ("duplicates.structure", self.duplicates.structure),
        ] {
            range(
                threshold > 0.0 && threshold <= 1.0,
                key,
                &threshold,
                "more than 0, at most 1",
            )?;
        }
        let identity = &self.identity;
        range(
            identity.network <= 16_383,
            "identity.network",
            &identity.network,
            "0 to 16383",
        )?;
        for (key, address) in identity.addresses() {
            if let Err(error) = decode_address(address, identity.network) {
                return Err(ConfigError::Range {
                    key,
                    got: error.to_string(),
                    expected: "ss58 addresses of identity.network",
                });
            }
        }
        let distinct: std::collections::BTreeSet<_> = contest.seeds.iter().collect();
        range(
            distinct.len() == contest.seeds.len() && contest.seeds.len() <= 16,
            "contest.seeds",
            &format!("{:?}", contest.seeds),
            "at most 16 different seeds",
        )?;
        for (key, bound) in [
            ("quarantine.floor_bpb", self.quarantine.floor_bpb),
            ("quarantine.margin_bpb", self.quarantine.margin_bpb),
        ] {
            range(
                bound.is_finite() && bound >= 0.0,
                key,
                &bound,
                "a number from 0",
            )?;
        }
        let pools = &self.competitions;
        range(
            pools.architecture >= 0.0
                && pools.training >= 0.0
                && (pools.architecture + pools.training - 1.0).abs() < 1e-9,
            "competitions.architecture",
            &format!("{} + {}", pools.architecture, pools.training),
            "two shares from 0 that add up to 1",
        )?;
        range(
            self.audit.snapshots <= 64,
            "audit.snapshots",
            &self.audit.snapshots,
            "at most 64",
        )?;
        range(
            self.audit.tolerance_nats > 0.0 && self.audit.tolerance_nats.is_finite(),
            "audit.tolerance_nats",
            &self.audit.tolerance_nats,
            "a positive number",
        )
    }
}
