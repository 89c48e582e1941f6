//! The checkpoint that a submission of the first contract leaves: looked at from outside, after its processes ended.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most bytes in the checkpoint's folder: logical sizes of all its files.
pub const MAX_BYTES: u64 = 10_000_000_000;
/// Files and folders in it that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// Segments of a checkpoint's path, and folders below its own.
const MAX_DEPTH: usize = 4;
const MAX_PATH_BYTES: usize = 200;
/// Of `metadata` as JSON: it goes into one frame with the plan of a run that goes on.
const MAX_METADATA_BYTES: usize = 16_384;

/// What `save_checkpoint` returned, as it is recorded: a path alone, or with metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookReturn {
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// A checkpoint that was accepted. Paths are relative to the artifact root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    pub path: String,
    pub checkpoint_dir: String,
    /// Size of the checkpoint's file.
    pub bytes: u64,
    /// Logical sizes of everything in its folder.
    pub bytes_total: u64,
    pub hook_return: HookReturn,
}

/// The folder of an attempt's checkpoint, relative to the artifact root.
pub fn folder(submission_id: &str, attempt: u32) -> String {
    format!("checkpoints/{submission_id}/attempt-{attempt}/current")
}

/// Accepts what lies in `folder` below `root`. The processes that could change it have ended.
///
/// # Errors
/// Why not: a path that is not a plain relative one, a link or something else than files and folders anywhere, too
/// much of it, or no such file.
pub fn accept(
    root: &Path,
    folder: &str,
    hook_return: &HookReturn,
    max_bytes: u64,
) -> Result<Checkpoint, String> {
    check_path(&hook_return.path)?;
    let metadata_bytes =
        serde_json::to_vec(&hook_return.metadata).map_or(usize::MAX, |text| text.len());
    if metadata_bytes > MAX_METADATA_BYTES {
        return Err(format!(
            "got {metadata_bytes} bytes of metadata, expected at most {MAX_METADATA_BYTES}"
        ));
    }
    let mut place = root.to_owned();
    for segment in folder.split('/') {
        place.push(segment);
        let kind = std::fs::symlink_metadata(&place);
        if !kind.is_ok_and(|metadata| metadata.is_dir()) {
            return Err(format!("{segment} of {folder} is not a folder any more"));
        }
    }
    let mut bytes_total: u64 = 0;
    let walk = walkdir::WalkDir::new(&place)
        .min_depth(1)
        .max_depth(MAX_DEPTH + 1)
        .follow_links(false);
    for (count, found) in walk.into_iter().enumerate() {
        if count == MAX_ENTRIES {
            return Err(format!("more than {MAX_ENTRIES} files and folders"));
        }
        let found = found.map_err(|_| "it cannot be read".to_owned())?;
        let name = found.path().strip_prefix(&place).unwrap_or(found.path());
        let name: String = name.to_string_lossy().escape_debug().take(200).collect();
        if found.depth() > MAX_DEPTH {
            return Err(format!("{name} lies deeper than {MAX_DEPTH} folders"));
        }
        let kind = found.file_type();
        if kind.is_dir() {
            continue;
        }
        if !kind.is_file() {
            return Err(format!(
                "{name} is a link or a special file, expected a regular file"
            ));
        }
        let metadata = found
            .metadata()
            .map_err(|_| format!("{name} cannot be read"))?;
        if metadata.nlink() != 1 {
            return Err(format!(
                "{name} has {} names, expected one",
                metadata.nlink()
            ));
        }
        bytes_total = bytes_total.saturating_add(metadata.len());
    }
    if bytes_total > max_bytes {
        return Err(format!(
            "got {bytes_total} bytes, expected at most {max_bytes}"
        ));
    }
    let metadata = std::fs::symlink_metadata(place.join(&hook_return.path));
    let bytes = match metadata {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(format!("{:?} is not a regular file", hook_return.path)),
        Err(_) => return Err(format!("{:?} is not in checkpoint_dir", hook_return.path)),
    };
    Ok(Checkpoint {
        path: format!("{folder}/{}", hook_return.path),
        checkpoint_dir: folder.to_owned(),
        bytes,
        bytes_total,
        hook_return: hook_return.clone(),
    })
}

