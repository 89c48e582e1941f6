//! Every tokenizer against tiktoken, the `tokenizers` crate, and the text itself.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::digest::hex;

const FIXTURE: &str = include_str!("fixtures/gpt2_tiktoken.json");

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    repository().join("tokenizers")
}

fn documents<S: AsRef<str>>(texts: &[S]) -> Vec<Document> {
    let numbered = texts.iter().enumerate();
    numbered
        .map(|(id, text)| Document {
            id: id.to_string(),
            text: text.as_ref().to_owned(),
        })
        .collect()
}

fn encode<S: AsRef<str>>(tokenizer: &Tokenizer, texts: &[S]) -> Vec<Vec<u32>> {
    let mut all = Vec::new();
    tokenizer
        .encode_all(&documents(texts), &mut |ids| all.push(ids))
        .unwrap();
    all
}

/// A tokenizer of a file that is not on disk.
fn tokenizer_of(file: &Value) -> Tokenizer {
    let (table, engine) = Table::read(file.to_string().as_bytes(), true).unwrap();
    Tokenizer {
        name: "test".to_owned(),
        file: None,
        bytes_of: table.bytes_of,
        end_of_text: table.end_of_text,
        engine,
    }
}

/// The same by the `tokenizers` crate alone.
fn library_of(file: &Value) -> Library {
    Library::load(&Definition::read(file.to_string().as_bytes()).unwrap()).unwrap()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A vocabulary in Llama's style: the space sign, some pieces, byte tokens.
pub fn llama_like() -> Value {
    serde_json::from_str(include_str!("fixtures/llama_like.json")).unwrap()
}

const HARD: &[&str] = &[
    "It is a truth universally acknowledged,\n\nthat",
    "emoji 🙂 and 漢字 and \u{0} and \u{1b}",
    "<|endoftext|> and </s> <s> <0x41> as text are text",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa        \t\t\t",
    " the  the and   and été\r\nher\u{a0}there",
    "",
    " ",
    "\u{0}",
];

/// Every tokenizer that a run can have, as (name, tokenizer).
pub fn every_tokenizer() -> Vec<Tokenizer> {
    let mut all: Vec<Tokenizer> = ["bytes", "prism-4096", "gpt2"]
        .iter()
        .map(|name| Tokenizer::load(name, &folder()).unwrap())
        .collect();
    all.push(tokenizer_of(&llama_like()));
    all.push(tokenizer_of(&own_pattern()));
    all
}

/// A file that only the `tokenizers` crate can encode with, as it could come with a submission: words by another
/// pattern than GPT-2's, over all byte symbols.
fn own_pattern() -> Value {
    let mut file = read_json(&folder().join("prism-4096.json"));
    file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": r"\s+|\p{P}|[^\s\p{P}]{1,5}"}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}]});
    file
}

#[test]
fn sizes_are_those_that_the_contest_names() {
    let sizes: Vec<(String, u32, u32)> = every_tokenizer()
        .iter()
        .map(|t| (t.name().to_owned(), t.size(), t.end_of_text()))
        .collect();
    let expected = [
        ("bytes", 257, 256),
        ("prism-4096", 4_096, 4_095),
        ("gpt2", 50_257, 50_256),
    ];
    for ((name, size, end_of_text), expected) in sizes.iter().zip(expected) {
        assert_eq!((name.as_str(), *size, *end_of_text), expected);
    }
    assert_eq!(sizes[3].2, 2, "</s>");
}

#[test]
fn gpt2_is_tiktoken_s() {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let gpt2 = Tokenizer::load("gpt2", &folder()).unwrap();
    let digest = |lists: &[Vec<u32>]| {
        let mut hash = Sha256::new();
        for id in lists.iter().flatten() {
            hash.update(id.to_le_bytes());
        }
        hex(&hash.finalize())
    };
    for case in fixture["cases"].as_array().unwrap() {
        let text: String = match case["ranges"].as_array() {
            Some(ranges) => ranges
                .iter()
                .flat_map(|range| range[0].as_u64().unwrap()..=range[1].as_u64().unwrap())
                .filter_map(|code| char::from_u32(code as u32))
                .collect(),
            None => case["unit"]
                .as_str()
                .unwrap()
                .repeat(case["times"].as_u64().unwrap() as usize),
        };
        let ids = encode(&gpt2, &[text]);
        if let Some(expected) = case["ids"].as_array() {
            assert_eq!(&json!(ids[0]), &json!(expected), "{}", case["name"]);
        }
        assert_eq!(json!(ids[0].len()), case["tokens"], "{}", case["name"]);
        assert_eq!(json!(digest(&ids)), case["sha256"], "{}", case["name"]);
    }
    let corpus = &fixture["corpus"];
    let lines =
        std::fs::read_to_string(repository().join(corpus["file"].as_str().unwrap())).unwrap();
    let texts: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Document>(line).unwrap().text)
        .collect();
    let ids = encode(&gpt2, &texts);
    assert_eq!(json!(ids.len()), corpus["documents"]);
    assert_eq!(
        json!(ids.iter().map(Vec::len).sum::<usize>()),
        corpus["tokens"]
    );
    assert_eq!(json!(digest(&ids)), corpus["sha256"]);
}

