//! A small corpus, and what it says of itself: text, lanes and tokens worked out here once more, by hand.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::contest::{finish, prism, repository};

/// Text that each run is to predict; the document at the border is taken whole.
pub const BUDGET_BYTES: u64 = 20_000;
/// Text of val that is predicted, border document included.
pub const VAL_BYTES: u64 = 6_000;
/// Stands in every document of val and test, and may stand in no public file.
pub const CANARY: &str = "zyxwCANARYwxyz";
/// Documents of train fill several shards of this many.
const DOCS_PER_SHARD: &str = "8";

/// Locks `ROOT/corpus`: 60 documents of train, 6 of the open sample, 8 of val and 4 of test.
pub fn lock(root: &Path) {
    let source = root.join("source.jsonl");
    fs::write(&source, source_lines()).unwrap();
    let mut command = prism(["data", "lock", "--format", "json"]);
    command.args(["--docs-per-shard", DOCS_PER_SHARD, "--name", "end-to-end"]);
    command.arg("--output").arg(root.join("corpus")).arg(source);
    let ran = finish(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let counts = &ran.json()["doc_counts"];
    assert_eq!(*counts, json!({"train": 66, "val": 8, "test": 4}));
}

fn source_lines() -> String {
    let path = repository().join("examples/corpus/austen.jsonl");
    let text: String = fs::read_to_string(path)
        .unwrap()
        .lines()
        .take(40)
        .map(|line| {
            let document: Value = serde_json::from_str(line).unwrap();
            document["text"].as_str().unwrap().to_owned()
        })
        .collect();
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let mut pieces = words.chunks(280);
    let mut lines = String::new();
    let parts: [(&str, u32, std::ops::Range<u32>); 4] = [
        ("train", 60, 10..950),
        ("open", 6, 0..10),
        ("val", 8, 950..975),
        ("test", 4, 975..1_000),
    ];
    for (part, count, buckets) in parts {
        for number in 0..count {
            let id = (0u32..)
                .map(|attempt| format!("{part}-{number:03}-{attempt}"))
                .find(|id| buckets.contains(&bucket(id)))
                .unwrap();
            let mark = match part {
                "val" | "test" => CANARY,
                // A byte is not a character.
                _ => "Volume “one” – né",
            };
            let text = format!("{mark} {number}. {}", pieces.next().expect("text").concat());
            lines.push_str(&json!({"id": id, "text": text}).to_string());
            lines.push('\n');
        }
    }
    lines
}

/// `int(sha256(id)) mod 1000`, digit by digit.
fn bucket(id: &str) -> u32 {
    format!("{:x}", Sha256::digest(id))
        .chars()
        .fold(0, |rest, digit| {
            (rest * 16 + digit.to_digit(16).unwrap()) % 1_000
        })
}

/// Documents of a split up to a budget, in the order of the shards, without the open sample.
pub fn prefix(corpus: &Path, split: &str, budget_bytes: u64) -> Vec<String> {
    let manifest = fs::read_to_string(corpus.join("MANIFEST.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let mut texts: Vec<String> = Vec::new();
    for shard in manifest["splits"][split]["shards"].as_array().unwrap() {
        let lines = fs::read_to_string(corpus.join(shard["path"].as_str().unwrap())).unwrap();
        for line in lines.lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            if split == "train" && bucket(document["id"].as_str().unwrap()) < 10 {
                continue;
            }
            if bytes(&texts) >= budget_bytes {
                return texts;
            }
            texts.push(document["text"].as_str().unwrap().to_owned());
        }
    }
    texts
}

/// UTF-8 bytes of texts.
pub fn bytes(texts: &[String]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

/// Ids of texts, each followed by the tokenizer's end-of-text.
pub fn ids(texts: &[String], tokenizer: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    if tokenizer == "bytes" {
        for text in texts {
            ids.extend(text.bytes().map(u32::from));
            ids.push(256);
        }
        return ids;
    }
    let file = repository().join(format!("tokenizers/{tokenizer}.json"));
    let bpe = ::tokenizers::Tokenizer::from_file(file).unwrap();
    let end_of_text = bpe.token_to_id("<|endoftext|>").unwrap();
    for text in texts {
        ids.extend(bpe.encode(text.as_str(), false).unwrap().get_ids());
        ids.push(end_of_text);
    }
    ids
}

/// Code length in nats when every token costs what `nats` says, but the first of each lane, which has no context and
/// costs ln V. The ids are cut into `lanes` pieces, the first ones longer by one where they do not divide evenly.
pub fn code_length_nats(
    ids: &[u32],
    lanes: usize,
    vocab_size: u32,
    nats: impl Fn(u32) -> f64,
) -> f64 {
    let (base, longer) = (ids.len() / lanes, ids.len() % lanes);
    let mut total = 0.0;
    let mut start = 0;
    for lane in 0..lanes {
        let end = start + base + usize::from(lane < longer);
        total += f64::from(vocab_size).ln();
        total += ids[start + 1..end].iter().map(|&id| nats(id)).sum::<f64>();
        start = end;
    }
    total
}

/// Orders the texts of train by sha256 of a key (hexadecimal) and their documents' ids.
pub fn permute(corpus: &Path, texts: &mut [String], key: &str) {
    let key: Vec<u8> = (0..key.len())
        .step_by(2)
        .map(|n| u8::from_str_radix(&key[n..n + 2], 16).unwrap())
        .collect();
    let mut ids = std::collections::HashMap::new();
    for shard in fs::read_dir(corpus.join("train")).unwrap() {
        for line in fs::read_to_string(shard.unwrap().path()).unwrap().lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            let text = document["text"].as_str().unwrap().to_owned();
            ids.insert(text, document["id"].as_str().unwrap().to_owned());
        }
    }
    texts.sort_by_key(|text| {
        let mut hash = Sha256::new();
        hash.update(&key);
        hash.update(&ids[text]);
        hash.finalize().to_vec()
    });
}
