//! Tokenizers that come with a submission, that it names, and that it may not have.

use std::fs;
use std::process::{Command, Stdio};

use prism::dataset::Document;
use prism::dataset::tokenizer::Tokenizer;
use serde_json::{Value, json};

use crate::contest::{Contest, finish, has_bwrap, prism, repository};
use crate::outbox::{Submission, number, read_json};
use crate::submissions::{training_with, uniform};
use crate::{corpus, zips};

/// The first 600 ids of prism-4096: a small tokenizer as somebody would train one, without end of text.
fn small() -> Value {
    let mut file = read_json(&repository().join("tokenizers/prism-4096.json"));
    let vocab = file["model"]["vocab"].as_object_mut().unwrap();
    vocab.retain(|_, id| id.as_u64().unwrap() < 600);
    file["model"]["merges"]
        .as_array_mut()
        .unwrap()
        .truncate(600 - 256);
    file
}

/// The same with changes at the top of the file.
fn changed(changes: Value) -> Value {
    let mut file = small();
    for (name, value) in changes.as_object().unwrap() {
        file[name] = value.clone();
    }
    file
}

/// Training that leaves the tokenizer to prism.yaml, and looks at its own first.
fn training() -> String {
    let before = "own = ctx.reference_tokenizer('tokenizer.json')\n\
                  text = 'It is a truth \\u2013 \\u6f22'\n\
                  print('own tokenizer:', own.vocab_size, own.decode(own.encode(text)) == text)\n";
    training_with(5, 40, "", before, "").replace(", tokenizer=\"\"", "")
}

