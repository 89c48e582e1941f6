//! Weights that the sandbox saved: read by their header only, counted, and copied into a form that holds nothing else.
//!
//! A safetensors file can say more than its tensors: free text in the header, the order of its entries, white space, bytes
//! under another type. The copy is written by us from names, types, shapes and values, in one order; who loads it learns
//! nothing that was not counted.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use safetensors::tensor::{Metadata, TensorInfo};
use sha2::{Digest, Sha256};

use super::measured::Fault;
use super::stop::Stop;
use crate::digest;

/// Largest header of a safetensors file (the format's own limit).
const MAX_HEADER_BYTES: u64 = 100_000_000;
const PIECE_BYTES: usize = 1 << 20;
/// First bytes of what a digest is taken of; the runner's `weights.digest` has the same.
const DIGEST_VERSION: &[u8] = b"prism-weights-v1\n";
/// The name of the copy, in a folder of its own.
pub const FILE: &str = "weights.safetensors";

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Elements of all tensors; what is wider than 4 bytes counts as several.
    pub elements: u64,
    /// sha256 over version, and name, type, shape and bytes of each tensor; see [`digest_of`] for the form.
    pub sha256: String,
}

/// Moves the file `name` out of a folder that the sandbox writes to: a clean copy of it lies in `folder` afterwards, as
/// [`FILE`], and the original is gone.
pub fn take(artifacts: &Path, name: &str, folder: &Path) -> Result<Taken, Stop> {
    std::fs::create_dir_all(folder).map_err(Stop::io("the weights' folder"))?;
    // The inside owns this folder and may have closed it.
    std::fs::set_permissions(artifacts, Permissions::from_mode(0o700))
        .map_err(Stop::io("the artifacts' folder"))?;
    let from = artifacts.join(name);
    let mut saved = Saved::open(&from)?;
    let elements = saved.elements();
    let copy = File::create(folder.join(FILE)).map_err(Stop::io("a copy of the weights"))?;
    let sha256 = saved.copy(copy)?;
    // Never follows a link: what lies under the name goes.
    std::fs::remove_file(&from).map_err(|error| wrong(error.to_string()))?;
    Ok(Taken { elements, sha256 })
}

fn wrong(what: String) -> Fault {
    Fault::new(
        "prism:state",
        format!("the saved weights: {what}"),
        "state_dict must hold tensors only",
    )
}

/// A file whose header was read and agrees with its length.
struct Saved {
    file: File,
    /// Where the tensors' bytes begin.
    data_at: u64,
    /// Widest elements first, so that each tensor of the copy is aligned; then by name.
    tensors: Vec<(String, TensorInfo)>,
}

impl Saved {
    /// Opens a file that the sandbox wrote, without believing its length fields.
    fn open(path: &Path) -> Result<Self, Fault> {
        let said = |error: std::io::Error| wrong(error.to_string());
        // Never through a link that the submission made.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let mut file = File::from(opened.map_err(|error| said(error.into()))?);
        let metadata = file.metadata().map_err(said)?;
        if !metadata.is_file() {
            return Err(wrong("not a regular file".to_owned()));
        }
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(said)?;
        let header_bytes = u64::from_le_bytes(length);
        if header_bytes > MAX_HEADER_BYTES || header_bytes.saturating_add(8) > metadata.len() {
            return Err(wrong(format!(
                "a header of {header_bytes} bytes in a file of {}",
                metadata.len()
            )));
        }
        let mut bytes = Vec::new();
        (&file)
            .take(header_bytes)
            .read_to_end(&mut bytes)
            .map_err(said)?;
        // The header alone: the tensors may be gigabytes.
        let header: Metadata = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("not a safetensors header: {error}")))?;
        let data_bytes = header.data_len() as u64;
        if metadata.len() != data_bytes.saturating_add(header_bytes).saturating_add(8) {
            return Err(wrong(format!(
                "a file of {} bytes for {data_bytes} bytes of tensors",
                metadata.len()
            )));
        }
        let mut tensors: Vec<(String, TensorInfo)> = header
            .tensors()
            .into_iter()
            .map(|(name, info)| (name, info.clone()))
            .collect();
        tensors.sort_by(|(name, info), (other_name, other)| {
            let width = other.dtype.bitsize().cmp(&info.dtype.bitsize());
            width.then_with(|| name.cmp(other_name))
        });
        Ok(Self {
            file,
            data_at: header_bytes + 8,
            tensors,
        })
    }

    fn elements(&self) -> u64 {
        self.tensors.iter().fold(0, |sum: u64, (_, info)| {
            let count = info
                .shape
                .iter()
                .try_fold(1u64, |product, &size| product.checked_mul(size as u64));
            // As in the living model: what is wider than 4 bytes counts as several.
            let (from, to) = info.data_offsets;
            let count = count.map(|count| count.max((to - from).div_ceil(4) as u64));
            sum.saturating_add(count.unwrap_or(u64::MAX))
        })
    }

    /// Writes the clean copy; its digest.
    fn copy(&mut self, to: File) -> Result<String, Stop> {
        let ours = |error| Stop::io("a copy of the weights")(error);
        let mut to = BufWriter::with_capacity(PIECE_BYTES, to);
        let header = self.own_header();
        to.write_all(&(header.len() as u64).to_le_bytes())
            .map_err(ours)?;
        to.write_all(&header).map_err(ours)?;
        let mut hash = Sha256::new();
        hash.update(DIGEST_VERSION);
        let mut piece = vec![0; PIECE_BYTES];
        for (name, info) in &self.tensors {
            hash.update(entry(name, info));
            let (from, until) = info.data_offsets;
            self.file
                .seek(SeekFrom::Start(self.data_at + from as u64))
                .map_err(|error| wrong(error.to_string()))?;
            let mut left = until - from;
            while left > 0 {
                let length = left.min(PIECE_BYTES);
                // A file that shrinks while it is read is its owner's doing.
                self.file
                    .read_exact(&mut piece[..length])
                    .map_err(|error| wrong(error.to_string()))?;
                hash.update(&piece[..length]);
                to.write_all(&piece[..length]).map_err(ours)?;
                left -= length;
            }
        }
        to.flush().map_err(ours)?;
        Ok(digest::hex(&hash.finalize()))
    }

    /// Names, types, shapes and places, nothing else, padded as the format asks for.
    fn own_header(&self) -> Vec<u8> {
        let mut at = 0;
        let mut entries = BTreeMap::new();
        for (name, info) in &self.tensors {
            let length = info.data_offsets.1 - info.data_offsets.0;
            let place = [at, at + length];
            at += length;
            entries.insert(
                name.as_str(),
                serde_json::json!({"dtype": info.dtype, "shape": info.shape, "data_offsets": place}),
            );
        }
        let mut header = serde_json::json!(entries).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        header
    }
}

