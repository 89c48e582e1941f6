//! `prism keys generate|show`: the key that run folders are signed with. Its secret half is never printed.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use prism::config::Config;
use prism::exit;
use prism::signing::SigningError;
use prism::signing::keys::{self, PublicKey, Signer};

use super::{Complaint, Format, Global, output};

#[derive(Subcommand)]
pub enum Keys {
    /// Make a signing key (mode 0600) and beside it FILE.pub; nothing is overwritten.
    Generate {
        /// Where; without it, `keys.signing_key` of the configuration.
        file: Option<PathBuf>,
    },
    /// Print the public key of a signing key or of a .pub file.
    Show {
        /// Which; without it, `keys.signing_key` of the configuration.
        file: Option<PathBuf>,
    },
}

pub fn keys(config: &Config, global: &Global, command: Keys) -> Result<u8, Complaint> {
    match command {
        Keys::Generate { file } => {
            let path = chosen(config, file)?;
            let (signer, public_path) = keys::generate(&path).map_err(complaint)?;
            let public = signer.public();
            match global.format {
                Format::Json => output::json(&serde_json::json!({
                    "signing_key": path, "public_key_file": public_path, "public_key": public.to_string(),
                }))?,
                _ => output::print(&format!(
                    "signing key  {} (yours alone: keep a copy where no run reaches it)\npublic key   {}, {public}\n",
                    path.display(),
                    public_path.display(),
                ))?,
            }
        }
        Keys::Show { file } => {
            let path = chosen(config, file)?;
            let public = public_half(&path).map_err(complaint)?;
            match global.format {
                Format::Json => {
                    output::json(&serde_json::json!({"public_key": public.to_string()}))?;
                }
                _ => output::print(&public.line())?,
            }
        }
    }
    Ok(exit::OK)
}

/// A `.pub` file may be readable by all; a signing key may not.
fn public_half(path: &Path) -> Result<PublicKey, SigningError> {
    if path.extension().is_some_and(|extension| extension == "pub") {
        return PublicKey::named(&path.to_string_lossy());
    }
    Signer::load(path).map(|signer| signer.public())
}

fn chosen(config: &Config, file: Option<PathBuf>) -> Result<PathBuf, Complaint> {
    file.or_else(|| config.keys.signing_key.clone())
        .ok_or_else(|| {
            Complaint::new(
                exit::USAGE,
                "no key file is named",
                "name one, or set keys.signing_key in the configuration",
            )
        })
}

fn complaint(error: SigningError) -> Complaint {
    let code = match error {
        SigningError::Io { .. } | SigningError::Exists { .. } => exit::INFRASTRUCTURE,
        _ => exit::CONFIGURATION,
    };
    Complaint::new(code, &error, error.hint())
}
