//! Records of a JSON-lines file, packed or not, in blocks of whole lines.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::batch::{BLOCK_BYTES, Batch, Emit, Fields, Halt, MAX_DOCUMENT_BYTES, RawRecord};
use super::sources::Packing;
use crate::dataset::{DatasetError, at};

/// Hands the file's blocks to `emit`, in order.
pub fn read(path: &Path, packing: Packing, emit: &mut Emit<'_>) -> Result<(), Halt> {
    let file = File::open(path).map_err(at(path))?;
    let read_bytes = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        file,
        bytes: Arc::clone(&read_bytes),
    };
    let mut unpacked: Box<dyn Read> = match packing {
        Packing::Plain => Box::new(counted),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(
            BufReader::with_capacity(1 << 18, counted),
        )),
        Packing::Zstd => Box::new(zstd::Decoder::new(counted).map_err(at(path))?),
    };
    let mut reported = 0;
    let mut first_line = 1;
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let mut block = std::mem::take(&mut rest);
        let searched = block.len();
        let room = (BLOCK_BYTES as u64).max(searched as u64 / 2);
        let got = (&mut unpacked)
            .take(room)
            .read_to_end(&mut block)
            .map_err(|source| unreadable(path, packing, &source))?;
        let ended = (got as u64) < room;
        let cut = match memchr::memrchr(b'\n', &block[searched..]) {
            _ if ended => block.len(),
            Some(at) => searched + at + 1,
            None if block.len() > MAX_DOCUMENT_BYTES => {
                return Err(Halt::Error(DatasetError::Line {
                    path: path.to_owned(),
                    line: first_line,
                    reason: format!("longer than {MAX_DOCUMENT_BYTES} bytes"),
                }));
            }
            None => {
                rest = block;
                continue;
            }
        };
        rest = block.split_off(cut);
        let lines = memchr::memchr_iter(b'\n', &block).count();
        let now = read_bytes.load(Ordering::Relaxed);
        let fields = Fields::Lines {
            first_line,
            bytes: block,
        };
        emit(Batch {
            source_bytes: now - reported,
            fields,
        })?;
        reported = now;
        first_line += lines;
        if ended {
            return Ok(());
        }
    }
}

fn unreadable(path: &Path, packing: Packing, error: &std::io::Error) -> DatasetError {
    let packed = match packing {
        Packing::Plain => "",
        Packing::Gzip => " (damaged or truncated gzip?)",
        Packing::Zstd => " (damaged or truncated zstd?)",
    };
    DatasetError::Source {
        path: path.to_owned(),
        reason: format!("{error}{packed}"),
    }
}

/// A file that counts what is read of it.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.file.read(buffer)?;
        self.bytes.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// `id` and `text` of every line of a block, in order. The first bad line is the error; its text is not told.
pub fn parse(path: &Path, first_line: usize, block: &[u8]) -> Result<Vec<RawRecord>, DatasetError> {
    let lines: Vec<&[u8]> = block.split(|&byte| byte == b'\n').collect();
    let parsed: Vec<_> = lines.par_iter().map(|line| parse_line(line)).collect();
    let mut records = Vec::with_capacity(parsed.len());
    for (index, parsed) in parsed.into_iter().enumerate() {
        match parsed {
            Ok(None) => {}
            Ok(Some(record)) => records.push(record),
            Err(reason) => {
                return Err(DatasetError::Line {
                    path: path.to_owned(),
                    line: first_line + index,
                    reason,
                });
            }
        }
    }
    Ok(records)
}

/// None for an empty line.
fn parse_line(line: &[u8]) -> Result<Option<RawRecord>, String> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let line = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8 at byte {} of the line", error.valid_up_to()))?;
    let fields: LineFields = serde_json::from_str(line)
        .map_err(|error| format!("not a JSON object (column {})", error.column()))?;
    Ok(Some((fields.id, fields.text)))
}

/// The two fields that matter; whatever else an object has is passed over.
struct LineFields {
    id: Option<String>,
    text: Option<String>,
}

impl<'de> Deserialize<'de> for LineFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = LineFields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LineFields, A::Error> {
                let mut fields = LineFields {
                    id: None,
                    text: None,
                };
                // The last of several fields with one name counts, as in Python.
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match key.as_ref() {
                        "id" => fields.id = map.next_value::<MaybeText>()?.0,
                        "text" => fields.text = map.next_value::<MaybeText>()?.0,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A string, or nothing for any other value.
struct MaybeText(Option<String>);

impl<'de> Deserialize<'de> for MaybeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = MaybeText;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<MaybeText, E> {
                Ok(MaybeText(Some(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<MaybeText, E> {
                Ok(MaybeText(Some(text)))
            }
            fn visit_bool<E>(self, _: bool) -> Result<MaybeText, E> {
                Ok(MaybeText(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<MaybeText, E> {
                Ok(MaybeText(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<MaybeText, E> {
                Ok(MaybeText(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<MaybeText, E> {
                Ok(MaybeText(None))
            }
            fn visit_unit<E>(self) -> Result<MaybeText, E> {
                Ok(MaybeText(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<MaybeText, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(MaybeText(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MaybeText, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(MaybeText(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_give_fields_or_nothing_or_an_error() {
        let some = |id: &str, text: &str| Ok(Some((Some(id.to_owned()), Some(text.to_owned()))));
        for (line, expected) in [
            (r#"{"id":"a","text":"b"}"#, some("a", "b")),
            (
                r#" {"text":"b\u00e9","n":[1,{"x":null}],"id":"a"} "#,
                some("a", "bé"),
            ),
            (r#"{"id":"a","id":"c","text":"b"}"#, some("c", "b")),
            (
                r#"{"id":7,"text":"b"}"#,
                Ok(Some((None, Some("b".to_owned())))),
            ),
            (
                r#"{"id":{"a":[1]},"text":[true,1.5]}"#,
                Ok(Some((None, None))),
            ),
            ("{}", Ok(Some((None, None)))),
            (" \r", Ok(None)),
            ("", Ok(None)),
        ] {
            assert_eq!(parse_line(line.as_bytes()), expected, "{line}");
        }
        for (line, reason) in [
            (r#"["a","b"]"#.as_bytes(), "not a JSON object"),
            (
                br#"{"id":"a","text":"SECRET"#,
                "not a JSON object (column 24)",
            ),
            (br#"{"id":"a","text":"\ud800 SECRET"}"#, "not a JSON object"),
            (
                b"{\"id\":\"a\",\"text\":\"SECRET\xff\"}",
                "not UTF-8 at byte 24 of the line",
            ),
        ] {
            let error = parse_line(line).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}
