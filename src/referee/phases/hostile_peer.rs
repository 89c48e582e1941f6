//! A training whose peer keeps to the protocol up to one frame and then does something else: whatever it does there, the
//! run ends as the submission's own fault, in time.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::evaluation_patience;
use super::train::{Snapshots, Training};
use crate::config::{Audit, Config};
use crate::dataset::Document;
use crate::dataset::stream::TokenStream;
use crate::dataset::tokenizer::Tokenizer;
use crate::referee::blind::BlindWatch;
use crate::referee::causality::Schedule;
use crate::referee::committed::Answers;
use crate::referee::connection::Connection;
use crate::referee::handshake::Started;
use crate::referee::journal::Journal;
use crate::referee::loss::PlainLoss;
use crate::referee::measured::Environment;
use crate::referee::past::Past;
use crate::referee::shm::Geometry;
use crate::referee::stop::Stop;
use crate::referee::transport::{Transport, TransportFigures};
use crate::sandbox::Running;

pub const GEOMETRY: Geometry = Geometry {
    batch_size: 2,
    seq_len: 4,
    vocab_size: 257,
};

/// What a peer does in place of one of its frames.
#[derive(Debug, Clone)]
enum Trick {
    /// Hangs up.
    Close,
    /// Says something else.
    Say(Value),
    /// Says the right thing twice.
    Twice,
    /// Announces a frame of this many bytes.
    Length(u32),
    /// The right frame, a byte now and then.
    Drip,
    /// Nothing, and stays.
    Silence,
}

pub fn send(stream: &mut UnixStream, frame: &Value) -> std::io::Result<()> {
    let body = serde_json::to_vec(frame)?;
    stream.write_all(&(body.len() as u32).to_le_bytes())?;
    stream.write_all(&body)
}

fn receive(stream: &mut UnixStream) -> std::io::Result<Value> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// The runner's side of a training, until it is told to end. Its logits are what the memory held: zeros.
/// Returns the kinds of the frames it sent.
fn play(mut stream: UnixStream, trick: Option<(usize, Trick)>) -> Vec<String> {
    let mut sent = Vec::new();
    let mut answer = Some(json!({
        "kind": "open", "batch_size": 2, "seq_len": 4, "tokenizer": null
    }));
    loop {
        if let Some(frame) = answer.take() {
            let due = trick.as_ref().filter(|(at, _)| *at == sent.len());
            let done = match due.map(|(_, trick)| trick) {
                None => send(&mut stream, &frame),
                Some(Trick::Close) => return sent,
                Some(Trick::Say(other)) => send(&mut stream, other),
                Some(Trick::Twice) => {
                    send(&mut stream, &frame).and_then(|()| send(&mut stream, &frame))
                }
                Some(Trick::Length(length)) => stream.write_all(&length.to_le_bytes()),
                Some(Trick::Drip) => drip(&mut stream, &frame),
                Some(Trick::Silence) => Ok(()),
            };
            if done.is_err() {
                return sent;
            }
            sent.push(frame["kind"].as_str().unwrap().to_owned());
        }
        let Ok(frame) = receive(&mut stream) else {
            return sent;
        };
        answer = match frame["kind"].as_str().unwrap() {
            "predict" => Some(json!({
                "kind": "predicted", "call": frame["call"], "shape": [2, 4, 257], "dtype": "float32"
            })),
            "census" => Some(json!({"kind": "counted", "tensors": [[10, 4, "parameter"]]})),
            "reveal" => Some(json!({"kind": "next", "step": frame["step"]})),
            "exhausted" => Some(json!({"kind": "finished", "batches": 1})),
            "save" => Some(json!({"kind": "saved", "path": "weights.safetensors"})),
            "end" => return sent,
            _ => None,
        };
    }
}

fn drip(stream: &mut UnixStream, frame: &Value) -> std::io::Result<()> {
    let body = serde_json::to_vec(frame)?;
    for byte in (body.len() as u32).to_le_bytes().iter().chain(&body) {
        stream.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_millis(400));
    }
    Ok(())
}

/// What came of a training with made-up peers.
pub struct Outcome {
    pub result: Result<(), Stop>,
    pub transport: TransportFigures,
    /// The stream as it was journalled, line by line.
    pub journal: String,
    /// What the first peer said when it was done.
    pub sent: Vec<String>,
}

