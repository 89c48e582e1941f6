//! What a submission asked for with `ctx.iter_train_batches`, and whether it may have it.

use super::connection::Stop;
use super::measured::Fault;
use super::phases::train::Opened;
use super::plan::RunPlan;
use super::shm::Geometry;
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
