//! Runs of the first contract that are killed and go on from their newest checkpoint: the stream that comes of it has each
//! step once and says the same text as an undisturbed one.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use prism::outbox::fault::REFEREE_VARIABLE;
use prism::score::stream_rows::OnlineRow;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::contest::{Contest, Ran, Started, turn};
use crate::outbox::{self, Submission, read_json};
use crate::processes::{assert_all_end, descendants};

/// Saves and loads its weights; in the attempt named SLOW every step takes long.
const SUBMISSION: &str = "\
import torch
import torch.nn.functional as F
from torch import nn
from prism_challenge.evaluator.interface import TrainingRecipe


class Small(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 8)
        self.head = nn.Linear(8, vocab)

    def forward(self, tokens):
        return self.head(self.embedding(tokens))


def build_model(ctx):
    return Small(ctx.vocab_size)


def get_recipe(ctx):
    print('RESUMED' if ctx.is_resume else 'FRESH', ctx.attempt, flush=True)
    return TrainingRecipe(learning_rate=0.05, batch_size=4)


def train_step(model, batch, optimizer, ctx):
    step = batch.metadata['step']
    print('TRAINING', step, flush=True)
    if ctx.attempt == SLOW and step > 22:
        big = torch.ones(1200, 1200)
        for _ in range(15):
            big = big @ big * 0.0
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    loss.backward()
    optimizer.step()
    return loss


def save_checkpoint(model, checkpoint_dir, ctx):
    torch.save(model.state_dict(), checkpoint_dir / 'model.pt')
    return {'path': 'model.pt', 'metadata': {'attempt': ctx.attempt}}


def load_checkpoint(model, checkpoint_dir, ctx):
    assert checkpoint_dir == ctx.resume_checkpoint_dir and ctx.is_resume
    saved = ctx.checkpoint_metadata['checkpoint_workspace']['resume']
    assert saved['checkpoint_path'] == 'model.pt'
    state = torch.load(checkpoint_dir / 'model.pt', weights_only=True)
    model.load_state_dict(state)
";

fn source(slow_attempt: u32) -> String {
    SUBMISSION.replace("SLOW", &slow_attempt.to_string())
}

fn contest() -> Contest {
    Contest::new(json!({
        "contest": {"v1_mode": "gpu_proxy_eval"},
        "budget": {"wall_clock_s": 900},
        "run": {"checkpoint_steps": 10, "max_attempts": 6},
        "audit": {"snapshots": 1},
    }))
}

/// A measuring run whose referee has a fault at that step of its own.
fn with_fault(contest: &Contest, fault: &str) -> Ran {
    let mut command = contest.prism(&["run", "--format", "json"]);
    command.env(REFEREE_VARIABLE, fault);
    contest.start(command, "fault").finish()
}

fn lineage(contest: &Contest, submission: &Submission) -> PathBuf {
    contest
        .outbox()
        .join(".private")
        .join(submission.id())
        .join("lineage")
}

/// What a row says of the text.
fn text_of(row: &OnlineRow) -> (u32, u32, u32, u64, i64, i64) {
    let (reference, blind) = (row.ref_nats_q32, row.ref_blind_nats_q32);
    (row.step, row.rank, row.tokens, row.bytes, reference, blind)
}

#[test]
fn a_run_that_is_killed_goes_on_where_its_record_ends() {
    let contest = contest();
    contest.submit_bytes("undisturbed.py", source(0).as_bytes());
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let undisturbed = contest.submission("undisturbed.py");
    assert_eq!(undisturbed.state(), "scored", "{:#}", undisturbed.status);
    contest.submit_bytes("disturbed.py", source(3).as_bytes());

    let turn = turn();
    // Killed while the second checkpoint is given its name.
    let ran = with_fault(&contest, "kill:32");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let disturbed = contest.submission("disturbed.py");
    assert_eq!(disturbed.state(), "reviewed", "{:#}", disturbed.status);
    assert!(lineage(&contest, &disturbed).join("checkpoint-10").is_dir());
    // A disk that gives errors: the first row after those that were on record.
    let ran = with_fault(&contest, "eio:10");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    // prism itself, while a step takes long.
    let mut started = contest.start(contest.prism(&["run", "--format", "json"]), "killed");
    started.wait_for_log(&contest.outbox(), "TRAINING 23");
    kill(&mut started);
    let ran = contest.run_in_turn(contest.prism(&["run", "--format", "json"]));
    drop(turn);
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let disturbed = contest.submission("disturbed.py");
    assert_eq!(disturbed.state(), "scored", "{:#}", disturbed.status);
    assert_eq!(disturbed.status["attempts"], 4);
    assert!(disturbed.log().contains("RESUMED 4"), "{}", disturbed.log());
    assert!(!lineage(&contest, &disturbed).exists());
    let (expected, rows) = (undisturbed.online(), disturbed.online());
    let text = |rows: &[OnlineRow]| rows.iter().map(text_of).collect::<Vec<_>>();
    assert_eq!(text(&rows), text(&expected));
    // What was charged before the first kill stands to the bit.
    assert_eq!(rows[..20], expected[..20]);
    for check in ["causality", "head_start", "snapshot", "state"] {
        assert!(disturbed.passed(check), "{check}");
    }
    let v2 = disturbed.manifest();
    let resumes = v2["referee"]["resumes"].as_array().unwrap();
    let figures: Vec<_> = resumes
        .iter()
        .map(|resume| {
            [
                &resume["attempt"],
                &resume["checkpoint_step"],
                &resume["record_steps"],
            ]
        })
        .collect();
    assert_eq!(figures[..2], [[2, 10, 20], [3, 20, 20]], "{resumes:#?}");
    assert_eq!(figures[2][..2], [4, 20], "{resumes:#?}");
    assert_eq!(undisturbed.manifest()["referee"]["resumes"], json!([]));
    its_manifest_tells(&disturbed, &resumes[2]);
    let audit = crate::contest::finish(
        contest
            .prism(&["audit", "--format", "json"])
            .arg(&disturbed.folder),
    );
    assert_eq!(audit.code, Some(0), "{audit:?}");
    // Nothing is executed: an execution without an interruption is another run.
    let again = crate::contest::finish(
        contest
            .prism(&["audit", "--reexecute", "--format", "json"])
            .arg(&disturbed.folder),
    );
    let said = again
        .stdout
        .contains("the run was resumed from a checkpoint");
    assert!(said, "{again:?}");
}

