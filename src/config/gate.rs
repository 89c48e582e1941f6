//! The reviewer before the device: who is asked, within which limits, and what becomes of those it does not answer for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// A language model, or any other reviewer, that is asked about every submission before the device is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// `off`; `http`: an OpenAI-compatible chat API; `command`: a program, over stdin and stdout; `recorded`: stored
    /// verdicts, nobody is asked.
    pub mode: GateMode,
    /// With `http`: what comes before `/chat/completions`.
    pub base_url: String,
    /// With `http`: the model's name, required. With `command`: what the request calls it. With `recorded`: only
    /// verdicts of this model count; absent: of any.
    pub model: Option<String>,
    /// With `http`: file that holds the key and nothing else.
    pub api_key_file: Option<PathBuf>,
    /// With `http`: name of the environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// With `http`: URL of an HTTP proxy; absent: none, whatever the environment says.
    pub proxy: Option<String>,
    /// With `command`: the program and its arguments.
    pub command: Vec<String>,
    /// With `recorded`: a verdict's file, a folder of such, or an outbox.
    pub records: Option<PathBuf>,
    /// Further rules that the reviewer holds submissions against, by id (`a-z`, digits and dashes).
    pub rules: BTreeMap<String, String>,
    /// Longest wait for an answer, in seconds, all of it.
    pub timeout_s: u64,
    /// Largest bundle that is shown, in bytes of all its files; a larger one is held, nothing is ever cut.
    pub max_bundle_bytes: u64,
    /// Longest answer that is read, in bytes.
    pub max_answer_bytes: u64,
    /// Longest answer that is asked for, in tokens.
    pub max_answer_tokens: u32,
    /// Submissions that are asked about at once, 1 to 64.
    pub parallel: u32,
    /// Wait before a submission without an answer is asked about again, in seconds; doubled after each further failure,
    /// at most an hour.
    pub retry_after_s: u64,
    /// How long one may be without an answer, in seconds; 0: for ever.
    pub expire_after_s: u64,
    /// What becomes of it then: `reject`, `hold` (for a person) or `allow`.
    pub on_expiry: OnExpiry,
    /// Bundles with text that is meant for the reviewer: `hold` (unless it rejects them) or `reject`.
    pub injection: OnInjection,
    /// Verdicts that are kept, so that the same content is asked about once; 0: none.
    pub cached_verdicts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateMode {
    Off,
    Recorded,
    Command,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExpiry {
    Reject,
    Hold,
    Allow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnInjection {
    Hold,
    Reject,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            mode: GateMode::Off,
            base_url: "https://openrouter.ai/api/v1".to_owned(),
            model: None,
            api_key_file: None,
            api_key_env: None,
            proxy: None,
            command: Vec::new(),
            records: None,
            rules: BTreeMap::new(),
            timeout_s: 120,
            max_bundle_bytes: 400_000,
            max_answer_bytes: 262_144,
            max_answer_tokens: 4_096,
            parallel: 4,
            retry_after_s: 60,
            expire_after_s: 86_400,
            on_expiry: OnExpiry::Reject,
            injection: OnInjection::Hold,
            cached_verdicts: 10_000,
        }
    }
}

