//! The twin: build_model under the forced seed in a fresh process that never trains.
//!
//! It decides the parameter cap and the first causality probes before any training, and is the standard that the model at
//! stream start must equal: what a submission knows before the first batch shows as a difference, or in the twin's own loss.

use std::time::Duration;

use super::probe::Prober;
use super::{check_cap, evaluate, evaluation_patience, heldout_geometry, take_built};
use crate::config::Config;
use crate::dataset::stream::{Batch, TokenStream};
use crate::families::structure::Structure;
use crate::referee::causality::Schedule;
use crate::referee::connection::Connection;
use crate::referee::handshake::Started;
use crate::referee::journal::Journal;
use crate::referee::loss::Loss;
use crate::referee::measured::{Fault, ProbeResult};
use crate::referee::shm::Geometry;
use crate::referee::step::{self, Prediction};
use crate::referee::stop::Stop;
use crate::referee::structure;
use crate::referee::wire::FromReferee;
use crate::score::stream_rows::HeldoutRole;

/// A twin that stands and waits.
#[derive(Debug)]
pub struct Twin {
    started: Started,
    pub parameters: u64,
    /// None where another process tells it.
    pub structure: Option<Structure>,
}

impl Twin {
    /// Waits for build_model and applies the cap.
    pub fn build(
        mut started: Started,
        config: &Config,
        tells_structure: bool,
    ) -> Result<Self, Stop> {
        let patience = Duration::from_secs(config.run.build_s);
        let connection = only(&mut started)?;
        let built = take_built(connection, patience);
        let parameters = match built {
            Ok(parameters) => parameters,
            Err(stop) => return Err(build_fault(stop, &started, config)),
        };
        check_cap(parameters, config.contest.max_parameters)?;
        let told = tells_structure
            .then(|| structure::take(only(&mut started)?, patience))
            .transpose();
        let structure = told.map_err(|stop| build_fault(stop, &started, config))?;
        Ok(Self {
            started,
            parameters,
            structure,
        })
    }

    /// Probes on public text, before any training: most models that are not causal end here.
    pub fn probe_open_text(
        &mut self,
        config: &Config,
        open: &TokenStream,
        schedule: &Schedule,
        loss: &mut dyn Loss,
    ) -> Result<Vec<ProbeResult>, Stop> {
        let geometry = heldout_geometry(&config.contest);
        let lanes = open.lanes(geometry.batch_size, geometry.seq_len)?;
        let steps = lanes.full_steps().min(config.audit.first_steps as usize);
        let mut prober = Prober::new(config, "twin", schedule);
        let connection = only(&mut self.started)?;
        let doing = "predicting public text before training";
        let result = (|| {
            let patience = evaluation_patience(&config.run);
            connection.attach(geometry)?;
            let mut scratch = Prediction::default();
            for index in 0..steps {
                let batch = lanes.batch(index, 0..geometry.batch_size);
                prober.predict(
                    connection,
                    geometry,
                    index,
                    &batch,
                    loss,
                    patience,
                    &mut scratch,
                )?;
            }
            Ok(prober.results)
        })();
        result.map_err(|stop| super::super::stop::explain(stop, &self.started.running, doing))
    }

    /// The twin's own prediction of the first batch of the stream.
    pub fn first_batch(
        &mut self,
        config: &Config,
        geometry: Geometry,
        batch: &Batch,
        loss: &mut dyn Loss,
    ) -> Result<Prediction, Stop> {
        let patience = Duration::from_secs(config.run.predict_s);
        let connection = only(&mut self.started)?;
        let mut prediction = Prediction::default();
        connection
            .attach(geometry)
            .and_then(|()| {
                step::predict(
                    connection,
                    geometry.vocab_size,
                    batch,
                    loss,
                    patience,
                    &mut prediction,
                )
            })
            .map_err(|stop| {
                super::super::stop::explain(
                    stop,
                    &self.started.running,
                    "predicting the first batch",
                )
            })?;
        Ok(prediction)
    }

    /// Scores val: the baseline of the held-out delta.
    pub fn held_out(
        &mut self,
        config: &Config,
        val: &TokenStream,
        loss: &mut dyn Loss,
        journal: &mut Journal,
    ) -> Result<(), Stop> {
        let patience = evaluation_patience(&config.run);
        let geometry = heldout_geometry(&config.contest);
        let connection = only(&mut self.started)?;
        let mut scratch = Prediction::default();
        evaluate(
            connection,
            geometry,
            val,
            HeldoutRole::Twin,
            loss,
            patience,
            &mut Prober::off(config),
            &mut scratch,
            journal,
        )
        .map_err(|stop| super::heldout::without_text(stop, &self.started.running))
    }

    /// Stops it until it is needed again: it must not be able to disturb what starts meanwhile.
    pub fn pause(&self) -> Result<(), Stop> {
        if self.started.running.pause() {
            return Ok(());
        }
        Err(super::too_many_processes().into())
    }

    /// Lets it run on.
    pub fn resume(&self) {
        self.started.running.resume();
    }

    /// Lets it go.
    pub fn end(mut self) {
        if let Ok(connection) = only(&mut self.started) {
            // If it is gone already there is nothing to end.
            let _ = connection.send(&FromReferee::End { reason: "done" });
        }
        self.started.running.finish(Duration::from_secs(5));
    }
}

/// The twin's one connection.
fn only(started: &mut Started) -> Result<&mut Connection, Stop> {
    started
        .connections
        .first_mut()
        .ok_or_else(|| Stop::infrastructure("a phase without a connection: a fault of the referee"))
}

/// build_model that does not answer, or dies, is a matter of resources.
fn build_fault(stop: Stop, started: &Started, config: &Config) -> Stop {
    match super::super::stop::explain(stop, &started.running, "running build_model") {
        Stop::Fault(fault) if fault.rule_id == "prism:budget-exceeded" => Fault::new(
            "prism:build-model-resource",
            format!(
                "build_model did not return within its budget of {} s",
                config.run.build_s
            ),
            "build_model(ctx) must only build the model",
        )
        .into(),
        Stop::Fault(fault)
            if matches!(
                fault.rule_id.as_str(),
                "prism:runtime-error" | "prism:resource-oom"
            ) =>
        {
            Fault::new(
                "prism:build-model-resource",
                format!("build_model was terminated: {}", fault.message),
                "build a smaller model; build_model(ctx) must only build the model",
            )
            .into()
        }
        stop => stop,
    }
}
