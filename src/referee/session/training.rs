//! The training: its stream on record, its checks, and what it leaves.

use std::time::Duration;
use std::time::Instant;

use super::checks;
use super::shared_loss::SharedLoss;
use super::weights;
use super::{Left, ONLINE_JOURNAL, Session};
use crate::dataset::stream::Batch;
use crate::referee::blind::BlindWatch;
use crate::referee::committed::Answers;
use crate::referee::diagnostics;
use crate::referee::geometry as geometry_rules;
use crate::referee::handshake;
use crate::referee::head_start::FirstBatch;
use crate::referee::journal::Journal;
use crate::referee::launch;
use crate::referee::launch::Phase;
use crate::referee::loss::Loss;
use crate::referee::past::Past;
use crate::referee::phases::evaluation_patience;
use crate::referee::phases::train::Snapshots;
use crate::referee::phases::train::Training;
use crate::referee::phases::twin::Twin;
use crate::referee::shm::Geometry;
use crate::referee::step::Prediction;
use crate::referee::stop::Stop;
use crate::referee::texts as corpus_texts;
use crate::referee::texts::Texts;
use crate::referee::transport::Transport;
use crate::referee::v1_outcome;

impl Session<'_> {
    /// Trains and saves. Ends the twin once it has served as the standard of the first batch.
    pub(super) fn train(
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
}
