//! A zip writer that writes whatever it is told.

use std::io::{Cursor, Write};

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// One entry as it will be written. Start from [`RawEntry::stored`] and change what the test is about.
#[derive(Debug, Clone)]
pub struct RawEntry {
    pub name: Vec<u8>,
    /// Name in the local header, if another.
    pub local_name: Option<Vec<u8>>,
    pub packed: Vec<u8>,
    pub unpacked_bytes: u32,
    pub crc32: u32,
    pub method: u16,
    pub flags: u16,
    pub external_attributes: u32,
    pub local_extra: Vec<u8>,
    pub central_extra: Vec<u8>,
    pub comment: Vec<u8>,
    /// Bytes between the data and the next record.
    pub descriptor: Vec<u8>,
    /// Whether sizes and CRC-32 in the local header are 0, as streaming writers leave them.
    pub deferred: bool,
}

impl RawEntry {
    pub fn stored(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            local_name: None,
            packed: content.to_vec(),
            unpacked_bytes: content.len() as u32,
            crc32: crc32(content),
            method: 0,
            flags: 0,
            external_attributes: 0o100_644 << 16,
            local_extra: Vec::new(),
            central_extra: Vec::new(),
            comment: Vec::new(),
            descriptor: Vec::new(),
            deferred: false,
        }
    }

    /// As a streaming writer writes it: bit 3 and a descriptor, with or without signature.
    pub fn streamed(name: &str, content: &[u8], signature: bool) -> Self {
        let mut entry = Self::stored(name, content);
        entry.flags = 1 << 3;
        entry.deferred = true;
        if signature {
            entry.descriptor.extend(b"PK\x07\x08");
        }
        for field in [entry.crc32, content.len() as u32, content.len() as u32] {
            entry.descriptor.extend(field.to_le_bytes());
        }
        entry
    }

    /// Sizes, CRC-32 and the like, common to both headers.
    fn common(&self, deferred: bool) -> Vec<u8> {
        let claims = [self.crc32, self.packed.len() as u32, self.unpacked_bytes];
        let mut bytes = Vec::new();
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        bytes.extend([0, 0, 0x21, 0]); // 1980-01-01 00:00
        for claim in claims {
            bytes.extend(if deferred { 0 } else { claim }.to_le_bytes());
        }
        bytes
    }
}

/// An archive before it is written.
#[derive(Debug, Clone, Default)]
pub struct RawZip {
    pub entries: Vec<RawEntry>,
    pub comment: Vec<u8>,
}

/// A written archive, and where its records begin.
#[derive(Debug, Clone)]
pub struct Written {
    pub bytes: Vec<u8>,
    pub local: Vec<usize>,
    pub central: Vec<usize>,
    pub end: usize,
}

impl RawZip {
    pub fn of(files: &[(&str, &[u8])]) -> Self {
        let mut zip = Self::default();
        for (name, content) in files {
            zip.add(name, content);
        }
        zip
    }

    pub fn add(&mut self, name: &str, content: &[u8]) {
        self.entries.push(RawEntry::stored(name, content));
    }

    pub fn build(&self) -> Vec<u8> {
        self.write().bytes
    }

    pub fn write(&self) -> Written {
        let mut bytes = Vec::new();
        let (mut local, mut central) = (Vec::new(), Vec::new());
        for entry in &self.entries {
            local.push(bytes.len());
            let name = entry.local_name.as_ref().unwrap_or(&entry.name);
            bytes.extend(b"PK\x03\x04\x14\x00");
            bytes.extend(entry.common(entry.deferred));
            bytes.extend((name.len() as u16).to_le_bytes());
            bytes.extend((entry.local_extra.len() as u16).to_le_bytes());
            for part in [name, &entry.local_extra, &entry.packed, &entry.descriptor] {
                bytes.extend(part);
            }
        }
        let start = bytes.len();
        for (entry, header_offset) in self.entries.iter().zip(&local) {
            central.push(bytes.len());
            bytes.extend(b"PK\x01\x02\x14\x03\x14\x00");
            bytes.extend(entry.common(false));
            for part in [&entry.name, &entry.central_extra, &entry.comment] {
                bytes.extend((part.len() as u16).to_le_bytes());
            }
            bytes.extend([0; 4]); // disk, internal attributes
            bytes.extend(entry.external_attributes.to_le_bytes());
            bytes.extend((*header_offset as u32).to_le_bytes());
            for part in [&entry.name, &entry.central_extra, &entry.comment] {
                bytes.extend(part);
            }
        }
        let end = bytes.len();
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        for _ in 0..2 {
            bytes.extend((self.entries.len() as u16).to_le_bytes());
        }
        bytes.extend(((end - start) as u32).to_le_bytes());
        bytes.extend((start as u32).to_le_bytes());
        bytes.extend((self.comment.len() as u16).to_le_bytes());
        bytes.extend(&self.comment);
        Written {
            bytes,
            local,
            central,
            end,
        }
    }
}

impl Written {
    /// The bytes with `value` written at `at`.
    pub fn patched(&self, at: usize, value: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    }
}

/// An archive as zip-rs writes it, deflated.
pub fn deflated(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in files {
        writer.start_file(*name, options).expect("a name");
        writer.write_all(content).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

/// CRC-32 (ISO 3309), bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
