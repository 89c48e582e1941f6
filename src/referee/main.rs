//! `prism-referee PLAN`: measures one run. Started by `prism`; news go to stdout as JSON lines, the result to `measured.json`.
//!
//! The only executable that loads libtorch. Exit status: 0 measured (whatever the verdict), 1 infrastructure, 2 usage.

mod torch_loss;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use prism::outbox::fault;
use prism::referee::events::Event;
use prism::referee::plan::RunPlan;
use prism::referee::session::{self, MEASURED};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: prism-referee PLAN (started by prism; see docs/protocol.md)");
        return ExitCode::from(2);
    };
    match measure(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err((message, hint)) => {
            tell(&Event::Infrastructure { message, hint });
            ExitCode::from(1)
        }
    }
}

fn measure(path: &std::path::Path) -> Result<(), (String, String)> {
    let ours = |error: String| {
        (
            error,
            "this is a fault of prism: please report it".to_owned(),
        )
    };
    fault::arm(fault::REFEREE_VARIABLE).map_err(ours)?;
    let text = std::fs::read(path).map_err(|error| ours(format!("{}: {error}", path.display())))?;
    let plan: RunPlan = serde_json::from_slice(&text)
        .map_err(|error| ours(format!("{}: {error}", path.display())))?;
    let mut loss = torch_loss::TorchLoss::new(plan.config.run.referee_threads);
    let mut last = std::time::Instant::now();
    let mut events = |event: Event| {
        // Steps can be a hundred a second; people cannot read that, and the pipeline need not.
        if matches!(event, Event::Progress { .. }) && last.elapsed().as_millis() < 100 {
            return;
        }
        last = std::time::Instant::now();
        tell(&event);
    };
    // Before the run: an executable that is replaced meanwhile has no path any more.
    let executable = prism::digest::file_digest(std::path::Path::new("/proc/self/exe"))
        .map_err(|error| ours(error.to_string()))?;
    let mut measured = session::measure(&plan, &mut loss, &mut events)?;
    measured.digests.insert("referee".to_owned(), executable);
    let text = serde_json::to_vec_pretty(&measured).map_err(|error| ours(error.to_string()))?;
    prism::outbox::atomic::write(&plan.folder.join(MEASURED), &text)
        .map_err(|error| ours(error.to_string()))
}

/// The pipeline may be gone; then nobody listens and there is nobody to tell.
fn tell(event: &Event) {
    if let Ok(text) = serde_json::to_string(event) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}
