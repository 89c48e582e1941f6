//! Submissions that say again what an earlier one said.

use serde::{Deserialize, Serialize};

/// What happens to a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DuplicatePolicy {
    /// The submission is not run.
    Reject,
    /// It waits for the operator.
    Hold,
    /// Nothing is compared.
    Off,
}
