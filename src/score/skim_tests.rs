//! The skim against the careful reader: it accepts nothing that `parse` refuses, and reads no other value.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::json::parse;
use super::*;

const EXAMPLE: &str = include_str!("fixtures/prism_run_manifest.v2.example.json");

/// What the skim should keep of a document.
fn reduced(document: &Value) -> Value {
    let mut kept = Map::new();
    for (key, value) in document.as_object().unwrap() {
        let block = matches!(key.as_str(), "metrics" | "data");
        match value {
            Value::Object(fields) if block => {
                let fields = fields
                    .iter()
                    .filter(|(name, _)| FIELDS.contains(&name.as_str()))
                    .map(|(name, value)| match value {
                        Value::Array(list) if name == LOSSES && !list.is_empty() => {
                            (name.clone(), json!([null]))
                        }
                        _ => (name.clone(), value.clone()),
                    })
                    .collect();
                kept.insert(key.clone(), Value::Object(fields));
            }
            _ if block || WHOLE.contains(&key.as_str()) => {
                kept.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
    Value::Object(kept)
}

/// Accepts, and agrees with the careful reader; or declines.
#[track_caller]
fn agrees(text: &[u8]) -> bool {
    let Some(found) = skim(text) else {
        return false;
    };
    let shown = String::from_utf8_lossy(text);
    let document = parse(text).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!(found.to_string(), reduced(&document).to_string(), "{shown}");
    true
}

#[test]
fn real_manifests_are_accepted_in_every_layout() {
    let value: Value = serde_json::from_str(EXAMPLE).unwrap();
    for text in [
        EXAMPLE.to_owned(),
        value.to_string(),
        EXAMPLE.replace('\n', "\r\n\t"),
        format!(" \n{EXAMPLE}\t"),
        EXAMPLE.replace("\"s1\"", "\"s\u{e9}\\n\\\"1\""),
        EXAMPLE.replacen(
            "8.41,",
            "-0, 1e-9, 12E+4, 0.5, [], {}, \"x\", 123456789.0123456789,",
            1,
        ),
    ] {
        assert!(agrees(text.as_bytes()), "{text}");
    }
    let mut emptied = value.clone();
    emptied["metrics"]["online_loss"] = json!([]);
    emptied["data"] = json!([1, 2]);
    emptied["metrics"]["covered_bytes"] = json!({"a": [1]});
    assert!(agrees(emptied.to_string().as_bytes()));
}

#[test]
fn what_the_careful_reader_refuses_is_declined() {
    for (from, to) in [
        ("8.41,", "NaN,"),
        ("8.41,", "Infinity,"),
        ("8.41,", "8.,"),
        ("8.41,", "08.41,"),
        ("8.41,", ".41,"),
        ("8.41,", "+8.41,"),
        ("8.41,", "8.41e,"),
        ("8.41,", "1e999,"),
        ("8.41,", "- 8,"),
        ("8.41,", "8.41,,"),
        ("8.41,", "8.41\u{b},"),
        ("8.41,", "8\u{663}41,"),
        ("8.41,", "tru,"),
        ("8.41,", "\"a\nb\","),
        ("8.41,", "\"\\x\","),
        ("\"s1\"", "\"s1"),
        ("\"mode\":", "\"mode\""),
        ("\"mode\":", "\"run_id\":"),
        ("\"mode\":", "mode:"),
        ("6.15\n", "6.15,\n"),
        ("\"s1\"\n}", "\"s1\",\n}"),
        ("\"s1\"\n}", "\"s1\"\n} {}"),
        ("\"s1\"\n}", "\"s1\"\n"),
        ("\"s1\"\n}", "\"s1\"\n]"),
        ("{\n  \"anti", "\u{feff}{\n  \"anti"),
    ] {
        let text = EXAMPLE.replacen(from, to, 1);
        assert_ne!(text, EXAMPLE, "{from}");
        assert!(skim(text.as_bytes()).is_none(), "{to}");
        assert!(parse(text.as_bytes()).is_err(), "{to}");
    }
    let mut bytes = EXAMPLE.as_bytes().to_vec();
    let at = EXAMPLE.find("s1\"").unwrap();
    bytes[at] = 0xff;
    assert!(skim(&bytes).is_none());
}

/// Declined to be on the safe side: the careful reader decides.
#[test]
fn unusual_documents_are_left_to_the_careful_reader() {
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(100), "]".repeat(100));
    let wide: String = (0..200).map(|key| format!("\"{key}\": 1,")).collect();
    for text in [
        deep,
        format!("{{{}\"z\": 1}}", wide),
        "{\"\\u0061\": 1}".to_owned(),
        "{\"a\": \"\\u0061\"}".to_owned(),
        "{\"a\": 1e100}".to_owned(),
        "[]".to_owned(),
    ] {
        assert!(skim(text.as_bytes()).is_none(), "{text}");
        assert!(parse(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn every_cut_and_every_changed_byte_agrees() {
    for end in 0..EXAMPLE.len() {
        agrees(&EXAMPLE.as_bytes()[..end]);
    }
    for at in 0..EXAMPLE.len() {
        for byte in [
            0, b'"', b'\\', b'}', b']', b',', b'0', b'e', b' ', b'-', 0xff,
        ] {
            let mut changed = EXAMPLE.as_bytes().to_vec();
            changed[at] = byte;
            agrees(&changed);
        }
    }
}

/// Any JSON, with keys that matter among others.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1e6..1e6_f64).prop_map(Value::from),
        "[ -~\u{e9}]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned),
        prop::sample::select(WHOLE.to_vec()).prop_map(str::to_owned),
        prop::sample::select(vec!["metrics", "data"]).prop_map(str::to_owned),
        "[a-z\"]{0,3}",
    ];
    let inner = leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(
        prop_oneof![
            prop::sample::select(WHOLE.to_vec()).prop_map(str::to_owned),
            prop::sample::select(vec!["metrics", "data"]).prop_map(str::to_owned),
            "[a-z]{0,3}"
        ],
        inner,
        0..6,
    )
    .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

proptest! {
    #[test]
    fn any_document_agrees(document in document(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&document).unwrap() } else { document.to_string() };
        agrees(text.as_bytes());
    }

    #[test]
    fn any_damage_agrees(document in document(), at: prop::sample::Index, with in prop::collection::vec(any::<u8>(), 0..3)) {
        let mut text = document.to_string().into_bytes();
        let at = at.index(text.len());
        text.splice(at..(at + 1), with);
        agrees(&text);
    }
}
