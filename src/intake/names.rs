//! Which names in an inbox are submissions, which belong to one, which are temporary, which are neither.

use crate::identity::SIDECAR_SUFFIX;

/// What a name says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    /// Ends with `.zip`, in any letter case.
    Zip,
    /// Ends with `.py`: a submission of one file.
    Source,
    /// Ends with `.meta.json`: says who submits the file or folder that it is named after.
    Sidecar,
    /// Ends with `.json`: perhaps an envelope.
    Envelope,
    /// Ends with `.ready`, or with `.sha256`.
    Sentinel,
    /// Hidden, or written by a copying tool that will rename it when it is complete.
    Temporary,
    /// Anything else.
    Other,
}

/// Endings of unfinished files: editors and browsers, sftp clients, wget, rclone, s3cmd.
const TEMPORARY_SUFFIXES: [&str; 9] = [
    ".tmp",
    ".temp",
    ".part",
    ".partial",
    ".filepart",
    ".crdownload",
    ".swp",
    ".swx",
    "~",
];
/// Folders in which rsync keeps what is not complete, where they are not named with a dot.
const TEMPORARY_FOLDERS: [&str; 2] = ["rsync-partial", "~tmp~"];

/// Judges a file name. Names that begin with a dot include rsync's `.name.zip.XXXXXX`,
/// `.rsync-partial` and `.~tmp~`.
pub(super) fn kind(name: &str) -> NameKind {
    let lower = name.to_ascii_lowercase();
    let is_temporary = lower.starts_with('.')
        || TEMPORARY_SUFFIXES
            .iter()
            .any(|suffix| lower.ends_with(suffix))
        || TEMPORARY_FOLDERS.contains(&&*lower)
        || has_random_suffix(&lower);
    if is_temporary {
        NameKind::Temporary
    } else if lower.ends_with(".zip") {
        NameKind::Zip
    } else if lower.ends_with(".py") {
        NameKind::Source
    } else if lower.ends_with(SIDECAR_SUFFIX) {
        NameKind::Sidecar
    } else if lower.ends_with(".json") {
        NameKind::Envelope
    } else if lower.ends_with(".ready") || lower.ends_with(".sha256") {
        NameKind::Sentinel
    } else {
        NameKind::Other
    }
}

/// `name.zip.1a2B3c4D`: how the AWS tools name a download until it is complete; and `name.zip.1a2b3c4d.partial`, how
/// rclone does, ends with `.partial` anyway.
fn has_random_suffix(lower: &str) -> bool {
    lower.rsplit_once('.').is_some_and(|(stem, random)| {
        let mut ours = [".zip", ".py", ".json"].iter();
        ours.any(|suffix| stem.ends_with(suffix))
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
            // scp, cp, rsync --inplace and s3cmd write under the final name: those are settled by time
            ("a.zip.sha256", NameKind::Sentinel),
            ("a.zip.json", NameKind::Envelope),
            ("a.json", NameKind::Envelope),
            ("a.zip.meta.json", NameKind::Sidecar),
            (".meta.json", NameKind::Temporary),
            ("a.zip.ready", NameKind::Sentinel),
            // rsync: temporary names of any ending, --partial-dir with and without a dot, --delay-updates
            (".a.zip.meta.json.Ab3dE6", NameKind::Temporary),
            ("rsync-partial", NameKind::Temporary),
            (".~tmp~", NameKind::Temporary),
            // rclone, since 1.64 with a hash before it
            ("a.zip.1a2b3c4d.partial", NameKind::Temporary),
            // aws s3 sync and cp
            ("a.zip.meta.json.1a2B3c4D", NameKind::Temporary),
            ("a.json.6eF6a0b1", NameKind::Temporary),
            // editors: vim, emacs, nano, kate, gedit
            (".a.py.swp", NameKind::Temporary),
            ("a.py.swp", NameKind::Temporary),
            ("a.py~", NameKind::Temporary),
            (".#a.py", NameKind::Temporary),
            ("#a.py#", NameKind::Other),
            (".goutputstream-ABCD12", NameKind::Temporary),
            // sftp clients, browsers, Windows' Office locks
            ("a.zip.filepart", NameKind::Temporary),
            ("a.zip.temp", NameKind::Temporary),
            ("notes.txt", NameKind::Other),
            ("zip", NameKind::Other),
            ("", NameKind::Other),
        ];
        for (name, expected) in cases {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
