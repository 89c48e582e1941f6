//! The default of every setting.

use super::*;
use crate::duplicates::DuplicatePolicy;
use crate::families::pools::Pools;
use crate::identity;
use crate::intake::Sentinel;

impl Default for Config {
    fn default() -> Self {
        Self {
            inbox: "inbox".into(),
            outbox: "outbox".into(),
            intake: Intake::default(),
            identity: identity::Settings::default(),
            archive: bundle::Limits::default(),
            review: Review::default(),
            duplicates: Duplicates::default(),
            gate: Gate::default(),
            corpus: Corpus::default(),
            contest: Contest::default(),
            budget: Budget::default(),
            held_out: HeldOut::default(),
            run: Run::default(),
            sandbox: Sandbox::default(),
            audit: Audit::default(),
            keys: Keys::default(),
            quarantine: Quarantine::default(),
            competitions: Competitions::default(),
            log: Log::default(),
            metrics: Metrics::default(),
            told: Told::default(),
        }
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            settle_ms: 2_000,
            rescan_ms: 10_000,
            sentinel: Sentinel::None,
        }
    }
}

impl Default for Duplicates {
    fn default() -> Self {
        Self {
            policy: DuplicatePolicy::Reject,
            source: 0.85,
            graph: 0.82,
            structure: 0.85,
        }
    }
}

impl Default for Corpus {
    fn default() -> Self {
        Self {
            root: "corpus".into(),
            tokenizers: "tokenizers".into(),
            order: Order::File,
            order_key: None,
        }
    }
}

impl Default for Contest {
    fn default() -> Self {
        Self {
            vocab_size: 4_096,
            sequence_length: 128,
            max_parameters: 150_000_000,
            seed: 1_337,
            seeds: Vec::new(),
            v1_mode: None,
            max_batch_size: 256,
            max_seq_len: 2_048,
            min_steps: 8,
            max_logits_bytes: 1 << 30,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: 100_000_000,
            steps: None,
            wall_clock_s: 1_200,
            grace_s: 120,
        }
    }
}

impl Default for HeldOut {
    fn default() -> Self {
        Self {
            val_bytes: 65_536,
            train_tail_bytes: 65_536,
        }
    }
}

impl Default for Run {
    fn default() -> Self {
        Self {
            python: ".venv/bin/python".into(),
            referee: None,
            device: Device::Cpu,
            world_size: 1,
            threads: 2,
            referee_threads: 2,
            startup_s: 180,
            build_s: 60,
            predict_s: 120,
            evaluate_s: 600,
            max_attempts: 3,
            checkpoint_steps: 1_000,
            retry_after_s: 60,
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            isolation: Isolation::Bwrap,
            image: None,
            memory_bytes: 8 << 30,
            processes: 512,
            open_files: 1_024,
            artifacts_bytes: 2 << 30,
            tmp_bytes: 1 << 30,
            log_bytes: 1 << 20,
        }
    }
}

impl Default for Quarantine {
    fn default() -> Self {
        Self {
            floor_bpb: 0.5,
            references: Vec::new(),
            margin_bpb: 0.3,
            accepted: Vec::new(),
        }
    }
}

impl Default for Competitions {
    fn default() -> Self {
        let pools = Pools::default();
        Self {
            weights: WeightsFrom::Single,
            architecture: pools.architecture,
            training: pools.training,
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            first_steps: 2,
            one_in: 64,
            snapshots: 4,
            commit: true,
            tolerance_nats: 1e-3,
            transport: TransportSetting::Auto,
            committed_from_vocab: 16_384,
            show_one_in: 16,
        }
    }
}
