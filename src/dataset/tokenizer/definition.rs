//! A tokenizer.json as data: what counts of it, and whether it is of a plain kind that [`super::bpe`] encodes.
//!
//! A tokenizer here only cuts text into tokens. Whatever a file says beyond that is left out: truncation, padding,
//! post-processors, added tokens, and anything put before the text (`add_prefix_space`, `Prepend`, `prepend_scheme`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::alphabet::{SPACE_SIGN, Spelling};

/// Most ids of a tokenizer: its largest id is below this.
pub const MAX_IDS: u32 = 1 << 20;
/// Tokens that stand between documents, in order of preference.
pub const END_OF_TEXT: [&str; 2] = ["<|endoftext|>", "</s>"];

/// The kinds that [`super::bpe`] encodes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Byte-level BPE (GPT-2): words of GPT-2's pattern, or the whole text as one word.
    ByteLevel { words: bool },
    /// BPE over characters with the space sign and byte tokens (Llama).
    Spaced,
}

/// A tokenizer.json, read.
#[derive(Debug)]
pub struct Definition {
    /// The file without what does not count.
    json: Value,
    /// Token of each id; ids may have gaps.
    pub tokens: Vec<Option<String>>,
    pub spelling: Spelling,
    /// None: only the `tokenizers` crate can encode with it.
    pub kind: Option<Kind>,
}

impl Definition {
    /// Reads a file. The error says what is wrong with it.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let mut json: Value = serde_json::from_slice(json).map_err(|error| {
            format!(
                "not JSON (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        let Some(file) = json.as_object_mut() else {
            return Err("not a JSON object".to_owned());
        };
        for part in ["truncation", "padding", "post_processor"] {
            file.insert(part.to_owned(), Value::Null);
        }
        file.insert("added_tokens".to_owned(), Value::Array(Vec::new()));
        without_prefix(&mut json["normalizer"], 0);
        without_prefix(&mut json["pre_tokenizer"], 0);
        if !json["model"]["dropout"].is_null() {
            return Err("model.dropout is set: the same text must give the same ids".to_owned());
        }
        let tokens = tokens(&json["model"])?;
        let spelling = spelling(&json);
        let kind = kind(&json);
        Ok(Self {
            json,
            tokens,
            spelling,
            kind,
        })
    }

    /// The id that stands between documents: a token of that name, or one id more.
    pub fn end_of_text(&self) -> u32 {
        END_OF_TEXT
            .iter()
            .find_map(|name| {
                let named = |token: &Option<String>| token.as_deref() == Some(name);
                self.tokens.iter().position(named)
            })
            .unwrap_or(self.tokens.len()) as u32
    }

    /// UTF-8 bytes of each id, end-of-text included; empty where an id stands for no text.
    pub fn bytes_of(&self) -> Vec<Vec<u8>> {
        let mut bytes: Vec<Vec<u8>> = self
            .tokens
            .iter()
            .map(|token| {
                token
                    .as_deref()
                    .and_then(|token| self.spelling.bytes(token))
                    .unwrap_or_default()
            })
            .collect();
        let end_of_text = self.end_of_text() as usize;
        bytes.resize_with(bytes.len().max(end_of_text + 1), Vec::new);
        bytes[end_of_text].clear();
        bytes
    }

    /// Merges as pairs of tokens, in the order in which they were learned.
    pub fn merges(&self) -> Result<Vec<(&str, &str)>, String> {
        let merges = self.json["model"]["merges"].as_array();
        merges
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(index, merge)| {
                let pair = match merge {
                    Value::String(text) => text.split_once(' '),
                    Value::Array(pair) => match pair.as_slice() {
                        [Value::String(left), Value::String(right)] => {
                            Some((left.as_str(), right.as_str()))
                        }
                        _ => None,
                    },
                    _ => None,
                };
                pair.ok_or_else(|| format!("merge {index} is not a pair of tokens"))
            })
            .collect()
    }

    /// Whether a word that is a token is never merged, but taken whole.
    pub fn ignore_merges(&self) -> bool {
        self.json["model"]["ignore_merges"].as_bool() == Some(true)
    }

    /// The file as the `tokenizers` crate is given it.
    pub fn library_json(&self) -> Vec<u8> {
        self.json.to_string().into_bytes()
    }
}

