//! Digests of the stream files of a run.
//!
//! A parquet decoder trusts the lengths that a file states; a flipped bit can make it ask for more memory than there is,
//! which ends the process. So a recorded run's streams are compared with the digests in its manifest before they are
//! decoded.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::ScoreError;
use super::streams::{HELDOUT_FILE, ONLINE_FILE};

/// sha256 of the stream files, lower-case hexadecimal.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct StreamDigests {
    pub online_sha256: String,
    /// None for a run without held-out passes.
    pub heldout_sha256: Option<String>,
}

impl StreamDigests {
    /// Digests of the streams in a run folder.
    ///
    /// # Errors
    /// [`ScoreError::Io`] for a stream that cannot be read; an absent held-out stream is none.
    pub fn of(folder: &Path) -> Result<Self, ScoreError> {
        let heldout = folder.join(HELDOUT_FILE);
        Ok(Self {
            online_sha256: sha256(&folder.join(ONLINE_FILE))?,
            heldout_sha256: if heldout.exists() {
                Some(sha256(&heldout)?)
            } else {
                None
            },
        })
    }

    /// Compares the streams in `folder` with these digests.
    ///
    /// # Errors
    /// [`ScoreError::BadStream`] for a stream that is not the recorded one, and those of [`Self::of`].
    pub fn check(&self, folder: &Path) -> Result<(), ScoreError> {
        let found = Self::of(folder)?;
        let recorded = [Some(&self.online_sha256), self.heldout_sha256.as_ref()];
        let files = [ONLINE_FILE, HELDOUT_FILE];
        for ((name, recorded), found) in files
            .into_iter()
            .zip(recorded)
            .zip([Some(&found.online_sha256), found.heldout_sha256.as_ref()])
        {
            if recorded != found {
                let show = |digest: Option<&String>| {
                    digest.map_or("absent".to_owned(), |digest| format!("sha256 {digest:.64}"))
                };
                let what = format!(
                    "it is {}, the manifest records {}",
                    show(found),
                    show(recorded)
                );
                return Err(ScoreError::BadStream {
                    path: folder.join(name),
                    what,
                });
            }
        }
        Ok(())
    }
}

fn sha256(path: &Path) -> Result<String, ScoreError> {
    let io = |source| ScoreError::Io {
        action: "read",
        path: path.to_path_buf(),
        source,
    };
    let mut file = File::open(path).map_err(io)?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).map_err(io)? {
            0 => break,
            length => digest.update(&piece[..length]),
        }
    }
    Ok(digest
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // writing to a text cannot fail
            let _ = write!(text, "{byte:02x}");
            text
        }))
}

#[cfg(test)]
mod tests {
    use super::super::run_fixture::write_run;
    use super::*;

    #[test]
    fn every_flipped_bit_is_found() {
        let folder = tempfile::tempdir().unwrap();
        write_run(folder.path());
        let digests = StreamDigests::of(folder.path()).unwrap();
        digests.check(folder.path()).unwrap();
        for name in [ONLINE_FILE, HELDOUT_FILE] {
            let path = folder.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            for at in (0..whole.len()).step_by(7) {
                let mut damaged = whole.clone();
                damaged[at] ^= 1;
                std::fs::write(&path, &damaged).unwrap();
                assert!(
                    matches!(
                        digests.check(folder.path()),
                        Err(ScoreError::BadStream { .. })
                    ),
                    "{name} at {at}"
                );
            }
            std::fs::write(&path, &whole).unwrap();
        }
    }

    #[test]
    fn streams_that_come_or_go_are_found() {
        let folder = tempfile::tempdir().unwrap();
        write_run(folder.path());
        let digests = StreamDigests::of(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join(HELDOUT_FILE)).unwrap();
        assert!(
            digests
                .check(folder.path())
                .unwrap_err()
                .to_string()
                .contains("it is absent")
        );
        let without = StreamDigests::of(folder.path()).unwrap();
        assert_eq!(without.heldout_sha256, None);
        write_run(folder.path());
        assert!(
            without
                .check(folder.path())
                .unwrap_err()
                .to_string()
                .contains("records absent")
        );
        std::fs::remove_file(folder.path().join(ONLINE_FILE)).unwrap();
        assert!(matches!(
            digests.check(folder.path()),
            Err(ScoreError::Io { .. })
        ));
    }

    #[test]
    fn the_digest_is_sha256() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(
            sha256(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
