//! What the inside may use, and the part of it that the kernel enforces per process.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Limits of one sandbox. The watchdog enforces those of the whole tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: u64,
    pub processes: u64,
    pub open_files: u64,
    pub artifacts_bytes: u64,
    pub tmp_bytes: u64,
    pub log_bytes: u64,
    /// CUDA reserves far more address space than it uses: no limit of address space with it.
    pub limit_address_space: bool,
}

/// Address space beyond `memory_bytes` that torch and its threads reserve without using (measured: 3.2 GB).
const ADDRESS_SPACE_MARGIN_BYTES: u64 = 8 << 30;

impl Limits {
    /// Sets the limits of the calling process. Called between fork and exec: system calls only, no allocation.
    pub(super) fn apply(&self) -> std::io::Result<()> {
        let set = |resource, value| {
            setrlimit(
                resource,
                Rlimit {
                    current: Some(value),
                    maximum: Some(value),
                },
            )
        };
        set(Resource::Core, 0)?;
        set(Resource::Nofile, self.open_files)?;
        // One file can be no larger than all of them together may be.
        set(Resource::Fsize, self.artifacts_bytes.max(self.tmp_bytes))?;
        if self.limit_address_space {
            set(
                Resource::As,
                self.memory_bytes.saturating_add(ADDRESS_SPACE_MARGIN_BYTES),
            )?;
        }
        Ok(())
    }
}
