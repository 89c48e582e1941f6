//! One run, from plan to measurement: twin, training, replays of snapshots, held-out, in that order, each in a process of
//! its own.

mod checks;
mod keys;
mod shared_loss;
mod weights;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use shared_loss::SharedLoss;

use super::blind::BlindWatch;
use super::causality::Schedule;
use super::committed::Answers;
use super::connection::Stop;
use super::events::{Event, RunStage};
use super::head_start::FirstBatch;
use super::journal::Journal;
use super::launch::{self, Phase};
use super::loss::Loss;
use super::measured::{Environment, Measured};
use super::past::Past;
use super::phases::evaluation_patience;
use super::phases::heldout::{self, Evaluated, Trained};
use super::phases::shadow::{self, Replayed};
use super::phases::train::{Kept, Snapshots, Training};
use super::phases::twin::Twin;
use super::plan::RunPlan;
use super::shm::Geometry;
use super::step::Prediction;
use super::structure;
use super::texts::Texts;
use super::transport::Transport;
use super::{
    diagnostics, geometry as geometry_rules, handshake, runner_files, texts as corpus_texts,
    v1_outcome,
};
use crate::config::Config;
use crate::dataset::manifest::{Corpus, Split};
use crate::dataset::stream::{Batch, TokenStream};
use crate::dataset::tokenizer::{self, Tokenizer};
use crate::outbox::status::rfc3339;
use crate::sandbox::{probe, python};

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
            v1: None,
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

    /// The tokenizer that prism.yaml names and the texts in it: whatever is wrong with it rejects, before anything runs.
    fn declared_texts(&mut self) -> Result<Option<(Tokenizer, Texts)>, Stop> {
        let Some(name) = &self.plan.tokenizer else {
            return Ok(None);
        };
        let begun = Instant::now();
        let tokenizer = geometry_rules::load_tokenizer(self.plan, name)?;
        if tokenizer.name() == tokenizer::OWN {
            let file = self.plan.project.join(tokenizer::OWN);
            self.tokenizers[tokenizer::OWN] =
                serde_json::json!({"file": file, "size": tokenizer.size()});
        }
        let texts = Texts::load(&self.corpus, self.config, &tokenizer, self.order_key)?;
        self.seconds("tokenize", begun.elapsed());
        Ok(Some((tokenizer, texts)))
    }

    /// Builds the twin, applies the cap, probes it on public text.
    fn twin(&mut self, declared: Option<&Tokenizer>, loss: &mut dyn Loss) -> Result<Twin, Stop> {
        let by_twin = structure::is_told_by_twin(self.plan);
        if !by_twin {
            self.measured.structure = structure::on_cpu(self.plan, &self.python, &self.tokenizers)?;
            structure::check_target(self.plan, self.measured.structure.as_ref())?;
        }
        let started =
            handshake::start(self.plan, &self.python, Phase::Twin, None, &self.tokenizers)?;
        self.measured.environment = started.environment.clone();
        let mut twin = Twin::build(started, self.config, by_twin)?;
        self.measured.model_params = Some(twin.parameters);
        if by_twin {
            self.measured.structure = twin.structure.take();
            structure::check_target(self.plan, self.measured.structure.as_ref())?;
        }
        let bytes;
        let tokenizer = match declared {
            Some(tokenizer) => tokenizer,
            None => {
                bytes = geometry_rules::load_tokenizer(self.plan, tokenizer::BYTES)?;
                &bytes
            }
        };
        let open = corpus_texts::open_sample(&self.corpus)?;
        let open = TokenStream::new(&open, tokenizer)?;
        if open.tokens() > 2 * super::phases::HELDOUT_ROWS {
            let probes = twin.probe_open_text(self.config, &open, &self.schedule, loss)?;
            self.measured.probes.extend(probes);
        }
        twin.pause()?;
        Ok(twin)
    }

    /// Trains and saves. Ends the twin once it has served as the standard of the first batch.
    fn train(
        &mut self,
        twin: Twin,
        declared: Option<Texts>,
        loss: &mut dyn Loss,
    ) -> Result<Left, Stop> {
        let started = handshake::start(
            self.plan,
            &self.python,
            Phase::Train,
            None,
            &self.tokenizers,
        )?;
        self.measured.environment = started.environment.clone();
        let path = self.plan.folder.join(ONLINE_JOURNAL);
        let mut online = Journal::create(path).map_err(Stop::io(ONLINE_JOURNAL))?;
        let mut first: Option<FirstBatch> = None;
        let mut twin = Some(twin);
        // The training borrows the loss; the twin's share of it is done through a cell of one.
        let loss = std::cell::RefCell::new(loss);
        let mut shared = SharedLoss::of(&loss);
        let mut training = Training {
            started,
            config: self.config,
            schedule: self.schedule.for_phase("train"),
            predict_patience: evaluation_patience(&self.config.run),
            loss: &mut shared,
            journal: &mut online,
            events: self.events,
            answers: Answers::new(
                Transport::chosen(&self.config.audit, self.config.contest.vocab_size),
                self.schedule.for_phase("show"),
                &self.config.audit,
            ),
            probes: Vec::new(),
            blind: BlindWatch::default(),
            snapshots: Snapshots::new(
                self.schedule.for_phase("snapshots").key(),
                &self.config.audit,
                self.plan.folder.join(Phase::Train.name()).join("artifacts"),
                self.plan.folder.join("snapshots"),
            ),
            live_params: 0,
            referee_time: Duration::ZERO,
            stream_time: Duration::ZERO,
        };
        let opened = training.opened()?;
        let tokenizer = geometry_rules::resolve(self.plan, &opened)?;
        let (geometry, tokenizer) = geometry_rules::check_geometry(self.plan, &opened, &tokenizer)?;
        self.measured.batch_size = Some(geometry.batch_size as u32);
        self.measured.seq_len = Some(geometry.seq_len as u32);
        self.measured.tokenizer = Some(tokenizer.name().to_owned());
        let begun = Instant::now();
        let texts = match declared {
            Some(texts) => texts,
            None => Texts::load(&self.corpus, self.config, &tokenizer, self.order_key)?,
        };
        self.measured
            .seconds
            .entry("tokenize".to_owned())
            .or_insert_with(|| begun.elapsed().as_secs_f64());
        self.measured.stream_documents = texts.stream.documents;
        self.measured.stream_bytes = texts.stream.text_bytes;
        self.measured.stream_tokens = texts.stream.tokens() as u64;
        geometry_rules::check_lanes(self.config, geometry, &texts.stream)?;
        let heldout = &mut self.heldout;
        let lanes = texts.stream.lanes(
            geometry.batch_size * self.config.run.world_size as usize,
            geometry.seq_len,
        )?;
        let folder = launch::data_dir(self.plan, Phase::Train);
        let mut past = Past::new(folder, &texts.documents, &texts.stream, &lanes);
        let end = training.run(geometry, &texts.stream, &mut past, &mut |batch, scored| {
            let Some(mut twin) = twin.take() else {
                return Ok(());
            };
            twin.resume();
            let mut loss = SharedLoss::of(&loss);
            let standard = twin.first_batch(self.config, geometry, batch, &mut loss)?;
            first = Some(FirstBatch::new(
                batch,
                &texts.stream,
                geometry.vocab_size,
                &standard,
                scored,
                self.config.audit.tolerance_nats,
            ));
            twin.held_out(self.config, &texts.val, &mut loss, heldout)?;
            twin.end();
            Ok(())
        });
        self.measured.probes.append(&mut training.probes);
        self.measured.live_params = Some(training.live_params);
        self.measured.transport = Some(training.answers.figures());
        let blind = training.blind.figures();
        self.measured.blind = Some(blind);
        self.measured.checks.push(blind.check());
        self.measured
            .seconds
            .insert("referee".to_owned(), training.referee_time.as_secs_f64());
        self.measured
            .seconds
            .insert("stream".to_owned(), training.stream_time.as_secs_f64());
        let kept = std::mem::take(&mut training.snapshots.kept);
        self.measured.snapshots = Some(std::mem::take(&mut training.snapshots.figures));
        let causal = end.as_ref().err().is_none_or(
            |stop| !matches!(stop, Stop::Fault(fault) if fault.rule_id == "prism:non-causal"),
        );
        self.measured
            .checks
            .push(checks::causality(causal, &self.measured));
        let end = end?;
        self.measured.stopped_reason = Some(end.stopped_reason.to_owned());
        if let Some(first) = first {
            self.measured.step0_nats = Some(first.step0_nats);
            self.measured.step0_bytes_per_token = first.bytes_per_token;
            self.measured.checks.push(first.check);
        }
        self.measured.checks.extend(end.ranks);
        training.save_and_end()?;
        online.sync().map_err(Stop::io(ONLINE_JOURNAL))?;
        let weights = weights::take(self.plan)?;
        self.take_v1(geometry, end.check.as_ref())?;
        let tail = corpus_texts::tail(
            &lanes,
            geometry,
            end.revealed_steps,
            &texts.stream,
            self.config,
        );
        Ok(Left {
            geometry,
            texts,
            weights,
            kept,
            tail,
            check: end.check,
        })
    }

    /// What a submission of the first contract leaves besides its weights.
    fn take_v1(
        &mut self,
        geometry: Geometry,
        last: Option<&(Batch, Prediction)>,
    ) -> Result<(), Stop> {
        let Some(plan) = &self.plan.v1 else {
            return Ok(());
        };
        let diagnostics = match last {
            Some((batch, live)) => {
                diagnostics::of_logits(&live.logits, geometry.vocab_size, &batch.targets)
            }
            None => diagnostics::not_measured("nothing was trained on"),
        };
        let artifacts = self.plan.folder.join(Phase::Train.name()).join("artifacts");
        let id = &self.plan.submission_id;
        self.measured.v1 = Some(v1_outcome::collect(id, plan, &artifacts, diagnostics)?);
        Ok(())
    }

    /// Replays the snapshots that were kept.
    fn replay(&mut self, left: &Left, loss: &mut dyn Loss) -> Result<(), Stop> {
        let Some(figures) = &mut self.measured.snapshots else {
            return Ok(());
        };
        let ranks = self.config.run.world_size as usize;
        let geometry = left.geometry;
        let lanes = left
            .texts
            .stream
            .lanes(geometry.batch_size * ranks, geometry.seq_len)?;
        let run = Replayed {
            plan: self.plan,
            python: &self.python,
            tokenizers: &self.tokenizers,
            key: self.schedule.for_phase("replays").key(),
            geometry,
            lanes: &lanes,
        };
        figures.replays = shadow::replay(&run, &left.kept, loss)?;
        let check = figures.check(self.config.audit.tolerance_nats);
        self.measured.checks.push(check);
        Ok(())
    }

    fn held_out(&mut self, left: &Left, loss: &mut dyn Loss) -> Result<Evaluated, Stop> {
        let started = handshake::start(
            self.plan,
            &self.python,
            Phase::HeldOut,
            Some(&left.weights),
            &self.tokenizers,
        )?;
        let trained = Trained {
            geometry: left.geometry,
            check: left.check.as_ref().map(|(batch, live)| (batch, live)),
            tail: &left.tail,
            stream: &left.texts.stream,
            schedule: &self.schedule,
        };
        heldout::evaluate_trained(
            started,
            self.config,
            &trained,
            &left.texts.val,
            loss,
            &mut self.heldout,
        )
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
