//! What a submission asked for with `ctx.iter_train_batches`, and whether it may have it.

use super::measured::Fault;
use super::phases::train::Opened;
use super::plan::RunPlan;
use super::shm::Geometry;
use super::stop::Stop;
use super::wire;
use crate::config::Config;
use crate::dataset::stream::TokenStream;
use crate::dataset::tokenizer::guarded::Process;
use crate::dataset::tokenizer::{self, Tokenizer};

/// The tokenizer that a run uses: prism.yaml's, which `iter_train_batches` may only repeat, else what that named,
/// else bytes.
pub fn resolve(plan: &RunPlan, opened: &Opened) -> Result<String, Stop> {
    match (&plan.tokenizer, &opened.tokenizer) {
        (Some(declared), Some(asked)) if !declared.eq_ignore_ascii_case(asked) => Err(Fault::new(
            "prism:tokenizer",
            format!(
                "ctx.iter_train_batches asked for tokenizer {:?}, prism.yaml names {declared:?}",
                wire::clipped(asked)
            ),
            "name the same tokenizer in both places, or only in prism.yaml",
        )
        .into()),
        (_, Some(name)) | (Some(name), None) => Ok(name.clone()),
        (None, None) => Ok(tokenizer::BYTES.to_owned()),
    }
}

/// The geometry a submission asked for, if it may have it.
pub fn check_geometry(
    plan: &RunPlan,
    opened: &Opened,
    tokenizer: &str,
) -> Result<(Geometry, Tokenizer), Stop> {
    let contest = &plan.config.contest;
    let wrong =
        |message: String, hint: &str| Stop::from(Fault::new("prism:geometry", message, hint));
    if !(1..=u64::from(contest.max_batch_size)).contains(&opened.batch_size) {
        return Err(wrong(
            format!(
                "batch_size: got {}, expected 1 to {}",
                opened.batch_size, contest.max_batch_size
            ),
            "ask ctx.iter_train_batches for another batch_size",
        ));
    }
    if !(1..=u64::from(contest.max_seq_len)).contains(&opened.seq_len) {
        return Err(wrong(
            format!(
                "seq_len: got {}, expected 1 to {}",
                opened.seq_len, contest.max_seq_len
            ),
            "ask ctx.iter_train_batches for another seq_len",
        ));
    }
    let logits_bytes = opened.batch_size * opened.seq_len * u64::from(contest.vocab_size) * 4;
    if logits_bytes > contest.max_logits_bytes {
        return Err(wrong(
            format!(
                "{} x {} tokens make {logits_bytes} bytes of logits a batch, expected at most {}",
                opened.batch_size, opened.seq_len, contest.max_logits_bytes
            ),
            "ask ctx.iter_train_batches for a smaller batch_size or seq_len",
        ));
    }
    let tokenizer = load_tokenizer(plan, tokenizer)?;
    let geometry = Geometry {
        batch_size: opened.batch_size as usize,
        seq_len: opened.seq_len as usize,
        vocab_size: contest.vocab_size as usize,
    };
    Ok((geometry, tokenizer))
}

/// The tokenizer of that name, the contest's or the project's own; a name that there is not, or a tokenizer that is too
/// large, is the submission's fault.
pub fn load_tokenizer(plan: &RunPlan, name: &str) -> Result<Tokenizer, Stop> {
    let config = &plan.config;
    let wrong =
        |message: String, hint: &str| Stop::from(Fault::new("prism:tokenizer", message, hint));
    let tokenizer = if plan.tokenizer.as_deref() == Some(tokenizer::OWN) && name == tokenizer::OWN {
        let process = Process {
            prism: plan.prism.clone(),
            isolation: config.sandbox.isolation,
            image: config.sandbox.image.clone(),
        };
        Tokenizer::own(&plan.project.join(tokenizer::OWN), process)?
    } else {
        let known = tokenizer::names(&config.corpus.tokenizers)?;
        let Some(name) = known.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
            return Err(wrong(
                format!(
                    "tokenizer: got {:?}, which this contest does not have; it has {}",
                    wire::clipped(name),
                    known.join(", ")
                ),
                "name one of these, or ship a tokenizer.json and name it in prism.yaml",
            ));
        };
        Tokenizer::load(name, &config.corpus.tokenizers)?
    };
    let most = config.contest.vocab_size;
    if tokenizer.size() > most {
        return Err(wrong(
            format!(
                "tokenizer {} has {} ids, expected at most {most}",
                tokenizer.name(),
                tokenizer.size(),
            ),
            "use a tokenizer that fits ctx.vocab_size",
        ));
    }
    Ok(tokenizer)
}

