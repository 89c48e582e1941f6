//! Replaying snapshots: for each a fresh process that holds build_model(ctx) and these weights and nothing else must say
//! what the live process had said, first of probes that end before the labels do, then of the batch itself.
//!
//! The weights were fixed before the live process saw the batch, and the probes show nothing of a row from its cut on. So
//! what the live process knew of later tokens, remembered, or kept outside its weights is not here. One process for each
//! snapshot: one that sees several could be given, piece by piece, more than the cap allows, or the text of one snapshot by
//! the weights of a later one.

use std::time::Duration;

use super::record::own_lanes;
use super::train::Kept;
use super::{check_cap, evaluation_patience, take_built};
use crate::dataset::stream::{Batch, Lanes};
use crate::referee::connection::Connection;
use crate::referee::handshake;
use crate::referee::launch::Phase;
use crate::referee::loss::Loss;
use crate::referee::patience::Patience;
use crate::referee::plan::RunPlan;
use crate::referee::shm::Geometry;
use crate::referee::snapshot::{Replay, cuts};
use crate::referee::step::{self, Prediction};
use crate::referee::stop::{Stop, explain};
use crate::referee::wire::FromReferee;
use crate::sandbox::python;

/// What replays need to know of the run.
pub struct Replayed<'a> {
    pub plan: &'a RunPlan,
    pub python: &'a python::Environment,
    pub tokenizers: &'a serde_json::Value,
    /// Decides where probes are cut.
    pub key: [u8; 32],
    /// Of the training.
    pub geometry: Geometry,
    pub lanes: &'a Lanes<'a>,
}

/// Replays all snapshots that were kept; their weights are removed.
pub fn replay(run: &Replayed<'_>, kept: &[Kept], loss: &mut dyn Loss) -> Result<Vec<Replay>, Stop> {
    let patience = evaluation_patience(&run.plan.config.run);
    kept.iter()
        .map(|snapshot| {
            let replay = replay_one(run, snapshot, patience, loss)?;
            std::fs::remove_dir_all(&snapshot.folder).map_err(Stop::io("a snapshot"))?;
            Ok(replay)
        })
        .collect()
}

fn replay_one(
    run: &Replayed<'_>,
    snapshot: &Kept,
    patience: Patience,
    loss: &mut dyn Loss,
) -> Result<Replay, Stop> {
    let config = &run.plan.config;
    let weights = Some(snapshot.folder.as_path());
    let mut started =
        handshake::start(run.plan, run.python, Phase::Shadow, weights, run.tokenizers)?;
    let result = (|| {
        let Some(connection) = started.connections.first_mut() else {
            return Err(Stop::infrastructure(
                "a phase without a connection: a fault of the referee",
            ));
        };
        let built = take_built(connection, Duration::from_secs(config.run.build_s))?;
        check_cap(built, config.contest.max_parameters)?;
        connection.attach(run.geometry)?;
        let mut compared = Compared::default();
        for (rank, scored) in snapshot.nats.iter().enumerate() {
            let batches = Batches::of(run.lanes, run.geometry, snapshot.step, rank);
            let probes = batches.probes(&run.key);
            batches.compare(connection, &probes, scored, patience, loss, &mut compared)?;
        }
        connection.send(&FromReferee::End { reason: "done" })?;
        Ok(Replay {
            step: snapshot.step as u32,
            elements: snapshot.elements,
            compared_positions: compared.positions,
            largest_difference_nats: compared.largest.is_finite().then_some(compared.largest),
        })
    })();
    let result = result.map_err(|stop| explain(stop, &started.running, "replaying a snapshot"));
    started.running.finish(Duration::from_secs(5));
    // Out of the way of the next one, to which nothing passes; whatever it wrote goes with the run's folder.
    let (own, away) = (Phase::Shadow.name(), format!("shadow-{}", snapshot.step));
    std::fs::rename(run.plan.folder.join(own), run.plan.folder.join(away))
        .map_err(Stop::io("a replay's folder"))?;
    result
}

#[derive(Debug, Default)]
struct Compared {
    positions: u64,
    largest: f64,
}

impl Compared {
    fn add(&mut self, scored: f64, replayed: f64) {
        let difference = match (scored.is_finite(), replayed.is_finite()) {
            (true, true) => (scored - replayed).abs(),
            (false, false) => 0.0,
            _ => f64::INFINITY,
        };
        self.largest = self.largest.max(difference);
        self.positions += 1;
    }
}

/// One rank's batch of the step and the text before it.
struct Batches {
    step: usize,
    rank: usize,
    vocab_size: usize,
    batch: Batch,
    past: Batch,
}

impl Batches {
    fn of(lanes: &Lanes<'_>, geometry: Geometry, step: usize, rank: usize) -> Self {
        let batch = |step| lanes.batch(step, own_lanes(geometry, rank));
        Self {
            step,
            rank,
            vocab_size: geometry.vocab_size,
            batch: batch(step),
            past: batch(step.saturating_sub(1)),
        }
    }

    /// Where the rows of each probe are cut, then of the batch itself, which is not.
    fn probes(&self, key: &[u8; 32]) -> Vec<Vec<usize>> {
        let (rows, cols) = (self.batch.rows, self.batch.cols);
        let mut probes = cuts(key, self.step, self.rank, rows, cols);
        probes.push(vec![cols; rows]);
        probes
    }

