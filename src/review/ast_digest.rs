//! A canonical digest of a syntax tree: what ties the reviewed source to what CPython makes of the same bytes.
//!
//! The tree is written as text (node kinds, names, constants and their order; no positions, comments or quoting) and
//! hashed. `prism_runner/sources.py` writes the same text from CPython's own `ast`; the referee compares the two before
//! anything of a submission is imported. The text, field by field in the order of CPython's `_fields`:
//!
//! - a node `(Kind field field)`, a list `[item item]`, nothing `_`, a name `'4:self`, a number `#2;`
//! - a constant: `s` text, `b` bytes, `i` integer (hexadecimal), `f` float and `c` complex (bits of IEEE 754), `N T F E`
//! - parameters `(arguments posonly args vararg kwonly kwarg)`, each `(p arg default)`
//!
//! Left out are type comments, the `u` of strings, whether an annotated name stands in brackets, and empty
//! `type_params` (Python 3.10 and 3.11 have none). Adjacent constants of an f-string are one, empty ones none: Python
//! 3.12 cuts them elsewhere than 3.11 does.

mod nodes;
mod values;

use std::io::Write as _;

use sha2::{Digest, Sha256};

use super::parse::ast::Stmt;
use crate::digest::hex;

/// First line of the text; a change of the form changes it, here and in `sources.py`.
const VERSION: &[u8] = b"prism-ast-v1\n";
/// Text that is hashed at once.
const CHUNK_BYTES: usize = 1 << 13;

/// The digest of a module, as 64 hexadecimal digits.
///
/// Recurses once per level of the tree: for trees within [`super::limits`], on the deep stack.
pub fn ast_digest(body: &[Stmt]) -> String {
    let mut text = Text {
        hash: Sha256::new(),
        pending: Vec::with_capacity(CHUNK_BYTES + VERSION.len()),
    };
    text.put(VERSION);
    text.put(b"(Module");
    body.put(&mut text);
    text.put(b")");
    text.hash.update(&text.pending);
    hex(&text.hash.finalize())
}

struct Text {
    hash: Sha256,
    pending: Vec<u8>,
}

impl Text {
    fn put(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK_BYTES {
            self.hash.update(&self.pending);
            self.pending.clear();
        }
    }

    /// Formats without allocating; writing to a vector cannot fail.
    fn print(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _ = self.pending.write_fmt(arguments);
    }

    fn decimal(&mut self, number: usize) {
        if number >= 10 {
            self.decimal(number / 10);
        }
        self.pending.push(b'0' + (number % 10) as u8);
    }

    fn sized(&mut self, tag: u8, bytes: &[u8]) {
        self.pending.push(tag);
        self.decimal(bytes.len());
        self.pending.push(b':');
        self.put(bytes);
    }

    fn number(&mut self, number: usize) {
        self.pending.push(b'#');
        self.decimal(number);
        self.pending.push(b';');
    }
}

/// Something that has a place in the text.
trait Canonical {
    fn put(&self, text: &mut Text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse::{TokenKind, parse_module, tokens_of};
    use super::super::workers::on_deep_stack;
    use super::*;

    const EVERY_NODE: &str = include_str!("cases/every_node.py");
    /// tests/runner/test_sources.py has the same value.
    const EVERY_NODE_DIGEST: &str =
        "f68f0fd994b23b0af65c10fa43a89ac58aefbfc4807af0cebe422267f1b0686b";

    fn digest(source: &str) -> String {
        on_deep_stack(|| ast_digest(&parse_module(source).unwrap().body)).unwrap()
    }

    /// The same tokens in another layout: blanks between tokens, comments and empty lines at the ends of lines, and
    /// deeper indentation, where `choices` say so.
    fn dressed(source: &str, choices: &[u8]) -> String {
        let mut choices = choices.iter().cycle().copied();
        let mut next = || choices.next().unwrap_or(0);
        let mut text = String::new();
        let mut end = 0;
        let (mut indents, mut is_line_start) = (0usize, true);
        for token in tokens_of(source).unwrap() {
            match token.kind {
                TokenKind::Indent => indents += 1,
                TokenKind::Dedent => indents = indents.saturating_sub(1),
                TokenKind::Newline => {
                    if next() % 3 == 0 {
                        text.push_str("   # a comment with words: import os");
                    }
                    text.push('\n');
                    if next() % 3 == 0 {
                        text.push_str("\n  # another\n");
                    }
                    is_line_start = true;
                }
                _ if token.start == token.end => continue,
                _ => {
                    if is_line_start {
                        text.push_str(&"   ".repeat(indents));
                    } else {
                        let between = source.get(end..token.start).unwrap_or("");
                        // what stands between tokens is blank, a continued line, or a comment inside brackets
                        text.push_str(between);
                        text.push_str(if next() % 2 == 0 { "  " } else { "" });
                    }
                    is_line_start = false;
                    text.push_str(source.get(token.start..token.end).unwrap_or(""));
                }
            }
            end = token.end;
        }
        text
    }

    #[test]
    fn every_kind_of_node_as_cpython_has_it() {
        assert_eq!(digest(EVERY_NODE), EVERY_NODE_DIGEST);
    }

    #[test]
    fn only_the_files_that_are_parsed_have_one() {
        let review = super::super::review_source("case.py", b"x = = 1\n");
        assert_eq!(review.files[0].ast_sha256, None);
        let review = super::super::review_source("case.py", b"x = 1\r\n");
        assert_eq!(
            review.files[0].ast_sha256.as_deref(),
            Some(&*digest("x  =  1"))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn formatting_does_not_count(choices in proptest::collection::vec(any::<u8>(), 1..64)) {
            for source in [EVERY_NODE, include_str!("cases/accepted/gpt.py"), include_str!("cases/accepted/names.py")] {
                let dressed = dressed(source, &choices);
                prop_assert!(dressed != source);
                prop_assert_eq!(digest(&dressed), digest(source));
            }
        }
    }
}