/// What a digest has of a tensor before its bytes: `NAME_BYTES:NAME TYPE SIZE,SIZE\n`.
fn entry(name: &str, info: &TensorInfo) -> Vec<u8> {
    let sizes: Vec<String> = info.shape.iter().map(ToString::to_string).collect();
    let (bytes, kind) = (name.len(), info.dtype);
    format!("{bytes}:{name} {kind:?} {}\n", sizes.join(",")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this header and so many bytes 0, 1, 2, … after it.
    fn write(folder: &Path, header: &str, data_bytes: usize) {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend((0..data_bytes).map(|n| n as u8));
        std::fs::write(folder.join("saved"), bytes).unwrap();
    }

    fn taken(header: &str, data_bytes: usize) -> Result<(Taken, Vec<u8>), Stop> {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), header, data_bytes);
        let out = folder.path().join("out");
        let taken = take(folder.path(), "saved", &out)?;
        assert!(!folder.path().join("saved").exists());
        Ok((taken, std::fs::read(out.join(FILE)).unwrap()))
    }

    const PLAIN: &str = r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}"#;

    #[test]
    fn a_copy_holds_the_tensors_and_nothing_else() {
        let (plain, copy) = taken(PLAIN, 11).unwrap();
        assert_eq!(plain.elements, 5);
        // The same tensors, told otherwise: another order, places, white space and a message in the margin.
        let other = r#"{"__metadata__":{"note":"labels"},  "a":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},
            "b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert_eq!(taken(other, 11).unwrap(), (plain.clone(), copy.clone()));
        let read = safetensors::SafeTensors::deserialize(&copy).unwrap();
        assert_eq!(read.tensor("a").unwrap().data(), [8, 9, 10]);
        assert_eq!(read.tensor("b").unwrap().data(), [0, 1, 2, 3, 4, 5, 6, 7]);
        let retyped = PLAIN.replace("F32", "I32");
        assert_ne!(taken(&retyped, 11).unwrap().0.sha256, plain.sha256);
        let reshaped = PLAIN.replace("[2]", "[1,2]");
        assert_ne!(taken(&reshaped, 11).unwrap().0.sha256, plain.sha256);
    }

    #[test]
    fn the_digest_is_the_runner_s() {
        // tests/runner/test_parts.py has the same tensors and the same digest.
        let header = r#"{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}"#;
        let (taken, _) = taken(header, 16).unwrap();
        assert_eq!(taken.elements, 4);
        assert_eq!(taken.sha256, SHA256);
    }

    const SHA256: &str = "3a45613d50f30013273d369266e2dc925cb91fda421ba3c1b441013ae38ec95d";

    #[test]
    fn files_that_are_no_weights_are_the_submission_s_fault() {
        let more = r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}"#;
        for (header, bytes, words) in [
            ("{", 0, "not a safetensors header"),
            (more, 4, "for 3 bytes of tensors"),
            (more, 2, "for 3 bytes of tensors"),
            (&more.replace("[3]", "[4]"), 3, "not a safetensors header"),
        ] {
            let Err(Stop::Fault(fault)) = taken(header, bytes) else {
                panic!("{header} was taken");
            };
            assert_eq!(fault.rule_id, "prism:state");
            assert!(fault.message.contains(words), "{}", fault.message);
        }
        let folder = tempfile::tempdir().unwrap();
        let fault = |name: &str| match take(folder.path(), name, &folder.path().join("out")) {
            Err(Stop::Fault(fault)) => fault.message,
            other => panic!("{name}: {other:?}"),
        };
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        assert!(fault("link").contains("symbolic link"));
        assert!(fault("nothing").contains("No such file"));
        assert!(fault("out").contains("not a regular file"));
        std::fs::write(folder.path().join("long"), [0xff; 64]).unwrap();
        assert!(fault("long").contains("a header of"));
    }
}
