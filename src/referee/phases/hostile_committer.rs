//! A training whose peer commits to losses: an honest one passes, one that lies is caught where it is audited, and one that
//! was lucky is found in the figures of the manifest only, as a probability.

use std::io::{IoSliceMut, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use memmap2::MmapRaw;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use super::hostile_peer::{GEOMETRY, Outcome, Peer, send, train_with};
use crate::config::Audit;
use crate::referee::committed::TOLERANCE_NATS;
use crate::referee::loss::{Loss, PlainLoss};
use crate::referee::stop::Stop;
use crate::referee::transport::Transport;

const POSITIONS: usize = 8;
const VOCAB: usize = 257;
const LOGITS: usize = POSITIONS * VOCAB;

/// What a peer does at one of its predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    /// Says that much less (or more) than it found, at the first position.
    Less(f64),
    /// Says this loss at the first position.
    Says(f64),
    /// Says this loss in the last column, where the referee asks nobody.
    LastColumn(f64),
    /// Shows other logits in the last column than it gave before.
    ShowsAnotherLast,
    /// Sends its logits at once, as in the other transport.
    AnswersInFull,
    /// Commits to a row without a finite loss, and shows one.
    NotANumber,
}

/// The next frame, and the descriptor that came with it.
fn receive(stream: &mut UnixStream) -> std::io::Result<(Value, Option<OwnedFd>)> {
    let mut first = [0; 1];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut first)];
    let received = recvmsg(&*stream, &mut parts, &mut ancillary, RecvFlags::empty())?;
    if received.bytes == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let mut rest = [0; 3];
    stream.read_exact(&mut rest)?;
    let length = u32::from_le_bytes([first[0], rest[0], rest[1], rest[2]]);
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body)?;
    Ok((serde_json::from_slice(&body)?, descriptor))
}

/// A model: logits that depend on the token and its place in the row.
fn logits(ids: &[u32]) -> Vec<f32> {
    let mut logits = vec![0f32; LOGITS];
    for (at, &id) in ids.iter().enumerate() {
        for (other, logit) in logits[at * VOCAB..(at + 1) * VOCAB].iter_mut().enumerate() {
            *logit = ((id as usize * 7 + other * 13 + at % GEOMETRY.seq_len) % 31) as f32 / 7.0;
        }
    }
    logits
}

/// What the runner would commit to.
fn losses(ids: &[u32], logits: &[f32]) -> Vec<f64> {
    let labels: Vec<u32> = (0..POSITIONS)
        .map(|at| if (at + 1) % 4 == 0 { 0 } else { ids[at + 1] })
        .collect();
    let mut nats = Vec::new();
    PlainLoss
        .token_nats(logits, VOCAB, &labels, &mut nats)
        .unwrap();
    nats
}