/// Removes what would be put before a text. serde_json allows 128 levels; real files have three.
fn without_prefix(part: &mut Value, depth: usize) {
    const MAX_DEPTH: usize = 8;
    let kind = part["type"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "Prepend" => *part = Value::Null,
        "ByteLevel" => part["add_prefix_space"] = false.into(),
        "Metaspace" => {
            part["prepend_scheme"] = "never".into();
            if let Some(part) = part.as_object_mut() {
                part.remove("add_prefix_space");
            }
        }
        "Sequence" if depth < MAX_DEPTH => {
            for list in ["normalizers", "pretokenizers"] {
                let Some(parts) = part.get_mut(list).and_then(Value::as_array_mut) else {
                    continue;
                };
                for part in parts.iter_mut() {
                    without_prefix(part, depth + 1);
                }
                parts.retain(|part| !part.is_null());
            }
        }
        _ => {}
    }
}

/// Tokens by id, from the vocabulary of any model: an object, or a list of pairs (Unigram).
fn tokens(model: &Value) -> Result<Vec<Option<String>>, String> {
    let mut by_id: BTreeMap<u32, &str> = BTreeMap::new();
    match &model["vocab"] {
        Value::Object(vocab) => {
            for (token, id) in vocab {
                let id = id.as_u64().unwrap_or(u64::MAX);
                if id >= u64::from(MAX_IDS) {
                    return Err(format!("an id is {id}, expected below {MAX_IDS}"));
                }
                if by_id.insert(id as u32, token).is_some() {
                    return Err(format!("two tokens have the id {id}"));
                }
            }
        }
        Value::Array(vocab) => {
            for (id, entry) in vocab.iter().take(MAX_IDS as usize + 1).enumerate() {
                let Some(token) = entry.get(0).and_then(Value::as_str) else {
                    return Err(format!("entry {id} of the vocabulary has no token"));
                };
                by_id.insert(id as u32, token);
            }
        }
        _ => return Err("model.vocab is neither an object nor a list".to_owned()),
    }
    let Some((&last, _)) = by_id.last_key_value() else {
        return Err("the vocabulary is empty".to_owned());
    };
    if last >= MAX_IDS {
        return Err(format!("got more than {MAX_IDS} ids"));
    }
    let mut tokens = vec![None; last as usize + 1];
    for (id, token) in by_id {
        tokens[id as usize] = Some(token.to_owned());
    }
    Ok(tokens)
}

