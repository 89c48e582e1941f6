//! One run, from plan to measurement: twin, training, replays of snapshots, held-out, in that order, each in a process of
//! its own.

mod afterwards;
mod before;
mod checks;
mod keys;
mod shared_loss;
mod training;
mod weights;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use super::causality::Schedule;
use super::events::Event;
use super::events::RunStage;
use super::journal::Journal;
use super::launch;
use super::launch::Phase;
use super::loss::Loss;
use super::measured::Environment;
use super::measured::Measured;
use super::phases::train::Kept;
use super::plan::RunPlan;
use super::runner_files;
use super::shm::Geometry;
use super::step::Prediction;
use super::stop::Stop;
use super::texts as corpus_texts;
use super::texts::Texts;
use crate::config::Config;
use crate::dataset::manifest::Corpus;
use crate::dataset::manifest::Split;
use crate::dataset::stream::Batch;
use crate::outbox::status::rfc3339;
use crate::sandbox::probe;
use crate::sandbox::python;

/// Names inside a run's folder.
pub const ONLINE_JOURNAL: &str = "online_loss.jsonl";
pub const HELDOUT_JOURNAL: &str = "heldout.jsonl";
pub const MEASURED: &str = "measured.json";

/// Runs a submission. `Err` is infrastructure; the submission's own faults are in the measurement.
pub fn measure(
    plan: &RunPlan,
    loss: &mut dyn Loss,
    events: &mut dyn FnMut(Event),
) -> Result<Measured, (String, String)> {
    let mut session = Session::new(plan, events).map_err(infrastructure)?;
    match session.run(loss) {
        Ok(()) => {}
        Err(Stop::Fault(fault)) => session.measured.fault = Some(fault),
        Err(stop) => return Err(infrastructure(stop)),
    }
    session.measured.ended_at = rfc3339(SystemTime::now());
    Ok(session.measured)
}

fn infrastructure(stop: Stop) -> (String, String) {
    match stop {
        Stop::Infrastructure { message, hint } => (message, hint),
        Stop::Fault(fault) => (fault.to_string(), fault.hint),
    }
}

struct Session<'a> {
    plan: &'a RunPlan,
    config: &'a Config,
    events: &'a mut dyn FnMut(Event),
    corpus: Corpus,
    python: python::Environment,
    schedule: Schedule,
    order_key: Option<[u8; 32]>,
    tokenizers: serde_json::Value,
    heldout: Journal,
    measured: Measured,
}

impl<'a> Session<'a> {
    fn new(plan: &'a RunPlan, events: &'a mut dyn FnMut(Event)) -> Result<Self, Stop> {
        let config = &plan.config;
        let corpus = Corpus::open(&config.corpus.root)?;
        let python = python::environment(config.sandbox.isolation, &config.run.python)?;
        let key = keys::parse("audit_key", &plan.audit_key)?;
        let order_key = plan
            .order_key
            .as_deref()
            .map(|key| keys::parse("order_key", key));
        let schedule = Schedule::new(key, config.audit.first_steps, config.audit.one_in);
        let train = corpus.manifest.splits.get(Split::Train.name());
        let measured = Measured {
            v1: None,
            submission_id: plan.submission_id.clone(),
            fault: None,
            stopped_reason: None,
            tokenizer: None,
            batch_size: None,
            seq_len: None,
            world_size: config.run.world_size,
            vocab_size: config.contest.vocab_size,
            stream_documents: 0,
            stream_bytes: 0,
            stream_tokens: 0,
            corpus_manifest_sha256: corpus.manifest_sha256.clone(),
            corpus_name: corpus.manifest.dataset.name.clone(),
            shard_count: train.map_or(0, |split| split.shards.len() as u64),
            model_params: None,
            structure: None,
            step0_nats: None,
            step0_bytes_per_token: 0.0,
            checks: Vec::new(),
            probes: Vec::new(),
            transport: None,
            blind: None,
            snapshots: None,
            live_params: None,
            isolation: None,
            environment: Environment::default(),
            audit_key: plan.audit_key.clone(),
            order_key: plan.order_key.clone(),
            seconds: BTreeMap::new(),
            digests: BTreeMap::from([("runner".to_owned(), runner_files::runner_digest())]),
            started_at: rfc3339(SystemTime::now()),
            ended_at: String::new(),
        };
        let heldout = Journal::create(plan.folder.join(HELDOUT_JOURNAL))
            .map_err(Stop::io(HELDOUT_JOURNAL))?;
        Ok(Self {
            heldout,
            tokenizers: corpus_texts::list_tokenizers(&config.corpus.tokenizers)?,
            plan,
            config,
            events,
            corpus,
            python,
            schedule,
            order_key: order_key.transpose()?,
            measured,
        })
    }

    fn run(&mut self, loss: &mut dyn Loss) -> Result<(), Stop> {
        let begun = Instant::now();
        (self.events)(Event::Stage {
            stage: RunStage::Twin,
        });
        let wall = launch::command(
            self.plan,
            &self.python,
            Phase::Twin,
            &self.plan.folder,
            None,
        )?;
        self.measured.isolation = Some(probe::achieved(&wall)?);
        let declared = self.declared_texts().map_err(checks::before_training)?;
        let twin = self
            .twin(declared.as_ref().map(|(tokenizer, _)| tokenizer), loss)
            .map_err(checks::before_training)?;
        self.seconds("twin", begun.elapsed());

        let begun = Instant::now();
        (self.events)(Event::Stage {
            stage: RunStage::Train,
        });
        let left = self.train(twin, declared.map(|(_, texts)| texts), loss)?;
        self.seconds("train", begun.elapsed());

        let begun = Instant::now();
        (self.events)(Event::Stage {
            stage: RunStage::HeldOut,
        });
        self.replay(&left, loss)?;
        self.seconds("snapshots", begun.elapsed());
        let begun = Instant::now();
        let evaluated = self.held_out(&left, loss)?;
        self.measured.checks.push(evaluated.state);
        self.measured.probes.extend(evaluated.probes);
        self.heldout
            .sync()
            .map_err(Stop::io("the held-out journal"))?;
        self.seconds("heldout", begun.elapsed());
        Ok(())
    }

    fn seconds(&mut self, part: &str, duration: Duration) {
        self.measured
            .seconds
            .insert(part.to_owned(), duration.as_secs_f64());
    }
}

/// What the training leaves for the held-out evaluation.
struct Left {
    geometry: Geometry,
    texts: Texts,
    weights: PathBuf,
    kept: Vec<Kept>,
    tail: Vec<Batch>,
    check: Option<(Batch, Prediction)>,
}
