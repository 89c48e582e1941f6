//! Exit codes. They speak of the pipeline only: a rejected or failed submission is work well done.

use std::process::ExitCode;

/// The pipeline did its job, whatever the verdicts.
pub const OK: u8 = 0;
/// `prism review` and `prism submit` only: at least one submission is rejected.
pub const REVIEW_REJECTED: u8 = 1;
/// `prism rescore --strict` only: at least one input has no score.
pub const RESCORE_STRICT: u8 = 1;
/// `prism audit` only: at least one run is not consistent.
pub const AUDIT_INCONSISTENT: u8 = 1;
/// `prism hold`, `release`, `retry` and `reject` only: the submission is not in a state for it.
pub const REFUSED: u8 = 1;
/// `prism doctor` only: something that the configuration asks for cannot work on this machine.
pub const DOCTOR_FAILED: u8 = 1;
/// The command line is wrong (clap's own code, too).
pub const USAGE: u8 = 2;
/// The configuration is wrong.
pub const CONFIGURATION: u8 = 3;
/// Files, corpus, sandbox, python or device failed; what was to be measured is tried again on the next run.
pub const INFRASTRUCTURE: u8 = 4;
/// Another prism holds the outbox, or makes the same corpus.
pub const BUSY: u8 = 5;

/// `prism run` only: a signal ended it before it came to the end; the next run goes on.
pub const STOPPED: u8 = 6;

/// A code for the operating system.
pub fn code(number: u8) -> ExitCode {
    ExitCode::from(number)
}
