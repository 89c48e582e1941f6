//! Writing an archive.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{ExportError, is_compressed};
use crate::audit::sealed_files;
use crate::outbox::selection::label;
use crate::signing::digest_list::open_regular;

/// Part of the format: another level is other bytes.
const ZSTD_LEVEL: i32 = 10;

/// Packs run folders into one file, which appears whole or not at all. The number of files in it is returned.
///
/// # Errors
/// [`ExportError::Unsealed`] for a folder that is not what its digest list says, [`ExportError::Twice`].
pub fn pack(folders: &[PathBuf], output: &Path) -> Result<u64, ExportError> {
    let mut by_label = BTreeMap::new();
    for folder in folders {
        let label = label(folder);
        if by_label.insert(label.clone(), folder).is_some() {
            return Err(ExportError::Twice { label });
        }
    }
    let io = |action| {
        move |source| ExportError::Io {
            action,
            path: output.to_owned(),
            source,
        }
    };
    let parent = output
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut draft = tempfile::Builder::new()
        .prefix(".prism-")
        .suffix(".tmp")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(parent)
        .map_err(io("create a file beside"))?;
    let target = BufWriter::new(draft.as_file_mut());
    let count = if is_compressed(output) {
        let encoder = zstd::Encoder::new(target, ZSTD_LEVEL).map_err(io("compress"))?;
        let (count, encoder) = write(&by_label, encoder).map_err(|error| error.at(output))?;
        let mut target = encoder.finish().map_err(io("compress"))?;
        target.flush().map_err(io("write"))?;
        count
    } else {
        let (count, mut target) = write(&by_label, target).map_err(|error| error.at(output))?;
        target.flush().map_err(io("write"))?;
        count
    };
    draft.as_file().sync_all().map_err(io("write"))?;
    draft
        .persist(output)
        .map_err(|error| io("replace")(error.error))?;
    Ok(count)
}

/// A fault of a run, or one of the file that is written.
enum Fault {
    Run(ExportError),
    Output(std::io::Error),
}

impl Fault {
    fn at(self, output: &Path) -> ExportError {
        match self {
            Self::Run(error) => error,
            Self::Output(source) => ExportError::Io {
                action: "write",
                path: output.to_owned(),
                source,
            },
        }
    }
}

/// Runs by name, files by name. Each file is of the length that was checked, or the archive is not made.
fn write<W: Write>(runs: &BTreeMap<String, &PathBuf>, target: W) -> Result<(u64, W), Fault> {
    let mut archive = tar::Builder::new(target);
    let mut count = 0;
    for (label, folder) in runs {
        let unsealed = |problems| {
            Fault::Run(ExportError::Unsealed {
                folder: folder.to_path_buf(),
                problems,
            })
        };
        for (name, length) in sealed_files(folder).map_err(unsealed)? {
            let path = folder.join(&name);
            let unreadable = |source| {
                Fault::Run(ExportError::Io {
                    action: "read",
                    path: path.clone(),
                    source,
                })
            };
            let file = open_regular(&path).map_err(unreadable)?;
            if file.metadata().map_err(unreadable)?.len() != length {
                return Err(unsealed(vec![format!("{name}: changes while it is read")]));
            }
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(0o644);
            header.set_size(length);
            header
                .set_path(format!("{label}/{name}"))
                .map_err(unreadable)?;
            header.set_cksum();
            archive
                .append(&header, std::io::Read::take(file, length))
                .map_err(Fault::Output)?;
            count += 1;
        }
    }
    Ok((count, archive.into_inner().map_err(Fault::Output)?))
}
