//! Tokenizers are data: a table of ids and the bytes that each stands for. No code of a submission tokenizes.
//!
//! Lossless or rejected: for every document the bytes of the ids, put together, are the document's bytes. That makes the
//! byte count of every id exact, which is what bits per byte divide by.
//!
//! [`Tokenizer::load`] takes what the operator offers; [`guarded`] takes a tokenizer.json that came with a submission.

mod alphabet;
mod bpe;
mod definition;
pub mod guarded;
mod library;
mod pairs;
#[cfg(test)]
pub(super) mod tests;
mod words;

use std::path::{Path, PathBuf};

use super::{DatasetError, Document};
use bpe::Bpe;
use definition::Definition;
use guarded::Guarded;
use library::Library;
use pairs::Scratch;

/// One tokenizer, loaded. Ids are below [`Tokenizer::size`]; the end-of-text id stands between documents.
#[derive(Debug)]
pub struct Tokenizer {
    name: String,
    file: Option<PathBuf>,
    /// Bytes of every id; empty for the end-of-text id.
    bytes_of: Vec<Vec<u8>>,
    end_of_text: u32,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Bytes,
    Bpe(Box<Bpe>),
    Library(Box<Library>),
    Guarded(Box<Guarded>),
}

/// The name of the tokenizer that needs no file: 256 byte values and end-of-text.
pub const BYTES: &str = "bytes";
/// The name of a submission's own tokenizer, and of its file at the top of the bundle.
pub const OWN: &str = "tokenizer.json";
const MAX_FILE_BYTES: u64 = 32 << 20;
/// Text that is encoded at a time: what is held besides the ids stays within a few times this.
const WINDOW_BYTES: usize = 8 << 20;

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
                engine: Engine::Bytes,
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
        let in_file = |reason: String| wrong(format!("{}: {reason}", file.display()));
        let length = std::fs::metadata(&file)
            .map_err(|error| in_file(error.to_string()))?
            .len();
        if length > MAX_FILE_BYTES {
            return Err(in_file(format!(
                "got {length} bytes, expected at most {MAX_FILE_BYTES}"
            )));
        }
        let json = std::fs::read(&file).map_err(|error| in_file(error.to_string()))?;
        let (table, engine) = Table::read(&json, false).map_err(in_file)?;
        Ok(Self {
            name: name.to_owned(),
            file: Some(file),
            bytes_of: table.bytes_of,
            end_of_text: table.end_of_text,
            engine,
        })
    }

    /// A submission's own tokenizer.json, loaded and used in a process of its own.
    ///
    /// # Errors
    /// [`DatasetError::Tokenizer`] when the file is no tokenizer, [`DatasetError::Sandbox`] when that process cannot be
    /// started.
    pub fn own(file: &Path, process: guarded::Process) -> Result<Self, DatasetError> {
        let json = std::fs::read(file).map_err(super::at(file))?;
        let (table, guarded) = Guarded::load(json, process)?;
        Ok(Self {
            name: OWN.to_owned(),
            file: Some(file.to_owned()),
            bytes_of: table.bytes_of,
            end_of_text: table.end_of_text,
            engine: Engine::Guarded(Box::new(guarded)),
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

    /// Encodes documents in order, on all cores, and hands their ids out one by one, without end-of-text.
    ///
    /// # Errors
    /// [`DatasetError::Lossy`] if the ids of a document do not give every byte back.
    pub fn encode_all(
        &self,
        documents: &[Document],
        take: &mut dyn FnMut(Vec<u32>),
    ) -> Result<(), DatasetError> {
        use rayon::prelude::*;
        let mut begun = 0;
        while begun < documents.len() {
            let window = &documents[begun..begun + window(&documents[begun..])];
            let encoded: Vec<Vec<u32>> = match &self.engine {
                Engine::Guarded(guarded) => guarded.encode(window)?,
                _ => window
                    .par_iter()
                    .map_init(Scratch::default, |scratch, document| {
                        self.encode(&document.text, scratch)
                    })
                    .collect::<Result<_, _>>()?,
            };
            for (index, (document, ids)) in window.iter().zip(&encoded).enumerate() {
                self.check(begun + index, &document.text, ids)?;
            }
            begun += window.len();
            encoded.into_iter().for_each(&mut *take);
        }
        Ok(())
    }

    fn encode(&self, text: &str, scratch: &mut Scratch) -> Result<Vec<u32>, DatasetError> {
        match &self.engine {
            Engine::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Engine::Bpe(bpe) => {
                let mut ids = Vec::with_capacity(text.len() / 3);
                bpe.encode(text, scratch, &mut ids);
                Ok(ids)
            }
            Engine::Library(library) => library.encode(text).map_err(|reason| self.wrong(reason)),
            Engine::Guarded(_) => Err(self.wrong("it has a process of its own".to_owned())),
        }
    }

    fn check(&self, document: usize, text: &str, ids: &[u32]) -> Result<(), DatasetError> {
        match first_difference(&self.bytes_of, ids, text.as_bytes()) {
            None => Ok(()),
            Some(byte) => Err(DatasetError::Lossy {
                name: self.name.clone(),
                document,
                byte,
            }),
        }
    }

    fn wrong(&self, reason: String) -> DatasetError {
        DatasetError::Tokenizer {
            name: self.name.clone(),
            reason,
        }
    }
}

/// What the ids of a tokenizer stand for.
struct Table {
    bytes_of: Vec<Vec<u8>>,
    end_of_text: u32,
}

impl Table {
    /// Reads a tokenizer.json. `strict`: the `tokenizers` crate must accept the file whatever encodes with it.
    fn read(json: &[u8], strict: bool) -> Result<(Self, Engine), String> {
        let definition = Definition::read(json)?;
        let bytes_of = definition.bytes_of();
        let library = (strict || definition.kind.is_none())
            .then(|| Library::load(&definition))
            .transpose()?;
        let engine = match (definition.kind, library) {
            (Some(kind), _) => Engine::Bpe(Box::new(Bpe::new(&definition, kind, &bytes_of)?)),
            (None, Some(library)) => Engine::Library(Box::new(library)),
            (None, None) => return Err("nothing can encode with it".to_owned()),
        };
        let table = Self {
            bytes_of,
            end_of_text: definition.end_of_text(),
        };
        Ok((table, engine))
    }
}

/// How many of `documents` are encoded at a time.
fn window(documents: &[Document]) -> usize {
    let mut bytes = 0;
    documents
        .iter()
        .take_while(|document| {
            let more = bytes < WINDOW_BYTES;
            bytes += document.text.len();
            more
        })
        .count()
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
