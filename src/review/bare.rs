//! The source as it runs: exactly what the code length charges, and nothing beside it.
//!
//! Comments, docstrings and layout are free, so they must not be there when the submission runs: whatever way it finds to
//! its own text, to line numbers or to docstrings, there is nothing to read that was not paid for. A line of the bare text
//! is one logical line of the author's; a table leads back to it, for whoever reads a traceback.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::ast_digest::ast_digest;
use super::authored::Collector;
use super::normalise::{Piece, pieces, reads_docstrings};
use super::parse::{Token, tokens_of};
use super::readable::read;
use super::scope::ScopeTable;
use super::workers::on_deep_stack;

/// A Python file without what is not charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BareSource {
    pub text: String,
    /// For each line of `text` the line of the author's file where its statement begins, from 1.
    pub lines: Vec<u32>,
    /// Digest of the syntax tree of `text`.
    pub ast_sha256: String,
}

/// Every Python file that can be read and parsed, by path. Its syntax tree is that of the author's file less the docstrings;
/// a file for which that cannot be shown is not among them.
pub fn bare_sources(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, BareSource> {
    let drop_docstrings = !reads_docstrings(files);
    let bare = || {
        files
            .iter()
            .filter(|(path, _)| path.ends_with(".py"))
            .filter_map(|(path, bytes)| Some((path.clone(), bare(path, bytes, drop_docstrings)?)))
            .collect()
    };
    on_deep_stack(|| catch_unwind(AssertUnwindSafe(bare)).unwrap_or_default()).unwrap_or_default()
}

fn bare(path: &str, bytes: &[u8], drop_docstrings: bool) -> Option<BareSource> {
    let file = read(path, bytes).ok()?;
    ScopeTable::build(&file.module.body, &mut Collector::default())
        .too_deep
        .is_none()
        .then_some(())?;
    let reviewed = ast_digest(&file.module.body);
    let tokens = tokens_of(&file.text).ok()?;
    // Another layout is no other program: shown for each file, because what runs must be what was reviewed.
    let (text, lines) = written(&file.text, &tokens, false);
    if digest_of(path, &text)? != reviewed {
        return None;
    }
    if !drop_docstrings {
        return Some(BareSource {
            text,
            lines,
            ast_sha256: reviewed,
        });
    }
    let (text, lines) = written(&file.text, &tokens, true);
    let ast_sha256 = digest_of(path, &text)?;
    Some(BareSource {
        text,
        lines,
        ast_sha256,
    })
}

fn digest_of(path: &str, text: &str) -> Option<String> {
    let file = read(path, text.as_bytes()).ok()?;
    Some(ast_digest(&file.module.body))
}

/// The bare text and, for each of its lines, the author's.
fn written(source: &str, tokens: &[Token], drop_docstrings: bool) -> (String, Vec<u32>) {
    let mut writer = Writer {
        source,
        at: 0,
        line: 1,
        text: String::new(),
        lines: Vec::new(),
    };
    // for each block that is open, whether a statement was written in it
    let mut blocks = vec![false];
    for piece in pieces(tokens, drop_docstrings) {
        match piece {
            Piece::Indent => blocks.push(false),
            Piece::Dedent => {
                // a block of docstrings alone; 0 is a statement without effect
                if blocks.last() == Some(&false) {
                    writer.begin_line(blocks.len() - 1);
                    writer.text.push('0');
                    writer.text.push('\n');
                }
                blocks.pop();
            }
            Piece::Line(statements) => {
                if let Some(block) = blocks.last_mut() {
                    *block = true;
                }
                if let Some(token) = statements.first().and_then(|tokens| tokens.first()) {
                    writer.count_to(token.start);
                }
                writer.begin_line(blocks.len().saturating_sub(1));
                for (index, statement) in statements.iter().enumerate() {
                    if index > 0 {
                        writer.text.push_str("; ");
                    }
                    for (index, token) in statement.iter().enumerate() {
                        if index > 0 {
                            writer.text.push(' ');
                        }
                        writer.token(token);
                    }
                }
                writer.text.push('\n');
            }
        }
    }
    (writer.text, writer.lines)
}

struct Writer<'s> {
    source: &'s str,
    /// Byte of the source up to which `line` has counted.
    at: usize,
    /// The author's line at `at`, from 1.
    line: u32,
    text: String,
    lines: Vec<u32>,
}

