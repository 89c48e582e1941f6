//! `prism review PATH...`: the static gates, in parallel, without running anything.

mod form;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prism::bundle::{self, Bundle};
use prism::config::Config;
use prism::exit;
use prism::intake::submission_id;
use prism::pipeline::{Accepted, Comparison, review_of};
use prism::review::{self, Review, Verdict};
use rayon::prelude::*;
use serde::Serialize;
use walkdir::WalkDir;

use super::{Complaint, Global};

/// Paths that are reviewed before anything is printed: what bounds the memory of a long list.
const PATHS_AT_ONCE: usize = 256;

/// One path's review.
#[derive(Serialize)]
struct Reviewed {
    path: PathBuf,
    accepted: bool,
    /// Why there is no bundle to review.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<Rejection>,
    /// Why the path could not be read at all; it is neither accepted nor rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Review>,
    /// With `--against`: the comparison with that outbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<Comparison>,
    /// What the excerpts are taken from.
    #[serde(skip)]
    files: BTreeMap<String, Vec<u8>>,
    /// The path is one Python file.
    #[serde(skip)]
    is_source: bool,
}

#[derive(Serialize)]
struct Rejection {
    rule_id: String,
    message: String,
    hint: String,
}

/// Reviews every path and prints as it goes. Rejected paths give [`exit::REVIEW_REJECTED`]; paths that cannot be read
/// are told on stderr and give [`exit::INFRASTRUCTURE`], when the others have been reviewed.
pub fn review(
    config: &Config,
    global: &Global,
    paths: &[PathBuf],
    as_sources: bool,
    against: Option<&Path>,
) -> Result<u8, Complaint> {
    let accepted = against.map(|outbox| open(config, outbox)).transpose()?;
    if let Some(accepted) = accepted.as_ref().filter(|_| !global.quiet) {
        for problem in &accepted.unreadable {
            eprintln!("prism: not compared with: {problem}");
        }
    }
    let sources;
    let paths = if as_sources {
        sources = paths
            .iter()
            .flat_map(|path| python_files(path))
            .collect::<Vec<_>>();
        &sources
    } else {
        paths
    };
    let mut printer = form::Printer::new(global.format);
    let mut all_accepted = true;
    let mut unread = Vec::new();
    for some in paths.chunks(PATHS_AT_ONCE) {
        let reviewed: Vec<Reviewed> = review::on_workers(|| {
            some.par_iter()
                .map(|path| {
                    if as_sources {
                        review_source(config, path)
                    } else {
                        review_path(config, path, accepted.as_ref())
                    }
                })
                .collect()
        });
        for reviewed in reviewed {
            all_accepted &= reviewed.accepted;
            if let Some(error) = &reviewed.error {
                unread.push(format!("{}: {error}", reviewed.path.display()));
            }
            printer.print(&reviewed)?;
        }
    }
    printer.finish(&unread)?;
    if let Some(first) = unread.first() {
        let more = match unread.len() {
            1 => String::new(),
            count => format!(" (and {} more paths)", count - 1),
        };
        let expected = if as_sources {
            "a Python file or a folder"
        } else {
            "a zip, a folder or a .py file"
        };
        return Err(Complaint::new(
            exit::INFRASTRUCTURE,
            format!("{first}{more}"),
            format!("name {expected}"),
        ));
    }
    Ok(if all_accepted {
        exit::OK
    } else {
        exit::REVIEW_REJECTED
    })
}

/// Whether one path would be accepted; if not, what was found is printed.
pub fn is_accepted(config: &Config, global: &Global, path: &Path) -> Result<bool, Complaint> {
    let reviewed = review::on_workers(|| review_path(config, path, None));
    if reviewed.accepted {
        return Ok(true);
    }
    let unread: Vec<String> = reviewed.error.iter().cloned().collect();
    let mut printer = form::Printer::new(global.format);
    printer.print(&reviewed)?;
    printer.finish(&unread)?;
    match unread.into_iter().next() {
        Some(error) => Err(Complaint::new(
            exit::INFRASTRUCTURE,
            format!("{}: {error}", path.display()),
            "name a zip, a folder or a .py file",
        )),
        None => Ok(false),
    }
}

