//! Archives, honest and not.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An archive of these files, always the same bytes.
pub fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    for (name, text) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A small archive that unpacks to 64 MB.
pub fn bomb(architecture: &str, training: &str) -> Vec<u8> {
    let zeros = "0".repeat(64_000_000);
    let bytes = zip(&[
        ("architecture.py", architecture),
        ("training.py", training),
        ("notes.txt", &zeros),
    ]);
    assert!(bytes.len() < 1_000_000, "{} bytes", bytes.len());
    bytes
}
