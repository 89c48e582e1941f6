//! Which names in an inbox are submissions, which are temporary, which are neither.

/// What a name says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    /// Ends with `.zip`, in any letter case.
    Zip,
    /// Ends with `.py`: a submission of one file.
    Source,
    /// Hidden, or written by a copying tool that will rename it when it is complete.
    Temporary,
    /// Anything else.
    Other,
}

/// Endings of unfinished files: editors and browsers, sftp clients, wget, rclone.
const TEMPORARY_SUFFIXES: [&str; 6] =
    [".tmp", ".part", ".partial", ".filepart", ".crdownload", "~"];

/// Judges a file name. Names that begin with a dot include rsync's `.name.zip.XXXXXX`,
/// `.rsync-partial` and `.~tmp~`.
pub(super) fn kind(name: &str) -> NameKind {
    let lower = name.to_ascii_lowercase();
    let is_temporary = lower.starts_with('.')
        || TEMPORARY_SUFFIXES
            .iter()
            .any(|suffix| lower.ends_with(suffix))
        || has_random_suffix(&lower);
    if is_temporary {
        NameKind::Temporary
    } else if lower.ends_with(".zip") {
        NameKind::Zip
    } else if lower.ends_with(".py") {
        NameKind::Source
    } else {
        NameKind::Other
    }
}

/// `name.zip.1a2B3c4D`: how the AWS tools name a download until it is complete.
fn has_random_suffix(lower: &str) -> bool {
    lower.rsplit_once('.').is_some_and(|(stem, random)| {
        (stem.ends_with(".zip") || stem.ends_with(".py"))
            && (6..=8).contains(&random.len())
            && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::{NameKind, kind};

    #[test]
    fn names() {
        let cases = [
            ("a.zip", NameKind::Zip),
            ("A.ZIP", NameKind::Zip),
            ("a b.zip", NameKind::Zip),
            ("a.tar.zip", NameKind::Zip),
            ("a.zip.zip", NameKind::Zip),
            ("a.py", NameKind::Source),
            ("A.PY", NameKind::Source),
            ("a.py.part", NameKind::Temporary),
            ("a.py.6eF6a0b1", NameKind::Temporary),
            ("a.pyc", NameKind::Other),
            (".a.zip", NameKind::Temporary),
            (".a.zip.X1y2Z3", NameKind::Temporary),
            (".~tmp~", NameKind::Temporary),
            (".rsync-partial", NameKind::Temporary),
            ("a.zip.tmp", NameKind::Temporary),
            ("a.zip.part", NameKind::Temporary),
            ("a.zip.partial", NameKind::Temporary),
            ("a.zip.filepart", NameKind::Temporary),
            ("Unconfirmed 12.crdownload", NameKind::Temporary),
            ("a.zip~", NameKind::Temporary),
            ("a.zip.s3cmd.4f2a.tmp", NameKind::Temporary),
            ("a.zip.6eF6a0b1", NameKind::Temporary),
            ("a.zip.aB12cd", NameKind::Temporary),
            ("a.zip.sha256", NameKind::Other),
            ("a.zip.json", NameKind::Other),
            ("a.zip.ready", NameKind::Other),
            ("notes.txt", NameKind::Other),
            ("zip", NameKind::Other),
            ("", NameKind::Other),
        ];
        for (name, expected) in cases {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
