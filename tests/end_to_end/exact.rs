//! Models whose predictions are known in closed form: every number of the manifest is worked out here from the text.

use serde_json::json;

use crate::contest::Contest;
use crate::outbox::{Submission, number};
use crate::submissions::{training_with, uniform, unigram};
use crate::{corpus, outbox};

const VOCAB_SIZE: u32 = 4_096;

/// File name, whether the model is uniform, rows, columns, tokenizer.
const CASES: [(&str, bool, usize, usize, &str); 4] = [
    ("uniform-bytes.zip", true, 3, 50, "bytes"),
    ("unigram-bytes.zip", false, 4, 64, "bytes"),
    ("uniform-bpe.zip", true, 7, 17, "prism-4096"),
    ("unigram-bpe.zip", false, 1, 500, "prism-4096"),
];

/// −ln p(id) of the fixed unigram model, in f64.
fn unigram_nats(id: u32) -> f64 {
    let logit = |id: u32| f64::from(id % 13) * -0.25;
    let sum: f64 = (0..VOCAB_SIZE).map(|id| logit(id).exp()).sum();
    sum.ln() - logit(id)
}

#[test]
fn bits_per_byte_are_those_worked_out_by_hand() {
    let contest = Contest::new(json!({}));
    for (name, is_uniform, rows, columns, tokenizer) in CASES {
        let model = if is_uniform { uniform() } else { unigram() };
        let training = training_with(rows, columns, tokenizer, "", "");
        contest.submit(name, &model, &training);
    }
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let table: Vec<f64> = (0..VOCAB_SIZE).map(unigram_nats).collect();
    let train = corpus::prefix(&contest.corpus(), "train", corpus::BUDGET_BYTES);
    let val = corpus::prefix(&contest.corpus(), "val", corpus::VAL_BYTES);
    assert!((corpus::BUDGET_BYTES..corpus::BUDGET_BYTES + 4_000).contains(&corpus::bytes(&train)));
    assert!(val.len() > 1 && val.iter().all(|text| text.contains(corpus::CANARY)));
    for (name, is_uniform, rows, columns, tokenizer) in CASES {
        let submission = contest.submission(name);
        let nats = |id: u32| {
            if is_uniform {
                f64::from(VOCAB_SIZE).ln()
            } else {
                table[id as usize]
            }
        };
        let bpb = |texts: &[String], lanes: usize| {
            let ids = corpus::ids(texts, tokenizer);
            let nats = corpus::code_length_nats(&ids, lanes, VOCAB_SIZE, nats);
            nats / std::f64::consts::LN_2 / corpus::bytes(texts) as f64
        };
        let score = submission.score();
        close(name, number(&score["prequential_bpb"]), bpb(&train, rows));
        // Held-out text is read in eight lanes, whatever the submission asked for.
        for field in ["val_bpb_trained", "val_bpb_random_init"] {
            close(name, number(&score[field]), bpb(&val, 8));
        }
        if is_uniform {
            let tokens = corpus::ids(&train, tokenizer).len() as f64;
            let by_count = tokens * 12.0 / corpus::bytes(&train) as f64;
            close(name, number(&score["prequential_bpb"]), by_count);
            close(name, number(&score["val_bpb_uniform"]), bpb(&val, 8));
        }
        assert_eq!(submission.flags(), [""; 0], "{name}");
        everything_is_charged_once(&submission, &train, &val, rows, columns, tokenizer);
    }
}

fn close(name: &str, got: f64, expected: f64) {
    assert!(
        (got - expected).abs() < 1e-9,
        "{name}: got {got}, expected {expected}"
    );
}

/// Bytes and tokens of the streams are those of the text, and the rows those of its lanes.
fn everything_is_charged_once(
    submission: &Submission,
    train: &[String],
    val: &[String],
    rows: usize,
    columns: usize,
    tokenizer: &str,
) {
    let name = &submission.status["name"];
    let online = submission.online();
    let ids = corpus::ids(train, tokenizer);
    let sum_of = |pick: fn(&prism::score::stream_rows::OnlineRow) -> u64| -> u64 {
        online.iter().map(pick).sum()
    };
    assert_eq!(sum_of(|row| row.bytes), corpus::bytes(train), "{name}");
    assert_eq!(sum_of(|row| row.tokens.into()), ids.len() as u64, "{name}");
    assert_eq!(sum_of(|row| row.nonfinite.into()), 0, "{name}");
    assert!(online.iter().all(|row| !row.unpredicted), "{name}");
    // Each lane has its first token for nothing in return, then full rows, then what is left of it.
    let full_steps = (ids.len() / rows - 1) / columns;
    let left = (ids.len() - rows - full_steps * rows * columns) as u32;
    assert_eq!(online.len(), full_steps + usize::from(left > 0), "{name}");
    for (index, row) in online.iter().enumerate() {
        let first = if index == 0 { rows as u32 } else { 0 };
        let predicted = if index < full_steps {
            (rows * columns) as u32
        } else {
            left
        };
        assert_eq!(row.tokens, first + predicted, "{name}, step {index}");
        assert_eq!((row.step, row.rank), (index as u32, 0), "{name}");
    }
    let blind: u32 = online.iter().map(|row| row.blind_tokens).sum();
    assert!(blind >= (full_steps * rows) as u32, "{name}: {blind}");

    use prism::score::stream_rows::HeldoutRole;
    for role in [HeldoutRole::Trained, HeldoutRole::Twin] {
        let heldout = submission.heldout();
        let of_role = heldout.iter().filter(|row| row.role == role);
        let (tokens, bytes) = of_role.fold((0, 0), |(tokens, bytes), row| {
            (tokens + row.tokens as usize, bytes + row.bytes)
        });
        assert_eq!(tokens, corpus::ids(val, tokenizer).len(), "{name}");
        assert_eq!(bytes, corpus::bytes(val), "{name}");
    }
    let manifest = submission.manifest();
    assert_eq!(
        manifest["data"]["covered_bytes"],
        json!(corpus::bytes(train))
    );
    assert_eq!(manifest["referee"]["stream_tokens"], json!(ids.len()));
    assert_eq!(manifest["referee"]["tokenizer"], json!(tokenizer));
    let status = outbox::read_json(&submission.path("status.json"));
    let states: Vec<&str> = status["transitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|transition| transition["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        [
            "received",
            "bundled",
            "reviewed",
            "measuring",
            "measured",
            "scored"
        ]
    );
}
