//! Identity of a submission: content and owner, nothing of place or time.

use sha2::{Digest, Sha256};

const DOMAIN: &[u8] = b"prism-submission\0";
/// 24 hex digits are 96 bits: no two files meet by accident, and the id fits a folder name.
const ID_DIGITS: usize = 24;

/// The id of a submission: the first 24 hex digits of
/// SHA-256(`"prism-submission\0"`, hotkey, `"\0"`, archive). The hotkey is empty where there is none.
/// The same file dropped twice, under any name, on any machine, has one id.
pub fn submission_id(hotkey: &str, archive: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update(hotkey);
    hasher.update(b"\0");
    hasher.update(archive);
    shortened(hasher)
}

/// The id of a file that is too large to be read: from its name and size, so that it has one
/// folder in the outbox however often it is seen.
pub(super) fn oversized_id(hotkey: &str, name: &str, bytes: u64) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"prism-oversized\0");
    hasher.update(hotkey);
    hasher.update(b"\0");
    hasher.update(bytes.to_le_bytes());
    hasher.update(name);
    shortened(hasher)
}

/// The id of a submission that is refused for whose it is: from what it holds and what was claimed, so that it is not that
/// of the same archive by somebody else. Of either, the digest or the text.
pub fn refused_id(content: &str, claims: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"prism-refused\0");
    hasher.update(content);
    hasher.update(b"\0");
    hasher.update(claims);
    shortened(hasher)
}

fn shortened(hasher: Sha256) -> String {
    let mut digits = format!("{:x}", hasher.finalize());
    digits.truncate(ID_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::{oversized_id, refused_id, submission_id};

    #[test]
    fn ids_are_stable() {
        // echo -ne 'prism-submission\0\0abc' | sha256sum
        assert_eq!(submission_id("", b"abc"), "2c888ea5f1b7e400efbf977d");
        // echo -ne 'prism-submission\x005F\0abc' | sha256sum
        assert_eq!(submission_id("5F", b"abc"), "e0e3d5cf8ee4647ba2a612c2");
    }

    #[test]
    fn oversized_files_differ_by_name_and_size() {
        let id = oversized_id("", "a.zip", 10);
        assert_eq!(id.len(), 24);
        assert_ne!(id, oversized_id("", "a.zip", 11));
        assert_ne!(id, oversized_id("", "b.zip", 10));
        assert_ne!(refused_id("a", b"b"), refused_id("a", b"c"));
    }
}