fn spelling(json: &Value) -> Spelling {
    let parts = [
        &json["normalizer"],
        &json["pre_tokenizer"],
        &json["decoder"],
    ];
    let text = parts.map(Value::to_string).concat();
    if text.contains(r#""type":"ByteLevel""#) {
        return Spelling::ByteLevel;
    }
    Spelling::Characters {
        space_sign: text.contains(SPACE_SIGN) || text.contains(r#""type":"Metaspace""#),
        byte_tokens: json["model"]["byte_fallback"].as_bool() == Some(true),
    }
}

fn kind(json: &Value) -> Option<Kind> {
    let model = &json["model"];
    let unset = |name: &str| matches!(&model[name], Value::Null) || model[name] == "";
    // Files older than the key `type` are BPE if they have merges.
    let bpe = model["type"] == "BPE" || (model["type"].is_null() && model["merges"].is_array());
    if !bpe || !unset("continuing_subword_prefix") || !unset("end_of_word_suffix") {
        return None;
    }
    let (normalizer, pre) = (&json["normalizer"], &json["pre_tokenizer"]);
    if normalizer.is_null() && pre["type"] == "ByteLevel" {
        return Some(Kind::ByteLevel {
            words: pre["use_regex"].as_bool() != Some(false),
        });
    }
    let replaces = |part: &Value| {
        part["type"] == "Replace" && part["pattern"]["String"] == " " && part["content"] == "▁"
    };
    let alone = |part: &Value| match part["normalizers"].as_array() {
        Some(parts) => part["type"] == "Sequence" && parts.len() == 1 && replaces(&parts[0]),
        None => replaces(part),
    };
    let whole = pre["type"] == "Metaspace"
        && pre["split"].as_bool() == Some(false)
        && pre["replacement"] == "▁";
    let spaced = (alone(normalizer) && pre.is_null()) || (normalizer.is_null() && whole);
    let bytes = model["byte_fallback"].as_bool() == Some(true);
    let merges = model["ignore_merges"].as_bool() != Some(true);
    (spaced && bytes && merges).then_some(Kind::Spaced)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(file: &Value) -> Result<Definition, String> {
        Definition::read(file.to_string().as_bytes())
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let vocab = |vocab: Value| json!({"model": {"type": "BPE", "vocab": vocab, "merges": []}});
        let table = [
            (json!([]), "not a JSON object"),
            (json!({}), "neither an object nor a list"),
            (vocab(json!({})), "the vocabulary is empty"),
            (vocab(json!({"a": 1, "b": 1})), "two tokens have the id 1"),
            (
                vocab(json!({"a": 1 << 20})),
                "an id is 1048576, expected below 1048576",
            ),
            (vocab(json!({"a": -1})), "expected below 1048576"),
            (
                vocab(json!([["a", 0.5], 3])),
                "entry 1 of the vocabulary has no token",
            ),
            (
                json!({"model": {"dropout": 0.1, "vocab": {"a": 0}}}),
                "model.dropout is set",
            ),
        ];
        for (file, expected) in table {
            let error = read(&file).unwrap_err();
            assert!(error.contains(expected), "{file}: {error}");
        }
        assert_eq!(
            Definition::read(b"{").unwrap_err(),
            "not JSON (line 1, column 1)"
        );
        let deep = "[".repeat(100_000);
        assert!(
            Definition::read(deep.as_bytes())
                .unwrap_err()
                .starts_with("not JSON")
        );
    }

    #[test]
    fn gaps_and_end_of_text() {
        let file = json!({"model": {"vocab": {"a": 0, "bc": 3}}});
        let gaps = read(&file).unwrap();
        assert_eq!(gaps.end_of_text(), 4);
        assert_eq!(gaps.bytes_of(), [&b"a"[..], b"", b"", b"bc", b""]);
        let file = json!({"model": {"vocab": {"</s>": 0, "<|endoftext|>": 1, "a": 2}}});
        let named = read(&file).unwrap();
        assert_eq!(named.end_of_text(), 1);
        assert_eq!(named.bytes_of(), [&b"</s>"[..], b"", b"a"]);
    }

    #[test]
    fn nothing_is_put_before_the_text() {
        let file = json!({
            "truncation": {"max_length": 1}, "added_tokens": [{"id": 0}],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "pre_tokenizer": null,
            "model": {"type": "BPE", "byte_fallback": true, "vocab": {"a": 0}, "merges": []},
        });
        let read = read(&file).unwrap();
        assert_eq!(read.kind, Some(Kind::Spaced));
        assert_eq!(
            read.json["normalizer"]["normalizers"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(read.json["truncation"], Value::Null);
        assert_eq!(read.json["added_tokens"], json!([]));
    }

    #[test]
    fn kinds() {
        let model = json!({"type": "BPE", "vocab": {"a": 0}, "merges": []});
        let of = |changes: Value| {
            let mut file =
                json!({"model": model, "pre_tokenizer": {"type": "ByteLevel", "use_regex": true}});
            for (name, value) in changes.as_object().unwrap() {
                file[name] = value.clone();
            }
            read(&file).unwrap().kind
        };
        assert_eq!(of(json!({})), Some(Kind::ByteLevel { words: true }));
        assert_eq!(
            of(json!({"pre_tokenizer": {"type": "ByteLevel", "use_regex": false}})),
            Some(Kind::ByteLevel { words: false })
        );
        assert_eq!(of(json!({"normalizer": {"type": "NFC"}})), None);
        assert_eq!(of(json!({"pre_tokenizer": {"type": "Whitespace"}})), None);
        assert_eq!(
            of(json!({"model": {"type": "Unigram", "vocab": [["a", -1.0]]}})),
            None
        );
    }
}
