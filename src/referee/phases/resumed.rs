//! A training that is cut off anywhere and goes on from its newest checkpoint: the stream that comes of it is the one of a
//! training that nobody disturbed, and the peer is shown nothing that was not on record.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::evaluation_patience;
use super::hostile_peer::{GEOMETRY, receive, send};
use super::train::{Clock, Snapshots, Training};
use crate::config::{Audit, Config};
use crate::dataset::Document;
use crate::dataset::stream::TokenStream;
use crate::dataset::tokenizer::Tokenizer;
use crate::digest::hex;
use crate::referee::blind::BlindWatch;
use crate::referee::causality::Schedule;
use crate::referee::committed::Answers;
use crate::referee::connection::Connection;
use crate::referee::handshake::Started;
use crate::referee::head_start::FirstBatch;
use crate::referee::journal::Journal;
use crate::referee::lineage::{self, Begun, Keeper, KeptCheckpoint, LineagePlan, Resumed};
use crate::referee::loss::PlainLoss;
use crate::referee::measured::{CheckResult, Environment};
use crate::referee::past::Past;
use crate::referee::stop::Stop;
use crate::referee::transport::Transport;
use crate::sandbox::Running;

const EVERY_STEPS: u32 = 3;
/// A safetensors file with one weight.
const HEADER: &str = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;

