//! One shard: read once, hashed, and its lines looked at; a fault is told with the place of the first bad bytes.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use sha2::{Digest, Sha256};

use super::lines::{LineFault, LineScan, Place};
use crate::dataset::manifest::Shard;
use crate::dataset::proof::{BLOCK_BYTES, BlockSums, ProvenFile, Stamp};
use crate::digest::hex;
use crate::progress::ByteProgress;

/// Bytes read at a time: they are hashed and looked at while they are in the cache.
const READ_BYTES: usize = 1 << 20;
/// The lines of a shard above this are looked at on a second thread, so that one big shard waits for its hash only.
const LARGE_BYTES: u64 = 64 << 20;

/// A shard that is as the manifest says.
#[derive(Debug)]
pub struct Sound {
    pub file: ProvenFile,
    pub text_bytes: u64,
    pub documents: u64,
    pub first_id: String,
    pub last_id: String,
    pub open_lines: Vec<[u8; 32]>,
}

/// A shard that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub path: String,
    /// First bad bytes, if it is a matter of bytes; and the documents that they touch, from 1.
    pub place: Option<(u64, u64, u64, u64)>,
    pub reason: String,
    /// No hash could be compared, or it was another one.
    pub other_bytes: bool,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            None => write!(f, "{}: {}", self.path, self.reason),
            Some((from, to, first, last)) => write!(
                f,
                "{}: bytes {from} to {to}, documents {first} to {last}: {}",
                self.path, self.reason
            ),
        }
    }
}

/// Checks one shard. `earlier_crc32`: what an earlier proof says of its blocks.
pub fn check(
    root: &Path,
    shard: &Shard,
    place: Place,
    earlier_crc32: Option<&str>,
    progress: &ByteProgress<'_>,
) -> Result<Sound, Fault> {
    let fault = |reason: String| Fault {
        path: shard.path.clone(),
        place: None,
        reason,
        other_bytes: true,
    };
    let path = root.join(&shard.path);
    let mut file = File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(|error| match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                fault("is a link, expected a file".to_owned())
            }
            _ => fault(error.to_string()),
        })?;
    let metadata = file.metadata().map_err(|error| fault(error.to_string()))?;
    if !metadata.is_file() {
        return Err(fault("is no regular file".to_owned()));
    }
    let stamp = Stamp::of(&metadata);
    let read = read(&mut file, shard, place, progress).map_err(|error| fault(error.to_string()))?;
    let now = file.metadata().map_err(|error| fault(error.to_string()))?;
    if Stamp::of(&now) != stamp {
        return Err(fault("changed while it was read".to_owned()));
    }
    let at_line = |line: &LineFault| Some((line.from, line.to, line.document, line.document));
    if read.sha256 != shard.sha256 || stamp.bytes != shard.bytes {
        let range = changed_blocks(earlier_crc32, &read.block_crc32, stamp.bytes)
            .and_then(|(from, to)| documents_of(&path, from, to).ok());
        let whole = (0, stamp.bytes, 1, shard.doc_count.max(1));
        return Err(Fault {
            place: range
                .or(read.lines.fault.as_ref().and_then(at_line))
                .or(Some(whole)),
            ..fault(format!(
                "got sha256 {} over {} bytes, expected {} over {}",
                read.sha256, stamp.bytes, shard.sha256, shard.bytes
            ))
        });
    }
    let lines = read.lines;
    if let Some(line) = &lines.fault {
        return Err(Fault {
            place: at_line(line),
            other_bytes: false,
            ..fault(line.reason.to_owned())
        });
    }
    if lines.documents != shard.doc_count {
        return Err(Fault {
            other_bytes: false,
            ..fault(format!(
                "got {} documents, expected {}",
                lines.documents, shard.doc_count
            ))
        });
    }
    Ok(Sound {
        file: ProvenFile {
            path: shard.path.clone(),
            stamp,
            block_crc32: read.block_crc32,
        },
        text_bytes: lines.text_bytes,
        documents: lines.documents,
        first_id: lines.first_id,
        last_id: lines.last_id,
        open_lines: lines.open_lines,
    })
}

struct ReadShard {
    sha256: String,
    block_crc32: String,
    lines: LineScan,
}