/// The text must fill every lane with enough steps to learn from and to check.
pub fn check_lanes(config: &Config, geometry: Geometry, stream: &TokenStream) -> Result<(), Stop> {
    let lanes = geometry.batch_size * config.run.world_size as usize;
    let few = |steps: usize| {
        Fault::new(
            "prism:geometry",
            format!(
                "{} x {} tokens cut the text into {steps} full steps, expected at least {}",
                geometry.batch_size, geometry.seq_len, config.contest.min_steps
            ),
            "ask ctx.iter_train_batches for a smaller batch_size or seq_len",
        )
    };
    match stream.lanes(lanes, geometry.seq_len) {
        Ok(cut) if cut.full_steps() < config.contest.min_steps as usize => {
            Err(few(cut.full_steps()).into())
        }
        Ok(_) => Ok(()),
        Err(_) => Err(few(0).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::bundle::EntryPoint;
    use crate::dataset::Document;

    fn plan() -> RunPlan {
        let mut config = Config::default();
        config.corpus.tokenizers =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tokenizers");
        let script = |path: &str| EntryPoint {
            path: path.to_owned(),
            symbol: "x".to_owned(),
        };
        RunPlan {
            target: None,
            probe: BTreeMap::new(),
            submission_id: String::new(),
            project: PathBuf::new(),
            architecture: script("architecture.py"),
            v1: None,
            training: script("training.py"),
            sources: BTreeMap::new(),
            tokenizer: None,
            prism: PathBuf::new(),
            folder: PathBuf::new(),
            audit_key: String::new(),
            order_key: None,
            config,
        }
    }

    fn asked(batch_size: u64, seq_len: u64) -> Opened {
        Opened {
            batch_size,
            seq_len,
            tokenizer: None,
        }
    }

    fn rule_of<T: std::fmt::Debug>(result: Result<T, Stop>) -> String {
        match result {
            Err(Stop::Fault(fault)) => fault.rule_id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_limits_of_a_batch_are_exact() {
        // 32 x 2048 tokens of 4096 ids make 1 GiB: the most that the default allows.
        for (batch_size, seq_len) in [(1, 1), (256, 1), (1, 2_048), (32, 2_048), (256, 256)] {
            let (geometry, _) =
                check_geometry(&plan(), &asked(batch_size, seq_len), "bytes").unwrap();
            assert_eq!(geometry.positions() as u64, batch_size * seq_len);
            assert!(geometry.logits() * 4 <= 1 << 30);
        }
        for (batch_size, seq_len) in [
            (0, 1),
            (1, 0),
            (257, 1),
            (1, 2_049),
            (33, 2_048),
            (256, 257),
            (u64::MAX, 1),
            (1, u64::MAX),
            (u64::MAX, u64::MAX),
        ] {
            let result = check_geometry(&plan(), &asked(batch_size, seq_len), "bytes");
            assert_eq!(rule_of(result), "prism:geometry", "{batch_size} {seq_len}");
        }
    }

    #[test]
    fn a_tokenizer_is_known_and_fits() {
        for name in [
            "",
            "gpt",
            "../bytes",
            "prism-4096.json",
            "/etc/passwd",
            "a\0b",
        ] {
            let result = check_geometry(&plan(), &asked(1, 8), name);
            assert_eq!(rule_of(result), "prism:tokenizer", "{name:?}");
        }
        let mut narrow = plan();
        narrow.config.contest.vocab_size = 4_095;
        assert_eq!(
            rule_of(check_geometry(&narrow, &asked(1, 8), "prism-4096")),
            "prism:tokenizer"
        );
        assert!(check_geometry(&plan(), &asked(1, 8), "prism-4096").is_ok());
    }

    #[test]
    fn every_rank_s_lanes_must_hold_enough_steps() {
        let mut config = plan().config;
        let tokenizer = Tokenizer::load("bytes", &config.corpus.tokenizers).unwrap();
        let documents = [Document {
            id: "d".to_owned(),
            text: "x".repeat(8 * 10 * 4),
        }];
        let stream = TokenStream::new(&documents, &tokenizer).unwrap();
        let geometry = Geometry {
            batch_size: 4,
            seq_len: 9,
            vocab_size: 4_096,
        };
        assert!(check_lanes(&config, geometry, &stream).is_ok());
        // Twice as many lanes are half as long.
        config.run.world_size = 2;
        assert_eq!(
            rule_of(check_lanes(&config, geometry, &stream)),
            "prism:geometry"
        );
    }
}
