//! sha256 digests, as manifests name files.

use std::path::Path;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

/// sha256 of a file, for the digests that a manifest names.
pub fn file_digest(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

/// sha256 of the running executable, read once: it is large.
pub fn own_executable() -> Result<String, String> {
    static DIGEST: OnceLock<Result<String, String>> = OnceLock::new();
    let read = || file_digest(Path::new("/proc/self/exe")).map_err(|error| error.to_string());
    DIGEST.get_or_init(read).clone()
}

/// sha256 of bytes.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}