/// A peer: what it does with its end of the wire until it is told to end, and the kinds of the frames that it sent.
pub type Peer = Box<dyn FnOnce(UnixStream) -> Vec<String> + Send>;

/// One training of `words` words of text, 2 x 4 tokens a batch and rank, with these peers in place of runners.
pub fn train_with(peers: Vec<Peer>, transport: Transport, audit: Audit, words: usize) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config {
        audit,
        ..Config::default()
    };
    config.contest.vocab_size = 257;
    (config.run.build_s, config.run.predict_s) = (1, 2);
    (config.budget.wall_clock_s, config.budget.grace_s) = (2, 1);
    let tokenizers = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tokenizers");
    let tokenizer = Tokenizer::load("bytes", &tokenizers).unwrap();
    let documents = [Document {
        id: "d".to_owned(),
        text: "one two three four five six seven eight ".repeat(words * peers.len() / 8),
    }];
    let stream = TokenStream::new(&documents, &tokenizer).unwrap();
    let lanes = stream.lanes(2 * peers.len(), 4).unwrap();
    let mut past = Past::new(folder.path().to_owned(), &documents, &stream, &lanes);
    let path = folder.path().join("journal");
    let mut journal = Journal::create(path.clone()).unwrap();
    let mut connections = Vec::new();
    let mut threads = Vec::new();
    for (rank, peer) in peers.into_iter().enumerate() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        connections.push(Connection::new(ours, rank as u32));
        threads.push(std::thread::spawn(move || peer(theirs)));
    }
    let schedule = Schedule::new([7; 32], config.audit.first_steps, config.audit.one_in);
    let mut training = Training {
        started: Started {
            connections,
            running: Running::of_nothing(),
            environment: Environment::default(),
        },
        config: &config,
        answers: Answers::new(transport, schedule.for_phase("show"), &config.audit),
        schedule,
        predict_patience: evaluation_patience(&config.run),
        loss: &mut PlainLoss,
        journal: &mut journal,
        events: &mut |_| {},
        probes: Vec::new(),
        blind: BlindWatch::default(),
        snapshots: Snapshots::new(
            [9; 32],
            &config.audit,
            folder.path().to_owned(),
            folder.path().join("snapshots"),
        ),
        live_params: 0,
        referee_time: Duration::ZERO,
        stream_time: Duration::ZERO,
    };
    let result = training
        .opened()
        .and_then(|_| training.run(GEOMETRY, &stream, &mut past, &mut |_, _| Ok(())));
    let transport = training.answers.figures();
    let result = match result {
        Ok(_) => training.save_and_end(),
        Err(stop) => {
            drop(training);
            Err(stop)
        }
    };
    journal.sync().unwrap();
    let sent: Vec<Vec<String>> = threads
        .into_iter()
        .map(|peer| peer.join().unwrap())
        .collect();
    Outcome {
        result,
        transport,
        journal: std::fs::read_to_string(path).unwrap(),
        sent: sent.into_iter().next().unwrap(),
    }
}

/// One training with a peer for each trick; what the referee made of it, and what the first peer sent.
fn train(tricks: &[Option<(usize, Trick)>]) -> (Result<(), Stop>, Vec<String>) {
    train_with_snapshots(tricks, 0)
}

fn train_with_snapshots(
    tricks: &[Option<(usize, Trick)>],
    snapshots: u32,
) -> (Result<(), Stop>, Vec<String>) {
    let peers = tricks
        .iter()
        .map(|trick| {
            let trick = trick.clone();
            Box::new(move |stream| play(stream, trick)) as Peer
        })
        .collect();
    let audit = Audit {
        first_steps: 1,
        one_in: 2,
        snapshots,
        ..Audit::default()
    };
    let outcome = train_with(peers, Transport::Full, audit, 8);
    (outcome.result, outcome.sent)
}

