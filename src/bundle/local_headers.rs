//! The local headers: one before the data of each entry, saying again what the directory says.
//! Record layouts: PKWARE APPNOTE 6.3.10, sections 4.3.7 and 4.3.9.

use super::error::{BundleError, StructureFault as Fault, broken, shown};
use super::fields;
use super::structure::{DESCRIPTOR_FLAG, Member};

const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
const DESCRIPTOR_SIGNATURE: u32 = 0x0807_4b50;
pub(super) const LOCAL_HEADER_BYTES: usize = 30;

/// Checks that the entries fill `0..directory_start` exactly, in whatever order the directory
/// lists them.
pub(super) fn check(
    archive: &[u8],
    directory_start: usize,
    members: &[Member<'_>],
) -> Result<(), BundleError> {
    let mut by_offset: Vec<&Member<'_>> = members.iter().collect();
    by_offset.sort_by_key(|member| member.header_offset);
    let mut filled = 0;
    for (position, member) in by_offset.iter().enumerate() {
        let start = member.header_offset;
        if start != filled {
            return Err(misplaced(member, position, filled));
        }
        let next = by_offset
            .get(position + 1)
            .map_or(directory_start, |following| following.header_offset);
        let data_end = local_header(archive, member, directory_start)?;
        filled = if member.flags & DESCRIPTOR_FLAG == 0 {
            data_end
        } else {
            data_descriptor(archive, member, data_end, next)?
        };
    }
    if filled != directory_start {
        let fault = if members.is_empty() {
            Fault::LeadingBytes
        } else {
            Fault::Gap
        };
        let got = format!(
            "{} bytes before the central directory",
            directory_start - filled
        );
        return Err(broken(fault, filled, got, "none"));
    }
    Ok(())
}

fn misplaced(member: &Member<'_>, position: usize, filled: usize) -> BundleError {
    let fault = match (position, member.header_offset < filled) {
        (0, _) => Fault::LeadingBytes,
        (_, true) => Fault::Overlap,
        (_, false) => Fault::Gap,
    };
    let got = format!("byte {} for {}", member.header_offset, shown(member.name));
    broken(fault, member.header_offset, got, format!("byte {filled}"))
}

/// Compares a local header with its entry in the directory; returns where its data ends.
fn local_header(
    archive: &[u8],
    member: &Member<'_>,
    directory_start: usize,
) -> Result<usize, BundleError> {
    let at = member.header_offset;
    let fixed = fields::slice(archive, at, LOCAL_HEADER_BYTES, directory_start)?;
    fields::expect_signature(fixed, at, LOCAL_SIGNATURE)?;
    let name_bytes = usize::from(fields::u16_at(fixed, 26));
    let extra_bytes = usize::from(fields::u16_at(fixed, 28));
    let name_at = at + LOCAL_HEADER_BYTES;
    let name = fields::slice(archive, name_at, name_bytes, directory_start)?;
    let extra_at = name_at + name_bytes;
    let extra = fields::slice(archive, extra_at, extra_bytes, directory_start)?;
    if name != member.name {
        return Err(broken(
            Fault::HeaderMismatch,
            at,
            shown(name),
            shown(member.name),
        ));
    }
    fields::check_extra(extra, extra_at, name)?;
    let differs = |what: &str, got: u32, expected: u32| {
        let (got, expected) = (format!("{what} {got}"), format!("{what} {expected}"));
        Err(broken(Fault::HeaderMismatch, at, got, expected))
    };
    let flags = fields::u16_at(fixed, 6);
    if flags != member.flags {
        return differs("flags", flags.into(), member.flags.into());
    }
    let method = fields::u16_at(fixed, 8);
    if method != member.method {
        return differs("method", method.into(), member.method.into());
    }
    let deferred = flags & DESCRIPTOR_FLAG != 0;
    for (what, offset, expected) in claims(member, 14) {
        let got = fields::u32_at(fixed, offset);
        if got != expected && !(deferred && got == 0) {
            return differs(what, got, expected);
        }
    }
    let data_at = extra_at + extra_bytes;
    fields::slice(archive, data_at, member.packed_bytes, directory_start)?;
    Ok(data_at + member.packed_bytes)
}

/// CRC-32 and sizes of an entry, where they stand in a record when the CRC-32 stands at `first`.
fn claims(member: &Member<'_>, first: usize) -> [(&'static str, usize, u32); 3] {
    [
        ("CRC-32", first, member.crc32),
        ("packed size", first + 4, member.packed_bytes as u32),
        ("unpacked size", first + 8, member.unpacked_bytes as u32),
    ]
}

/// Checks the descriptor between the data and the next record; returns its end. With or without
/// the optional signature: the space up to the next record tells which.
fn data_descriptor(
    archive: &[u8],
    member: &Member<'_>,
    data_end: usize,
    next: usize,
) -> Result<usize, BundleError> {
    let space = next.saturating_sub(data_end);
    let first = match space {
        16 => 4,
        12 => 0,
        _ => {
            let got = format!("{space} bytes after {}", shown(member.name));
            return Err(broken(
                Fault::DataDescriptor,
                data_end,
                got,
                "12 or 16 bytes",
            ));
        }
    };
    let record = fields::slice(archive, data_end, space, next)?;
    if first == 4 {
        fields::expect_signature(record, data_end, DESCRIPTOR_SIGNATURE)?;
    }
    for (what, offset, expected) in claims(member, first) {
        let got = fields::u32_at(record, offset);
        if got != expected {
            let (got, expected) = (format!("{what} {got}"), format!("{what} {expected}"));
            return Err(broken(Fault::DataDescriptor, data_end, got, expected));
        }
    }
    Ok(next)
}
