//! `prism plot RUN… --output FILE`: loss curves as a picture.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use prism::exit;
use prism::outbox::selection;
use prism::plot::{self as room, PlotError, Scale};

use super::audit::outbox_complaint;
use super::{Complaint, Format, Global, output};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    Linear,
    Log,
}

pub fn plot(global: &Global, runs: &[PathBuf], target: &Path, x: Axis) -> Result<u8, Complaint> {
    let folders = selection::run_folders(runs).map_err(outbox_complaint)?;
    let scale = match x {
        Axis::Linear => Scale::Linear,
        Axis::Log => Scale::Log,
    };
    let left_out = room::plot(&folders, target, scale).map_err(|error| {
        let code = match error {
            PlotError::Kind { .. } => exit::USAGE,
            _ => exit::INFRASTRUCTURE,
        };
        Complaint::new(code, &error, error.hint())
    })?;
    let drawn = folders.len() - left_out;
    match global.format {
        Format::Json => output::json(&serde_json::json!({
            "picture": target, "runs": drawn, "without_stream": left_out,
        }))?,
        _ => output::print(&format!(
            "{}: {drawn} runs, {left_out} left out for want of a stream\n",
            target.display()
        ))?,
    }
    Ok(exit::OK)
}
