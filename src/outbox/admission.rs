//! How a submission enters the outbox: its folder appears whole, with its archive, the settings that it is examined under
//! and its first status. From then on it needs the inbox no more.

use super::schema::Schema;
use super::status::{self, Status};
use super::{Outbox, OutboxError, atomic, seal};

/// Makes the folder of a new submission with these files (name and content) and its status, which is sealed if it is a
/// verdict already.
///
/// # Errors
/// Those of [`atomic`]; then there is no folder, or there is the whole of it.
pub fn admit(outbox: &Outbox, status: &Status, files: &[(&str, &[u8])]) -> Result<(), OutboxError> {
    let folder = outbox.submission(&status.submission_id);
    if folder.symlink_metadata().is_ok() {
        // Somebody made it, or took the status out of it: what is there stays.
        for (name, content) in files {
            atomic::write_bytes_if_new(&folder.join(name), content)?;
        }
        return status.write(outbox);
    }
    let draft = outbox.arrival(&status.submission_id);
    atomic::remove_folder(&draft)?;
    atomic::create_draft_folder(&draft)?;
    open_to_all(&draft)?;
    for (name, content) in files {
        atomic::write_unseen(&draft.join(name), content)?;
    }
    let path = draft.join(status::FILE);
    let bytes = atomic::json_bytes(&path, Schema::Status, status)?;
    if status.verdict.is_some() {
        let last = (status::FILE, bytes.as_slice());
        seal::seal(outbox, &draft, &status.submission_id, last, &[])?;
    }
    atomic::write_unseen(&path, &bytes)?;
    atomic::sync_folder(&draft)?;
    atomic::publish(&draft, &folder)
}

/// As the folders of an outbox are, whatever the mask of the folder that it is drafted in.
fn open_to_all(folder: &std::path::Path) -> Result<(), OutboxError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
        .map_err(super::at(folder))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::status::{Reason, Verdict};
    use super::*;

    const ID: &str = "0123456789abcdef01234567";

    #[test]
    fn a_folder_appears_with_all_that_a_later_run_needs() {
        let root = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(root.path());
        outbox.create().unwrap();
        // a draft of a process that died
        std::fs::create_dir_all(outbox.arrival(ID).join("left")).unwrap();
        let status = Status::new(ID, "a.zip", Some(&"0".repeat(64)), SystemTime::now());
        admit(&outbox, &status, &[("submission.zip", b"zip")]).unwrap();
        let folder = outbox.submission(ID);
        assert_eq!(
            std::fs::read(folder.join("submission.zip")).unwrap(),
            b"zip"
        );
        assert_eq!(Status::read(&outbox, ID).unwrap(), Some(status));
        assert!(!folder.join("left").exists());
        assert!(!outbox.arrival(ID).exists());
    }

    #[test]
    fn a_verdict_is_sealed_and_a_folder_without_status_is_taken_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(root.path());
        outbox.create().unwrap();
        let mut status = Status::new(ID, "a.zip", None, SystemTime::now());
        let reason = Reason {
            rule_id: "prism:x".into(),
            message: "m".into(),
            hint: "h".into(),
        };
        status.conclude(Verdict::Rejected, Some(reason), SystemTime::now());
        admit(&outbox, &status, &[]).unwrap();
        let folder = outbox.submission(ID);
        assert!(folder.join("digests.json").exists());
        std::fs::remove_file(folder.join("status.json")).unwrap();
        admit(&outbox, &status, &[]).unwrap();
        assert_eq!(Status::read(&outbox, ID).unwrap(), Some(status));
    }
}
