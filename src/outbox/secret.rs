//! The operator's secret: 32 random bytes that decide when runs are probed and, if so configured, in which order they read. It never leaves the outbox;
//! a run's own key is derived from it and published in the run's manifest when the run is over.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;

use sha2::{Digest, Sha256};

use super::fault::{self, Step};
use super::{Outbox, OutboxError, at};
use crate::redacted::Secret;

/// The key of one run: sha256 over the operator's secret, the submission's id and the number of the attempt (a published
/// or observed schedule says nothing about the next).
pub fn run_key(
    outbox: &Outbox,
    submission_id: &str,
    attempt: u32,
) -> Result<[u8; 32], OutboxError> {
    let secret = operator_secret(outbox)?;
    let mut hash = Sha256::new();
    hash.update(b"prism-run-key\0");
    hash.update(secret.reveal());
    hash.update(submission_id.as_bytes());
    hash.update(attempt.to_le_bytes());
    Ok(hash.finalize().into())
}

/// The key of a run's order: the same for every attempt, since the streams are to be the same.
pub fn order_key(outbox: &Outbox, submission_id: &str) -> Result<[u8; 32], OutboxError> {
    let mut hash = Sha256::new();
    hash.update(b"prism-order-key\0");
    hash.update(operator_secret(outbox)?.reveal());
    hash.update(submission_id.as_bytes());
    Ok(hash.finalize().into())
}

fn operator_secret(outbox: &Outbox) -> Result<Secret<[u8; 32]>, OutboxError> {
    let path = outbox.root.join(".secret");
    match fs::read(&path) {
        Ok(bytes) => {
            bytes
                .try_into()
                .map(Secret::new)
                .map_err(|bytes: Vec<u8>| OutboxError::Unreadable {
                    path: path.clone(),
                    reason: format!("got {} bytes, expected 32", bytes.len()),
                })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut secret = [0; 32];
            let source = fs::File::open("/dev/urandom");
            source
                .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut secret))
                .map_err(at("/dev/urandom"))?;
            let draft = outbox.root.join(".secret.tmp");
            fault::step(Step::Create, &draft).map_err(at(&draft))?;
            let mut file = fs::File::options()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&draft)
                .map_err(at(&draft))?;
            fault::write(&mut file, &secret, &draft).map_err(at(&draft))?;
            super::atomic::sync_file(&draft)?;
            super::atomic::publish(&draft, &path)?;
            Ok(Secret::new(secret))
        }
        Err(source) => Err(OutboxError::Io { path, source }),
    }
}
