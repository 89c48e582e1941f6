//! `prism prune`: forget what is old, too much or too large. Nothing is touched without `--apply`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use prism::config::Config;
use prism::exit;
use prism::pipeline::prune::{Pruned, Removal, Rules, What};
use prism::pipeline::{Pipeline, PipelineError};
use prism::progress::{Progress, Show};

use super::run::complaint;
use super::{Complaint, Folders, Format, Global, output};

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Folders of submissions, with what is private; their status is remembered.
    Runs,
    /// Archives out of the folders.
    Bundles,
    /// Private logs, which may quote held-out text.
    Secrets,
}

#[derive(Args)]
pub struct Prune {
    /// What is removed.
    #[arg(value_enum)]
    what: Kind,
    /// Concluded longer ago than this, as in 90d or 12h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// All but the newest so many.
    #[arg(long, value_name = "COUNT")]
    keep: Option<usize>,
    /// The oldest, until all of them together have no more bytes.
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
    /// Remove it; without, it is only shown.
    #[arg(long)]
    apply: bool,
    /// Also what the leaderboard shows and what is held for a person.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub folders: Folders,
}

pub fn prune(config: &Config, global: &Global, arguments: &Prune) -> Result<u8, Complaint> {
    let rules = Rules {
        older_than: arguments.older_than,
        keep: arguments.keep,
        max_bytes: arguments.max_bytes,
        force: arguments.force,
    };
    if rules.older_than.is_none() && rules.keep.is_none() && rules.max_bytes.is_none() {
        return Err(Complaint::new(
            exit::USAGE,
            "no rule says what is to be removed",
            "give --older-than, --keep or --max-bytes, or several of them",
        ));
    }
    let what = match arguments.what {
        Kind::Runs => What::Runs,
        Kind::Bundles => What::Bundles,
        Kind::Secrets => What::Secrets,
    };
    if !config.outbox.is_dir() {
        let error = format!("{}: there is no outbox", config.outbox.display());
        let hint = "name one with --outbox";
        return Err(Complaint::new(exit::CONFIGURATION, error, hint));
    }
    let progress = Progress::new(Show::Quiet);
    let pruned = Pipeline::open(config, &progress)
        .and_then(|pipeline| {
            pipeline
                .prune(what, &rules, arguments.apply)
                .map_err(PipelineError::from)
        })
        .map_err(complaint)?;
    match global.format {
        Format::Json => output::json(&pruned)?,
        _ => output::print(&text(&pruned))?,
    }
    Ok(if pruned.problems.is_empty() {
        exit::OK
    } else {
        exit::INFRASTRUCTURE
    })
}

fn text(pruned: &Pruned) -> String {
    let verb = if pruned.applied {
        "removed"
    } else {
        "would be removed"
    };
    let mut text = String::new();
    let line = |removal: &Removal, what: &str| {
        format!(
            "{what}  {}  {}  {}  {} bytes\n",
            removal.submission_id, removal.concluded_at, removal.name, removal.bytes
        )
    };
    for removal in &pruned.removed {
        text.push_str(&line(removal, verb));
    }
    for removal in &pruned.kept_for_need {
        text.push_str(&line(removal, "needed, kept"));
    }
    for problem in &pruned.problems {
        text.push_str(&format!("not removed: {problem}\n"));
    }
    text.push_str(&format!(
        "{} {verb}, {} needed; {} bytes before, {} after\n",
        pruned.removed.len(),
        pruned.kept_for_need.len(),
        pruned.bytes_before,
        pruned.bytes_after
    ));
    if !pruned.applied {
        text.push_str("nothing was touched; --apply does it\n");
    }
    text
}
