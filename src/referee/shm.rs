//! The memory that the referee and one rank share: ids and targets go in, logits and committed losses come out.
//!
//! It is a memfd sealed against growing and shrinking before anybody else holds it, so that a hostile rank can change its
//! contents but can never make our reads fault. Contents are copied out before they are looked at.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memmap2::MmapRaw;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

/// Shape of one rank's batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Rows per rank.
    pub batch_size: usize,
    pub seq_len: usize,
    pub vocab_size: usize,
}

impl Geometry {
    pub fn positions(self) -> usize {
        self.batch_size * self.seq_len
    }

    pub fn logits(self) -> usize {
        self.positions() * self.vocab_size
    }
}

/// One rank's shared memory.
#[derive(Debug)]
pub struct SharedMemory {
    descriptor: OwnedFd,
    map: MmapRaw,
    geometry: Geometry,
    pub targets_offset: usize,
    pub nats_offset: usize,
    pub logits_offset: usize,
    pub bytes: usize,
}

/// Regions begin at multiples of this.
const ALIGNMENT_BYTES: usize = 4_096;

impl SharedMemory {
    /// Creates, sizes, seals and maps it.
    pub fn new(geometry: Geometry) -> std::io::Result<Self> {
        let ids_bytes = (geometry.positions() * 4).next_multiple_of(ALIGNMENT_BYTES);
        let (targets_offset, nats_offset) = (ids_bytes, 2 * ids_bytes);
        let nats_bytes = (geometry.positions() * 8).next_multiple_of(ALIGNMENT_BYTES);
        let logits_offset = nats_offset + nats_bytes;
        let bytes = logits_offset + geometry.logits() * 4;
        let descriptor = memfd_create(
            "prism-logits",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        ftruncate(&descriptor, bytes as u64)?;
        fcntl_add_seals(
            &descriptor,
            SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
        )?;
        let map = MmapRaw::map_raw(&descriptor)?;
        Ok(Self {
            descriptor,
            map,
            geometry,
            targets_offset,
            nats_offset,
            logits_offset,
            bytes,
        })
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub fn put_ids(&mut self, ids: &[u32]) {
        self.put(0, ids);
    }

    pub fn put_targets(&mut self, targets: &[u32]) {
        self.put(self.targets_offset, targets);
    }

    fn put(&mut self, offset: usize, values: &[u32]) {
        let length = values.len().min(self.geometry.positions());
        // SAFETY: the region holds `positions` 4-byte values from `offset` on (see `new`); the memory cannot shrink (sealed).
        // The other process may write at the same time: then it spoils its own input, nothing else.
        unsafe {
            let place = self.map.as_mut_ptr().add(offset).cast::<u32>();
            std::ptr::copy_nonoverlapping(values.as_ptr(), place, length);
        }
    }

    /// Copies all logits out; from here on nobody else can change them.
    pub fn copy_logits(&self, into: &mut Vec<f32>) {
        into.clear();
        self.append_logits(0..self.geometry.positions(), into);
    }

    /// Copies the logits of some positions (row-major, counted over all rows) to the end of `into`. Positions that the
    /// geometry does not have are left out.
    pub fn append_logits(&self, positions: Range<usize>, into: &mut Vec<f32>) {
        let end = positions.end.min(self.geometry.positions());
        let start = positions.start.min(end);
        let vocab_size = self.geometry.vocab_size;
        let offset = self.logits_offset + start * vocab_size * 4;
        // SAFETY: the region holds that many floats from `offset` on; every bit pattern is a float.
        unsafe { self.append(offset, (end - start) * vocab_size, into) };
    }

    /// Copies the committed losses out, one for each position, in nats.
    pub fn copy_nats(&self, into: &mut Vec<f64>) {
        into.clear();
        // SAFETY: the region holds `positions` floats of 8 bytes from `nats_offset` on; every bit pattern is a float.
        unsafe { self.append(self.nats_offset, self.geometry.positions(), into) };
    }

    /// Before the first write the memory is zero: uniform predictions. A concurrent write gives some mix of old and new
    /// values: whatever arrives here is what is scored.
    ///
    /// # Safety
    /// `length` values of `T` lie within the memory from `offset` on, a multiple of their size, and every bit pattern is a
    /// `T`.
    unsafe fn append<T: Copy>(&self, offset: usize, length: usize, into: &mut Vec<T>) {
        into.reserve(length);
        let filled = into.len();
        // SAFETY: the caller's promise; the memory cannot shrink (sealed); the vector has room for `length` more.
        unsafe {
            let place = self.map.as_ptr().add(offset).cast::<T>();
            std::ptr::copy_nonoverlapping(place, into.as_mut_ptr().add(filled), length);
            into.set_len(filled + length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_cannot_be_resized_and_reads_back() {
        let geometry = Geometry {
            batch_size: 2,
            seq_len: 3,
            vocab_size: 5,
        };
        let mut memory = SharedMemory::new(geometry).unwrap();
        assert!(ftruncate(memory.descriptor(), 1).is_err());
        assert!(ftruncate(memory.descriptor(), 1 << 20).is_err());
        memory.put_ids(&[1, 2, 3, 4, 5, 6]);
        memory.put_targets(&[7; 6]);
        let other = MmapRaw::map_raw(&memory.descriptor).unwrap();
        let at = |offset: usize| unsafe { *other.as_ptr().add(offset).cast::<u32>() };
        assert_eq!((at(0), at(20), at(memory.targets_offset)), (1, 6, 7));
        let mut logits = Vec::new();
        memory.copy_logits(&mut logits);
        assert_eq!(logits, vec![0.0; 30]);
        // What the other side writes is read where it was written, and nothing beyond the geometry is.
        // SAFETY: both places lie within the mapping, and nothing else looks at them meanwhile.
        unsafe {
            let place = other.as_mut_ptr().add(memory.logits_offset + 4 * 5 * 4);
            place.cast::<[f32; 5]>().write([1.0, 2.0, 3.0, 4.0, 5.0]);
            let place = other.as_mut_ptr().add(memory.nats_offset + 5 * 8);
            place.cast::<f64>().write(0.25);
        }
        logits.clear();
        memory.append_logits(3..5, &mut logits);
        assert_eq!(logits[5..], [1.0, 2.0, 3.0, 4.0, 5.0]);
        memory.append_logits(5..usize::MAX, &mut logits);
        assert_eq!(logits.len(), 15);
        let mut nats = Vec::new();
        memory.copy_nats(&mut nats);
        assert_eq!(nats, [0.0, 0.0, 0.0, 0.0, 0.0, 0.25]);
    }

    /// The other side holds the same descriptor and tries everything that could make our reads fault.
    #[test]
    fn whatever_the_other_side_does_to_it_we_read_something() {
        use rustix::fs::{FallocateFlags, fallocate, fcntl_get_seals};
        let geometry = Geometry {
            batch_size: 8,
            seq_len: 16,
            vocab_size: 257,
        };
        let mut memory = SharedMemory::new(geometry).unwrap();
        let theirs = memory.descriptor().try_clone_to_owned().unwrap();
        let bytes = memory.bytes as u64;
        for size in [0, 1, bytes - 1, bytes + 1, 1 << 40] {
            assert!(ftruncate(&theirs, size).is_err(), "{size}");
        }
        assert!(fallocate(&theirs, FallocateFlags::empty(), 0, bytes + 1).is_err());
        assert!(fcntl_add_seals(&theirs, SealFlags::WRITE).is_err());
        assert!(
            fcntl_get_seals(&theirs)
                .unwrap()
                .contains(SealFlags::SHRINK)
        );
        let filled = MmapRaw::map_raw(&theirs).unwrap();
        // SAFETY: the mapping has this many bytes, and nothing else looks at it meanwhile.
        unsafe { std::ptr::write_bytes(filled.as_mut_ptr(), 0x40, memory.bytes) };
        let mut logits = Vec::new();
        memory.copy_logits(&mut logits);
        assert!(
            logits
                .iter()
                .all(|&logit| logit == f32::from_bits(0x4040_4040))
        );
        // A hole is allowed: it reads as zeros, and does not fault.
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&theirs, hole, 0, bytes).unwrap();
        memory.put_ids(&[7; 128]);
        memory.copy_logits(&mut logits);
        assert!(logits.iter().all(|&logit| logit == 0.0));
        drop((filled, theirs));
        memory.copy_logits(&mut logits);
    }
}
