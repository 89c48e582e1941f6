//! The log for programs: with `log.format: json` one JSON object a line on stderr, each with the submission that it is about.
//!
//! Text for people is the affair of [`crate::progress`]. What is secret is so by its type ([`crate::redacted`]), wherever it
//! is logged.

mod json_lines;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing::Level;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use json_lines::JsonLines;

/// Form of the log on stderr.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines and bars for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Chooses the form for the rest of this process; the first choice holds. `quiet`: warnings and errors only.
pub fn start(format: LogFormat, quiet: bool) {
    if FORMAT.set(format).is_err() || format == LogFormat::Text {
        return;
    }
    let most = if quiet { Level::WARN } else { Level::INFO };
    let lines = JsonLines::new(std::io::stderr(), most);
    // Nobody else sets one.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines));
}

/// Whether stderr is JSON.
pub fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}
