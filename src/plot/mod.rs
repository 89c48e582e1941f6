//! `prism plot`: bits per byte against the text seen so far, several runs in one picture that also reads in black and
//! white: every run has its own dashes and marks.

mod curve;
mod draw;
mod layout;
mod legend;
mod marks;
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

/// Runs in one pair of axes.
#[derive(Debug)]
pub struct Panel {
    /// Above the axes; empty: nothing.
    pub title: String,
    pub folders: Vec<PathBuf>,
}

/// Draws runs and writes the picture, whole or not at all. The number of runs that were left out for want of a stream
/// is returned; a single run without one is an error.
pub fn plot(folders: &[PathBuf], output: &Path, scale: Scale) -> Result<usize, PlotError> {
    let panel = Panel {
        title: String::new(),
        folders: folders.to_vec(),
    };
    panels(&[panel], output, scale)
}

/// The same with several pairs of axes, one below the other.
pub fn panels(panels: &[Panel], output: &Path, scale: Scale) -> Result<usize, PlotError> {
    let mut axes = Vec::new();
    let mut left_out = Vec::new();
    for panel in panels {
        let mut curves = Vec::new();
        for folder in &panel.folders {
            match curve::of_run(folder)? {
                Some(curve) => curves.push(curve),
                None => left_out.push(folder),
            }
        }
        let title = panel.title.clone();
        axes.push(draw::Axes { title, curves });
    }
    let is_empty = axes.iter().all(|axes| axes.curves.is_empty());
    if let (true, Some(folder)) = (is_empty, left_out.first()) {
        return Err(PlotError::Run {
            folder: folder.to_path_buf(),
            reasons: vec!["no batch was predicted in it".to_owned()],
        });
    }
    if !is_empty {
        axes.retain(|axes| !axes.curves.is_empty());
    }
    let bytes = match output.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => draw::svg(&axes, scale)?.into_bytes(),
        Some("png") => draw::png(&axes, scale)?,
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
