//! Files with one manifest per line, plain or compressed with zstd, in batches of bounded size.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::error::ScoreError;
use super::json::MAX_JSON_BYTES;

/// Bytes after which a batch is handed over.
const BATCH_BYTES: usize = 8 << 20;

/// One line that is not blank.
pub struct Line {
    /// From 1.
    pub number: u64,
    pub text: Result<Vec<u8>, ScoreError>,
}

/// Reads `path`, through a decompressor when its name ends in `.zst`, and hands over its lines, batch by batch. A line
/// over the size limit is a line with an error; a file that stops being readable ends with one.
pub fn for_each_batch(path: &Path, mut take: impl FnMut(Vec<Line>)) {
    let io = |source| ScoreError::Io {
        action: "read",
        path: path.to_path_buf(),
        source,
    };
    let mut reader = match open(path) {
        Ok(reader) => reader,
        Err(error) => {
            return take(vec![Line {
                number: 1,
                text: Err(io(error)),
            }]);
        }
    };
    let (mut batch, mut batch_bytes, mut number) = (Vec::new(), 0, 0);
    loop {
        number += 1;
        match next_line(&mut reader, path) {
            Ok(None) => break,
            Ok(Some(text)) if text.as_ref().is_ok_and(|text| text.trim_ascii().is_empty()) => {}
            Ok(Some(text)) => {
                batch_bytes += text.as_ref().map_or(0, Vec::len);
                batch.push(Line { number, text });
            }
            Err(error) => {
                batch.push(Line {
                    number,
                    text: Err(io(error)),
                });
                break;
            }
        }
        if batch_bytes >= BATCH_BYTES {
            take(std::mem::take(&mut batch));
            batch_bytes = 0;
        }
    }
    if !batch.is_empty() {
        take(batch);
    }
}

fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    let file = BufReader::with_capacity(1 << 16, File::open(path)?);
    if path.extension().is_some_and(|suffix| suffix == "zst") {
        // the decoder refuses windows above 128 MiB, and believes no length that a frame states
        let decoder = zstd::stream::read::Decoder::with_buffer(file)?;
        return Ok(Box::new(BufReader::with_capacity(1 << 16, decoder)));
    }
    Ok(Box::new(file))
}

/// The next line; none at the end of the file. The outer error ends the file, the inner one costs the line.
fn next_line(
    reader: &mut impl BufRead,
    path: &Path,
) -> std::io::Result<Option<Result<Vec<u8>, ScoreError>>> {
    let mut text = Vec::new();
    let mut bytes = reader
        .by_ref()
        .take(MAX_JSON_BYTES + 1)
        .read_until(b'\n', &mut text)? as u64;
    if bytes == 0 {
        return Ok(None);
    }
    if bytes <= MAX_JSON_BYTES || text.ends_with(b"\n") {
        return Ok(Some(Ok(text)));
    }
    // the rest of an over-long line is passed over, a piece at a time
    while !text.ends_with(b"\n") {
        text.clear();
        match reader
            .by_ref()
            .take(BATCH_BYTES as u64)
            .read_until(b'\n', &mut text)?
        {
            0 => break,
            more => bytes += more as u64,
        }
    }
    Ok(Some(Err(ScoreError::TooLarge {
        path: path.to_path_buf(),
        bytes,
        limit_bytes: MAX_JSON_BYTES,
    })))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn long_lines_cost_themselves_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("many.jsonl");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"first\n\n").unwrap();
        for _ in 0..33 {
            file.write_all(&vec![b'x'; 1 << 20]).unwrap();
        }
        file.write_all(b"\nlast").unwrap();
        let mut lines = Vec::new();
        for_each_batch(&path, |batch| lines.extend(batch));
        assert_eq!(
            lines.iter().map(|line| line.number).collect::<Vec<_>>(),
            [1, 3, 4]
        );
        assert_eq!(lines[0].text.as_deref().unwrap(), b"first\n");
        assert!(
            matches!(lines[1].text, Err(ScoreError::TooLarge { bytes, .. }) if bytes == (33 << 20) + 1)
        );
        assert_eq!(lines[2].text.as_deref().unwrap(), b"last");
    }

    #[test]
    fn compressed_lines_are_those_of_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("many.jsonl.zst");
        let texts = |path: &Path| {
            let mut texts = Vec::new();
            for_each_batch(path, |batch| {
                texts.extend(
                    batch
                        .into_iter()
                        .map(|line| line.text.map(|text| String::from_utf8(text).unwrap())),
                )
            });
            texts
        };
        let frame = |text: &str| zstd::bulk::compress(text.as_bytes(), 3).unwrap();
        // two frames, one after the other, as appending writes them
        let whole = [frame("first\n"), frame("\nlast\n")].concat();
        std::fs::write(&path, &whole).unwrap();
        let read: Vec<String> = texts(&path).into_iter().map(Result::unwrap).collect();
        assert_eq!(read, ["first\n", "last\n"]);
        std::fs::write(&path, &whole[..whole.len() - 2]).unwrap();
        assert!(matches!(
            texts(&path).last(),
            Some(Err(ScoreError::Io { .. }))
        ));
        // a frame that states a length of 2^40 bytes and holds none of them
        let mut lying = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        lying.extend(1_u64.wrapping_shl(40).to_le_bytes());
        std::fs::write(&path, &lying).unwrap();
        assert!(matches!(texts(&path)[..], [Err(ScoreError::Io { .. })]));
    }

    #[test]
    fn an_absent_file_is_one_line_with_an_error() {
        let mut lines = Vec::new();
        for_each_batch(Path::new("/nonexistent/many.jsonl"), |batch| {
            lines.extend(batch)
        });
        assert!(matches!(
            lines[..],
            [Line {
                text: Err(ScoreError::Io { .. }),
                ..
            }]
        ));
    }
}
