//! Fixed-width fields, signatures and extra fields of zip records.

use super::error::{BundleError, StructureFault as Fault, broken, shown};

const ZIP64_EXTRA: u16 = 0x0001;

/// Extra fields that would give an entry a second name, another size or a cipher:
/// strong encryption, Info-ZIP Unicode comment and path, WinZip AES.
const REFUSED_EXTRA: [(u16, &str); 4] = [
    (0x0017, "strong encryption (0x0017)"),
    (0x6375, "Unicode comment (0x6375)"),
    (0x7075, "Unicode path (0x7075)"),
    (0x9901, "AES encryption (0x9901)"),
];

/// Little-endian 16 bits at `at`; the caller has taken a slice that is long enough, and 0 stands
/// for what is not there.
pub(super) fn u16_at(record: &[u8], at: usize) -> u16 {
    match record.get(at..at + 2) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]),
        _ => 0,
    }
}

/// Little-endian 32 bits at `at`, as [`u16_at`].
pub(super) fn u32_at(record: &[u8], at: usize) -> u32 {
    match record.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// `bytes` bytes from `at`, all before `end`.
pub(super) fn slice(
    archive: &[u8],
    at: usize,
    bytes: usize,
    end: usize,
) -> Result<&[u8], BundleError> {
    let room = end.min(archive.len()).saturating_sub(at);
    if bytes > room {
        let got = format!("{room} bytes left");
        return Err(broken(Fault::Overrun, at, got, format!("{bytes} bytes")));
    }
    archive
        .get(at..at + bytes)
        .ok_or_else(|| broken(Fault::Overrun, at, "0 bytes left", format!("{bytes} bytes")))
}

/// Checks the first four bytes of a record that was found at `at`.
pub(super) fn expect_signature(record: &[u8], at: usize, expected: u32) -> Result<(), BundleError> {
    let got = u32_at(record, 0);
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (format!("{got:#010x}"), format!("{expected:#010x}"));
    Err(broken(Fault::Signature, at, got, expected))
}

/// Checks that the extra fields fill their space and that none changes the entry's meaning.
pub(super) fn check_extra(extra: &[u8], at: usize, name: &[u8]) -> Result<(), BundleError> {
    let mut used = 0;
    while used < extra.len() {
        let left = extra.len() - used;
        let field_bytes = 4 + usize::from(u16_at(extra, used + 2));
        if left < 4 || field_bytes > left {
            let got = format!("{left} bytes left on {}", shown(name));
            return Err(broken(Fault::ExtraField, at + used, got, "whole fields"));
        }
        let id = u16_at(extra, used);
        if id == ZIP64_EXTRA {
            return Err(BundleError::Zip64 {
                offset: (at + used) as u64,
                what: "extra field 0x0001",
            });
        }
        if let Some((_, what)) = REFUSED_EXTRA.iter().find(|(refused, _)| *refused == id) {
            let got = format!("{what} on {}", shown(name));
            return Err(broken(Fault::ExtraField, at + used, got, "no such field"));
        }
        used += field_bytes;
    }
    Ok(())
}