fn open<'a>(config: &'a Config, outbox: &Path) -> Result<Accepted<'a>, Complaint> {
    Accepted::open(config, outbox).map_err(|error| {
        Complaint::new(
            exit::INFRASTRUCTURE,
            error,
            "name the folder that `prism run` fills, its outbox",
        )
    })
}

/// The path itself, or the Python files below it in order.
fn python_files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    WalkDir::new(path)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .collect()
}

fn review_source(config: &Config, path: &Path) -> Reviewed {
    let bytes = match read_capped(path, config.archive.max_archive_bytes) {
        Ok(bytes) => bytes,
        Err(error) => return unreadable(path, &error),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut review = review::review_source(&name, &bytes);
    let shown = path.display().to_string();
    for finding in &mut review.findings {
        finding.path.clone_from(&shown);
    }
    for file in &mut review.files {
        file.path.clone_from(&shown);
    }
    Reviewed {
        files: BTreeMap::from([(shown, bytes)]),
        is_source: true,
        ..of_review(path, review)
    }
}

fn review_path(config: &Config, path: &Path, accepted: Option<&Accepted<'_>>) -> Reviewed {
    let limits = &config.archive;
    let bytes = if path.is_dir() {
        bundle::pack(path, limits)
    } else {
        read_capped(path, limits.max_archive_bytes)
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => return unreadable(path, &error),
    };
    let bytes = match path.extension() {
        Some(suffix) if suffix.eq_ignore_ascii_case("py") => bundle::pack_source(&bytes),
        _ => Ok(bytes),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => return unreadable(path, &error),
    };
    match bundle::open(&bytes, limits) {
        Err(error) => Reviewed {
            rejection: Some(Rejection {
                rule_id: error.rule_id().to_owned(),
                message: error.to_string(),
                hint: error.hint().to_string(),
            }),
            ..nothing(path)
        },
        Ok(bundle) => {
            // an archive that the outbox has is not compared with itself
            let id = submission_id("", &bytes);
            of_bundle(
                config,
                path,
                bundle,
                accepted.map(|accepted| (accepted, &*id)),
            )
        }
    }
}

fn of_bundle(
    config: &Config,
    path: &Path,
    bundle: Bundle,
    accepted: Option<(&Accepted<'_>, &str)>,
) -> Reviewed {
    let mut review = review_of(config, &bundle);
    let mut duplicates = None;
    // what the rules reject is compared with nothing, here as in a run
    if let Some((accepted, id)) = accepted.filter(|_| review.verdict == Verdict::Accepted) {
        let Ok(comparison) = accepted.compare(id, &review) else {
            return Reviewed {
                error: Some("the comparison stopped on a fault of prism".to_owned()),
                ..nothing(path)
            };
        };
        review.verdict = comparison.verdict().unwrap_or(review.verdict);
        duplicates = Some(comparison);
    }
    Reviewed {
        files: bundle.files,
        duplicates,
        ..of_review(path, review)
    }
}

fn of_review(path: &Path, review: Review) -> Reviewed {
    Reviewed {
        accepted: review.verdict == Verdict::Accepted,
        review: Some(review),
        ..nothing(path)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Reviewed {
    Reviewed {
        error: Some(error.to_string()),
        ..nothing(path)
    }
}

fn nothing(path: &Path) -> Reviewed {
    Reviewed {
        path: path.to_owned(),
        accepted: false,
        rejection: None,
        error: None,
        review: None,
        duplicates: None,
        files: BTreeMap::new(),
        is_source: false,
    }
}

/// At most one byte more than the limit: the bundle room says that it is too large.
fn read_capped(path: &Path, limit_bytes: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(limit_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