/// The runner's side: logits of zeros, one weight that counts the batches it saw, and a checkpoint of it. It hangs up in
/// place of its frame number `cut`. Returns the kinds of its frames, and the steps that it was shown.
fn play(
    mut stream: UnixStream,
    artifacts: &Path,
    attempt: u32,
    from: Option<u32>,
    cut: Option<usize>,
) -> (Vec<String>, Vec<u64>) {
    let (mut sent, mut shown) = (Vec::new(), Vec::new());
    let mut seen = from.unwrap_or(0);
    let mut queue = vec![json!({"kind": "open", "batch_size": 2, "seq_len": 4, "tokenizer": null})];
    loop {
        for frame in queue.drain(..) {
            if cut == Some(sent.len()) || send(&mut stream, &frame).is_err() {
                return (sent, shown);
            }
            sent.push(frame["kind"].as_str().unwrap().to_owned());
        }
        let Ok(frame) = receive(&mut stream) else {
            return (sent, shown);
        };
        let next =
            |step: u64, seen: u32| json!({"kind": "next", "step": step, "weights": digest(seen)});
        match frame["kind"].as_str().unwrap() {
            "predict" => queue.push(json!({
                "kind": "predicted", "call": frame["call"], "shape": [2, 4, 257], "dtype": "float32"
            })),
            "census" => queue.push(json!({"kind": "counted", "tensors": [[10, 4, "parameter"]]})),
            "reveal" => {
                let step = frame["step"].as_u64().unwrap();
                assert_eq!(u64::from(seen), step, "a batch that the model is not at");
                shown.push(step);
                seen += 1;
                if seen.is_multiple_of(EVERY_STEPS) {
                    let home = artifacts.join(format!("checkpoints/t/attempt-{attempt}/current"));
                    fs::create_dir_all(&home).unwrap();
                    fs::write(home.join("model.pt"), seen.to_string()).unwrap();
                    fs::write(artifacts.join(lineage::RETURN), r#"{"path": "model.pt"}"#).unwrap();
                    queue.push(json!({"kind": "checkpoint", "step": seen}));
                } else {
                    queue.push(next(step, seen));
                }
            }
            "kept" => queue.push(next(u64::from(seen) - 1, seen)),
            "save" => {
                let mut file = (HEADER.len() as u64).to_le_bytes().to_vec();
                file.extend(HEADER.as_bytes());
                file.extend((seen as f32).to_le_bytes());
                fs::write(artifacts.join(frame["path"].as_str().unwrap()), file).unwrap();
                queue.push(json!({"kind": "saved", "path": ""}));
            }
            "exhausted" => queue.push(json!({"kind": "finished", "batches": 1})),
            "end" => return (sent, shown),
            _ => {}
        }
    }
}

fn digest(seen: u32) -> String {
    let mut hash = Sha256::new();
    hash.update(b"prism-weights-v1\n1:w F32 1\n");
    hash.update((seen as f32).to_le_bytes());
    hex(&hash.finalize())
}

/// What an attempt came to.
struct Attempt {
    result: Result<(), Stop>,
    /// The stream and all figures of it, as text.
    came_to: String,
    resumes: Vec<Resumed>,
    sent: Vec<String>,
    shown: Vec<u64>,
}

/// One attempt in the lineage's folder, which goes on where it can.
fn attempt(lineage: &Path, attempt: u32, cut: Option<usize>) -> Attempt {
    let resume = lineage::look(lineage).unwrap();
    if resume.is_none() {
        fs::remove_dir_all(lineage).unwrap();
        fs::create_dir(lineage).unwrap();
    }
    run(lineage, attempt, resume, cut)
}

fn run(
    lineage: &Path,
    attempt: u32,
    resume: Option<KeptCheckpoint>,
    cut: Option<usize>,
) -> Attempt {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit {
        first_steps: 1,
        one_in: 2,
        snapshots: 3,
        ..Audit::default()
    };
    let mut config = Config {
        audit,
        ..Config::default()
    };
    config.contest.vocab_size = 257;
    let tokenizers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tokenizers");
    let tokenizer = Tokenizer::load("bytes", &tokenizers).unwrap();
    let documents = [Document {
        id: "d".to_owned(),
        text: "one two three four five six seven eight nine ten eleven twelve thirteen".to_owned(),
    }];
    let stream = TokenStream::new(&documents, &tokenizer).unwrap();
    let lanes = stream.lanes(2, 4).unwrap();
    assert!(lanes.has_partial_step() && lanes.full_steps() > 2 * EVERY_STEPS as usize);
    let mut past = Past::new(folder.path().to_owned(), &documents, &stream, &lanes);
    let path = folder.path().join("journal");
    let mut journal = Journal::create(path.clone()).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let artifacts: PathBuf = folder.path().join("artifacts");
    fs::create_dir(&artifacts).unwrap();
    let from = resume.as_ref().map(|checkpoint| checkpoint.step);
    let peer = std::thread::spawn({
        let artifacts = artifacts.clone();
        move || play(theirs, &artifacts, attempt, from, cut)
    });
    let plan = LineagePlan {
        folder: lineage.to_owned(),
        every_steps: EVERY_STEPS,
        resume,
    };
    let (mut keeper, on_record) = Keeper::open(&plan, "t", attempt, artifacts.clone()).unwrap();
    let begun = Begun {
        batch_size: 2,
        seq_len: 4,
        tokenizer: "bytes".to_owned(),
        stream_tokens: stream.tokens() as u64,
        stream_bytes: stream.text_bytes,
    };
    keeper.begin(&begun, on_record.as_ref()).unwrap();
    let resumes = keeper.resumes.clone();
    let schedule = Schedule::new([7; 32], config.audit.first_steps, config.audit.one_in);
    let mut training = Training {
        started: Started {
            connections: vec![Connection::new(ours, 0)],
            running: Running::of_nothing(),
            environment: Environment::default(),
        },
        config: &config,
        answers: Answers::new(Transport::Full, schedule.for_phase("show"), &config.audit),
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
            artifacts,
            lineage.join(lineage::SNAPSHOTS),
        ),
        live_params: 0,
        referee_time: Duration::ZERO,
        stream_time: Duration::ZERO,
        clock: Clock::default(),
        first: None,
        keeper: Some(keeper),
        past: on_record,
    };
    let first = FirstBatch {
        step0_nats: 5.5,
        bytes_per_token: 1.0,
        check: CheckResult {
            name: "head_start".to_owned(),
            passed: true,
            evidence: String::new(),
        },
    };
    let result = training.opened().and_then(|_| {
        training.run(GEOMETRY, &stream, &mut past, &mut |_, _| {
            Ok(Some(first.clone()))
        })
    });
    let result = result.map(|end| {
        assert_eq!(end.stopped_reason, "data_exhausted");
        assert_eq!(end.revealed_steps, lanes.full_steps());
    });
    let figures = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        training.first,
        training.probes,
        training.blind,
        training.answers.figures(),
        training.snapshots.figures,
        training
            .snapshots
            .kept
            .iter()
            .map(|kept| (kept.step, kept.elements, &kept.nats))
            .collect::<Vec<_>>(),
    );
    for kept in &training.snapshots.kept {
        assert!(kept.folder.join("weights.safetensors").is_file());
    }
    let result = match result {
        Ok(()) => training.save_and_end(),
        Err(stop) => {
            drop(training);
            Err(stop)
        }
    };
    let (sent, shown) = peer.join().unwrap();
    Attempt {
        result,
        came_to: figures + &fs::read_to_string(path).unwrap(),
        resumes,
        sent,
        shown,
    }
}

/// What the second attempt must be like, whatever ended the first.
fn goes_on(lineage: &Path, undisturbed: &Attempt, at: &str) -> bool {
    let again = attempt(lineage, 2, None);
    assert!(again.result.is_ok(), "{at}: {:?}", again.result);
    assert_eq!(again.came_to, undisturbed.came_to, "{at}");
    let Some(resumed) = again.resumes.last() else {
        assert_eq!(again.shown, undisturbed.shown, "{at}");
        return false;
    };
    assert_eq!((resumed.attempt, resumed.from_attempt), (2, 1), "{at}");
    assert!(resumed.checkpoint_step <= resumed.record_steps, "{at}");
    let from = undisturbed
        .shown
        .iter()
        .position(|&step| step == u64::from(resumed.checkpoint_step));
    let from = from.unwrap_or(undisturbed.shown.len());
    assert_eq!(again.shown, undisturbed.shown[from..], "{at}");
    true
}