/// A peer that commits, and lies at the predictions of these numbers.
fn committer(lies: Vec<(u64, Lie)>) -> Peer {
    Box::new(move |mut stream| {
        let mut sent = Vec::new();
        let mut answer = Some(json!({
            "kind": "open", "batch_size": 2, "seq_len": 4, "tokenizer": null
        }));
        let mut memory: Option<(MmapRaw, Value)> = None;
        let mut kept = Vec::new();
        loop {
            if let Some(frame) = answer.take() {
                sent.push(frame["kind"].as_str().unwrap().to_owned());
                if send(&mut stream, &frame).is_err() {
                    return sent;
                }
            }
            let Ok((frame, descriptor)) = receive(&mut stream) else {
                return sent;
            };
            if let Some(descriptor) = descriptor {
                memory = Some((MmapRaw::map_raw(&descriptor).unwrap(), frame));
                continue;
            }
            let due = |wanted: u64| {
                lies.iter()
                    .find(|(call, _)| *call == wanted)
                    .map(|(_, lie)| *lie)
            };
            let place = |name: &str| {
                let (map, attach) = memory.as_ref().unwrap();
                let offset = attach[name].as_u64().unwrap() as usize;
                // SAFETY: the referee's own offsets lie within its memory.
                unsafe { map.as_mut_ptr().add(offset) }
            };
            let predicted = |kind: &str| {
                Some(
                    json!({"kind": kind, "call": frame["call"], "shape": [2, 4, 257], "dtype": "float32"}),
                )
            };
            answer = match frame["kind"].as_str().unwrap() {
                "predict" => {
                    let call = frame["call"].as_u64().unwrap();
                    // SAFETY: the region of ids holds this many of them.
                    let ids = unsafe { place("ids_offset").cast::<[u32; POSITIONS]>().read() };
                    kept = logits(&ids);
                    let mut nats = losses(&ids, &kept);
                    match due(call) {
                        Some(Lie::Less(difference)) => nats[0] -= difference,
                        Some(Lie::Says(loss)) => nats[0] = loss,
                        Some(Lie::LastColumn(loss)) => nats[3] = loss,
                        Some(Lie::NotANumber) => nats[0] = f64::NAN,
                        _ => {}
                    }
                    let commits = frame["commit"] == true && due(call) != Some(Lie::AnswersInFull);
                    let said: [f64; POSITIONS] = nats.try_into().unwrap();
                    for at in 0..POSITIONS {
                        if !commits || at % 4 == 3 {
                            let row: [f32; VOCAB] =
                                kept[at * VOCAB..(at + 1) * VOCAB].try_into().unwrap();
                            // SAFETY: the region of logits holds a row for every position.
                            unsafe {
                                place("logits_offset")
                                    .cast::<[f32; VOCAB]>()
                                    .add(at)
                                    .write(row)
                            };
                        }
                    }
                    // SAFETY: the region of losses holds one for every position.
                    unsafe { place("nats_offset").cast::<[f64; POSITIONS]>().write(said) };
                    if due(call) == Some(Lie::ShowsAnotherLast) {
                        kept[3 * VOCAB + 5] += 1.0;
                    }
                    predicted(if commits { "committed" } else { "predicted" })
                }
                "show" => {
                    let all: [f32; LOGITS] = kept.clone().try_into().unwrap();
                    // SAFETY: the region of logits holds this many.
                    unsafe { place("logits_offset").cast::<[f32; LOGITS]>().write(all) };
                    predicted("predicted")
                }
                "census" => Some(json!({"kind": "counted", "tensors": [[10, 4, "parameter"]]})),
                "reveal" => Some(json!({"kind": "next", "step": frame["step"]})),
                "exhausted" => Some(json!({"kind": "finished", "batches": 1})),
                "save" => Some(json!({"kind": "saved", "path": "weights.safetensors"})),
                _ => return sent,
            };
        }
    })
}

/// 59 full batches and a padded one. Two first steps have probes, all others none.
fn run(lies: &[(u64, Lie)], transport: Transport, show_one_in: u32) -> Outcome {
    let audit = Audit {
        first_steps: 2,
        one_in: 0,
        show_one_in,
        snapshots: 0,
        ..Audit::default()
    };
    train_with(vec![committer(lies.to_vec())], transport, audit, 96)
}

/// The prediction that scores step `n` of `run`: two steps had a probe each.
fn call(step: u64) -> u64 {
    step + 3
}

fn fault(outcome: Outcome) -> (String, String) {
    match outcome.result {
        Err(Stop::Fault(fault)) => (fault.rule_id, fault.message),
        other => panic!("{other:?}"),
    }
}

fn nats(journal: &str) -> Vec<f64> {
    journal
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            row["nats_q32"].as_i64().unwrap() as f64 / 2f64.powi(32)
        })
        .collect()
}