impl Gate {
    /// Whether every setting is in its range, and the mode has what it needs.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let range = |ok: bool, key, got: &dyn std::fmt::Display, expected| {
            if ok {
                return Ok(());
            }
            Err(ConfigError::Range {
                key,
                got: got.to_string(),
                expected,
            })
        };
        let needs = |mode| self.mode == mode;
        range(
            !needs(GateMode::Http) || self.model.as_deref().is_some_and(|name| !name.is_empty()),
            "gate.model",
            &"none",
            "with mode http the name of a model",
        )?;
        range(
            !needs(GateMode::Command) || !self.command.is_empty(),
            "gate.command",
            &"nothing",
            "with mode command a program and its arguments",
        )?;
        range(
            !needs(GateMode::Recorded) || self.records.is_some(),
            "gate.records",
            &"none",
            "with mode recorded a file or folder of verdicts",
        )?;
        let has_key = self.api_key_file.is_some() || self.api_key_env.is_some();
        range(
            is_sound_url(&self.base_url, has_key),
            "gate.base_url",
            &without_userinfo(&self.base_url),
            "https://…, or http://… of this machine or without a key; no user, password, query or fragment",
        )?;
        range(
            self.api_key_file.is_none() || self.api_key_env.is_none(),
            "gate.api_key_env",
            &"both",
            "either a file or a variable",
        )?;
        range(
            self.api_key_env
                .as_deref()
                .is_none_or(|name| !name.is_empty() && !name.starts_with("PRISM_")),
            "gate.api_key_env",
            &self.api_key_env.as_deref().unwrap_or_default(),
            "the name of a variable that does not begin with PRISM_",
        )?;
        range(
            self.proxy
                .as_deref()
                .is_none_or(|url| is_sound_url(url, false)),
            "gate.proxy",
            &without_userinfo(self.proxy.as_deref().unwrap_or_default()),
            "http://… or https://…, without user and password",
        )?;
        let is_id = |id: &String| {
            !id.is_empty()
                && id.len() <= 64
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        range(
            self.rules.keys().all(is_id) && self.rules.len() <= 64,
            "gate.rules",
            &format!("{:?}", self.rules.keys()),
            "at most 64 ids of a-z, digits and dashes",
        )?;
        for (key, got, least, most, expected) in [
            ("gate.timeout_s", self.timeout_s, 1, 3_600, "1 to 3600"),
            ("gate.parallel", self.parallel.into(), 1, 64, "1 to 64"),
            (
                "gate.max_bundle_bytes",
                self.max_bundle_bytes,
                1,
                1 << 26,
                "1 to 67108864",
            ),
            (
                "gate.max_answer_bytes",
                self.max_answer_bytes,
                1_024,
                1 << 26,
                "1024 to 67108864",
            ),
            (
                "gate.max_answer_tokens",
                self.max_answer_tokens.into(),
                64,
                1 << 20,
                "64 to 1048576",
            ),
            (
                "gate.cached_verdicts",
                self.cached_verdicts.into(),
                0,
                1_000_000,
                "at most 1000000",
            ),
        ] {
            range((least..=most).contains(&got), key, &got, expected)?;
        }
        Ok(())
    }
}

/// A key goes over no wire that others read.
fn is_sound_url(url: &str, has_key: bool) -> bool {
    if url.contains(['?', '#', '@', ' ']) || !url.is_ascii() {
        return false;
    }
    if let Some(rest) = url.strip_prefix("https://") {
        return !rest.is_empty();
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    !host.is_empty() && (!has_key || ["localhost", "127.0.0.1", "::1"].contains(&host))
}

/// A URL as an error may show it.
fn without_userinfo(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_what_it_needs_and_a_key_stays_off_open_wires() {
        let with = |change: &dyn Fn(&mut Gate)| {
            let mut gate = Gate::default();
            change(&mut gate);
            gate.check().is_ok()
        };
        assert!(with(&|_| ()));
        assert!(!with(&|gate| gate.mode = GateMode::Http));
        assert!(!with(&|gate| gate.mode = GateMode::Command));
        assert!(!with(&|gate| gate.mode = GateMode::Recorded));
        assert!(!with(&|gate| gate.timeout_s = 0));
        assert!(!with(&|gate| gate.api_key_env = Some("PRISM_KEY".into())));
        assert!(!with(&|gate| gate.proxy = Some("socks5://p:1".into())));
        assert!(!with(&|gate| gate.proxy = Some("http://me:word@p:1".into())));
        assert!(!with(&|gate| {
            gate.rules.insert("No Spaces".into(), String::new());
        }));
        for (url, without_key, with_key) in [
            ("https://reviewer.example/v1", true, true),
            ("http://127.0.0.1:8000/v1", true, true),
            ("http://[::1]:8000/v1", true, true),
            ("http://gpu-box:8000/v1", true, false),
            ("http://127.0.0.1.example/v1", true, false),
            ("https://user:word@reviewer.example", false, false),
            ("https://reviewer.example/?key=1", false, false),
            ("ftp://reviewer.example", false, false),
            ("https://", false, false),
        ] {
            assert_eq!(is_sound_url(url, false), without_key, "{url}");
            assert_eq!(is_sound_url(url, true), with_key, "{url}");
        }
        assert_eq!(without_userinfo("https://me:word@x/y"), "…@x/y");
    }
}