/// A relative path of plain segments.
fn check_path(path: &str) -> Result<(), String> {
    let segments: Vec<&str> = path.split('/').collect();
    let bytes = path.as_bytes();
    let is_drive =
        bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1) == Some(&b':');
    let is_plain = path.len() <= MAX_PATH_BYTES
        && segments.len() <= MAX_DEPTH
        && !is_drive
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && segments
            .iter()
            .all(|segment| !["", ".", ".."].contains(segment));
    if is_plain {
        return Ok(());
    }
    let shown: String = path.chars().take(100).collect();
    Err(format!(
        "got the path {shown:?}, expected one below checkpoint_dir: relative, at most {MAX_DEPTH} segments, none of them empty, \".\" or \"..\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "checkpoints/s1/attempt-1/current";

    fn with_files(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(FOLDER).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    fn returned(path: &str) -> HookReturn {
        HookReturn {
            path: path.to_owned(),
            metadata: None,
        }
    }

    #[test]
    fn a_plain_file_is_accepted_up_to_the_cap() {
        let root = with_files(&[("a.pt", b"1234"), ("deep/b.pt", b"56")]);
        let accepted = accept(root.path(), FOLDER, &returned("a.pt"), 6).unwrap();
        assert_eq!((accepted.bytes, accepted.bytes_total), (4, 6));
        assert_eq!(accepted.path, format!("{FOLDER}/a.pt"));
        assert!(accept(root.path(), FOLDER, &returned("deep/b.pt"), 6).is_ok());
        let error = accept(root.path(), FOLDER, &returned("a.pt"), 5).unwrap_err();
        assert_eq!(error, "got 6 bytes, expected at most 5");
        // logical sizes: a hole counts
        let file = std::fs::File::create(root.path().join(FOLDER).join("hole.pt")).unwrap();
        file.set_len(MAX_BYTES).unwrap();
        let error = accept(root.path(), FOLDER, &returned("hole.pt"), MAX_BYTES).unwrap_err();
        assert_eq!(error, "got 10000000006 bytes, expected at most 10000000000");
    }

    #[test]
    fn metadata_has_a_cap() {
        let root = with_files(&[("a.pt", b"1")]);
        let with_text = |characters: usize| {
            let text = Value::from("x".repeat(characters));
            let metadata = Map::from_iter([("a".to_owned(), text)]);
            let returned = HookReturn {
                metadata: Some(metadata),
                ..returned("a.pt")
            };
            accept(root.path(), FOLDER, &returned, 10)
        };
        assert!(with_text(16_000).is_ok());
        let error = with_text(17_000).unwrap_err();
        assert!(error.contains("bytes of metadata"), "{error}");
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let root = with_files(&[("a.pt", b"1")]);
        std::fs::write(root.path().join("outside.pt"), b"1").unwrap();
        for path in [
            "",
            ".",
            "..",
            "/etc/passwd",
            "../outside.pt",
            "a/../a.pt",
            "./a.pt",
            "a//b",
            "a/",
            "C:a.pt",
            "a\\b",
            "a\nb",
            "1/2/3/4/5",
        ] {
            let error = accept(root.path(), FOLDER, &returned(path), 10).unwrap_err();
            assert!(error.starts_with("got the path"), "{path:?}: {error}");
        }
        let error = accept(root.path(), FOLDER, &returned("b.pt"), 10).unwrap_err();
        assert!(error.contains("is not in checkpoint_dir"), "{error}");
        std::fs::create_dir(root.path().join(FOLDER).join("sub")).unwrap();
        let error = accept(root.path(), FOLDER, &returned("sub"), 10).unwrap_err();
        assert!(error.contains("is not a regular file"), "{error}");
    }

    #[test]
    fn links_are_refused_wherever_they_are() {
        let root = with_files(&[("a.pt", b"1")]);
        let folder = root.path().join(FOLDER);
        std::os::unix::fs::symlink("/etc/passwd", folder.join("b.pt")).unwrap();
        for path in ["b.pt", "a.pt"] {
            let error = accept(root.path(), FOLDER, &returned(path), 10).unwrap_err();
            assert!(error.starts_with("b.pt is a link"), "{error}");
        }
        std::fs::remove_file(folder.join("b.pt")).unwrap();
        std::fs::hard_link(folder.join("a.pt"), root.path().join("other")).unwrap();
        let error = accept(root.path(), FOLDER, &returned("a.pt"), 10).unwrap_err();
        assert!(error.contains("has 2 names"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink("/etc", &folder).unwrap();
        let error = accept(root.path(), FOLDER, &returned("passwd"), 10).unwrap_err();
        assert!(error.contains("is not a folder"), "{error}");
    }
}
