//! The gate as a whole, against a real HTTP server on this machine, real programs and real files.

mod reviewers;
mod rulings;
mod server;
mod tls;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::cache::Cache;
use super::*;
use crate::outbox::Outbox;

pub const KEY: &str = "sk-0123456789-very-secret";

/// An outbox, a key, and settings that name both.
pub struct Scene {
    root: TempDir,
    pub gate: Gate,
}

impl Scene {
    /// The reviewer at an address of this machine.
    pub fn http(address: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let key = root.path().join("key");
        std::fs::write(&key, format!("{KEY}\n")).unwrap();
        let gate = Gate {
            mode: GateMode::Http,
            base_url: format!("http://{address}/api/v1/"),
            model: Some("vendor/model".to_owned()),
            api_key_file: Some(key),
            timeout_s: 600,
            ..Gate::default()
        };
        Self { root, gate }
    }

    /// A shell script as the reviewer.
    pub fn command(script: &str) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            gate: Gate {
                mode: GateMode::Command,
                command: ["sh", "-c", script].map(str::to_owned).to_vec(),
                timeout_s: 600,
                ..Gate::default()
            },
        }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn outbox(&self) -> PathBuf {
        self.root().join("outbox")
    }

    pub fn review(&self, bundle: &Bundle) -> Ruling {
        self.review_until(bundle, &|| false).unwrap()
    }

    pub fn review_until(
        &self,
        bundle: &Bundle,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Ruling, GateError> {
        let outbox = Outbox::new(&self.outbox());
        outbox.create().unwrap();
        let cache = Cache::of(&outbox, self.gate.cached_verdicts);
        let work = outbox.work("s.gate");
        let place = Place {
            cache: &cache,
            work: &work,
            is_stopped,
        };
        let reviewer = Reviewer::new(&self.gate);
        let reviewer = reviewer.as_ref().map(|reviewer| reviewer.as_ref().unwrap());
        let ruling = review(bundle, &self.gate, reviewer, &place);
        assert!(!work.exists());
        ruling
    }

    /// Nothing that was written holds the key; nor does what is said.
    pub fn keeps_its_secret(&self, ruling: &Ruling) {
        assert!(!format!("{ruling:?}").contains(KEY), "{ruling:?}");
        for entry in walkdir::WalkDir::new(self.outbox()).into_iter().flatten() {
            if entry.file_type().is_file() {
                let content = std::fs::read(entry.path()).unwrap();
                let found = memchr::memmem::find(&content, KEY.as_bytes());
                assert_eq!(found, None, "{}", entry.path().display());
            }
        }
    }
}

/// What a ruling comes to, in a word: `allowed`, or the rule that rejects or holds.
pub fn word(ruling: &Ruling) -> String {
    match &ruling.outcome {
        Outcome::Allowed => "allowed".to_owned(),
        Outcome::Rejected { rule_id, .. } => format!("rejected {rule_id}"),
        Outcome::Held(hold) => format!("held {}", hold.rule_id),
    }
}

pub fn message(ruling: &Ruling) -> &str {
    match &ruling.outcome {
        Outcome::Allowed => "",
        Outcome::Rejected { message, .. } => message,
        Outcome::Held(hold) => &hold.message,
    }
}
