//! One run, from plan to measurement: twin, training, held-out, in that order, each in a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

use super::causality::Schedule;
use super::connection::Stop;
use super::events::{Event, RunStage};
use super::journal::Journal;
use super::launch::{self, Phase};
use super::loss::Loss;
use super::measured::{CheckResult, Fault, Measured};
use super::phases::heldout::{self, Trained};
use super::phases::train::{Opened, Training};
use super::phases::twin::Twin;
use super::plan::RunPlan;
use super::shm::Geometry;
use super::step::Prediction;
use crate::config::Config;
use crate::dataset::manifest::{Corpus, Split, hex};
use crate::dataset::stream::{Batch, TokenStream};
use crate::dataset::tokenizer::{self, Tokenizer};
use crate::dataset::{Document, read};
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

/// The texts of a run, in the tokenizer that its training asked for.
struct Texts {
    stream: TokenStream,
    val: TokenStream,
}

struct Session<'a> {
    plan: &'a RunPlan,
    config: &'a Config,
    events: &'a mut dyn FnMut(Event),
    corpus: Corpus,
    python: python::Environment,
    schedule: Schedule,
    tokenizers: serde_json::Value,
    heldout: Journal,
    measured: Measured,
}

impl<'a> Session<'a> {
    fn new(plan: &'a RunPlan, events: &'a mut dyn FnMut(Event)) -> Result<Self, Stop> {
        let config = &plan.config;
        let corpus = Corpus::open(&config.corpus.root)?;
        let python = python::discover(&config.run.python)?;
        let key = parse_key(&plan.audit_key).ok_or_else(|| {
            Stop::infrastructure("the plan's audit_key is not 64 hexadecimal digits")
        })?;
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
            step0_nats: None,
            step0_bytes_per_token: 0.0,
            checks: Vec::new(),
            probes: Vec::new(),
            isolation: None,
            environment: super::measured::Environment::default(),
            audit_key: plan.audit_key.clone(),
            seconds: BTreeMap::new(),
            digests: BTreeMap::from([("runner".to_owned(), launch::runner_digest())]),
            started_at: rfc3339(SystemTime::now()),
            ended_at: String::new(),
        };
        let heldout = Journal::create(plan.folder.join(HELDOUT_JOURNAL))
            .map_err(Stop::io(HELDOUT_JOURNAL))?;
        Ok(Self {
            heldout,
            tokenizers: list_tokenizers(&config.corpus.tokenizers)?,
            plan,
            config,
            events,
            corpus,
            python,
            schedule,
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
        let twin = self.twin(loss).map_err(before_training)?;
        self.seconds("twin", begun.elapsed());

        let begun = Instant::now();
        (self.events)(Event::Stage {
            stage: RunStage::Train,
        });
        let left = self.train(twin, loss)?;
        self.seconds("train", begun.elapsed());

        let begun = Instant::now();
        (self.events)(Event::Stage {
            stage: RunStage::HeldOut,
        });
        let check = self.held_out(&left, loss)?;
        self.measured.checks.push(check);
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

    /// Builds the twin, applies the cap, probes it on public text.
    fn twin(&mut self, loss: &mut dyn Loss) -> Result<Twin, Stop> {
        let started = launch::start(self.plan, &self.python, Phase::Twin, None, &self.tokenizers)?;
        self.measured.environment = started.environment.clone();
        let mut twin = Twin::build(started, self.config)?;
        self.measured.model_params = Some(twin.parameters);
        let name = self.plan.tokenizer.as_deref().unwrap_or(tokenizer::BYTES);
        let tokenizer = self.tokenizer(name)?;
        let open = self.open_sample()?;
        let open = TokenStream::new(&open, &tokenizer)?;
        if open.tokens() > 2 * super::phases::HELDOUT_ROWS {
            let probes = twin.probe_open_text(self.config, &open, &self.schedule, loss)?;
            self.measured.probes.extend(probes);
        }
        Ok(twin)
    }

    /// Trains and saves. Ends the twin once it has served as the standard of the first batch.
    fn train(&mut self, twin: Twin, loss: &mut dyn Loss) -> Result<Left, Stop> {
        let started = launch::start(
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
        let mut shared = SharedLoss(&loss);
        let mut training = Training {
            started,
            config: self.config,
            schedule: &self.schedule,
            loss: &mut shared,
            journal: &mut online,
            events: self.events,
            probes: Vec::new(),
            referee_time: Duration::ZERO,
        };
        let opened = training.opened()?;
        let tokenizer = resolve(self.plan, &opened);
        let (geometry, tokenizer) = check_geometry(self.config, &opened, &tokenizer)?;
        self.measured.batch_size = Some(geometry.batch_size as u32);
        self.measured.seq_len = Some(geometry.seq_len as u32);
        self.measured.tokenizer = Some(tokenizer.name().to_owned());
        let texts = load_texts(&self.corpus, self.config, &tokenizer)?;
        self.measured.stream_documents = texts.stream.documents;
        self.measured.stream_bytes = texts.stream.text_bytes;
        self.measured.stream_tokens = texts.stream.tokens() as u64;
        check_lanes(self.config, geometry, &texts.stream)?;
        let heldout = &mut self.heldout;
        let end = training.run(geometry, &texts.stream, &mut |batch, scored| {
            let Some(mut twin) = twin.take() else {
                return Ok(());
            };
            let mut loss = SharedLoss(&loss);
            let standard = twin.first_batch(self.config, geometry, batch, &mut loss)?;
            first = Some(FirstBatch::new(
                batch,
                &texts.stream,
                &standard,
                scored,
                self.config.audit.tolerance_nats,
            ));
            twin.held_out(self.config, &texts.val, &mut loss, heldout)?;
            twin.end();
            Ok(())
        });
        self.measured.probes.append(&mut training.probes);
        self.measured
            .seconds
            .insert("referee".to_owned(), training.referee_time.as_secs_f64());
        let causal = end.as_ref().err().is_none_or(
            |stop| !matches!(stop, Stop::Fault(fault) if fault.rule_id == "prism:non-causal"),
        );
        self.measured
            .checks
            .push(causality_check(causal, &self.measured));
        let end = end?;
        self.measured.stopped_reason = Some(end.stopped_reason.to_owned());
        if let Some(first) = first {
            self.measured.step0_nats = Some(first.step0_nats);
            self.measured.step0_bytes_per_token = first.bytes_per_token;
            self.measured.checks.push(first.check);
        }
        training.save_and_end()?;
        online.sync().map_err(Stop::io(ONLINE_JOURNAL))?;
        let weights = self.take_weights()?;
        let lanes = texts.stream.lanes(
            geometry.batch_size * self.config.run.world_size as usize,
            geometry.seq_len,
        )?;
        let tail = tail(
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
            tail,
            check: end.check,
        })
    }

    /// Moves the weights that the training wrote to where only the held-out process sees them.
    fn take_weights(&mut self) -> Result<PathBuf, Stop> {
        let folder = self.plan.folder.join("weights");
        std::fs::create_dir_all(&folder).map_err(Stop::io("the weights' folder"))?;
        let from = self
            .plan
            .folder
            .join(Phase::Train.name())
            .join("artifacts/weights.safetensors");
        let elements = heldout::count_saved_elements(&from)?;
        let cap = self.config.contest.max_parameters;
        if elements > cap {
            return Err(Fault::new(
                "prism:param-cap",
                format!("parameter cap: the saved weights have {elements} elements, expected at most {cap}"),
                "build a smaller model; what training adds to it counts too",
            )
            .into());
        }
        std::fs::rename(&from, folder.join("weights.safetensors"))
            .map_err(Stop::io("the saved weights"))?;
        Ok(folder)
    }

    fn held_out(&mut self, left: &Left, loss: &mut dyn Loss) -> Result<CheckResult, Stop> {
        let started = launch::start(
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

    fn tokenizer(&self, name: &str) -> Result<Tokenizer, Stop> {
        load_tokenizer(self.config, name)
    }

    fn open_sample(&self) -> Result<Vec<Document>, Stop> {
        let mut documents = Vec::new();
        for shard in self
            .corpus
            .manifest
            .open
            .iter()
            .flat_map(|open| &open.shards)
        {
            documents.extend(read::shard_documents(&self.corpus.root, shard)?);
        }
        Ok(documents)
    }
}

/// What the training leaves for the held-out evaluation.
struct Left {
    geometry: Geometry,
    texts: Texts,
    weights: PathBuf,
    tail: Vec<Batch>,
    check: Option<(Batch, Prediction)>,
}

/// The first batch: the twin's loss on it, and whether the model that enters the stream is the twin.
struct FirstBatch {
    step0_nats: f64,
    bytes_per_token: f64,
    check: CheckResult,
}

impl FirstBatch {
    fn new(
        batch: &Batch,
        stream: &TokenStream,
        twin: &Prediction,
        live: &Prediction,
        tolerance_nats: f64,
    ) -> Self {
        let bytes: u64 = batch.targets.iter().map(|&id| stream.bytes_of(id)).sum();
        let mean = twin.nats.iter().sum::<f64>() / twin.nats.len().max(1) as f64;
        let difference = twin
            .nats
            .iter()
            .zip(&live.nats)
            .fold(0.0, |largest: f64, (a, b)| {
                match (a.is_finite(), b.is_finite()) {
                    (true, true) => largest.max((a - b).abs()),
                    (false, false) => largest,
                    _ => f64::INFINITY,
                }
            });
        Self {
            step0_nats: mean,
            bytes_per_token: bytes as f64 / batch.targets.len().max(1) as f64,
            check: CheckResult {
                name: "head_start".to_owned(),
                passed: difference <= tolerance_nats,
                evidence: format!(
                    "on the first batch the model that enters the stream and its untrained twin differ by {difference:e} nats, \
                     expected at most {tolerance_nats}"
                ),
            },
        }
    }
}

fn causality_check(passed: bool, measured: &Measured) -> CheckResult {
    let largest = measured.probes.iter().fold(0.0, |largest: f64, probe| {
        largest.max(probe.largest_difference_nats)
    });
    let positions: u64 = measured
        .probes
        .iter()
        .map(|probe| probe.compared_positions)
        .sum();
    CheckResult {
        name: "causality".to_owned(),
        passed,
        evidence: format!(
            "{} probes, {positions} positions compared, largest difference {largest:e} nats",
            measured.probes.len()
        ),
    }
}

/// The tokenizer that a run uses: what `iter_train_batches` named, else prism.yaml's, else bytes.
fn resolve(plan: &RunPlan, opened: &Opened) -> String {
    opened
        .tokenizer
        .clone()
        .or_else(|| plan.tokenizer.clone())
        .unwrap_or_else(|| tokenizer::BYTES.to_owned())
}

/// The geometry a submission asked for, if it may have it.
fn check_geometry(
    config: &Config,
    opened: &Opened,
    tokenizer: &str,
) -> Result<(Geometry, Tokenizer), Stop> {
    let contest = &config.contest;
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
    let known = tokenizer == tokenizer::BYTES
        || (tokenizer::plain(tokenizer)
            && config
                .corpus
                .tokenizers
                .join(format!("{tokenizer}.json"))
                .is_file());
    if !known {
        return Err(wrong(
            format!(
                "tokenizer: got {:?}, which this contest does not have",
                super::wire::clipped(tokenizer)
            ),
            "use \"bytes\" or \"prism-4096\"",
        ));
    }
    let tokenizer = load_tokenizer(config, tokenizer)?;
    if tokenizer.size() > contest.vocab_size {
        return Err(wrong(
            format!(
                "tokenizer {} has {} ids, expected at most {}",
                tokenizer.name(),
                tokenizer.size(),
                contest.vocab_size
            ),
            "use a tokenizer that fits ctx.vocab_size",
        ));
    }
    let geometry = Geometry {
        batch_size: opened.batch_size as usize,
        seq_len: opened.seq_len as usize,
        vocab_size: contest.vocab_size as usize,
    };
    Ok((geometry, tokenizer))
}

/// The text must fill every lane.
fn check_lanes(config: &Config, geometry: Geometry, stream: &TokenStream) -> Result<(), Stop> {
    let lanes = geometry.batch_size * config.run.world_size as usize;
    stream
        .lanes(lanes, geometry.seq_len)
        .map(drop)
        .map_err(|error| {
            Fault::new(
                "prism:geometry",
                error.to_string(),
                "ask ctx.iter_train_batches for a smaller batch_size",
            )
            .into()
        })
}

fn load_tokenizer(config: &Config, name: &str) -> Result<Tokenizer, Stop> {
    Ok(Tokenizer::load(name, &config.corpus.tokenizers)?)
}

fn load_texts(corpus: &Corpus, config: &Config, tokenizer: &Tokenizer) -> Result<Texts, Stop> {
    let train = read::prefix(corpus, Split::Train, config.budget.bytes)?;
    let val = read::prefix(corpus, Split::Val, config.held_out.val_bytes)?;
    Ok(Texts {
        stream: TokenStream::new(&train, tokenizer)?,
        val: TokenStream::new(&val, tokenizer)?,
    })
}

/// The last revealed steps of rank 0, up to the configured bytes.
fn tail(
    lanes: &crate::dataset::stream::Lanes<'_>,
    geometry: Geometry,
    revealed_steps: usize,
    stream: &TokenStream,
    config: &Config,
) -> Vec<Batch> {
    let mut tail = Vec::new();
    let mut bytes = 0;
    for index in (0..revealed_steps).rev() {
        if bytes >= config.held_out.train_tail_bytes {
            break;
        }
        let batch = lanes.batch(index, 0..geometry.batch_size);
        bytes += batch
            .targets
            .iter()
            .map(|&id| stream.bytes_of(id))
            .sum::<u64>();
        tail.push(batch);
    }
    tail
}

/// Every tokenizer the contest has: name, file (none for bytes), ids.
fn list_tokenizers(folder: &Path) -> Result<serde_json::Value, Stop> {
    let mut list = serde_json::Map::new();
    list.insert(
        tokenizer::BYTES.to_owned(),
        serde_json::json!({"file": null, "size": 257}),
    );
    let entries = std::fs::read_dir(folder).map_err(Stop::io("corpus.tokenizers"))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
            continue;
        };
        let tokenizer = Tokenizer::load(name, folder)?;
        list.insert(
            name.to_owned(),
            serde_json::json!({"file": path, "size": tokenizer.size()}),
        );
    }
    Ok(list.into())
}

fn before_training(stop: Stop) -> Stop {
    match stop {
        Stop::Fault(fault) => Fault {
            before_training: true,
            ..fault
        }
        .into(),
        stop => stop,
    }
}

fn parse_key(text: &str) -> Option<[u8; 32]> {
    let bytes: Option<Vec<u8>> = (0..text.len() / 2)
        .map(|n| {
            text.get(2 * n..2 * n + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect();
    (text.len() == 64).then_some(bytes?)?.try_into().ok()
}

/// One loss, used by the training and, while that waits, by the twin.
struct SharedLoss<'a, 'l>(&'a std::cell::RefCell<&'l mut dyn Loss>);

impl Loss for SharedLoss<'_, '_> {
    fn token_nats(
        &mut self,
        logits: &[f32],
        vocab_size: usize,
        targets: &[u32],
        nats: &mut Vec<f64>,
    ) -> Result<(), String> {
        self.0
            .borrow_mut()
            .token_nats(logits, vocab_size, targets, nats)
    }
}

/// sha256 of a file, for the digests that a manifest names.
pub fn file_digest(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash)?;
    Ok(hex(&hash.finalize()))
}