fn new_lineage() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_run_that_is_cut_at_any_frame_goes_on_where_its_record_ends() {
    let folder = new_lineage();
    let undisturbed = attempt(folder.path(), 1, None);
    undisturbed.result.as_ref().unwrap();
    assert!(undisturbed.resumes.is_empty());
    let checkpoints: BTreeSet<_> = undisturbed.sent.iter().map(String::as_str).collect();
    for kind in ["checkpoint", "saved", "counted", "next"] {
        assert!(checkpoints.contains(kind), "{kind}");
    }
    let mut resumed = 0;
    for cut in 0..undisturbed.sent.len() {
        let folder = new_lineage();
        let at = format!("frame {cut}, {}", undisturbed.sent[cut]);
        let ended = attempt(folder.path(), 1, Some(cut));
        assert!(ended.result.is_err(), "{at}");
        resumed += usize::from(goes_on(folder.path(), &undisturbed, &at));
    }
    assert!(resumed > undisturbed.sent.len() / 2, "{resumed}");
}

#[test]
fn a_record_that_was_torn_anywhere_is_gone_on_from_its_last_whole_line() {
    let folder = new_lineage();
    let undisturbed = attempt(folder.path(), 1, None);
    let record = fs::read(folder.path().join(lineage::RECORD)).unwrap();
    let mut resumed = 0;
    // Every end of a line, and a place within each.
    let ends = (0..record.len()).filter(|&at| record[at] == b'\n');
    for bytes in ends.flat_map(|end| [end + 1, end, end.saturating_sub(40)]) {
        let folder = new_lineage();
        attempt(folder.path(), 1, None);
        fs::write(folder.path().join(lineage::RECORD), &record[..bytes]).unwrap();
        resumed += usize::from(goes_on(
            folder.path(),
            &undisturbed,
            &format!("{bytes} bytes"),
        ));
    }
    assert!(resumed > 3, "{resumed}");
}

#[test]
fn a_run_that_is_cut_again_and_again_still_comes_to_the_same() {
    let folder = new_lineage();
    let undisturbed = attempt(folder.path(), 1, None);
    let folder = new_lineage();
    let mut number = 1;
    // Just enough frames for the first checkpoint; later attempts get further with as many.
    while attempt(folder.path(), number, Some(17)).result.is_err() {
        number += 1;
        assert!(number < 20);
    }
    let last = attempt(folder.path(), number + 1, None);
    last.result.unwrap();
    assert_eq!(last.came_to, undisturbed.came_to);
    assert_eq!(last.resumes.len() as u32, number);
}

#[test]
fn what_does_not_belong_together_is_not_gone_on_from() {
    let folder = new_lineage();
    attempt(folder.path(), 1, Some(25));
    let kept = lineage::look(folder.path()).unwrap().unwrap();
    let own = lineage::checkpoint_folder(folder.path(), kept.step).join("model.pt");
    assert_eq!(fs::read_to_string(&own).unwrap(), kept.step.to_string());
    assert_eq!(
        kept.sha256(),
        crate::digest::sha256(kept.step.to_string().as_bytes())
    );
    // Another content, another size, another file, no file.
    fs::write(&own, "9").unwrap();
    assert!(lineage::look(folder.path()).unwrap().is_none());
    fs::write(&own, "99").unwrap();
    assert!(lineage::look(folder.path()).unwrap().is_none());
    fs::write(&own, kept.step.to_string()).unwrap();
    assert!(lineage::look(folder.path()).unwrap().is_some());
    fs::write(own.with_file_name("other.pt"), "").unwrap();
    assert!(lineage::look(folder.path()).unwrap().is_none());
    fs::remove_file(own.with_file_name("other.pt")).unwrap();
    // A snapshot that is to be replayed is gone.
    let snapshots = folder.path().join(lineage::SNAPSHOTS);
    let away = folder.path().join("away");
    if snapshots.exists() {
        fs::rename(&snapshots, &away).unwrap();
        assert!(lineage::look(folder.path()).unwrap().is_none());
        fs::rename(&away, &snapshots).unwrap();
    }
    // A line of the record is gone.
    let path = folder.path().join(lineage::RECORD);
    let record = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = record.split_inclusive('\n').collect();
    fs::write(&path, [&lines[..1], &lines[2..]].concat().concat()).unwrap();
    assert!(lineage::look(folder.path()).unwrap().is_none());
    fs::write(&path, "{}\n").unwrap();
    assert!(lineage::look(folder.path()).unwrap().is_none());
}
