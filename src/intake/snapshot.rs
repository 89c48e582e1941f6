//! A submission that lies in the inbox as a folder: one arrival, with one state and one content.
//!
//! Folders are walked by their descriptors: whatever is swapped for a link meanwhile, nothing outside is read.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use sha2::{Digest, Sha256};

use super::stamp::Stamp;

/// A folder with one of these in it, and not below, is a submission; the others are only walked.
const MARKS: [&str; 4] = ["architecture.py", "training.py", "prism.yaml", "prism.yml"];
/// Entries of any sort; ten times what the archive of a submission may hold by default.
const MAX_ENTRIES: usize = 2_000;
/// Folders in folders; also bounds the recursion of the walk.
const MAX_DEPTH: usize = 16;

/// Why a folder is not taken.
#[derive(Debug)]
pub(super) enum Unfit {
    /// Too many entries or levels to be one: it is left alone.
    TooMuch,
    Io(io::Error),
}

impl From<rustix::io::Errno> for Unfit {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether a folder is a submission.
pub(super) fn is_one(folder: &Path) -> bool {
    let is_file = |mark: &str| {
        folder
            .join(mark)
            .symlink_metadata()
            .is_ok_and(|facts| facts.is_file())
    };
    MARKS.iter().any(|mark| is_file(mark))
}

/// The state of a folder with everything in it but hidden names. Its time is that of the last change of anything, by the machine's own
/// clock: copies that keep modification times do not look old.
pub(super) fn stamp(folder: &Path) -> Result<Stamp, Unfit> {
    let mut hash = Sha256::new();
    let mut bytes = 0_u64;
    let mut changed = (0, 0);
    let mut modified = (0, 0);
    let root = open_folder(CWD, &c_path(folder)?)?;
    let own = rustix::fs::fstat(&root)?;
    let mut visit = |path: &str, facts: &Stat, _: &dyn Fn() -> io::Result<File>| {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        for number in [
            i128::from(facts.st_mode),
            i128::from(facts.st_ino),
            i128::from(facts.st_size),
            i128::from(facts.st_mtime),
            i128::from(facts.st_mtime_nsec),
            i128::from(facts.st_ctime),
            i128::from(facts.st_ctime_nsec),
        ] {
            hash.update(number.to_le_bytes());
        }
        if is_file(facts) {
            bytes = bytes.saturating_add(u64::try_from(facts.st_size).unwrap_or(0));
        }
        changed = changed.max(time(facts.st_ctime, facts.st_ctime_nsec));
        modified = modified.max(time(facts.st_mtime, facts.st_mtime_nsec));
        Ok(())
    };
    visit("", &own, &|| Err(io::ErrorKind::IsADirectory.into()))?;
    walk(root.as_fd(), "", 0, &mut 0, &mut visit)?;
    let mut tree = [0; 16];
    tree.copy_from_slice(&hash.finalize()[..16]);
    let (seconds, nanoseconds) = changed.max(modified);
    let modified_at = u64::try_from(seconds)
        .ok()
        .zip(u32::try_from(nanoseconds).ok())
        .and_then(|(seconds, nanoseconds)| {
            SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
        });
    Ok(Stamp::of_folder(
        bytes,
        modified_at.unwrap_or(SystemTime::UNIX_EPOCH),
        changed,
        (own.st_dev, own.st_ino),
        tree,
    ))
}

/// The regular files of a folder by path; links, pipes and hidden names are left out, as when it is packed. Reads at most
/// `max_bytes` and one more: then there is more.
pub(super) fn files(folder: &Path, max_bytes: u64) -> Result<BTreeMap<String, Vec<u8>>, Unfit> {
    let mut files = BTreeMap::new();
    let mut left = max_bytes.saturating_add(1);
    let root = open_folder(CWD, &c_path(folder)?)?;
    let mut visit = |path: &str, facts: &Stat, open: &dyn Fn() -> io::Result<File>| {
        if is_file(facts) {
            let mut bytes = Vec::new();
            open()?.take(left).read_to_end(&mut bytes)?;
            left = left.saturating_sub(bytes.len() as u64);
            files.insert(path.to_owned(), bytes);
        }
        Ok(())
    };
    walk(root.as_fd(), "", 0, &mut 0, &mut visit)?;
    Ok(files)
}

type Visit<'a> = dyn FnMut(&str, &Stat, &dyn Fn() -> io::Result<File>) -> io::Result<()> + 'a;

fn walk(
    folder: BorrowedFd<'_>,
    prefix: &str,
    depth: usize,
    count: &mut usize,
    visit: &mut Visit<'_>,
) -> Result<(), Unfit> {
    if depth >= MAX_DEPTH {
        return Err(Unfit::TooMuch);
    }
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        // hidden names are no part of it, `.` and `..` among them
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        *count += 1;
        if *count > MAX_ENTRIES {
            return Err(Unfit::TooMuch);
        }
        names.push(name);
    }
    names.sort();
    for name in names {
        let facts = match rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(facts) => facts,
            // gone since it was listed: the folder is in motion, which its time tells
            Err(rustix::io::Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let path = format!("{prefix}{}", name.to_string_lossy());
        let open = || -> io::Result<File> {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(folder, &name, flags, Mode::empty())?.into())
        };
        visit(&path, &facts, &open)?;
        if FileType::from_raw_mode(facts.st_mode) == FileType::Directory {
            let below = open_folder(folder, &name)?;
            walk(below.as_fd(), &format!("{path}/"), depth + 1, count, visit)?;
        }
    }
    Ok(())
}

fn open_folder(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn c_path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn is_file(facts: &Stat) -> bool {
    FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile
}

fn time<N: TryInto<i64>>(seconds: i64, nanoseconds: N) -> (i64, i64) {
    (seconds, nanoseconds.try_into().unwrap_or(0))
}
