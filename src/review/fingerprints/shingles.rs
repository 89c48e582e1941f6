//! The historical token shingles: windows of five tokens, strings and numbers abstracted, comments and layout dropped.

use std::collections::BTreeMap;

use super::hash::{bytes, finish, mix};
use super::set::set;

/// Tokens in one window.
const WINDOW: usize = 5;
/// Of an ordinary file, rounded down.
const BYTES_PER_TOKEN: usize = 4;
/// Tokens read of a file that is no Python source.
const MAX_OTHER_TOKENS: usize = 20_000;

/// The tokens of one Python file, each as a hash of its text.
#[derive(Clone, Debug, Default)]
pub struct TokenHashes(Vec<u64>);

impl TokenHashes {
    /// With room for the tokens of an ordinary file.
    pub fn for_source(source: &str) -> TokenHashes {
        TokenHashes(Vec::with_capacity(source.len() / BYTES_PER_TOKEN))
    }

    pub fn text(&mut self, text: &str) {
        self.0.push(bytes(3, text.as_bytes()));
    }

    pub fn string(&mut self) {
        self.0.push(bytes(3, b"STR"));
    }

    pub fn number(&mut self) {
        self.0.push(bytes(3, b"NUM"));
    }
}

/// All windows of all files.
pub fn shingles(tokens: &[&TokenHashes], files: &BTreeMap<String, Vec<u8>>) -> Vec<u32> {
    let mut shingles = Vec::with_capacity(tokens.iter().map(|tokens| tokens.0.len()).sum());
    for tokens in tokens {
        windows(&tokens.0, &mut shingles);
    }
    for (path, content) in files {
        if !path.ends_with(".py") {
            windows(&words(content), &mut shingles);
        }
    }
    set(shingles)
}

/// Fewer tokens than a window are one shingle.
fn windows(tokens: &[u64], shingles: &mut Vec<u32>) {
    let of = |window: &[u64]| finish(window.iter().fold(5, |hash, token| mix(hash, *token)));
    if tokens.len() < WINDOW {
        if !tokens.is_empty() {
            shingles.push(of(tokens));
        }
        return;
    }
    shingles.extend(tokens.windows(WINDOW).map(of));
}

/// Words and single characters of other text.
fn words(content: &[u8]) -> Vec<u64> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut tokens = Vec::new();
    let mut rest = content;
    while let Some(first) = rest.first() {
        if tokens.len() >= MAX_OTHER_TOKENS {
            break;
        }
        let length = rest.iter().take_while(|byte| is_word(byte)).count().max(1);
        let (token, after) = rest.split_at(length);
        if !first.is_ascii_whitespace() {
            tokens.push(bytes(3, token));
        }
        rest = after;
    }
    tokens
}