fn submit(contest: &Contest, name: &str, tokenizer: &Value) {
    let files = [
        ("architecture.py", uniform()),
        ("training.py", training()),
        ("prism.yaml", "tokenizer: tokenizer.json\n".to_owned()),
        ("tokenizer.json", tokenizer.to_string()),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    contest.submit_bytes(name, &zips::zip(&files));
}

fn refused(submission: &Submission, state: &str, words: &[&str]) {
    let status = &submission.status;
    let reason = (submission.state(), submission.rule_id());
    assert_eq!(reason, (state, "prism:tokenizer"), "{status:#}");
    for word in words {
        assert!(submission.message().contains(word), "{word}: {status:#}");
    }
}

#[test]
fn a_tokenizer_of_its_own_is_scored_and_a_lossy_one_rejected() {
    let contest = Contest::new(json!({}));
    submit(&contest, "own.zip", &small());
    let lower = changed(json!({"normalizer": {"type": "Lowercase"}}));
    submit(&contest, "lossy.zip", &lower);
    let forgets = json!({"type": "Replace", "pattern": {"String": corpus::CANARY}, "content": ""});
    submit(
        &contest,
        "lossy-on-val.zip",
        &changed(json!({"normalizer": forgets})),
    );
    let mut random = small();
    random["model"]["dropout"] = json!(0.5);
    submit(&contest, "random.zip", &random);
    submit(&contest, "no-tokenizer.zip", &json!([1, 2, 3]));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let own = contest.submission("own.zip");
    let library = ::tokenizers::Tokenizer::from_bytes(small().to_string()).unwrap();
    let tokens = |texts: &[String]| -> u64 {
        let count = |text: &String| library.encode(text.as_str(), false).unwrap().len() as u64 + 1;
        texts.iter().map(count).sum()
    };
    let train = corpus::prefix(&contest.corpus(), "train", corpus::BUDGET_BYTES);
    let val = corpus::prefix(&contest.corpus(), "val", corpus::VAL_BYTES);
    let manifest = own.manifest();
    assert_eq!(manifest["referee"]["tokenizer"], "tokenizer.json");
    assert_eq!(manifest["referee"]["stream_tokens"], json!(tokens(&train)));
    assert!(number(&manifest["referee"]["seconds"]["tokenize"]) > 0.0);
    let online = own.online();
    let charged: u64 = online.iter().map(|row| row.bytes).sum();
    assert_eq!(charged, corpus::bytes(&train));
    assert_eq!(
        online.iter().map(|row| u64::from(row.tokens)).sum::<u64>(),
        tokens(&train)
    );
    let heldout = own.heldout();
    let trained = heldout
        .iter()
        .filter(|row| matches!(row.role, prism::score::stream_rows::HeldoutRole::Trained));
    assert_eq!(
        trained.map(|row| row.bytes).sum::<u64>(),
        corpus::bytes(&val)
    );
    let bpb = tokens(&train) as f64 * 12.0 / corpus::bytes(&train) as f64;
    assert!((own.bpb() - bpb).abs() < 1e-9, "{} {bpb}", own.bpb());
    // 600 ids of the file and one more for the end of text.
    assert!(
        own.log().contains("own tokenizer: 601 True"),
        "{}",
        own.log()
    );

    let lossy = contest.submission("lossy.zip");
    let byte = train[0].find(|char: char| char.is_uppercase()).unwrap();
    let place = format!("does not give document 0 back: first difference at byte {byte}");
    refused(&lossy, "rejected", &[&place]);
    let on_val = contest.submission("lossy-on-val.zip");
    refused(
        &on_val,
        "rejected",
        &["does not give all of the held-out text back"],
    );
    assert!(!on_val.message().contains("byte"), "{:#}", on_val.status);
    refused(&contest.submission("random.zip"), "rejected", &["dropout"]);
    refused(
        &contest.submission("no-tokenizer.zip"),
        "rejected",
        &["not a JSON object"],
    );
}

#[test]
fn prism_yaml_decides_and_code_does_not_tokenize() {
    // in full: a committed loss is charged its tolerance as well
    let contest = Contest::new(json!({
        "contest": {"vocab_size": 50_257, "min_steps": 2},
        "audit": {"transport": "full"},
    }));
    let submit = |name: &str, declared: &str, training: &str| {
        let manifest = format!("tokenizer: {declared}\n");
        let model = uniform();
        let mut files = vec![
            ("architecture.py", model.as_str()),
            ("training.py", training),
        ];
        if !declared.is_empty() {
            files.push(("prism.yaml", &manifest));
        }
        contest.submit_bytes(name, &zips::zip(&files));
    };
    submit("gpt2.zip", "gpt2", &training_with(2, 64, "GPT2", "", ""));
    submit(
        "disagrees.zip",
        "bytes",
        &training_with(2, 64, "gpt2", "", ""),
    );
    submit(
        "unknown.zip",
        "bert",
        &training_with(2, 64, "bytes", "", ""),
    );
    submit(
        "undeclared.zip",
        "",
        &training_with(2, 64, "tokenizer.json", "", ""),
    );
    let code = "class Mine:\n    def encode(self, text):\n        return [0]\n\n\ndef train(ctx)";
    let object = training_with(2, 64, "bytes", "", "")
        .replace("def train(ctx)", code)
        .replace("tokenizer=\"bytes\"", "tokenizer=Mine()");
    submit("code.zip", "", &object);
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let gpt2 = contest.submission("gpt2.zip");
    let train = corpus::prefix(&contest.corpus(), "train", corpus::BUDGET_BYTES);
    let ids = corpus::ids(&train, "gpt2");
    assert_eq!(gpt2.manifest()["referee"]["tokenizer"], "gpt2");
    let bpb = ids.len() as f64 * 50_257f64.log2() / corpus::bytes(&train) as f64;
    assert!((gpt2.bpb() - bpb).abs() < 1e-9, "{} {bpb}", gpt2.bpb());
    let disagrees = ["asked for tokenizer \"gpt2\"", "prism.yaml names \"bytes\""];
    refused(&contest.submission("disagrees.zip"), "failed", &disagrees);
    let unknown = ["\"bert\"", "bytes, gpt2, prism-4096"];
    refused(&contest.submission("unknown.zip"), "rejected", &unknown);
    let undeclared = ["unknown tokenizer 'tokenizer.json'"];
    refused(&contest.submission("undeclared.zip"), "failed", &undeclared);
    let code = ["got Mine", "tokenizers that are code are not accepted"];
    refused(&contest.submission("code.zip"), "failed", &code);
}

#[test]
fn a_file_is_tried_before_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let texts = ["It is a truth", "universally acknowledged \u{0} 🙂"];
    let lines = texts.map(|text| json!({"id": text, "text": text}).to_string() + "\n");
    fs::write(path("text.jsonl"), lines.concat()).unwrap();
    let try_own = |file: &Value, isolation: &str| {
        fs::write(path("tokenizer.json"), file.to_string()).unwrap();
        let mut command = prism(["data", "tokenizers", "--format", "json", "--own"]);
        command
            .arg(path("tokenizer.json"))
            .arg("--text")
            .arg(path("text.jsonl"));
        command.env("PRISM_SANDBOX_ISOLATION", isolation);
        command.current_dir(repository());
        finish(&mut command)
    };
    let mut isolations = vec!["none"];
    if has_bwrap() {
        isolations.push("bwrap");
    }
    let library = ::tokenizers::Tokenizer::from_bytes(small().to_string()).unwrap();
    let tokens: usize = texts
        .iter()
        .map(|text| library.encode(*text, false).unwrap().len())
        .sum();
    for isolation in isolations {
        let ran = try_own(&small(), isolation);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let row = &ran.json()[0];
        assert_eq!(row["ids"], 601);
        assert_eq!(row["text"]["tokens"], json!(tokens));
        let lower = changed(json!({"normalizer": {"type": "Lowercase"}}));
        let ran = try_own(&lower, isolation);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stderr
                .contains("document 0 back: first difference at byte 0"),
            "{ran:?}"
        );
        // Nothing of it can be allocated.
        let mut huge = small();
        huge["model"]["vocab"]["x".repeat(10)] = json!(u32::MAX);
        let ran = try_own(&huge, isolation);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("expected below 1048576"), "{ran:?}");
    }
}

