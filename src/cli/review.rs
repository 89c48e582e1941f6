//! `prism review PATH…`: the static gates, in parallel, without running anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prism::bundle::{self, Bundle};
use prism::config::Config;
use prism::exit;
use prism::pipeline::review_of;
use prism::review::{self, Review, Verdict};
use rayon::prelude::*;
use serde::Serialize;

use super::{Complaint, Format, Global, output};

/// One path's review.
#[derive(Serialize)]
struct Reviewed {
    path: PathBuf,
    accepted: bool,
    /// Why there is no bundle to review.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<Rejection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Review>,
    #[serde(skip)]
    files: BTreeMap<String, Vec<u8>>,
}

#[derive(Serialize)]
struct Rejection {
    rule_id: String,
    message: String,
    hint: String,
}

pub fn review(config: &Config, global: &Global, paths: &[PathBuf]) -> Result<u8, Complaint> {
    let reviewed: Result<Vec<Reviewed>, Complaint> = paths
        .par_iter()
        .map(|path| review_path(config, path))
        .collect();
    let reviewed = reviewed?;
    match global.format {
        Format::Json => output::json(&reviewed)?,
        Format::Text => output::print(&reviewed.iter().map(text_of).collect::<String>())?,
    }
    let all_accepted = reviewed.iter().all(|reviewed| reviewed.accepted);
    Ok(if all_accepted {
        exit::OK
    } else {
        exit::REVIEW_REJECTED
    })
}

fn review_path(config: &Config, path: &Path) -> Result<Reviewed, Complaint> {
    let limits = &config.archive;
    let bytes = if path.is_dir() {
        bundle::pack(path, limits)
    } else {
        read_capped(path, limits.max_archive_bytes)
    };
    let bytes = bytes.map_err(|error| {
        Complaint::new(
            exit::INFRASTRUCTURE,
            format!("{}: {error}", path.display()),
            "name a zip or a folder",
        )
    })?;
    Ok(match bundle::open(&bytes, limits) {
        Err(error) => Reviewed {
            path: path.to_owned(),
            accepted: false,
            rejection: Some(Rejection {
                rule_id: error.rule_id().to_owned(),
                message: error.to_string(),
                hint: error.hint().to_string(),
            }),
            review: None,
            files: BTreeMap::new(),
        },
        Ok(bundle) => of_bundle(config, path, bundle),
    })
}

fn of_bundle(config: &Config, path: &Path, bundle: Bundle) -> Reviewed {
    let review = review_of(config, &bundle);
    Reviewed {
        path: path.to_owned(),
        accepted: review.verdict == Verdict::Accepted,
        rejection: None,
        review: Some(review),
        files: bundle.files,
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

fn text_of(reviewed: &Reviewed) -> String {
    let mut text = String::new();
    if let Some(rejection) = &reviewed.rejection {
        text.push_str(&format!(
            "error[{}]: {}\n  = hint: {}\n",
            rejection.rule_id, rejection.message, rejection.hint
        ));
    }
    for finding in reviewed.review.iter().flat_map(|review| &review.findings) {
        let source = reviewed
            .files
            .get(&finding.path)
            .map(|bytes| String::from_utf8_lossy(bytes));
        text.push_str(&review::render(finding, source.as_deref()));
    }
    let verdict = if reviewed.accepted {
        "accepted"
    } else {
        "rejected"
    };
    text.push_str(&format!("{verdict}: {}\n", reviewed.path.display()));
    text
}
