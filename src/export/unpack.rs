//! Reading an archive that anybody may have made: bounded in memory, disk and time, and never outside its folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{ExportError, is_compressed};

/// What an archive may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Runs in all.
    pub runs: usize,
    /// Files of one run.
    pub files: usize,
    /// Bytes of one run: what lies on disk at any time.
    pub run_bytes: u64,
    /// Bytes of all runs.
    pub total_bytes: u64,
    /// Memory that the archive may ask for to be decompressed, as a power of two.
    pub window_log: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runs: 1_000_000,
            files: 256,
            run_bytes: 4 << 30,
            total_bytes: 1 << 40,
            window_log: 27,
        }
    }
}

/// Unpacks run after run into a temporary folder, shows each to `visit` as (name, folder), and removes it.
///
/// # Errors
/// [`ExportError::NotAnArchive`] for whatever `prism export` would not have written: runs before that place were shown.
pub fn unpack(
    path: &Path,
    limits: Limits,
    visit: &mut dyn FnMut(&str, &Path),
) -> Result<(), ExportError> {
    let io = |action| {
        move |source| ExportError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let file = crate::signing::digest_list::open_regular(path).map_err(io("read"))?;
    let reader: Box<dyn Read> = if is_compressed(path) {
        let mut decoder = zstd::Decoder::new(file).map_err(io("read"))?;
        decoder
            .window_log_max(limits.window_log)
            .map_err(io("read"))?;
        Box::new(decoder)
    } else {
        Box::new(std::io::BufReader::new(file))
    };
    // one more than is allowed: an archive that goes on is an error, not an end
    let reader = reader.take(limits.total_bytes.saturating_add(1));
    let root = tempfile::tempdir().map_err(io("make a folder for"))?;
    let mut unpacker = Unpacker {
        root: root.path(),
        limits,
        seen: BTreeSet::new(),
        run: None,
        visit,
    };
    unpacker
        .all(reader)
        .map_err(|reason| ExportError::NotAnArchive {
            path: path.to_owned(),
            reason,
        })
}

struct Unpacker<'a> {
    root: &'a Path,
    limits: Limits,
    /// Runs that were met: a second part of one would be a second truth about it.
    seen: BTreeSet<String>,
    run: Option<Run>,
    visit: &'a mut dyn FnMut(&str, &Path),
}

/// The run that is being unpacked.
struct Run {
    name: String,
    folder: PathBuf,
    files: usize,
    bytes: u64,
}

impl Unpacker<'_> {
    fn all(&mut self, reader: impl Read) -> Result<(), String> {
        let mut archive = tar::Archive::new(reader);
        // raw: no extension may change a name or a length behind the header, or be read into memory
        let entries = archive.entries().map_err(|error| error.to_string())?;
        for entry in entries.raw(true) {
            let mut entry = entry.map_err(|error| error.to_string())?;
            let kind = entry.header().entry_type();
            if !kind.is_file() {
                return Err(format!("an entry is no regular file but {kind:?}"));
            }
            let name = entry.path_bytes().into_owned();
            let name = String::from_utf8(name).map_err(|_| "a name is not UTF-8".to_owned())?;
            let length = entry.header().size().map_err(|error| error.to_string())?;
            let (run, file) = split(&name)?;
            let path = self.place(run, file, length)?;
            let written = write(&path, &mut entry, length).map_err(|error| error.to_string())?;
            if written != length {
                return Err(format!("{name}: {written} bytes, its header says {length}"));
            }
        }
        if self.seen.is_empty() {
            return Err("there is no run in it".to_owned());
        }
        self.show()
    }

    /// Where a file goes, after its run was counted.
    fn place(&mut self, name: &str, file: &str, length: u64) -> Result<PathBuf, String> {
        if self.run.as_ref().is_none_or(|run| run.name != name) {
            self.show()?;
            if self.seen.len() == self.limits.runs {
                return Err(format!("more than {} runs", self.limits.runs));
            }
            if !self.seen.insert(name.to_owned()) {
                return Err(format!("run {name} comes in two parts"));
            }
            let folder = self.root.join(name);
            fs::create_dir(&folder).map_err(|error| error.to_string())?;
            self.run = Some(Run {
                name: name.to_owned(),
                folder,
                files: 0,
                bytes: 0,
            });
        }
        let Some(run) = &mut self.run else {
            return Err(format!("{name} is no run"));
        };
        run.files += 1;
        run.bytes = run.bytes.saturating_add(length);
        if run.files > self.limits.files || run.bytes > self.limits.run_bytes {
            return Err(format!(
                "run {name} has more than {} files or {} bytes",
                self.limits.files, self.limits.run_bytes
            ));
        }
        let path = run.folder.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| error.to_string())?;
        }
        Ok(path)
    }

    /// Shows the run that is complete now, and removes it.
    fn show(&mut self) -> Result<(), String> {
        let Some(run) = self.run.take() else {
            return Ok(());
        };
        (self.visit)(&run.name, &run.folder);
        fs::remove_dir_all(&run.folder).map_err(|error| error.to_string())
    }
}

/// `run/file`, of plain parts. Nothing that climbs, begins at a root, or is hidden from a listing by a separator.
fn split(name: &str) -> Result<(&str, &str), String> {
    const MAX_PARTS: usize = 5;
    let is_plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    let fits = name.split('/').count() <= MAX_PARTS && name.split('/').all(is_plain);
    name.split_once('/')
        .filter(|_| fits && !name.contains('\\'))
        .ok_or_else(|| format!("{name:?} is not the name of a file of a run"))
}

fn write(path: &Path, content: &mut impl Read, length: u64) -> std::io::Result<u64> {
    // a second file of the same name is refused
    let mut file = File::options().write(true).create_new(true).open(path)?;
    std::io::copy(&mut content.take(length), &mut file)
}
