//! `prism probe`: one submission in many small sizes, to see whether what it does holds beyond one of them.
//!
//! Every run goes through the pipeline as a scored one would, in an outbox of its own that is never ranked. Regimes:
//! contract v1, section 7 ([`regimes`]); what they come to: [`report`].

pub mod regimes;
pub mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::bundle;
use crate::config::Config;
use crate::identity;
use crate::intake::{Customs, Inbox, Sentinel};
use crate::outbox::schema::{self, Schema};
use crate::outbox::{Outbox, OutboxError};
use crate::pipeline::{MANIFEST, Outcome, Pipeline, PipelineError};
use crate::plot::Panel;
use crate::progress::Progress;

use regimes::{Kind, Setting};
use report::{ProbeReport, ProbeRun};

/// An archive stands whole where it was copied to.
const SETTLE: Duration = Duration::from_millis(1);
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// What stops a probe.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {reason}", path.display())]
    Archive { path: PathBuf, reason: String },
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("{label} was not measured: {reason}")]
    Infrastructure { label: String, reason: String },
}

impl ProbeError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Io { .. } => "check the path, and that the disk has room".to_owned(),
            Self::Archive { .. } => "`prism review` says more about an archive".to_owned(),
            Self::Pipeline(error) => error.hint(),
            Self::Outbox(error) => error.hint().to_owned(),
            Self::Infrastructure { .. } => "mend that, then probe again".to_owned(),
        }
    }
}

/// What was probed: the report, and the run folders that have a stream, with their regimes.
#[derive(Debug)]
pub struct Probed {
    pub report: ProbeReport,
    pub folders: Vec<(Kind, PathBuf)>,
}

impl Probed {
    /// The base beside the runs of each regime that was offered: one pair of axes each.
    pub fn panels(&self) -> Vec<Panel> {
        let offered = self.report.regimes.iter().filter(|regime| regime.offered);
        offered
            .filter_map(|regime| {
                let of = |kinds: &[Kind]| -> Vec<PathBuf> {
                    let mine = self.folders.iter().filter(|(kind, _)| kinds.contains(kind));
                    mine.map(|(_, folder)| folder.clone()).collect()
                };
                let consistency = regime.consistency.unwrap_or_default();
                (!of(&[regime.regime]).is_empty()).then(|| Panel {
                    title: format!("{}: consistency {consistency:.3}", regime.regime.name()),
                    folders: of(&[Kind::Base, regime.regime]),
                })
            })
            .collect()
    }
}

/// Runs a submission under every regime, `bytes` of text each, in `folder`.
pub fn probe(
    config: &Config,
    archive: &Path,
    bytes: u64,
    folder: &Path,
    progress: &Progress,
) -> Result<Probed, ProbeError> {
    let mut content = fs::read(archive).map_err(at(archive))?;
    if archive
        .extension()
        .is_some_and(|extension| extension == "py")
    {
        content = bundle::pack_source(&content).map_err(at(archive))?;
    }
    let bundle = bundle::open(&content, &config.archive).map_err(|error| ProbeError::Archive {
        path: archive.to_owned(),
        reason: error.to_string(),
    })?;
    let reads_probe = bundle.files.iter().any(|(path, content)| {
        path.ends_with(".py") && content.windows(5).any(|window| window == b"probe")
    });
    let mut runs: Vec<ProbeRun> = Vec::new();
    let mut folders = Vec::new();
    for setting in regimes::settings(config, bytes) {
        if !is_worthwhile(&setting, &runs, reads_probe) {
            continue;
        }
        let (run, stream) = one(&setting, &content, folder, progress)?;
        runs.push(run);
        folders.extend(stream.map(|folder| (setting.kind, folder)));
    }
    Ok(Probed {
        report: report::report(bytes, runs),
        folders,
    })
}

/// A submission that does not read `ctx.probe`, or did not follow it once, does not offer other sizes.
fn is_worthwhile(setting: &Setting, runs: &[ProbeRun], reads_probe: bool) -> bool {
    let Some(base) = runs.first() else {
        return true;
    };
    if !base.is_scored() {
        return false;
    }
    let earlier = runs.iter().find(|run| run.regime == setting.kind);
    match setting.kind {
        Kind::Base | Kind::Seed | Kind::Sequence => true,
        Kind::Width | Kind::Depth | Kind::Batch => {
            reads_probe && earlier.is_none_or(|run| run.follows(base))
        }
    }
}

/// One run, and its folder if it has a stream.
fn one(
    setting: &Setting,
    archive: &[u8],
    folder: &Path,
    progress: &Progress,
) -> Result<(ProbeRun, Option<PathBuf>), ProbeError> {
    let mut config = setting.config.clone();
    config.inbox = folder.join(&setting.label).join("inbox");
    config.outbox = folder.join(&setting.label).join("outbox");
    // nobody hands it in
    config.identity = identity::Settings::default();
    config.intake.sentinel = Sentinel::None;
    fs::create_dir_all(&config.inbox).map_err(at(&config.inbox))?;
    let path = config.inbox.join(format!("{}.zip", setting.label));
    fs::write(&path, archive).map_err(at(&path))?;
    let pipeline = Pipeline::open(&config, progress)?;
    let seen = Inbox::new(&config.inbox, Customs::settling(SETTLE))
        .look_until_settled(Duration::from_secs(10))
        .map_err(PipelineError::from)?;
    let report = pipeline.run(seen, &mut Vec::new())?;
    let failed = |reason: &str| ProbeError::Infrastructure {
        label: setting.label.clone(),
        reason: reason.to_owned(),
    };
    if let Some(reason) = report.infrastructure.first() {
        return Err(failed(reason));
    }
    let outcome: &Outcome = report
        .processed
        .first()
        .ok_or_else(|| failed("the archive was not seen"))?;
    let run_folder = Outbox::new(&config.outbox).submission(&outcome.submission_id);
    let path = run_folder.join(MANIFEST);
    let manifest = if path.exists() {
        schema::read(&path, Schema::RunManifest, MAX_MANIFEST_BYTES)?
    } else {
        Value::Null
    };
    let has_stream = !manifest.is_null();
    let run = ProbeRun::of(setting, outcome, &manifest);
    Ok((run, has_stream.then_some(run_folder)))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> ProbeError {
    let path = path.to_owned();
    move |source| ProbeError::Io { path, source }
}
