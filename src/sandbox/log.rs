//! stdout and stderr of the inside, kept up to a limit and drained without end, so that a flood never blocks it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Copies `source` to `path` until its end. Returns the bytes that did not fit.
pub(super) fn copy_capped(mut source: impl Read, path: &Path, cap_bytes: u64) -> u64 {
    // Without a log file the flood must be drained all the same.
    let mut file = File::create(path).ok();
    let mut kept = 0u64;
    let mut dropped = 0u64;
    let mut buffer = [0; 16_384];
    while let Ok(length @ 1..) = source.read(&mut buffer) {
        let fits = (cap_bytes.saturating_sub(kept)).min(length as u64) as usize;
        let written = file
            .as_mut()
            .is_some_and(|file| file.write_all(&buffer[..fits]).is_ok());
        if written {
            kept += fits as u64;
        }
        dropped += (length - if written { fits } else { 0 }) as u64;
    }
    if dropped > 0
        && let Some(file) = file.as_mut()
    {
        // The log is for people; if its last line cannot be written there is nobody to tell.
        let _ = writeln!(file, "\n[prism: {dropped} more bytes were not kept]");
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_drained_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let dropped = copy_capped(std::io::repeat(b'x').take(100_000), &path, 10);
        assert_eq!(dropped, 99_990);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("xxxxxxxxxx\n[prism: 99990 more bytes"),
            "{text}"
        );
    }
}
