//! `prism run`: process what is there, then exit.

use std::time::Duration;

use prism::config::Config;
use prism::exit;
use prism::intake::{Inbox, IntakeError};
use prism::logging;
use prism::outbox::OutboxError;
use prism::pipeline::{Pipeline, PipelineError};
use prism::progress::{Progress, Show};

use super::{Complaint, Global, output, signals};

/// Files that are still being copied are waited for this many settling times.
const PATIENCE_IN_SETTLING_TIMES: u32 = 3;

pub fn run(config: &Config, global: &Global) -> Result<u8, Complaint> {
    logging::start(config.log.format, global.quiet);
    let progress = Progress::new(if global.quiet {
        Show::Quiet
    } else {
        Show::News
    });
    let pipeline = Pipeline::open(config, &progress).map_err(complaint)?;
    let stop = pipeline.stop();
    signals::listen(move || stop.ask()).map_err(signal_complaint)?;
    let settle = Duration::from_millis(config.intake.settle_ms);
    let mut inbox = Inbox::new(&config.inbox, config.customs());
    let seen = inbox
        .look_until_settled(settle * PATIENCE_IN_SETTLING_TIMES)
        .map_err(intake_complaint)?;
    let mut changed = Vec::new();
    let mut report = pipeline.run(seen, &mut changed).map_err(complaint)?;
    report.waiting.extend(
        changed
            .iter()
            .map(|path| format!("{}: changed while it was read", path.display())),
    );
    output::report(global.format, &report)?;
    Ok(if report.stopped {
        exit::STOPPED
    } else if report.infrastructure.is_empty() {
        exit::OK
    } else {
        exit::INFRASTRUCTURE
    })
}

/// Signals that cannot be caught.
pub fn signal_complaint(error: std::io::Error) -> Complaint {
    let hint = "please report it with the kernel's version";
    Complaint::new(exit::INFRASTRUCTURE, format!("signals: {error}"), hint)
}

/// The pipeline's own failures by exit code.
pub fn complaint(error: PipelineError) -> Complaint {
    let code = match &error {
        PipelineError::Outbox(OutboxError::Busy { .. }) => exit::BUSY,
        PipelineError::Intake(error) => intake_code(error),
        PipelineError::Signing(_) => exit::CONFIGURATION,
        _ => exit::INFRASTRUCTURE,
    };
    Complaint::new(code, &error, error.hint())
}

/// The same for the intake alone.
pub fn intake_complaint(error: IntakeError) -> Complaint {
    Complaint::new(intake_code(&error), &error, error.hint())
}

/// An inbox that is not there is a slip of the configuration, not a passing failure.
fn intake_code(error: &IntakeError) -> u8 {
    match error {
        IntakeError::InboxMissing { .. } | IntakeError::InboxNotDirectory { .. } => {
            exit::CONFIGURATION
        }
        _ => exit::INFRASTRUCTURE,
    }
}
