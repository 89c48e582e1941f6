//! What the operator's inbox is used to: how files settle, and what lies beside them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A file beside a submission that says that it is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sentinel {
    /// Submissions are complete when they rest.
    #[default]
    None,
    /// When there is a `NAME.ready` beside NAME.
    Ready,
    /// When there is a `NAME.sha256` beside NAME, and its digest is the file's.
    Sha256,
}

impl Sentinel {
    pub(super) fn suffix(self) -> Option<&'static [u8]> {
        match self {
            Self::None => None,
            Self::Ready => Some(b".ready"),
            Self::Sha256 => Some(b".sha256"),
        }
    }
}

/// How an inbox is read.
#[derive(Debug, Clone)]
pub struct Customs {
    /// A file counts as complete when it has not changed for this time.
    pub settle: Duration,
    /// Instead of resting.
    pub sentinel: Sentinel,
    /// Whether sidecars are read, and how long a file without one waits for it.
    pub sidecars: Option<Duration>,
}

impl Customs {
    /// Files settle by time, and nothing is read beside them.
    pub fn settling(settle: Duration) -> Self {
        Self {
            settle,
            sentinel: Sentinel::None,
            sidecars: None,
        }
    }
}