impl Writer<'_> {
    fn begin_line(&mut self, depth: usize) {
        self.lines.push(self.line);
        self.text.extend(std::iter::repeat_n(' ', depth));
    }

    fn token(&mut self, token: &Token) {
        self.count_to(token.start);
        let text = self.source.get(token.start..token.end).unwrap_or("");
        for _ in text.matches('\n') {
            self.line = self.line.saturating_add(1);
            self.lines.push(self.line);
        }
        self.text.push_str(text);
        self.at = token.end.max(self.at);
    }

    fn count_to(&mut self, offset: usize) {
        let passed = self.source.get(self.at..offset).unwrap_or("");
        let newlines = passed.bytes().filter(|&byte| byte == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.at = offset.max(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare_of(source: &str) -> BareSource {
        let files = BTreeMap::from([("a.py".to_owned(), source.as_bytes().to_vec())]);
        bare_sources(&files).remove("a.py").unwrap()
    }

    #[test]
    fn what_is_not_charged_is_not_there() {
        let source = concat!(
            "#!/usr/bin/env python\n",
            "\"\"\"About\nthis.\"\"\"\n",
            "import torch  # knowledge\n",
            "\n\n",
            "class Net( torch.nn.Module ):\n",
            "        'One.'; \"Two.\"\n",
            "        width   =  4 ; 'three'\n",
            "        def forward(self, x):\n",
            "            '''Nothing\n               else.'''\n",
            "        def text(self): return f(  # why\n",
            "            '''kept\n# as it is''',\n",
            "            x   = 1)\n",
            "if torch: a = 1; b = 2\n",
        );
        let bare = bare_of(source);
        let expected = concat!(
            "import torch\n",
            "class Net ( torch . nn . Module ) :\n",
            " width = 4\n",
            " def forward ( self , x ) :\n",
            "  0\n",
            " def text ( self ) : return f ( '''kept\n# as it is''' , x = 1 )\n",
            "if torch : a = 1; b = 2\n",
        );
        assert_eq!(bare.text, expected);
        assert_eq!(bare.lines, [4, 7, 9, 10, 10, 13, 15, 17]);
    }

    #[test]
    fn formatting_changes_nothing_that_runs() {
        let plain = "def f(x, y):\n    return x+y\n";
        let dressed =
            "# head\n\ndef f( x,\n        y ):  # why\n\t'''Adds.'''\n\n\treturn x \\\n\t   +y\n";
        assert_eq!(bare_of(plain).text, bare_of(dressed).text);
        assert_eq!(bare_of(plain).ast_sha256, bare_of(dressed).ast_sha256);
        assert_eq!(bare_of(dressed).lines, [3, 7]);
    }

    #[test]
    fn docstrings_stay_where_they_are_charged() {
        let source = "\"\"\"weights\"\"\"\nx = f.__doc__  # read\n";
        assert_eq!(
            bare_of(source).text,
            "\"\"\"weights\"\"\"\nx = f . __doc__\n"
        );
    }

    #[test]
    fn a_bare_file_is_its_own_bare_file() {
        for source in [
            "",
            "# nothing\n",
            "'''only\ntext'''\n",
            "@a\n@b . c\nasync def f(*, a: int = -1, **k) -> None:\n    async with a as b, c:\n        yield (x := 1), *k\n",
            "match x:\n    case {'a': [1, *_], **r} if not r is not x:\n        pass\n",
            "x = 1 .real if 0x1f else 1.e5j ** -1 // 2 @ m; del x\n",
            "s = f'{a!r:>{w}} {b = }' 'more' rb'\\x00' if 0 else u'x'\n",
            "try:\n  f()\nexcept* E as e: raise X from e\nelse: '''text'''\nfinally:\n  'text'\n",
            "type A[T] = list[T]\n",
        ] {
            let files = BTreeMap::from([("a.py".to_owned(), source.as_bytes().to_vec())]);
            let Some(once) = bare_sources(&files).remove("a.py") else {
                // what the reviewer cannot parse has no bare text
                assert!(digest_of("a.py", source).is_none(), "{source}");
                continue;
            };
            let again = bare_of(&once.text);
            assert_eq!(once.text, again.text);
            assert_eq!(once.ast_sha256, again.ast_sha256);
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let files = BTreeMap::from([
            ("a.py".to_owned(), b"x = '\n".to_vec()),
            ("b.py".to_owned(), b"\xff".to_vec()),
            ("c.json".to_owned(), b"{}".to_vec()),
        ]);
        assert!(bare_sources(&files).is_empty());
    }
}
