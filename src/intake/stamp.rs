//! What tells one state of a file from another, and kinds of files by name.

use std::fs::{FileType, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::{Duration, SystemTime};

/// A state of a file: if nothing of this changed, the content did not either, as far as a file
/// system tells. The change time catches writers that set the modification time back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Size in bytes.
    pub bytes: u64,
    /// Last change of the content.
    pub modified_at: SystemTime,
    changed: (i64, i64),
    file: (u64, u64),
    /// Of a folder: a digest of the states of everything in it.
    tree: [u8; 16],
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified_at: modification_time(metadata),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            file: (metadata.dev(), metadata.ino()),
            tree: [0; 16],
        }
    }

    pub(super) fn of_folder(
        bytes: u64,
        modified_at: SystemTime,
        changed: (i64, i64),
        file: (u64, u64),
        tree: [u8; 16],
    ) -> Self {
        Self {
            bytes,
            modified_at,
            changed,
            file,
            tree,
        }
    }

    /// When the file came to lie here, as far as the file system tells: seconds and nanoseconds. A copy that keeps the
    /// modification time does not keep this.
    pub fn arrived(&self) -> (i64, i64) {
        self.changed
    }

    /// The same as a time, by the clock of the file system.
    pub fn arrived_at(&self) -> SystemTime {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        let nanoseconds = u32::try_from(self.changed.1).unwrap_or(0);
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::new(seconds, nanoseconds.min(999_999_999)))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// The modification time; times before 1970 and beyond the clock's range become 1970.
fn modification_time(metadata: &Metadata) -> SystemTime {
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::new(seconds, nanoseconds.min(999_999_999)))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What a file that is not regular is called.
pub(super) fn kind_of(file_type: FileType) -> &'static str {
    if file_type.is_symlink() {
        "symbolic link"
    } else if file_type.is_dir() {
        "directory"
    } else if file_type.is_fifo() {
        "named pipe"
    } else if file_type.is_socket() {
        "socket"
    } else if file_type.is_char_device() || file_type.is_block_device() {
        "device"
    } else {
        "regular file"
    }
}
