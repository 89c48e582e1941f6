//! The `tokenizers` crate, for every kind of tokenizer.json that [`super::bpe`] does not encode itself.

use super::definition::Definition;

/// A tokenizer that the crate has loaded. It may lose text: what comes out is compared.
#[derive(Debug)]
pub struct Library(tokenizers::Tokenizer);

impl Library {
    /// The error says what the crate does not accept.
    pub fn load(definition: &Definition) -> Result<Self, String> {
        tokenizers::Tokenizer::from_bytes(definition.library_json())
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// Ids of a text, without special tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        self.0
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| error.to_string())
    }
}