/// The fault's rule; infrastructure, or no end at all, is a failure of the referee.
fn rule_of(name: &str, result: Result<(), Stop>) -> String {
    match result {
        Err(Stop::Fault(fault)) => fault.rule_id,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn whatever_a_peer_does_in_place_of_a_frame_is_its_own_fault() {
    let (honest, sent) = train(&[None]);
    honest.unwrap();
    for kind in ["open", "predicted", "counted", "next", "finished", "saved"] {
        assert!(sent.iter().any(|frame| frame == kind), "{kind}: {sent:?}");
    }
    let tricks = [
        (Trick::Close, "prism:runtime-error"),
        (Trick::Length(0), "prism:protocol"),
        (Trick::Length(65_537), "prism:protocol"),
        (Trick::Length(u32::MAX), "prism:protocol"),
        (
            Trick::Say(
                json!({"kind": "hello", "protocol": 1, "rank": 0, "local_rank": 0, "world_size": 1,
                "python": "", "torch": "", "device": "cpu", "device_name": ""}),
            ),
            "prism:protocol",
        ),
        (
            Trick::Say(
                json!({"kind": "predicted", "call": 1_000, "shape": [2, 4, 257], "dtype": ""}),
            ),
            "prism:protocol",
        ),
        (
            Trick::Say(json!({"kind": "next", "step": 1_000})),
            "prism:protocol",
        ),
        (
            Trick::Say(
                json!({"kind": "failed", "stage": "train", "type": "E", "message": "m", "where": ""}),
            ),
            "prism:runtime-error",
        ),
    ];
    for (at, kind) in sent.iter().enumerate() {
        for (trick, expected) in &tricks {
            let name = format!("{trick:?} in place of frame {at}, {kind}");
            let (result, _) = train(&[Some((at, trick.clone()))]);
            assert_eq!(rule_of(&name, result), *expected, "{name}");
        }
    }
}

#[test]
fn a_frame_twice_is_one_too_many_wherever_another_follows() {
    let (_, sent) = train(&[None]);
    // After the last frame nothing is read: what comes then changes nothing.
    for (at, kind) in sent.iter().enumerate().take(sent.len() - 1) {
        let name = format!("frame {at}, {kind}, twice");
        let (result, _) = train(&[Some((at, Trick::Twice))]);
        assert_eq!(rule_of(&name, result), "prism:protocol", "{name}");
    }
}

#[test]
fn who_is_silent_or_drips_is_out_of_time() {
    let (_, sent) = train(&[None]);
    std::thread::scope(|scope| {
        for kind in ["open", "predicted", "counted", "next", "finished"] {
            let at = sent.iter().position(|frame| frame == kind).unwrap();
            for trick in [Trick::Silence, Trick::Drip] {
                scope.spawn(move || {
                    let name = format!("{trick:?} in place of {kind}");
                    let begun = Instant::now();
                    let (result, _) = train(&[Some((at, trick))]);
                    assert_eq!(rule_of(&name, result), "prism:budget-exceeded", "{name}");
                    assert!(begun.elapsed() < Duration::from_secs(20), "{name}");
                });
            }
        }
    });
}

#[test]
fn one_hostile_rank_of_three_ends_the_run() {
    let (honest, sent) = train(&[None, None, None]);
    honest.unwrap();
    for at in [0, 1, sent.len() / 2] {
        let name = format!("frame {at}, {}", sent[at]);
        let (result, _) = train(&[None, None, Some((at, Trick::Close))]);
        assert_eq!(rule_of(&name, result), "prism:runtime-error", "{name}");
    }
    let other = json!({"kind": "open", "batch_size": 2, "seq_len": 5, "tokenizer": null});
    let (result, _) = train(&[None, Some((0, Trick::Say(other))), None]);
    assert_eq!(rule_of("another shape", result), "prism:geometry");
    let stops = sent.iter().position(|frame| frame == "next").unwrap();
    let finished = json!({"kind": "finished", "batches": 1});
    let (result, _) = train(&[None, Some((stops, Trick::Say(finished))), None]);
    assert_eq!(rule_of("one returns", result), "prism:ranks-diverged");
}

#[test]
fn who_says_saved_and_saved_nothing_has_no_weights() {
    for tricks in [vec![None], vec![None, None]] {
        let (result, sent) = train_with_snapshots(&tricks, 4);
        assert_eq!(rule_of("no file", result), "prism:state");
        assert_eq!(sent.last().unwrap(), "saved");
    }
    let (_, sent) = train_with_snapshots(&[None], 4);
    let at = sent.iter().position(|frame| frame == "saved").unwrap();
    let other = json!({"kind": "next", "step": 1});
    for (trick, expected) in [
        (Trick::Say(other), "prism:protocol"),
        (Trick::Close, "prism:runtime-error"),
        (Trick::Silence, "prism:budget-exceeded"),
    ] {
        let name = format!("{trick:?} in place of saved");
        let (result, _) = train_with_snapshots(&[Some((at, trick))], 4);
        assert_eq!(rule_of(&name, result), expected, "{name}");
    }
}
