//! Tokenizers are data: a table of ids and the bytes that each stands for. No code of a submission tokenizes.
//!
//! Lossless or rejected: for every document the bytes of the ids, put together, are the document's bytes. That makes the
//! byte count of every id exact, which is what bits per byte divide by.

use std::path::{Path, PathBuf};

use super::{DatasetError, Document};

/// One tokenizer, loaded. Ids are below [`Tokenizer::size`]; the end-of-text id stands between documents.
pub struct Tokenizer {
    name: String,
    file: Option<PathBuf>,
    /// Bytes of every id; empty for the end-of-text id.
    bytes_of: Vec<Vec<u8>>,
    end_of_text: u32,
    bpe: Option<Box<tokenizers::Tokenizer>>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("name", &self.name)
            .field("size", &self.size())
            .finish()
    }
}

/// The name of the tokenizer that needs no file: 256 byte values and end-of-text.
pub const BYTES: &str = "bytes";
const END_OF_TEXT: &str = "<|endoftext|>";
const MAX_FILE_BYTES: u64 = 16 << 20;

impl Tokenizer {
    /// `bytes`, or `<name>.json` in `folder`. Names are plain: letters, digits, `-`, `_` and `.`.
    pub fn load(name: &str, folder: &Path) -> Result<Self, DatasetError> {
        if name == BYTES {
            let mut bytes_of: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
            bytes_of.push(Vec::new());
            return Ok(Self {
                name: name.to_owned(),
                file: None,
                bytes_of,
                end_of_text: 256,
                bpe: None,
            });
        }
        let wrong = |reason: String| DatasetError::Tokenizer {
            name: name.to_owned(),
            reason,
        };
        if !plain(name) {
            return Err(wrong("the name has odd characters".to_owned()));
        }
        let file = folder.join(format!("{name}.json"));
        let length = std::fs::metadata(&file)
            .map_err(|error| wrong(format!("{}: {error}", file.display())))?
            .len();
        if length > MAX_FILE_BYTES {
            return Err(wrong(format!(
                "got {length} bytes, expected at most {MAX_FILE_BYTES}"
            )));
        }
        let bpe = tokenizers::Tokenizer::from_file(&file)
            .map_err(|error| wrong(format!("{}: {error}", file.display())))?;
        let size = bpe.get_vocab_size(true);
        let alphabet = byte_alphabet();
        let mut bytes_of = Vec::with_capacity(size);
        let mut end_of_text = None;
        for id in 0..size as u32 {
            let token = bpe
                .id_to_token(id)
                .ok_or_else(|| wrong(format!("id {id} has no token")))?;
            if token == END_OF_TEXT {
                end_of_text = Some(id);
                bytes_of.push(Vec::new());
                continue;
            }
            let bytes: Option<Vec<u8>> = token
                .chars()
                .map(|char| {
                    alphabet
                        .iter()
                        .position(|&c| c == char)
                        .map(|byte| byte as u8)
                })
                .collect();
            bytes_of.push(bytes.ok_or_else(|| wrong(format!("token {id} is not made of bytes")))?);
        }
        let end_of_text = end_of_text.ok_or_else(|| wrong(format!("no token {END_OF_TEXT}")))?;
        Ok(Self {
            name: name.to_owned(),
            file: Some(file),
            bytes_of,
            end_of_text,
            bpe: Some(Box::new(bpe)),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tokenizer's file; none for `bytes`.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Number of ids, end-of-text included.
    pub fn size(&self) -> u32 {
        self.bytes_of.len() as u32
    }

    pub fn end_of_text(&self) -> u32 {
        self.end_of_text
    }

    /// UTF-8 bytes that an id stands for; 0 for end-of-text.
    pub fn bytes_of(&self, id: u32) -> usize {
        self.bytes_of.get(id as usize).map_or(0, Vec::len)
    }

    /// Ids of one document, without end-of-text. An error if they do not give every byte back.
    pub fn encode(&self, document: &Document) -> Result<Vec<u32>, DatasetError> {
        let text = document.text.as_str();
        let Some(bpe) = &self.bpe else {
            return Ok(text.bytes().map(u32::from).collect());
        };
        let encoding = bpe
            .encode(text, false)
            .map_err(|error| DatasetError::Tokenizer {
                name: self.name.clone(),
                reason: error.to_string(),
            })?;
        let ids = encoding.get_ids().to_vec();
        match first_difference(&self.bytes_of, &ids, text.as_bytes()) {
            None => Ok(ids),
            Some(byte) => Err(DatasetError::Lossy {
                name: self.name.clone(),
                document: document.id.clone(),
                byte,
            }),
        }
    }
}

/// Where the bytes of `ids` and `text` part, if they do.
fn first_difference(bytes_of: &[Vec<u8>], ids: &[u32], text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for &id in ids {
        let bytes = bytes_of
            .get(id as usize)
            .map_or(&[] as &[u8], Vec::as_slice);
        if bytes.is_empty() || !text.get(at..).is_some_and(|rest| rest.starts_with(bytes)) {
            return Some(at);
        }
        at += bytes.len();
    }
    (at != text.len()).then_some(at)
}

/// Names of all tokenizers of a folder, `bytes` first.
pub fn names(folder: &Path) -> Result<Vec<String>, DatasetError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(super::at(folder))? {
        let path = entry.map_err(super::at(folder))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    names.insert(0, BYTES.to_owned());
    Ok(names)
}

/// Whether a tokenizer's name can be a file name without surprises.
pub fn plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The character that stands for each byte in a byte-level BPE (GPT-2): printable Latin-1 is itself,
/// the other 68 bytes are the characters from U+0100 on.
fn byte_alphabet() -> Vec<char> {
    let mut next = 0x100;
    (0..=255u32)
        .map(|byte| {
            let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
            let code = if printable {
                byte
            } else {
                next += 1;
                next - 1
            };
            char::from_u32(code).unwrap_or('\u{fffd}')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tokenizers")
    }

    fn document(text: &str) -> Document {
        Document {
            id: "d".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn sizes_are_those_that_the_contest_names() {
        let bytes = Tokenizer::load("bytes", &folder()).unwrap();
        assert_eq!((bytes.size(), bytes.end_of_text()), (257, 256));
        let bpe = Tokenizer::load("prism-4096", &folder()).unwrap();
        assert_eq!((bpe.size(), bpe.end_of_text()), (4_096, 4_095));
    }

    #[test]
    fn every_byte_comes_back() {
        let texts = [
            "It is a truth universally acknowledged,\n\nthat",
            "emoji 🙂 and 漢字 and \u{0} and \u{1b}",
            "<|endoftext|> as text is text",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa        \t\t\t",
            "",
        ];
        for name in ["bytes", "prism-4096"] {
            let tokenizer = Tokenizer::load(name, &folder()).unwrap();
            for text in texts {
                let ids = tokenizer.encode(&document(text)).unwrap();
                assert!(!ids.contains(&tokenizer.end_of_text()), "{name} {text:?}");
                let bytes: usize = ids.iter().map(|&id| tokenizer.bytes_of(id)).sum();
                assert_eq!(bytes, text.len(), "{name} {text:?}");
            }
        }
    }

    #[test]
    fn names_are_not_paths() {
        for name in ["../etc/passwd", "", ".hidden", "a/b", "no-such-tokenizer"] {
            assert!(
                matches!(
                    Tokenizer::load(name, &folder()),
                    Err(DatasetError::Tokenizer { .. })
                ),
                "{name}"
            );
        }
    }

    #[test]
    fn the_first_lost_byte_is_named() {
        let table = vec![b"ab".to_vec(), b"c".to_vec(), Vec::new()];
        assert_eq!(first_difference(&table, &[0, 1], b"abc"), None);
        assert_eq!(first_difference(&table, &[0, 1], b"abd"), Some(2));
        assert_eq!(first_difference(&table, &[0], b"abc"), Some(2));
        assert_eq!(first_difference(&table, &[0, 2], b"ab"), Some(2));
    }
}
