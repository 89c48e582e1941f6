//! `prism export RUN… --output FILE`: run folders as one file.

use std::path::{Path, PathBuf};

use prism::exit;
use prism::export as room;
use prism::outbox::selection;

use super::audit::{export_complaint, outbox_complaint};
use super::{Complaint, Format, Global, output};

pub fn export(global: &Global, runs: &[PathBuf], target: &Path) -> Result<u8, Complaint> {
    let folders = selection::run_folders(runs).map_err(outbox_complaint)?;
    let files = room::pack(&folders, target).map_err(export_complaint)?;
    let digest = prism::digest::file_digest(target).map_err(|error| {
        Complaint::new(
            exit::INFRASTRUCTURE,
            format!("{}: {error}", target.display()),
            "check the disk",
        )
    })?;
    match global.format {
        Format::Json => output::json(&serde_json::json!({
            "archive": target, "sha256": digest, "runs": folders.len(), "files": files,
        }))?,
        _ => output::print(&format!(
            "{}: {} runs, {files} files, sha256 {digest}\n",
            target.display(),
            folders.len()
        ))?,
    }
    Ok(exit::OK)
}
