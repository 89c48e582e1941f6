//! The few files of /etc that libc and torchrun ask for, with nothing of the host in them.

use std::path::{Path, PathBuf};

use super::SandboxError;

/// torchrun resolves its own host name: it must be one that the inside's /etc/hosts knows.
pub(super) const HOSTNAME: &str = "prism";
/// `nobody`: who the inside is, wherever that can be chosen.
pub(super) const NOBODY: u32 = 65_534;

/// Makes them below `scratch` for a user of these numbers; returns name and place of each.
pub(super) fn files(
    scratch: &Path,
    uid: u32,
    gid: u32,
) -> Result<Vec<(&'static str, PathBuf)>, SandboxError> {
    let folder = scratch.join("etc");
    std::fs::create_dir_all(&folder).map_err(|source| SandboxError::Io {
        path: folder.clone(),
        source,
    })?;
    let files = [
        (
            "hosts",
            format!("127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n"),
        ),
        ("passwd", format!("prism:x:{uid}:{gid}::/tmp:/bin/false\n")),
        ("group", format!("prism:x:{gid}:\n")),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\n".to_owned(),
        ),
    ];
    let mut paths = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| SandboxError::Io {
            path: path.clone(),
            source,
        })?;
        paths.push((name, path));
    }
    Ok(paths)
}
