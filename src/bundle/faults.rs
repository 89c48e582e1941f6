//! What can be wrong with the records of an archive and with the names in it.

use std::fmt;

/// What is wrong with the records of a zip archive. The offset in the file, what was found and
/// what was expected stand in [`BundleError::Structure`](super::BundleError::Structure).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructureFault {
    /// The file begins like a zip but no end record closes it.
    Truncated,
    /// Bytes follow the end record.
    TrailingBytes,
    /// Bytes precede the first local header.
    LeadingBytes,
    /// The archive carries a comment that is not a commit id.
    ArchiveComment,
    /// An entry carries a comment.
    EntryComment,
    /// A second end record lies inside the central directory.
    SecondEndRecord,
    /// The archive claims to be one part of several.
    MultiDisk,
    /// The central directory does not lie directly before the end record.
    CentralDirectoryPosition,
    /// The central directory holds more or fewer entries than the end record says.
    CentralDirectoryCount,
    /// A record does not begin with its signature.
    Signature,
    /// An entry has no name.
    EmptyName,
    /// General purpose flags that are not understood.
    Flags,
    /// Extra fields that do not fill their space, or of a kind that changes the entry's meaning.
    ExtraField,
    /// A stored entry whose two sizes differ, or a directory with content.
    DeclaredSize,
    /// A record or its data runs past the space it may take.
    Overrun,
    /// Two entries share bytes of the file.
    Overlap,
    /// Bytes between two entries that belong to neither.
    Gap,
    /// Local header and central directory disagree.
    HeaderMismatch,
    /// The data descriptor is missing, misplaced, or disagrees with the central directory.
    DataDescriptor,
    /// The unpacked content is not what the headers declare (size or CRC-32).
    Content,
    /// The decoder sees other entries than our own walk.
    DecoderDisagrees,
}

impl fmt::Display for StructureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "end of the archive is missing",
            Self::TrailingBytes => "bytes after the end record",
            Self::LeadingBytes => "bytes before the first entry",
            Self::ArchiveComment => "archive comment",
            Self::EntryComment => "entry comment",
            Self::SecondEndRecord => "second end record",
            Self::MultiDisk => "multi-part archive",
            Self::CentralDirectoryPosition => "position of the central directory",
            Self::CentralDirectoryCount => "number of entries in the central directory",
            Self::Signature => "record signature",
            Self::EmptyName => "entry without a name",
            Self::Flags => "general purpose flags",
            Self::ExtraField => "extra field",
            Self::DeclaredSize => "declared size",
            Self::Overrun => "record longer than its space",
            Self::Overlap => "overlapping entries",
            Self::Gap => "bytes that belong to no entry",
            Self::HeaderMismatch => "local header differs from the central directory",
            Self::DataDescriptor => "data descriptor",
            Self::Content => "content differs from its header",
            Self::DecoderDisagrees => "ambiguous directory",
        })
    }
}

/// What is wrong with the name of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// A control character, NUL included.
    ControlCharacter,
    /// A backslash.
    Backslash,
    /// A leading `/`.
    Absolute,
    /// A leading drive letter such as `C:`.
    Drive,
    /// A `..` segment.
    ParentSegment,
    /// An empty segment or a single dot.
    EmptySegment,
    /// A character outside `[A-Za-z0-9._-]`.
    Character,
    /// A segment that begins with a dot.
    Hidden,
    /// A segment that ends with a dot.
    TrailingDot,
    /// A device name of Windows, such as `nul.py`.
    Reserved,
    /// More bytes than allowed.
    TooLong,
    /// More segments than allowed.
    TooDeep,
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlCharacter => "contains a control character",
            Self::Backslash => "contains a backslash",
            Self::Absolute => "is absolute",
            Self::Drive => "begins with a drive letter",
            Self::ParentSegment => "contains a `..` segment",
            Self::EmptySegment => "contains an empty or `.` segment",
            Self::Character => "contains a character outside [A-Za-z0-9._-]",
            Self::Hidden => "contains a segment that begins with a dot",
            Self::TrailingDot => "contains a segment that ends with a dot",
            Self::Reserved => "contains a reserved device name",
            Self::TooLong => "is too long",
            Self::TooDeep => "has too many segments",
        })
    }
}
