//! `prism submit`: pack, review as the contest would, and drop into an inbox.

use std::path::PathBuf;

use clap::Args;
use prism::config::Config;
use prism::exit;
use prism::identity::Mode;
use prism::identity::keyfile::Hotkey;
use prism::intake::submission_id;
use prism::submit::{self, SubmitError};
use serde_json::json;

use super::{Complaint, Format, Global, output, review};

#[derive(Args)]
pub struct Submit {
    /// A folder, a zip, or a .py file.
    path: PathBuf,
    /// File with the hotkey's secret seed; signs the submission.
    #[arg(long, value_name = "KEYFILE")]
    sign_with: Option<PathBuf>,
    /// What to call it in the inbox.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Folder to drop it into.
    #[arg(long, value_name = "DIR")]
    inbox: Option<PathBuf>,
}

/// Exit code [`exit::REVIEW_REJECTED`] when the review rejects it: nothing is dropped.
pub fn submit(config: &Config, global: &Global, arguments: &Submit) -> Result<u8, Complaint> {
    let name = arguments.name.as_deref();
    let packed = submit::pack(&arguments.path, name, &config.archive).map_err(complaint)?;
    let signed = match &arguments.sign_with {
        Some(path) => {
            let hotkey = Hotkey::load(path)
                .map_err(|error| Complaint::new(exit::CONFIGURATION, &error, error.hint()))?;
            let network = config.identity.network;
            Some(submit::sign(&packed, &hotkey, network).map_err(complaint)?)
        }
        None if config.identity.mode == Mode::Required => {
            return Err(Complaint::new(
                exit::USAGE,
                "this contest takes signed submissions only (identity.mode)",
                "name the hotkey's file with --sign-with",
            ));
        }
        None => None,
    };
    if !review::is_accepted(config, global, &arguments.path)? {
        return Ok(exit::REVIEW_REJECTED);
    }
    let inbox = arguments.inbox.as_ref().unwrap_or(&config.inbox);
    let sentinel = config.intake.sentinel;
    let there = submit::drop_into(inbox, &packed, signed.as_ref(), sentinel).map_err(complaint)?;
    // with `off` nobody reads signatures, as far as this configuration knows
    let counts = config.identity.mode != Mode::Off;
    let hotkey = signed.as_ref().map(|signed| signed.hotkey.as_str());
    let owner = hotkey.filter(|_| counts).unwrap_or("");
    let id = submission_id(owner, &packed.archive);
    match global.format {
        Format::Json => {
            output::json(&json!({"submission_id": id, "files": there, "hotkey": hotkey}))?;
        }
        _ => {
            let mut text = format!("submission {id}\n");
            for path in &there {
                text.push_str(&format!("  {}\n", path.display()));
            }
            if hotkey.is_some() && !counts {
                text.push_str(
                    "  signed; identity.mode is off here, and the id is that without an owner\n",
                );
            }
            output::print(&text)?;
        }
    }
    Ok(exit::OK)
}

fn complaint(error: SubmitError) -> Complaint {
    let code = match error {
        SubmitError::Io { .. } => exit::INFRASTRUCTURE,
        _ => exit::USAGE,
    };
    Complaint::new(code, &error, error.hint())
}
