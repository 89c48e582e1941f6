//! One pipeline per outbox: an advisory lock that the kernel frees when its holder dies. The file says who holds it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::status::rfc3339;
use super::{Outbox, OutboxError, at};
use crate::sandbox::process::ProcessIdentity;

const MAX_HOLDER_BYTES: u64 = 4_096;

/// Who took the lock last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    pub host: String,
    #[serde(flatten)]
    pub process: ProcessIdentity,
    /// RFC 3339.
    pub since: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            host,
            process,
            since,
        } = self;
        write!(f, "process {} on {host}, since {since}", process.pid)
    }
}

/// Held as long as this lives.
#[derive(Debug)]
pub struct OutboxLock {
    file: File,
}

impl Drop for OutboxLock {
    fn drop(&mut self) {
        // What a process that dies leaves there is known by its process.
        let _ = self.file.set_len(0);
    }
}

/// Takes the lock or says who else holds it.
pub fn acquire(outbox: &Outbox) -> Result<OutboxLock, OutboxError> {
    let path = outbox.root.join(".lock");
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(at(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(OutboxError::Busy {
                outbox: outbox.root.clone(),
                holder: read(&mut file).map_or_else(String::new, |holder| format!(": {holder}")),
            });
        }
        Err(error) => {
            return Err(OutboxError::Io {
                path,
                source: error.into(),
            });
        }
    }
    // Who it is helps people and `prism queue`; on a full disk the lock holds without it.
    if let Some(process) = ProcessIdentity::own() {
        let holder = Holder {
            host: host_name(),
            process,
            since: rfc3339(SystemTime::now()),
        };
        let text = serde_json::to_vec(&holder).unwrap_or_default();
        let _ = file.set_len(0).and_then(|()| file.write_all(&text));
    }
    Ok(OutboxLock { file })
}

/// Who holds the lock at this moment; nobody when it is free. The lock itself is not touched: who asks is in nobody's way.
///
/// # Errors
/// A lock file that cannot be opened.
pub fn holder(outbox: &Outbox) -> Result<Option<Holder>, OutboxError> {
    let path = outbox.root.join(".lock");
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    Ok(read(&mut file).filter(|holder| holder.process.is_alive()))
}

/// The name of this machine.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "an unnamed host".to_owned(),
        name => name.to_owned(),
    }
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = Vec::new();
    file.rewind().ok()?;
    file.take(MAX_HOLDER_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_says_who_holds_it_and_is_free_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(root.path());
        assert_eq!(holder(&outbox).unwrap(), None);
        let lock = acquire(&outbox).unwrap();
        let found = holder(&outbox).unwrap().unwrap();
        assert_eq!(Some(&found.process), ProcessIdentity::own().as_ref());
        let busy = acquire(&outbox).unwrap_err().to_string();
        assert!(busy.contains(&found.to_string()), "{busy}");
        drop(lock);
        assert_eq!(holder(&outbox).unwrap(), None);
        drop(acquire(&outbox).unwrap());
    }
}
