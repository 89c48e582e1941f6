//! What an operator decides about who may submit.

use serde::{Deserialize, Serialize};

/// Whether submissions are signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Sidecars and claims are not read; every submission is its own owner.
    #[default]
    Off,
    /// A submission without a signature is its own owner; a signature that does not hold is refused.
    Optional,
    /// What is not signed is refused.
    Required,
}

/// Who may submit, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `off`, `optional` or `required`.
    pub mode: Mode,
    /// Network number of the addresses (ss58).
    pub network: u16,
    /// Longest time between `submitted_at` and the arrival of the file, either way, in seconds.
    pub ttl_s: u64,
    /// A file without a sidecar waits this long for one, in milliseconds.
    pub sidecar_wait_ms: u64,
    /// Hotkeys that may submit; empty: all.
    pub allow: Vec<String>,
    /// Hotkeys that may not.
    pub deny: Vec<String>,
    /// The hotkey of whoever runs the contest: refused.
    pub own_hotkey: Option<String>,
    /// A hotkey's next file waits in the inbox while one of its submissions has no verdict.
    pub one_open: bool,
    /// Most submissions of a hotkey in `rate_window_s`; the next file waits in the inbox. 0: no limit.
    pub rate_limit: u32,
    /// The window of `rate_limit`, in seconds.
    pub rate_window_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            network: 42,
            ttl_s: 3_600,
            sidecar_wait_ms: 10_000,
            allow: Vec::new(),
            deny: Vec::new(),
            own_hotkey: None,
            one_open: false,
            rate_limit: 0,
            rate_window_s: 86_400,
        }
    }
}

impl Settings {
    /// Every address in it, each with the setting that names it.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let allow = self
            .allow
            .iter()
            .map(|one| ("identity.allow", one.as_str()));
        let deny = self.deny.iter().map(|one| ("identity.deny", one.as_str()));
        let own = self.own_hotkey.iter();
        let own = own.map(|one| ("identity.own_hotkey", one.as_str()));
        allow.chain(deny).chain(own)
    }
}