/// The checkpoint that the run went on from and the last one are both there.
fn its_manifest_tells(submission: &Submission, resume: &Value) {
    let facts = read_json(&submission.path("prism_run_manifest.v1.json"));
    let id = submission.id();
    assert_eq!(facts["compute"]["resume_checkpoint_path"], resume["path"]);
    let path = format!("checkpoints/{id}/attempt-4/current/model.pt");
    assert_eq!(facts["compute"]["checkpoint_path"], path);
    let entries = facts["artifacts"]["checkpoints"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{entries:#?}");
    assert_eq!(entries[0]["path"], resume["path"]);
    assert_eq!(entries[0]["attempt"], resume["from_attempt"]);
    let content = std::fs::read(submission.path(resume["path"].as_str().unwrap())).unwrap();
    assert_eq!(resume["sha256"], format!("{:x}", Sha256::digest(&content)));
    let metadata = read_json(&submission.path(entries[0]["metadata_path"].as_str().unwrap()));
    assert_eq!(metadata["attempt"], resume["from_attempt"]);
    assert_eq!(facts["hooks"]["used"]["load_checkpoint"], 1);
    assert_eq!(facts["validation"]["passed"], true);
    let warnings = facts["validation"]["warnings"].to_string();
    assert!(
        warnings.contains("none of them was charged again"),
        "{warnings}"
    );
}

fn kill(started: &mut Started) {
    let processes = descendants(started.pid());
    started.child.kill().unwrap();
    started.child.wait().unwrap();
    assert_all_end(&processes, Duration::from_secs(10));
}

#[test]
fn a_training_process_that_is_killed_is_the_submission_s_own_end() {
    let contest = contest();
    contest.submit_bytes("killed.py", source(1).as_bytes());
    let turn = turn();
    let mut started = contest.start(contest.prism(&["run", "--format", "json"]), "killed");
    started.wait_for_log(&contest.outbox(), "TRAINING 23");
    for process in descendants(started.pid()) {
        if process.command.contains("runner.py") {
            // It may have ended with the one before it.
            let _ = Command::new("kill")
                .args(["-9", &process.pid.to_string()])
                .status();
        }
    }
    let ran = started.finish();
    drop(turn);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    outbox::check(&contest.outbox(), &ran);
    let killed = contest.submission("killed.py");
    let got = (killed.state(), killed.rule_id());
    assert_eq!(
        got,
        ("failed", "prism:runtime-error"),
        "{:#}",
        killed.status
    );
    assert_eq!(killed.status["attempts"], 1);
    assert!(!lineage(&contest, &killed).exists());
}

/// `just crash-test`: the referee is killed at each of its steps in turn.
#[test]
fn a_kill_at_any_step_of_the_referee_changes_no_text() {
    if std::env::var("CRASH_TEST").as_deref() != Ok("whole") {
        return;
    }
    let contest = contest();
    contest.submit_bytes("undisturbed.py", source(0).as_bytes());
    assert_eq!(contest.run().code, Some(0));
    let expected = contest.submission("undisturbed.py").online();
    for number in 1.. {
        let name = format!("disturbed-{number}.py");
        let text = format!("{}\n# {number}\n", source(0));
        contest.submit_bytes(&name, text.as_bytes());
        let turn = turn();
        let disturbed = with_fault(&contest, &format!("kill:{number}"));
        let was_disturbed = disturbed.code == Some(4);
        assert!(was_disturbed || disturbed.code == Some(0), "{disturbed:?}");
        let ran = contest.run_in_turn(contest.prism(&["run", "--format", "json"]));
        drop(turn);
        assert_eq!(ran.code, Some(0), "{number}: {ran:?}");
        let submission = contest.submission(&name);
        assert_eq!(
            submission.state(),
            "scored",
            "{number}: {:#}",
            submission.status
        );
        let text = |rows: &[OnlineRow]| rows.iter().map(text_of).collect::<Vec<_>>();
        assert_eq!(text(&submission.online()), text(&expected), "{number}");
        if !was_disturbed {
            assert!(number > 60, "only {number} steps are counted");
            return;
        }
    }
}
