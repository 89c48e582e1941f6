//! Our own walk over the records of a zip, before any decoder sees it.
//!
//! A zip says everything twice (local headers and central directory), and readers differ in which
//! they believe. Accepted is only what can be read in one way: the end record ends the file, the
//! central directory lies directly before it, and the entries fill the file from byte 0 to the
//! directory without overlap or gap, each saying the same in both places.
//! Record layouts: PKWARE APPNOTE 6.3.10, sections 4.3.7 to 4.3.16.

use std::collections::HashSet;

use super::end_record::{self, DirectoryPlace};
use super::error::{BundleError, StructureFault as Fault, broken, shown};
use super::{fields, local_headers};

const CENTRAL_SIGNATURE: u32 = 0x0201_4b50;
const CENTRAL_HEADER_BYTES: usize = 46;

/// Bit 0: encrypted; bit 6: strong encryption; bit 13: masked headers.
const ENCRYPTION_FLAGS: u16 = 1 | 1 << 6 | 1 << 13;
/// Bit 3: sizes and CRC-32 follow the data.
pub(super) const DESCRIPTOR_FLAG: u16 = 1 << 3;
/// Bits 1 and 2: deflate effort; bit 11: the name is UTF-8.
const KNOWN_FLAGS: u16 = DESCRIPTOR_FLAG | 1 << 1 | 1 << 2 | 1 << 11;

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

/// One entry, in the order of the central directory. Sizes are claims until the content is read.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub name: &'a [u8],
    pub header_offset: usize,
    pub central_offset: usize,
    pub flags: u16,
    pub method: u16,
    pub crc32: u32,
    pub packed_bytes: usize,
    pub unpacked_bytes: usize,
    pub external_attributes: u32,
}

impl Member<'_> {
    /// Whether the name says that this is a directory.
    pub fn is_directory(&self) -> bool {
        self.name.ends_with(b"/")
    }
}

/// Walks the whole archive.
///
/// # Errors
/// The first inconsistency, with its offset, or [`BundleError::TooManyFiles`] when there are more
/// than `max_entries` entries of any sort.
pub(super) fn walk(archive: &[u8], max_entries: usize) -> Result<Vec<Member<'_>>, BundleError> {
    let place = end_record::find(archive)?;
    if place.entries == 0 && place.end == 0 {
        return Err(BundleError::Empty {
            archive_bytes: archive.len() as u64,
            entries: 0,
        });
    }
    if place.entries > max_entries {
        return Err(BundleError::TooManyFiles {
            what: "entries",
            got: place.entries,
            limit: max_entries,
        });
    }
    let members = central_directory(archive, place)?;
    local_headers::check(archive, place.start, &members)?;
    Ok(members)
}

fn central_directory(
    archive: &[u8],
    place: DirectoryPlace,
) -> Result<Vec<Member<'_>>, BundleError> {
    let mut members = Vec::with_capacity(place.entries);
    let mut names = HashSet::with_capacity(place.entries);
    let mut at = place.start;
    while members.len() < place.entries {
        if at == place.end {
            return Err(broken(
                Fault::CentralDirectoryCount,
                at,
                members.len(),
                place.entries,
            ));
        }
        let (member, next) = central_header(archive, at, place.end)?;
        if !names.insert(member.name) {
            return Err(BundleError::Duplicate {
                name: shown(member.name),
                other: format!("another entry of the same name (byte {at})"),
            });
        }
        members.push(member);
        at = next;
    }
    if at != place.end {
        return Err(broken(
            Fault::CentralDirectoryCount,
            at,
            format!("{} bytes after entry {}", place.end - at, place.entries),
            "the end record",
        ));
    }
    Ok(members)
}

fn central_header(
    archive: &[u8],
    at: usize,
    end: usize,
) -> Result<(Member<'_>, usize), BundleError> {
    let fixed = fields::slice(archive, at, CENTRAL_HEADER_BYTES, end)?;
    fields::expect_signature(fixed, at, CENTRAL_SIGNATURE)?;
    let name_bytes = usize::from(fields::u16_at(fixed, 28));
    let extra_bytes = usize::from(fields::u16_at(fixed, 30));
    let name_at = at + CENTRAL_HEADER_BYTES;
    let name = fields::slice(archive, name_at, name_bytes, end)?;
    let extra_at = name_at + name_bytes;
    let extra = fields::slice(archive, extra_at, extra_bytes, end)?;
    if name.is_empty() {
        return Err(broken(Fault::EmptyName, at, "0 bytes", "a path"));
    }
    let comment_bytes = fields::u16_at(fixed, 32);
    if comment_bytes != 0 {
        let got = format!("{comment_bytes} bytes on {}", shown(name));
        return Err(broken(Fault::EntryComment, at, got, "no comment"));
    }
    let disk = fields::u16_at(fixed, 34);
    if disk != 0 {
        return Err(broken(
            Fault::MultiDisk,
            at,
            format!("disk {disk}"),
            "disk 0",
        ));
    }
    let member = Member {
        name,
        header_offset: fields::u32_at(fixed, 42) as usize,
        central_offset: at,
        flags: fields::u16_at(fixed, 8),
        method: fields::u16_at(fixed, 10),
        crc32: fields::u32_at(fixed, 16),
        packed_bytes: fields::u32_at(fixed, 20) as usize,
        unpacked_bytes: fields::u32_at(fixed, 24) as usize,
        external_attributes: fields::u32_at(fixed, 38),
    };
    check_claims(&member, at)?;
    fields::check_extra(extra, extra_at, name)?;
    Ok((member, extra_at + extra_bytes))
}

fn check_claims(member: &Member<'_>, at: usize) -> Result<(), BundleError> {
    let zip64_marker = u32::MAX as usize;
    if [
        member.header_offset,
        member.packed_bytes,
        member.unpacked_bytes,
    ]
    .contains(&zip64_marker)
    {
        return Err(BundleError::Zip64 {
            offset: at as u64,
            what: "size or offset 0xffffffff in the central directory",
        });
    }
    if member.flags & ENCRYPTION_FLAGS != 0 {
        return Err(BundleError::Encrypted {
            name: shown(member.name),
            offset: at as u64,
            flags: member.flags,
        });
    }
    if member.flags & !KNOWN_FLAGS != 0 {
        let got = format!("{:#06x} on {}", member.flags, shown(member.name));
        let expected = format!("only bits of {KNOWN_FLAGS:#06x}");
        return Err(broken(Fault::Flags, at, got, expected));
    }
    if member.method != STORED && member.method != DEFLATED {
        return Err(BundleError::Method {
            name: shown(member.name),
            offset: at as u64,
            got: member.method,
        });
    }
    if member.method == STORED && member.packed_bytes != member.unpacked_bytes {
        let got = format!(
            "{} packed, {} unpacked",
            member.packed_bytes, member.unpacked_bytes
        );
        return Err(broken(
            Fault::DeclaredSize,
            at,
            got,
            "equal sizes of a stored entry",
        ));
    }
    // Java deflates the nothing inside a directory into two bytes.
    if member.is_directory() && (member.unpacked_bytes != 0 || member.packed_bytes > 2) {
        let got = format!("{} bytes in {}", member.unpacked_bytes, shown(member.name));
        return Err(broken(Fault::DeclaredSize, at, got, "an empty directory"));
    }
    Ok(())
}