#[test]
fn an_honest_commitment_is_the_full_loss_to_the_tolerance_whatever_is_audited() {
    let full = run(&[], Transport::Full, 16);
    full.result.unwrap();
    assert_eq!(full.transport.audited, full.transport.batches);
    assert!(!full.sent.contains(&"committed".to_owned()));
    let often = run(&[], Transport::Committed, 2);
    let seldom = run(&[], Transport::Committed, 0);
    often.result.unwrap();
    seldom.result.unwrap();
    // What is on record does not show what was audited.
    assert_eq!(often.journal, seldom.journal);
    let pairs = nats(&full.journal).into_iter().zip(nats(&often.journal));
    for (full, committed) in pairs {
        let difference = committed - full;
        // Six of a batch's eight losses were committed; none in the padded one.
        assert!(
            (0.0..=6.0 * TOLERANCE_NATS + 1e-9).contains(&difference),
            "{difference}"
        );
    }
    let figures = often.transport;
    assert_eq!((figures.batches, figures.always_audited), (57, 3));
    assert!((15..45).contains(&figures.audited), "{figures:?}");
    let survives = 1.0 - figures.audited as f64 / 57.0;
    assert!((figures.survival[0].probability - survives).abs() < 1e-12);
    assert!(figures.largest_difference_nats < 1e-12);
    assert_eq!(seldom.transport.audited, 0);
    let committed = often
        .sent
        .iter()
        .filter(|kind| *kind == "committed")
        .count();
    // Each of the first two steps is asked twice.
    assert_eq!(committed, 61);
}

#[test]
fn a_lie_in_one_step_ends_the_run_where_that_step_is_audited() {
    let mut caught = 0;
    for step in 2..59 {
        let outcome = run(&[(call(step), Lie::Less(0.5))], Transport::Committed, 4);
        if outcome.result.is_err() {
            let (rule_id, message) = fault(outcome);
            assert_eq!(rule_id, "prism:loss-mismatch");
            assert!(
                message.contains(&format!("step {step} of rank 0: at row 0, column 0")),
                "{message}"
            );
            caught += 1;
        }
    }
    let audited = run(&[], Transport::Committed, 4).transport.audited;
    assert_eq!(caught, audited, "exactly the audited steps");
    assert!(audited > 5);
}

#[test]
fn every_kind_of_lie_is_seen_in_an_audited_step() {
    let always = |lie| run(&[(call(9), lie)], Transport::Committed, 1);
    for lie in [
        Lie::Less(3.0 * TOLERANCE_NATS),
        Lie::Less(-3.0 * TOLERANCE_NATS),
        Lie::Says(0.0),
        Lie::Says(f64::INFINITY),
        Lie::NotANumber,
        Lie::ShowsAnotherLast,
    ] {
        assert_eq!(fault(always(lie)).0, "prism:loss-mismatch", "{lie:?}");
    }
    assert_eq!(fault(always(Lie::AnswersInFull)).0, "prism:protocol");
    // In a step that has a probe, too, in either prediction.
    for call in 1..=4 {
        let outcome = run(&[(call, Lie::Less(0.5))], Transport::Committed, 0);
        assert_eq!(fault(outcome).0, "prism:loss-mismatch", "call {call}");
    }
}

#[test]
fn what_no_audit_sees_gains_nothing_or_is_refused() {
    let unseen = |lie| run(&[(call(9), lie)], Transport::Committed, 0);
    // No loss is negative: seen without an audit.
    assert_eq!(fault(unseen(Lie::Says(-1e-9))).0, "prism:loss-mismatch");
    let honest = nats(&run(&[], Transport::Committed, 0).journal);
    // The last column is the referee's own.
    let last = unseen(Lie::LastColumn(0.0));
    assert_eq!(nats(&last.journal), honest);
    // What is not finite costs the worst case.
    let lost = unseen(Lie::NotANumber);
    assert!(
        lost.journal
            .lines()
            .nth(9)
            .unwrap()
            .contains("\"nonfinite\":1")
    );
    assert!(nats(&lost.journal)[9] > honest[9] + 1.0);
    // Who shaves within the tolerance pays what the tolerance adds.
    let full = nats(&run(&[], Transport::Full, 0).journal);
    let shaved = nats(
        &run(
            &[(call(9), Lie::Less(0.9 * TOLERANCE_NATS))],
            Transport::Committed,
            1,
        )
        .journal,
    );
    assert!(shaved[9] > full[9]);
}
