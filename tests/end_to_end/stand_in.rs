//! A stand-in for the referee, for tests of the queue and of crashes: it writes what another run came to, in milliseconds.
//!
//! Its runs stood behind no wall and say so, so they are never ranked.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use prism::config::Isolation;
use prism::referee::measured::{Environment, Measured};
use prism::sandbox::Achieved;
use prism::score::stream_rows::{HeldoutRole, HeldoutRow, OnlineRow, nats_to_q32};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::contest::Contest;
use crate::zips;

/// What the stand-in does with a submission; without a word it measures.
#[derive(Clone, Copy)]
pub enum Does {
    Measure,
    /// It says that the infrastructure failed.
    Fail,
    /// It never ends by itself.
    Hang,
    /// It kills the prism that started it, and hangs.
    KillPrism,
}

/// The settings of contests whose runs are the stand-in's.
pub fn settings() -> Value {
    json!({
        "sandbox": {"isolation": "none"},
        "intake": {"settle_ms": 0, "rescan_ms": 200},
        "run": {"retry_after_s": 0},
    })
}

pub struct StandIn {
    folder: PathBuf,
}

impl StandIn {
    /// Makes the stand-in of a contest and names it in the contest's configuration.
    pub fn of(contest: &mut Contest) -> Self {
        let folder = contest.root().join("stand-in");
        fs::create_dir(&folder).unwrap();
        fs::create_dir(contest.root().join("no-tokenizers")).unwrap();
        let canned = folder.join("canned");
        fs::create_dir(&canned).unwrap();
        let corpus = fs::read(contest.corpus().join("MANIFEST.json")).unwrap();
        let sha256 = format!("{:x}", Sha256::digest(&corpus));
        let lines =
            |rows: Vec<Value>| -> String { rows.iter().map(|row| format!("{row}\n")).collect() };
        let online = online_rows().iter().map(|row| json!(row)).collect();
        let heldout = heldout_rows().iter().map(|row| json!(row)).collect();
        fs::write(canned.join("online_loss.jsonl"), lines(online)).unwrap();
        fs::write(canned.join("heldout.jsonl"), lines(heldout)).unwrap();
        fs::write(canned.join("train.log"), "trained\n").unwrap();
        fs::write(canned.join("twin.log"), "built\n").unwrap();
        let manifest: Value = serde_json::from_slice(&corpus).unwrap();
        let shards = manifest["splits"]["train"]["shards"].as_array().unwrap();
        let measured = serde_json::to_vec(&measured(sha256, shards.len() as u64)).unwrap();
        fs::write(canned.join("measured.json"), measured).unwrap();
        let script = folder.join("referee.sh");
        fs::write(&script, SCRIPT).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        // Nobody runs it: prism asks python where it lies.
        let python = folder.join("python");
        let lies = folder.display();
        let answer = format!("#!/bin/sh\necho '[\"{lies}\", \"{lies}\", \"{lies}/python\"]'\n");
        fs::write(&python, answer).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        contest.change(json!({
            "run": {"referee": script, "python": python},
            "corpus": {"tokenizers": contest.root().join("no-tokenizers")},
        }));
        Self { folder }
    }

    /// What becomes of a submission from now on.
    pub fn will(&self, archive: &[u8], does: Does) {
        let word = match does {
            Does::Measure => "measure",
            Does::Fail => "fail",
            Does::Hang => "hang",
            Does::KillPrism => "kill-prism",
        };
        fs::write(self.folder.join(id(archive)), word).unwrap();
    }

    /// Ids of the runs that were begun, in order.
    pub fn begun(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("begun")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// The id of a submission without a hotkey.
pub fn id(archive: &[u8]) -> String {
    prism::intake::submission_id("", archive)
}

/// An archive that the review accepts; another one for each number.
pub fn archive(number: u32) -> Vec<u8> {
    let architecture = format!("{}\n\nNUMBER = {number}\n", crate::submissions::SMALL);
    let training = crate::submissions::training();
    let files = [
        ("architecture.py", &*architecture),
        ("training.py", &*training),
    ];
    zips::zip(&files)
}

/// Puts archives into the inbox, in this order of arrival.
pub fn submit(inbox: &Path, archives: &[(&str, &[u8])]) {
    for (name, archive) in archives {
        fs::write(inbox.join(name), archive).unwrap();
        // so that no two arrive within one tick of the file system's clock
        std::thread::sleep(std::time::Duration::from_millis(12));
    }
}

const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
work=$(dirname "$1")
id=$(basename "$work")
does=measure
[ -f "$here/$id" ] && does=$(cat "$here/$id")
echo "$id" >> "$here/begun"
case $does in
    fail) echo '{"event":"infrastructure","message":"the device is lost","hint":"look for it"}'; exit 1 ;;
    hang) exec sleep 1000 ;;
    kill-prism) kill -9 $PPID; exec sleep 1000 ;;
esac
cp "$here"/canned/* "$work"
"#;

fn online_rows() -> Vec<OnlineRow> {
    (0..32)
        .map(|step| OnlineRow {
            step,
            tokens: 256,
            bytes: 256,
            nats_q32: nats_to_q32(256.0 * (2.5 + 3.0 / f64::from(step + 1))).unwrap(),
            blind_tokens: 4,
            blind_nats_q32: nats_to_q32(12.0).unwrap(),
            ref_nats_q32: nats_to_q32(1_100.0).unwrap(),
            ref_blind_nats_q32: nats_to_q32(18.0).unwrap(),
            ..OnlineRow::default()
        })
        .collect()
}

fn heldout_rows() -> Vec<HeldoutRow> {
    let row = |role, step| HeldoutRow {
        role,
        step,
        tokens: 512,
        bytes: 512,
        nats_q32: nats_to_q32(512.0 * if role == HeldoutRole::Twin { 8.0 } else { 2.6 }).unwrap(),
    };
    let steps = |role| (0..4).map(move |step| row(role, step));
    HeldoutRole::ALL.into_iter().flat_map(steps).collect()
}

fn measured(corpus_manifest_sha256: String, shard_count: u64) -> Measured {
    let hex = |digit: &str| digit.repeat(64);
    Measured {
        resumes: Vec::new(),
        v1: None,
        snapshots: None,
        structure: None,
        transport: None,
        submission_id: "stand-in".to_owned(),
        fault: None,
        stopped_reason: Some("data_exhausted".to_owned()),
        tokenizer: Some("bytes".to_owned()),
        batch_size: Some(4),
        seq_len: Some(64),
        world_size: 1,
        vocab_size: 4_096,
        stream_documents: 16,
        stream_bytes: 8_192,
        stream_tokens: 8_192,
        corpus_manifest_sha256,
        corpus_name: "end-to-end".to_owned(),
        shard_count,
        model_params: Some(65_536),
        step0_nats: Some(8.3),
        step0_bytes_per_token: 1.0,
        checks: Vec::new(),
        probes: Vec::new(),
        blind: None,
        live_params: None,
        isolation: Some(Achieved {
            requested: Isolation::None,
            achieved: Isolation::None,
            version: String::new(),
            probes: BTreeMap::new(),
            score_eligible: false,
        }),
        environment: Environment {
            python: "3.12.0".to_owned(),
            torch: "2.11.0".to_owned(),
            device: "cpu".to_owned(),
            device_name: "stand-in".to_owned(),
        },
        audit_key: hex("0"),
        order_key: None,
        seconds: BTreeMap::new(),
        digests: BTreeMap::from([
            ("runner".to_owned(), hex("1")),
            ("referee".to_owned(), hex("2")),
        ]),
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        ended_at: "2026-01-01T00:00:01.000Z".to_owned(),
    }
}
