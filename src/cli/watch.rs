//! `prism watch`: stay, and process whatever arrives. While nothing arrives it sleeps in the kernel.

use std::sync::Arc;
use std::time::Duration;

use prism::config::Config;
use prism::exit;
use prism::intake::{Inbox, Next, Seen, Wake, Watch};
use prism::logging;
use prism::pipeline::{Pipeline, heartbeat};
use prism::progress::{Progress, Show};

use super::run::{complaint, intake_complaint, signal_complaint};
use super::service::Service;
use super::{Complaint, Global, output, signals};

/// Something that just failed or changed is not looked at again before.
const SOON: Duration = Duration::from_secs(1);

pub fn watch(config: &Config, global: &Global) -> Result<u8, Complaint> {
    logging::start(config.log.format, global.quiet);
    let progress = Progress::new(if global.quiet {
        Show::Quiet
    } else {
        Show::News
    });
    let pipeline = Pipeline::open(config, &progress).map_err(complaint)?;
    let mut inbox = Inbox::new(&config.inbox, config.customs());
    let watch = Watch::new(
        &config.inbox,
        Duration::from_millis(config.intake.rescan_ms),
    );
    let (stop, stopper) = (pipeline.stop(), watch.stopper());
    let service = Arc::new(Service::from_environment());
    heartbeat::beat();
    service.watch_over().map_err(signal_complaint)?;
    let manager = Arc::clone(&service);
    signals::listen(move || {
        manager.stopping();
        stop.ask();
        stopper.stop();
    })
    .map_err(signal_complaint)?;
    // At the first look work that a killed run left is taken up, too; later, what failed for want of infrastructure.
    let mut unfinished = true;
    let mut result = Ok(exit::OK);
    let watching = format!("watching {}", config.inbox.display());
    progress.line(&watching);
    service.ready(&watching);
    watch.run(|wake| {
        heartbeat::beat();
        if let Wake::EventsLost(error) = &wake {
            progress.warn(&format!("{error}; {}", error.hint()));
        }
        match look(&pipeline, &mut inbox, global, unfinished) {
            Ok((next, failed)) => {
                unfinished = failed;
                next
            }
            Err(complaint) => {
                result = Err(complaint);
                Next::Stop
            }
        }
    });
    result
}

/// One look and what follows from it: when to look again, and whether something waits for a better machine.
fn look(
    pipeline: &Pipeline<'_>,
    inbox: &mut Inbox,
    global: &Global,
    unfinished: bool,
) -> Result<(Next, bool), Complaint> {
    let seen = inbox.look().map_err(intake_complaint)?;
    let again = seen.iter().filter_map(|seen| match seen {
        Seen::Waiting { look_again_in, .. } => Some(*look_again_in),
        Seen::Ready(_) | Seen::Ignored { .. } => None,
    });
    let next = again.min().map_or(Next::WaitForChange, Next::LookAgainIn);
    let news = seen
        .iter()
        .any(|seen| !matches!(seen, Seen::Waiting { .. }));
    if !news && !unfinished && !pipeline.has_requests() {
        pipeline.refresh_metrics();
        return Ok((next, false));
    }
    let mut changed = Vec::new();
    let report = pipeline.run(seen, &mut changed).map_err(complaint)?;
    for path in changed.iter().chain(&report.unread).chain(&report.deferred) {
        inbox.offer_again(path);
    }
    if !report.processed.is_empty()
        || !report.infrastructure.is_empty()
        || !report.requests.is_empty()
    {
        output::report(global.format, &report)?;
    }
    // What a request let go on while something else was measured is taken up next.
    let asked = !report.requests.is_empty();
    let failed = asked || !report.infrastructure.is_empty() || report.retry_in.is_some();
    let again = (asked || !changed.is_empty()).then_some(SOON);
    let retry = report.retry_in.map(|wait| wait.max(SOON));
    Ok((sooner(next, [again, retry]), failed))
}

/// The first of several times to look.
fn sooner(next: Next, others: [Option<Duration>; 2]) -> Next {
    let mut times: Vec<Duration> = others.into_iter().flatten().collect();
    match next {
        Next::Stop => return Next::Stop,
        Next::LookAgainIn(time) => times.push(time),
        Next::WaitForChange => {}
    }
    times
        .into_iter()
        .min()
        .map_or(Next::WaitForChange, Next::LookAgainIn)
}
