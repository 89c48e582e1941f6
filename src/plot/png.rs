//! A PNG of 8-bit RGB pixels (ISO/IEC 15948): signature, header, one deflated stream of rows, end.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Rows are stored as differences to the row above: most of a plot repeats it.
const FILTER_UP: u8 = 2;

/// Encodes `width` x `height` pixels of three bytes each.
pub fn encode(width: u32, height: u32, pixels: &[u8]) -> std::io::Result<Vec<u8>> {
    let row_bytes = width as usize * 3;
    let mut rows = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut above = vec![0; row_bytes];
    for row in pixels.chunks_exact(row_bytes) {
        rows.write_all(&[FILTER_UP])?;
        let differences: Vec<u8> = row
            .iter()
            .zip(&above)
            .map(|(pixel, above)| pixel.wrapping_sub(*above))
            .collect();
        rows.write_all(&differences)?;
        above.copy_from_slice(row);
    }
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // 8 bits, RGB, deflate, adaptive filters, not interlaced
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, b"IHDR", &header);
    chunk(&mut png, b"IDAT", &rows.finish()?);
    chunk(&mut png, b"IEND", b"");
    Ok(png)
}

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(kind);
    checksum.update(content);
    png.extend((content.len() as u32).to_be_bytes());
    png.extend(kind);
    png.extend(content);
    png.extend(checksum.finalize().to_be_bytes());
}
