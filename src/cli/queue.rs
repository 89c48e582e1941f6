//! `prism queue` and the requests that change it: hold, release, retry, reject.

use std::time::SystemTime;

use clap::Args;
use prism::config::Config;
use prism::exit;
use prism::outbox::lock;
use prism::outbox::status::Status;
use prism::outbox::{Outbox, OutboxError};
use prism::pipeline::queue::{Entry, Queue, queue};
use prism::pipeline::requests::{self, Action, Request, Taken};
use prism::pipeline::{open_outbox, statuses};
use serde_json::json;

use super::run::complaint;
use super::{Complaint, Folders, Format, Global, output};

/// Whom a request is about.
#[derive(Args)]
pub struct About {
    /// Its id, the beginning of it, or its file name.
    #[arg(value_name = "SUBMISSION")]
    submission: String,
    /// Why; recorded in its status.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    pub folders: Folders,
}

/// Shows who is on the device, who waits for what, and what is held.
pub fn show(config: &Config, global: &Global) -> Result<u8, Complaint> {
    let outbox = Outbox::new(&config.outbox);
    let queue = queue(config, &outbox, SystemTime::now()).map_err(outbox_complaint)?;
    match global.format {
        Format::Json => output::json(&queue)?,
        _ => output::print(&text(&queue))?,
    }
    Ok(exit::OK)
}

fn text(queue: &Queue) -> String {
    let mut text = match &queue.runner {
        Some(runner) => format!("at work: {runner}\n"),
        None => "nobody is at work\n".to_owned(),
    };
    for (title, entries) in [
        ("running", &queue.running),
        ("waiting", &queue.waiting),
        ("held", &queue.held),
    ] {
        text.push_str(&format!("\n{title}: {}\n", entries.len()));
        for entry in entries {
            text.push_str(&line(entry));
        }
    }
    for request in &queue.requests {
        let action = request.action.name();
        text.push_str(&format!(
            "\nasked for: {action} {}\n",
            request.submission_id
        ));
    }
    for problem in &queue.unreadable {
        text.push_str(&format!("\nunreadable: {problem}\n"));
    }
    text
}

fn line(entry: &Entry) -> String {
    let mut text = format!(
        "  {}  {}  since {}, {} attempts begun, {} left\n",
        entry.submission_id, entry.name, entry.since, entry.attempts, entry.attempts_left
    );
    if let Some(not_before) = &entry.not_before {
        text.push_str(&format!("      not before {not_before}\n"));
    }
    if let Some(reason) = &entry.reason {
        text.push_str(&format!("      {}: {}\n", reason.rule_id, reason.message));
    }
    text
}

/// Leaves a request, and takes it at once when nobody else holds the outbox.
pub fn ask(
    config: &Config,
    global: &Global,
    action: Action,
    about: &About,
) -> Result<u8, Complaint> {
    // Found first: a slip in the outbox's name makes no outbox.
    let id = find(&Outbox::new(&config.outbox), &about.submission)?.submission_id;
    let outbox = open_outbox(config).map_err(complaint)?;
    let request = Request::new(action, &id, about.reason.clone(), SystemTime::now());
    requests::leave(&outbox, &request).map_err(outbox_complaint)?;
    let lock = match lock::acquire(&outbox) {
        Ok(lock) => lock,
        Err(error @ OutboxError::Busy { .. }) => {
            let how = format!("asked for; {error}, and takes it");
            return tell(global, action, &id, "asked", &how, exit::OK);
        }
        Err(error) => return Err(outbox_complaint(error)),
    };
    let mut problems = Vec::new();
    let taken = requests::take(&outbox, &mut problems);
    drop(lock);
    let mine = |taken: &&Taken| taken.request == request;
    match taken.iter().rfind(mine).map(|taken| &taken.outcome) {
        Some(Ok(status)) => {
            let state = serde_json::to_value(status.state).unwrap_or_default();
            let how = format!("it is {} now", state.as_str().unwrap_or_default());
            tell(global, action, &id, "done", &how, exit::OK)
        }
        Some(Err(refusal)) => tell(global, action, &id, "refused", refusal, exit::REFUSED),
        None => Err(Complaint::new(
            exit::INFRASTRUCTURE,
            problems.join("; "),
            "check that the outbox is writable and that the disk has room",
        )),
    }
}

fn tell(
    global: &Global,
    action: Action,
    id: &str,
    outcome: &str,
    how: &str,
    code: u8,
) -> Result<u8, Complaint> {
    match global.format {
        Format::Json => output::json(&json!({
            "action": action, "submission_id": id, "outcome": outcome, "message": how,
        }))?,
        _ => output::print(&format!("{} {id}: {outcome}: {how}\n", action.name()))?,
    }
    Ok(code)
}

/// The one submission that a person means.
fn find(outbox: &Outbox, wanted: &str) -> Result<Status, Complaint> {
    let all = statuses(outbox).map_err(outbox_complaint)?.readable;
    let mut found: Vec<Status> = all
        .into_iter()
        .filter(|status| status.name == wanted || status.submission_id.starts_with(wanted))
        .collect();
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        count => {
            let what = if count == 0 {
                format!("no submission is called {wanted:?}")
            } else {
                format!("{count} submissions are called {wanted:?}")
            };
            let hint = "`prism queue` shows ids and names; give the whole id";
            Err(Complaint::new(exit::USAGE, what, hint))
        }
    }
}

fn outbox_complaint(error: OutboxError) -> Complaint {
    complaint(error.into())
}
