//! One pipeline per outbox: an advisory lock that the kernel frees when its holder dies.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use super::{Outbox, OutboxError, at};

/// Held as long as this lives.
#[derive(Debug)]
pub struct OutboxLock {
    _file: File,
}

/// Takes the lock or says that somebody else holds it.
pub fn acquire(outbox: &Outbox) -> Result<OutboxLock, OutboxError> {
    let path = outbox.root.join(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(at(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(OutboxLock { _file: file }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OutboxError::Busy {
            outbox: outbox.root.clone(),
        }),
        Err(error) => Err(OutboxError::Io {
            path,
            source: error.into(),
        }),
    }
}