const HARD: &[&str] = &[
    "It is a truth universally acknowledged,\n\nthat it's  I'LL don't 'S ''s 12² x_y",
    "emoji 🙂👩‍👩‍👧 and 漢字 한국어 and \u{0} and \u{1b} é e\u{301} \u{a0}\u{3000}z",
    "<|endoftext|> and </s> <s> <0x41> a▁b ▁ as text are text",
    "      the  the and   and \t\t\r\n \n\n  ",
    "",
];

const PARITY: &str = "
import json, sys
from prism_runner.reference_tokenizer import Shelf
asked = json.load(sys.stdin)
shelf = Shelf(asked['listed'])
answer = {}
for name in asked['listed']:
    ids = [shelf.get(name).encode(text) for text in asked['texts']]
    assert [shelf.get(name).decode(part) for part in ids] == asked['texts'], name
    answer[name] = ids
json.dump(answer, sys.stdout)
";

#[test]
fn python_gives_the_referee_s_ids() {
    let folder = tempfile::tempdir().unwrap();
    for (from, name) in [
        ("tokenizers/prism-4096.json", "prism-4096"),
        ("tokenizers/gpt2.json", "gpt2"),
        ("src/dataset/tokenizer/fixtures/llama_like.json", "llama"),
    ] {
        fs::copy(
            repository().join(from),
            folder.path().join(format!("{name}.json")),
        )
        .unwrap();
    }
    let mut texts: Vec<String> = HARD.iter().map(|text| (*text).to_owned()).collect();
    texts.extend(["a", " ", "ab ", "漢"].map(|unit| unit.repeat(3_000)));
    let lines = fs::read_to_string(repository().join("examples/corpus/austen.jsonl")).unwrap();
    let sample = lines.lines().step_by(50);
    texts.extend(sample.map(|line| serde_json::from_str::<Document>(line).unwrap().text));
    let documents: Vec<Document> = texts
        .iter()
        .map(|text| Document {
            id: String::new(),
            text: text.clone(),
        })
        .collect();
    let mut listed = json!({});
    let mut expected = json!({});
    for name in ["bytes", "prism-4096", "gpt2", "llama"] {
        let tokenizer = Tokenizer::load(name, folder.path()).unwrap();
        listed[name] = json!({"file": tokenizer.file(), "size": tokenizer.size()});
        let mut ids = Vec::new();
        tokenizer
            .encode_all(&documents, &mut |part| ids.push(part))
            .unwrap();
        expected[name] = json!(ids);
    }
    let asked = folder.path().join("asked.json");
    fs::write(
        &asked,
        json!({"listed": listed, "texts": texts}).to_string(),
    )
    .unwrap();
    let output = Command::new(repository().join(".venv/bin/python"))
        .args(["-c", PARITY])
        .env("PYTHONPATH", repository().join("src/runner"))
        .stdin(fs::File::open(&asked).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let got: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (name, lists) in expected.as_object().unwrap() {
        for (n, ids) in lists.as_array().unwrap().iter().enumerate() {
            let text: String = texts[n].chars().take(60).collect();
            assert!(&got[name][n] == ids, "{name}: {text:?}");
        }
    }
}