    /// Probes in the order of their cuts, then the batch: what is still to be hidden was never shown before.
    fn compare(
        &self,
        connection: &mut Connection,
        probes: &[Vec<usize>],
        scored: &[f64],
        patience: Patience,
        loss: &mut dyn Loss,
        compared: &mut Compared,
    ) -> Result<(), Stop> {
        let cols = self.batch.cols;
        let mut replayed = Prediction::default();
        for cuts in probes {
            let asked = Batch {
                ids: with_suffixes(&self.batch, &self.past, cuts),
                ..self.batch.clone()
            };
            let (vocab_size, wait) = (self.vocab_size, patience.now());
            step::predict(connection, vocab_size, &asked, loss, wait, &mut replayed)?;
            for (row, &cut) in cuts.iter().enumerate() {
                let places = row * cols..row * cols + cut;
                for (&ours, &theirs) in scored[places.clone()].iter().zip(&replayed.nats[places]) {
                    compared.add(ours, theirs);
                }
            }
        }
        Ok(())
    }
}

/// The batch's ids up to each row's cut, then text that was shown long before: no label from the cut on is in any of it.
fn with_suffixes(batch: &Batch, past: &Batch, cuts: &[usize]) -> Vec<u32> {
    let mut ids = past.ids.clone();
    for (row, &cut) in cuts.iter().enumerate() {
        let place = row * batch.cols;
        ids[place..place + cut].copy_from_slice(&batch.ids[place..place + cut]);
    }
    ids
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::referee::loss::PlainLoss;

    /// Answers every question with the logits that the memory holds, zeros, and tells how many there were.
    fn uniform_peer(mut stream: UnixStream) -> usize {
        let mut answers = 0;
        let mut length = [0; 4];
        while stream.read_exact(&mut length).is_ok() {
            let mut body = vec![0; u32::from_le_bytes(length) as usize];
            stream.read_exact(&mut body).unwrap();
            let frame: serde_json::Value = serde_json::from_slice(&body).unwrap();
            if frame["kind"] == "predict" {
                answers += 1;
                let answer = serde_json::json!({
                    "kind": "predicted", "call": frame["call"], "shape": [2, 8, 5], "dtype": "float32"
                });
                let answer = serde_json::to_vec(&answer).unwrap();
                stream
                    .write_all(&(answer.len() as u32).to_le_bytes())
                    .unwrap();
                stream.write_all(&answer).unwrap();
            }
        }
        answers
    }

    #[test]
    fn losses_are_compared_up_to_each_cut_and_in_the_whole_batch() {
        let batch = Batch {
            rows: 2,
            cols: 8,
            ids: vec![1; 16],
            targets: vec![2; 16],
            lengths: vec![8; 2],
        };
        let batches = Batches {
            step: 3,
            rank: 0,
            vocab_size: 5,
            past: batch.clone(),
            batch,
        };
        let probes = batches.probes(&[4; 32]);
        assert_eq!(probes.len(), 5);
        let compare = |scored: &[f64]| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let peer = std::thread::spawn(move || uniform_peer(theirs));
            let mut connection = Connection::new(ours, 0);
            let geometry = Geometry {
                batch_size: 2,
                seq_len: 8,
                vocab_size: 5,
            };
            connection.attach(geometry).unwrap();
            let second = Duration::from_secs(20);
            let patience = Patience::new(second, second);
            let mut compared = Compared::default();
            batches
                .compare(
                    &mut connection,
                    &probes,
                    scored,
                    patience,
                    &mut PlainLoss,
                    &mut compared,
                )
                .unwrap();
            drop(connection);
            assert_eq!(peer.join().unwrap(), 5);
            compared
        };
        let honest = vec![5f64.ln(); 16];
        let same = compare(&honest);
        let expected: usize = probes.iter().flatten().sum();
        assert_eq!(same.positions, expected as u64);
        assert!(same.largest < 1e-9, "{}", same.largest);
        // A label that the live process knew and a uniform model does not.
        let mut leaked = honest;
        leaked[15] = 0.0;
        assert!((compare(&leaked).largest - 5f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn a_probe_shows_each_row_up_to_its_cut_and_past_text_after_it() {
        let batch = |from: u32| Batch {
            rows: 2,
            cols: 4,
            ids: (from..from + 8).collect(),
            targets: vec![0; 8],
            lengths: vec![4; 2],
        };
        let ids = with_suffixes(&batch(100), &batch(0), &[1, 3]);
        assert_eq!(ids, [100, 1, 2, 3, 104, 105, 106, 7]);
        assert_eq!(
            with_suffixes(&batch(100), &batch(0), &[4, 4]),
            batch(100).ids
        );
    }

    #[test]
    fn losses_that_are_not_finite_must_be_so_on_both_sides() {
        let mut compared = Compared::default();
        compared.add(1.0, 1.5);
        compared.add(f64::INFINITY, f64::INFINITY);
        assert_eq!((compared.largest, compared.positions), (0.5, 2));
        compared.add(f64::INFINITY, 1.0);
        assert!(compared.largest.is_infinite());
    }
}
