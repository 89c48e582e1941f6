//! Bundles and answers for the tests of this room.

use serde_json::{Value, json};

use super::prompt::TOOL;
use crate::bundle::{self, Bundle, Limits};

/// A bundle of two plain scripts and these files.
pub fn bundle(files: &[(&str, &str)]) -> Bundle {
    let folder = tempfile::tempdir().unwrap();
    let scripts = [
        (
            "architecture.py",
            "def build_model(ctx):\n    return None\n",
        ),
        ("training.py", "def train(ctx):\n    pass\n"),
    ];
    for (path, text) in scripts.iter().chain(files) {
        std::fs::write(folder.path().join(path), text).unwrap();
    }
    let limits = Limits::default();
    let archive = bundle::pack(folder.path(), &limits).unwrap();
    bundle::open(&archive, &limits).unwrap()
}

/// A chat completion that calls the tool.
pub fn completion(verdict: &str, evidence: &[Value]) -> Value {
    let arguments = json!({"verdict": verdict, "evidence": evidence}).to_string();
    json!({
        "id": "1", "object": "chat.completion", "model": "served-model",
        "choices": [{
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": null,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": TOOL, "arguments": arguments}}],
            },
        }],
    })
}

pub fn evidence(path: &str, line: u64, quote: &str) -> Value {
    json!({
        "path": path, "line": line, "rule": "smuggled-knowledge", "quote": quote,
        "explanation": "It carries a table of words.",
    })
}
