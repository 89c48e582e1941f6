//! A folder as the zip that it would be submitted as: sorted names, fixed times, the same bytes every time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use walkdir::WalkDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::Limits;

/// Packs a folder. Links are not followed and hidden names are left out; sizes are capped, rules are left to [`super::open`].
///
/// # Errors
/// Those of reading, and a folder far beyond the limits of a submission.
pub fn pack(folder: &Path, limits: &Limits) -> std::io::Result<Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut left_bytes = limits.max_unpacked_bytes.saturating_mul(2);
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let walk = WalkDir::new(folder)
        .follow_links(false)
        .sort_by_file_name()
        .into_iter();
    for (count, entry) in walk.filter_entry(visible).enumerate() {
        let entry = entry.map_err(std::io::Error::other)?;
        if count > limits.max_files.saturating_mul(10) {
            return Err(std::io::Error::other(format!(
                "more than {count} entries: not a submission"
            )));
        }
        if !entry.file_type().is_file() {
            continue;
        }
        let name = entry
            .path()
            .strip_prefix(folder)
            .unwrap_or(entry.path())
            .to_string_lossy();
        let mut bytes = Vec::new();
        File::open(entry.path())?
            .take(left_bytes.saturating_add(1))
            .read_to_end(&mut bytes)?;
        left_bytes = left_bytes.checked_sub(bytes.len() as u64).ok_or_else(|| {
            std::io::Error::other(format!(
                "more than {} bytes: not a submission",
                limits.max_unpacked_bytes
            ))
        })?;
        files.insert(name.into_owned(), bytes);
    }
    pack_files(&files)
}

/// Packs files by path: in the order of their paths, stored, so that the bytes, and with them the submission's id, depend
/// on no compressor.
///
/// # Errors
/// Those of the zip writer: more than 4 GiB.
pub fn pack_files(files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in files {
        zip.start_file(name.as_str(), options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Name of the one file of a submission that came as a bare `.py`.
const SOURCE_NAME: &str = "model.py";

/// A bare `.py` as the archive that it is kept and run as: one stored entry, `model.py`, the same bytes everywhere.
///
/// # Errors
/// Those of the zip writer: more than 4 GiB.
pub fn pack_source(source: &[u8]) -> std::io::Result<Vec<u8>> {
    pack_files(&BTreeMap::from([(SOURCE_NAME.to_owned(), source.to_vec())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_folder_opens_and_is_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("architecture.py", "def build_model(ctx): ...\n"),
            ("training.py", "def train(ctx): ...\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::write(folder.path().join(".hidden"), "x").unwrap();
        let limits = Limits::default();
        let archive = pack(folder.path(), &limits).unwrap();
        assert_eq!(archive, pack(folder.path(), &limits).unwrap());
        assert_eq!(
            super::super::open(&archive, &limits).unwrap().files.len(),
            2
        );
    }

    #[test]
    fn a_bare_source_becomes_an_archive_of_the_first_contract() {
        let source = b"def build_model(ctx): ...\ndef get_recipe(ctx): ...\n";
        let archive = pack_source(source).unwrap();
        assert_eq!(archive, pack_source(source).unwrap());
        let bundle = super::super::open(&archive, &Limits::default()).unwrap();
        assert_eq!(bundle.files["model.py"], source);
        assert_eq!(bundle.contract.version, super::super::ContractVersion::V1);
        assert_eq!(bundle.architecture.path, bundle.training.path);
    }
}
