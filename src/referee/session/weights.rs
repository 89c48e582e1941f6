//! The saved weights, on their way from the training to the held-out process.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::referee::connection::Stop;
use crate::referee::launch::Phase;
use crate::referee::measured::Fault;
use crate::referee::phases::heldout;
use crate::referee::plan::RunPlan;

/// Moves the weights that the training wrote to where only the held-out process sees them.
pub fn take(plan: &RunPlan) -> Result<PathBuf, Stop> {
    let folder = plan.folder.join("weights");
    std::fs::create_dir_all(&folder).map_err(Stop::io("the weights' folder"))?;
    let artifacts = plan.folder.join(Phase::Train.name()).join("artifacts");
    // The inside owns this folder and may have closed it.
    std::fs::set_permissions(&artifacts, Permissions::from_mode(0o700))
        .map_err(Stop::io("the artifacts' folder"))?;
    let from = artifacts.join("weights.safetensors");
    let elements = heldout::count_saved_elements(&from)?;
    let cap = plan.config.contest.max_parameters;
    if elements > cap {
        return Err(Fault::new(
            "prism:param-cap",
            format!(
                "parameter cap: the saved weights have {elements} elements, expected at most {cap}"
            ),
            "build a smaller model; what training adds to it counts too",
        )
        .into());
    }
    std::fs::rename(&from, folder.join("weights.safetensors"))
        .map_err(Stop::io("the saved weights"))?;
    Ok(folder)
}
