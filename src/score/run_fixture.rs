//! A small run for the tests of this room: three steps on two ranks, one early stop, held-out passes.

use std::path::Path;

use super::code_length::code_bits;
use super::measurement::{Check, MeasurementBlock};
use super::stream_rows::{HeldoutRole, HeldoutRow, OnlineRow, nats_to_q32};
use super::streams::{HELDOUT_FILE, ONLINE_FILE, write_heldout, write_online};

pub fn online_rows() -> Vec<OnlineRow> {
    let q32 = |nats: f64| nats_to_q32(nats).unwrap();
    let mut rows: Vec<OnlineRow> = (0..3_u32)
        .flat_map(|step| (0..2_u32).map(move |rank| (step, rank)))
        .map(|(step, rank)| OnlineRow {
            step,
            rank,
            lane0: rank * 4,
            tokens: 100 + rank,
            bytes: 200 + u64::from(step),
            nats_q32: q32(250.0 - 20.0 * f64::from(step) + f64::from(rank) / 3.0),
            blind_tokens: 4,
            blind_nats_q32: q32(11.0),
            ref_nats_q32: q32(300.0),
            ref_blind_nats_q32: q32(12.0),
            nonfinite: u32::from(step == 1 && rank == 0) * 2,
            unpredicted: false,
        })
        .collect();
    rows.extend((0..2).map(|rank| OnlineRow {
        step: 3,
        rank,
        lane0: rank * 4,
        tokens: 50,
        bytes: 110,
        nats_q32: q32(120.0),
        unpredicted: true,
        ..OnlineRow::default()
    }));
    rows
}

pub fn heldout_rows() -> Vec<HeldoutRow> {
    let rows = |role, nats: f64| {
        (0..2).map(move |step| HeldoutRow {
            role,
            step,
            tokens: 64,
            bytes: 128,
            nats_q32: nats_to_q32(nats).unwrap(),
        })
    };
    rows(HeldoutRole::Trained, 150.0)
        .chain(rows(HeldoutRole::Twin, 360.0))
        .chain(rows(HeldoutRole::TrainTail, 140.0))
        .collect()
}

pub fn measurement() -> MeasurementBlock {
    MeasurementBlock {
        vocab_size: 256,
        bytes_per_token: 2.0,
        step0_nats: Some(5.5),
        code: code_bits(b"def build_model(ctx): ...").unwrap(),
        checks: vec![Check {
            name: "prism:non-causal".to_owned(),
            passed: true,
            evidence: "largest difference 0".to_owned(),
        }],
        out_of_time: false,
    }
}

pub fn write_run(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    write_online(&folder.join(ONLINE_FILE), &online_rows()).unwrap();
    write_heldout(&folder.join(HELDOUT_FILE), &heldout_rows()).unwrap();
}
