//! The saved weights, on their way from the training to the held-out process.

use std::path::PathBuf;

use crate::referee::launch::Phase;
use crate::referee::phases::check_saved;
use crate::referee::plan::RunPlan;
use crate::referee::saved_weights;
use crate::referee::stop::Stop;

/// Moves the weights that the training wrote to where only the held-out process sees them, and applies the cap.
pub fn take(plan: &RunPlan) -> Result<PathBuf, Stop> {
    let folder = plan.folder.join("weights");
    let artifacts = plan.folder.join(Phase::Train.name()).join("artifacts");
    let taken = saved_weights::take(&artifacts, saved_weights::FILE, &folder)?;
    check_saved(taken.elements, plan.config.contest.max_parameters)?;
    Ok(folder)
}
