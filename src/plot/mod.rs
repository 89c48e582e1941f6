//! `prism plot`: bits per byte against the text seen so far, several runs in one picture that also reads in black and
//! white: every run has its own dashes and marks.

mod curve;
mod draw;
mod layout;
mod png;

use std::path::{Path, PathBuf};

pub use curve::Curve;

/// What the horizontal axis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Log,
}

/// What can go wrong with a picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("{}: {}", folder.display(), reasons.join("; "))]
    Run {
        folder: PathBuf,
        reasons: Vec<String>,
    },
    #[error("{} is neither .svg nor .png", path.display())]
    Kind { path: PathBuf },
    #[error("the picture cannot be drawn: {reason}")]
    Draw { reason: String },
    #[error("cannot write {}: {reason}", path.display())]
    Write { path: PathBuf, reason: String },
}

impl PlotError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Run { .. } => "name concluded runs that have an online stream",
            Self::Kind { .. } => "give the output a name that ends in .svg or .png",
            Self::Draw { .. } => "please report this fault of prism",
            Self::Write { .. } => "check that the folder exists and that the disk has room",
        }
    }
}

/// Draws runs and writes the picture, whole or not at all. The number of runs that were left out for want of a stream
/// is returned; a single run without one is an error.
pub fn plot(folders: &[PathBuf], output: &Path, scale: Scale) -> Result<usize, PlotError> {
    let mut curves = Vec::new();
    let mut left_out = Vec::new();
    for folder in folders {
        match curve::of_run(folder)? {
            Some(curve) => curves.push(curve),
            None => left_out.push(folder),
        }
    }
    if let (true, Some(folder)) = (curves.is_empty(), left_out.first()) {
        return Err(PlotError::Run {
            folder: folder.to_path_buf(),
            reasons: vec!["no batch was predicted in it".to_owned()],
        });
    }
    let bytes = match output.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => draw::svg(&curves, scale)?.into_bytes(),
        Some("png") => draw::png(&curves, scale)?,
        _ => {
            return Err(PlotError::Kind {
                path: output.to_owned(),
            });
        }
    };
    crate::outbox::atomic::write(output, &bytes).map_err(|error| PlotError::Write {
        path: output.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(left_out.len())
}
