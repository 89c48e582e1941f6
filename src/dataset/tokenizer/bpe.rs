//! The plain kinds of byte-pair encoding, for any text: no byte of it can get lost.
//!
//! Same ids as the `tokenizers` crate and, for the vocabulary of GPT-2, as tiktoken; several times their speed, since
//! words are cut without a regular expression and most words are looked up whole.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::alphabet::{self, SPACE_SIGN};
use super::definition::{Definition, Kind};
use super::pairs::{Pairs, Scratch};
use super::words::{Gpt2Words, spaced_words};

/// A vocabulary that can encode.
#[derive(Debug)]
pub struct Bpe {
    pairs: Pairs,
    /// Words that are one token, by their text.
    whole: HashMap<Box<[u8]>, u32, FixedState>,
    /// Length of the longest of these.
    longest_bytes: usize,
    symbols: Symbols,
}

/// What a word is before merging.
#[derive(Debug)]
enum Symbols {
    Bytes {
        ids: [u32; 256],
        words: bool,
    },
    /// Characters, and the bytes of those that the vocabulary lacks.
    Characters {
        ids: HashMap<char, u32, FixedState>,
        bytes: [u32; 256],
        /// Whether no token goes on after a space inside it: then words can be cut at spaces.
        words: bool,
    },
}

impl Bpe {
    /// `bytes_of`: what each id stands for. The error says why the vocabulary cannot encode every text.
    pub fn new(definition: &Definition, kind: Kind, bytes_of: &[Vec<u8>]) -> Result<Self, String> {
        let ids: HashMap<&str, u32, FixedState> = (0..)
            .zip(&definition.tokens)
            .filter_map(|(id, token)| Some((token.as_deref()?, id)))
            .collect();
        let end_of_text = definition.end_of_text();
        let mut pairs = Pairs::default();
        let mut merged = String::new();
        for (index, (left, right)) in definition.merges()?.into_iter().enumerate() {
            merged.clear();
            merged.extend([left, right]);
            let id = |token: &str| {
                let id = ids.get(token).copied().filter(|&id| id != end_of_text);
                id.ok_or_else(|| format!("merge {index} needs the token {token:?}"))
            };
            pairs.add(id(left)?, id(right)?, id(&merged)?);
        }
        let mut bpe = Self {
            pairs,
            whole: HashMap::default(),
            longest_bytes: 0,
            symbols: symbols(kind, definition, &ids)?,
        };
        bpe.find_whole_words(definition, bytes_of);
        Ok(bpe)
    }

    /// Tokens that their own text merges to.
    fn find_whole_words(&mut self, definition: &Definition, bytes_of: &[Vec<u8>]) {
        let mut scratch = Scratch::default();
        let mut ids = Vec::new();
        for (id, bytes) in (0..).zip(bytes_of) {
            ids.clear();
            if !bytes.is_empty() && self.spell(bytes, &mut scratch.symbols) {
                self.pairs.merge(&mut scratch, &mut ids);
            }
            if ids == [id] || (definition.ignore_merges() && !bytes.is_empty()) {
                self.longest_bytes = self.longest_bytes.max(bytes.len());
                self.whole.insert(bytes.as_slice().into(), id);
            }
        }
    }

    /// Appends the ids of a text.
    pub fn encode(&self, text: &str, scratch: &mut Scratch, ids: &mut Vec<u32>) {
        match &self.symbols {
            Symbols::Bytes { words: true, .. } => {
                for word in Gpt2Words::new(text) {
                    self.encode_word(word, scratch, ids);
                }
            }
            Symbols::Characters { words: true, .. } => {
                for word in spaced_words(text) {
                    self.encode_word(word, scratch, ids);
                }
            }
            _ => self.encode_word(text, scratch, ids),
        }
    }

    fn encode_word(&self, word: &str, scratch: &mut Scratch, ids: &mut Vec<u32>) {
        if word.len() <= self.longest_bytes
            && let Some(&id) = self.whole.get(word.as_bytes())
        {
            ids.push(id);
            return;
        }
        self.spell(word.as_bytes(), &mut scratch.symbols);
        self.pairs.merge(scratch, ids);
    }

    /// The symbols of a word. False if they are characters and the word is not UTF-8.
    fn spell(&self, word: &[u8], into: &mut Vec<u32>) -> bool {
        into.clear();
        match &self.symbols {
            Symbols::Bytes { ids, .. } => {
                into.extend(word.iter().map(|&byte| ids[usize::from(byte)]));
            }
            Symbols::Characters { ids, bytes, .. } => {
                let Ok(word) = str::from_utf8(word) else {
                    return false;
                };
                let mut buffer = [0; 4];
                for char in word.chars() {
                    match ids.get(&char) {
                        Some(&id) => into.push(id),
                        None => {
                            let encoded = char.encode_utf8(&mut buffer).as_bytes();
                            into.extend(encoded.iter().map(|&byte| bytes[usize::from(byte)]));
                        }
                    }
                }
            }
        }
        true
    }
}

fn symbols(
    kind: Kind,
    definition: &Definition,
    ids: &HashMap<&str, u32, FixedState>,
) -> Result<Symbols, String> {
    let mut bytes = [0; 256];
    let alphabet = alphabet::byte_level();
    for (byte, id) in bytes.iter_mut().enumerate() {
        let token = match kind {
            Kind::ByteLevel { .. } => alphabet[byte].to_string(),
            Kind::Spaced => format!("<0x{byte:02X}>"),
        };
        *id = *ids
            .get(token.as_str())
            .ok_or_else(|| format!("byte {byte} has no token (expected {token:?})"))?;
    }
    if let Kind::ByteLevel { words } = kind {
        return Ok(Symbols::Bytes { ids: bytes, words });
    }
    let end_of_text = definition.end_of_text();
    let mut characters = HashMap::default();
    let mut words = true;
    for (&token, &id) in ids {
        let mut chars = token.chars();
        if let (Some(char), None) = (chars.next(), chars.next())
            && id != end_of_text
        {
            // A space sign in the text is not a space: its bytes stand for it.
            match char {
                SPACE_SIGN => characters.insert(' ', id),
                ' ' => None,
                char => characters.insert(char, id),
            };
        }
        words &= !token.trim_start_matches(SPACE_SIGN).contains(SPACE_SIGN);
    }
    Ok(Symbols::Characters {
        ids: characters,
        bytes,
        words,
    })
}