fn read(
    file: &mut File,
    shard: &Shard,
    place: Place,
    progress: &ByteProgress<'_>,
) -> std::io::Result<ReadShard> {
    let mut hash = Sha256::new();
    let mut sums = BlockSums::default();
    let mut lines = LineScan::new(place);
    // A file that is too long is known by one byte more; there is no need to read a terabyte of it.
    let mut left = shard.bytes.saturating_add(1);
    let mut next = |buffer: &mut Vec<u8>| -> std::io::Result<bool> {
        buffer.clear();
        let want = left.min(READ_BYTES as u64);
        let got = file.by_ref().take(want).read_to_end(buffer)?;
        left -= got as u64;
        progress.advance(got as u64);
        hash.update(&buffer);
        sums.update(buffer);
        Ok(got > 0)
    };
    if shard.bytes < LARGE_BYTES {
        let mut buffer = Vec::with_capacity(READ_BYTES + 1);
        while next(&mut buffer)? {
            lines.feed(&buffer);
        }
    } else {
        std::thread::scope(|scope| {
            let (full, filled) = sync_channel::<Vec<u8>>(2);
            let (empty, emptied) = sync_channel::<Vec<u8>>(4);
            let lines = &mut lines;
            scope.spawn(move || {
                for buffer in filled {
                    lines.feed(&buffer);
                    // The reader may have ended already.
                    let _ = empty.send(buffer);
                }
            });
            loop {
                let mut buffer = emptied
                    .try_recv()
                    .unwrap_or_else(|_| Vec::with_capacity(READ_BYTES + 1));
                if !next(&mut buffer)? || full.send(buffer).is_err() {
                    return Ok::<(), std::io::Error>(());
                }
            }
        })?;
    }
    lines.finish();
    Ok(ReadShard {
        sha256: hex(&hash.finalize()),
        block_crc32: sums.finish(),
        lines,
    })
}

/// First bytes that differ from those of an earlier proof, block by block: the first stretch of other blocks.
fn changed_blocks(earlier: Option<&str>, now: &str, file_bytes: u64) -> Option<(u64, u64)> {
    let blocks = |digits: &str| -> Vec<String> {
        let chunks = digits.as_bytes().chunks(8);
        chunks
            .map(|c| String::from_utf8_lossy(c).into_owned())
            .collect()
    };
    let (earlier, now) = (blocks(earlier?), blocks(now));
    let count = earlier.len().max(now.len());
    let differs = |block: &usize| earlier.get(*block) != now.get(*block);
    let first = (0..count).find(differs)?;
    let end = (first..count)
        .find(|block| !differs(block))
        .unwrap_or(count);
    let at = |block: usize| (block as u64) * BLOCK_BYTES as u64;
    Some((at(first), at(end).min(file_bytes.max(at(first)))))
}

/// The documents, from 1, that the bytes touch: counted by newlines before them.
fn documents_of(path: &Path, from: u64, to: u64) -> std::io::Result<(u64, u64, u64, u64)> {
    let mut file = File::open(path)?;
    let mut newlines = |bytes: u64| -> std::io::Result<u64> {
        let mut left = bytes;
        let mut count = 0;
        let mut buffer = Vec::new();
        while left > 0 {
            buffer.clear();
            let want = left.min(READ_BYTES as u64);
            if file.by_ref().take(want).read_to_end(&mut buffer)? == 0 {
                break;
            }
            left -= buffer.len() as u64;
            count += memchr::memchr_iter(b'\n', &buffer).count() as u64;
        }
        Ok(count)
    };
    let before = newlines(from)?;
    let inside = newlines((to - from).saturating_sub(1))?;
    Ok((from, to, before + 1, before + inside + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stretch_of_other_blocks_is_found() {
        let block = BLOCK_BYTES as u64;
        let a = "00000000111111112222222233333333";
        for (earlier, now, bytes, expected) in [
            (a, a, 4 * block, None),
            (
                a,
                "00000000aaaaaaaabbbbbbbb33333333",
                4 * block,
                Some((block, 3 * block)),
            ),
            (
                a,
                "000000001111111122222222cccccccc",
                3 * block + 9,
                Some((3 * block, 3 * block + 9)),
            ),
            (
                a,
                "0000000011111111",
                2 * block,
                Some((2 * block, 2 * block)),
            ),
            ("00000000", a, 4 * block, Some((block, 4 * block))),
        ] {
            assert_eq!(changed_blocks(Some(earlier), now, bytes), expected, "{now}");
        }
        assert_eq!(changed_blocks(None, a, 4 * block), None);
    }
}