#[test]
fn the_tokenizers_crate_gives_the_same_ids() {
    let lines = std::fs::read_to_string(repository().join("examples/corpus/austen.jsonl")).unwrap();
    let mut texts: Vec<String> = HARD.iter().map(|text| (*text).to_owned()).collect();
    // A part of the corpus: the crate is slow when it is not optimised.
    texts.extend(
        lines
            .lines()
            .step_by(40)
            .map(|line| serde_json::from_str::<Document>(line).unwrap().text),
    );
    for file in [
        read_json(&folder().join("prism-4096.json")),
        read_json(&folder().join("gpt2.json")),
        llama_like(),
    ] {
        let library = library_of(&file);
        let own = encode(&tokenizer_of(&file), &texts);
        for (text, ids) in texts.iter().zip(own) {
            assert_eq!(
                library.encode(text).unwrap(),
                ids,
                "{:?}",
                text.chars().take(80).collect::<String>()
            );
        }
    }
}

#[test]
fn a_space_sign_in_the_text_is_not_a_space() {
    let llama = tokenizer_of(&llama_like());
    let ids = encode(&llama, &["a▁the the"]);
    assert_eq!(
        ids[0].iter().map(|&id| llama.bytes_of(id)).sum::<usize>(),
        "a▁the the".len()
    );
    assert_eq!(ids[0][1..4], [3 + 0xe2, 3 + 0x96, 3 + 0x81]);
}

#[test]
fn every_byte_comes_back() {
    for tokenizer in every_tokenizer() {
        for (text, ids) in HARD.iter().zip(encode(&tokenizer, HARD)) {
            let name = tokenizer.name();
            assert!(!ids.contains(&tokenizer.end_of_text()), "{name} {text:?}");
            let bytes: usize = ids.iter().map(|&id| tokenizer.bytes_of(id)).sum();
            assert_eq!(bytes, text.len(), "{name} {text:?}");
        }
    }
}

#[test]
fn long_runs_take_time_in_proportion() {
    // A quadratic merge of these would take hours.
    let texts = ["a", " ", "ab", "\u{1f642}"].map(|unit| unit.repeat(300_000));
    for tokenizer in every_tokenizer() {
        encode(&tokenizer, &texts);
    }
}

#[test]
fn names_are_not_paths() {
    for name in ["../etc/passwd", "", ".hidden", "a/b", "no-such-tokenizer"] {
        assert!(
            matches!(
                Tokenizer::load(name, &folder()),
                Err(DatasetError::Tokenizer { .. })
            ),
            "{name}"
        );
    }
}

#[test]
fn files_that_cannot_encode_every_text_are_refused() {
    let mut no_byte = read_json(&folder().join("prism-4096.json"));
    no_byte["model"]["merges"] = json!([]);
    no_byte["model"]["vocab"]
        .as_object_mut()
        .unwrap()
        .remove("!");
    let mut no_token = llama_like();
    no_token["model"]["merges"]
        .as_array_mut()
        .unwrap()
        .push(json!(["<s", ">"]));
    let mut ends = read_json(&folder().join("prism-4096.json"));
    ends["model"]["merges"]
        .as_array_mut()
        .unwrap()
        .push(json!(["<|endof", "text|>"]));
    for (file, expected) in [
        (no_byte, "byte 33 has no token"),
        (no_token, "needs the token \"<s\""),
        (ends, "needs the token"),
    ] {
        let error = Table::read(file.to_string().as_bytes(), false)
            .err()
            .unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_first_lost_byte_is_named() {
    let table = vec![b"ab".to_vec(), b"c".to_vec(), Vec::new()];
    assert_eq!(first_difference(&table, &[0, 1], b"abc"), None);
    assert_eq!(first_difference(&table, &[0, 1], b"abd"), Some(2));
    assert_eq!(first_difference(&table, &[0], b"abc"), Some(2));
    assert_eq!(first_difference(&table, &[0, 2], b"ab"), Some(2));
    let mut lossy = llama_like();
    lossy["normalizer"] = json!({"type": "Lowercase"});
    let error = tokenizer_of(&lossy)
        .encode_all(&documents(&["ok", "the End"]), &mut |_| {})
        .unwrap_err();
    assert!(
        matches!(
            error,
            DatasetError::Lossy {
                document: 1,
                byte: 4,
                ..
            }
        ),
        "{error:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_text_comes_back(text in "(\\PC|[ \\n\\t\\x00▁<>'a-f]){0,60}|[a-z ]{0,300}") {
        thread_local! {
            static ALL: Vec<Tokenizer> = every_tokenizer();
        }
        ALL.with(|all| {
            for tokenizer in all {
                // `encode_all` compares.
                encode(tokenizer, &[&text]);
            }
        });
    }
}
