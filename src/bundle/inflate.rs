//! Unpacking into memory, one member at a time, counting what really comes out.

use std::io::{Cursor, Read};

use crc32fast::Hasher;
use flate2::bufread::DeflateDecoder;

use super::error::{BundleError, StructureFault as Fault, broken, shown};
use super::fields;
use super::local_headers::LOCAL_HEADER_BYTES;
use super::structure::{DEFLATED, Member};

const CHUNK_BYTES: usize = 16 * 1024;

/// How much may come out of one archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    pub archive_bytes: u64,
    pub limit_bytes: u64,
}

impl Allowance {
    /// Above this ratio of unpacked to archive bytes, content over the limit is called a bomb.
    /// The Python package index draws its line at 50 as well; deflate itself ends at 1032.
    const BOMB_RATIO: u64 = 50;

    /// Refuses `unpacked_bytes` in all, claimed or counted.
    ///
    /// # Errors
    /// [`BundleError::Bomb`] or [`BundleError::ContentTooLarge`] above the limit.
    pub fn check(self, unpacked_bytes: u64) -> Result<(), BundleError> {
        if unpacked_bytes <= self.limit_bytes {
            return Ok(());
        }
        if unpacked_bytes > self.archive_bytes.saturating_mul(Self::BOMB_RATIO) {
            return Err(BundleError::Bomb {
                archive_bytes: self.archive_bytes,
                unpacked_bytes,
                limit_bytes: self.limit_bytes,
            });
        }
        Err(BundleError::ContentTooLarge {
            what: "unpacked content",
            got_bytes: unpacked_bytes,
            limit_bytes: self.limit_bytes,
        })
    }
}

/// Reads members of an archive whose structure has been checked.
pub(super) struct Unpacker<'a> {
    archive: &'a [u8],
    decoder: zip::ZipArchive<Cursor<&'a [u8]>>,
    /// Its window serves one member after the other.
    inflater: Option<DeflateDecoder<&'a [u8]>>,
    chunk: Vec<u8>,
    allowance: Allowance,
    unpacked_bytes: u64,
}

impl<'a> Unpacker<'a> {
    /// Opens the archive with the decoder and compares its view with ours.
    pub fn new(
        archive: &'a [u8],
        members: &[Member<'_>],
        allowance: Allowance,
    ) -> Result<Self, BundleError> {
        let decoder = zip::ZipArchive::new(Cursor::new(archive))
            .map_err(|error| broken(Fault::DecoderDisagrees, 0, error, "a readable directory"))?;
        if decoder.len() != members.len() || decoder.offset() != 0 {
            let got = format!("{} entries from byte {}", decoder.len(), decoder.offset());
            let expected = format!("{} entries from byte 0", members.len());
            return Err(broken(Fault::DecoderDisagrees, 0, got, expected));
        }
        Ok(Self {
            archive,
            decoder,
            inflater: None,
            chunk: vec![0; CHUNK_BYTES],
            allowance,
            unpacked_bytes: 0,
        })
    }

    /// Unpacks the member at `index` of the central directory.
    ///
    /// # Errors
    /// Too much content in all, or content that is not what the headers declare.
    pub fn unpack(&mut self, index: usize, member: &Member<'_>) -> Result<Vec<u8>, BundleError> {
        let at = member.header_offset;
        let source = self
            .decoder
            .by_index_raw(index)
            .map_err(|error| broken(Fault::DecoderDisagrees, at, error, shown(member.name)))?;
        if source.name_raw() != member.name || source.header_start() != at as u64 {
            let got = format!(
                "{} at byte {}",
                shown(source.name_raw()),
                source.header_start()
            );
            return Err(broken(Fault::DecoderDisagrees, at, got, shown(member.name)));
        }
        let declared = member.unpacked_bytes;
        let wrong_content = |got: String| {
            let expected = format!("{declared} bytes with CRC-32 {:08x}", member.crc32);
            broken(
                Fault::Content,
                at,
                format!("{got} in {}", shown(member.name)),
                expected,
            )
        };
        drop(source);
        let packed = self.packed(member)?;
        let mut inflated = match member.method {
            DEFLATED => {
                let inflater = self
                    .inflater
                    .get_or_insert_with(|| DeflateDecoder::new(packed));
                inflater.reset(packed);
                Some(inflater)
            }
            _ => None,
        };
        let mut stored = packed;
        let mut checksum = Hasher::new();
        // Callers have checked the sum of the declared sizes, so this is bounded.
        let mut content = Vec::with_capacity(declared);
        loop {
            let got = match &mut inflated {
                Some(inflated) => inflated.read(&mut self.chunk),
                None => stored.read(&mut self.chunk),
            }
            .map_err(|error| wrong_content(error.to_string()))?;
            if got == 0 {
                break;
            }
            self.unpacked_bytes += got as u64;
            self.allowance.check(self.unpacked_bytes)?;
            if content.len() + got > declared {
                return Err(wrong_content(format!("more than {declared} bytes")));
            }
            checksum.update(&self.chunk[..got]);
            content.extend_from_slice(&self.chunk[..got]);
        }
        if content.len() != declared {
            return Err(wrong_content(format!("{} bytes", content.len())));
        }
        let checksum = checksum.finalize();
        if checksum != member.crc32 {
            return Err(wrong_content(format!("CRC-32 {checksum:08x}")));
        }
        let used = inflated.map_or(packed.len() as u64, |inflated| inflated.total_in());
        if used != packed.len() as u64 {
            let hidden = packed.len() as u64 - used;
            return Err(wrong_content(format!(
                "{hidden} bytes after the end of the deflate stream"
            )));
        }
        Ok(content)
    }

    /// The bytes of a member as they lie in the archive, which the structural walk has found to be there.
    fn packed(&self, member: &Member<'_>) -> Result<&'a [u8], BundleError> {
        let at = member.header_offset;
        let end = self.archive.len();
        let header = fields::slice(self.archive, at, LOCAL_HEADER_BYTES, end)?;
        let names =
            usize::from(fields::u16_at(header, 26)) + usize::from(fields::u16_at(header, 28));
        fields::slice(
            self.archive,
            at + LOCAL_HEADER_BYTES + names,
            member.packed_bytes,
            end,
        )
    }
}
