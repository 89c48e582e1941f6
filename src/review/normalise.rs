//! The source as the score counts it: what remains when comments, layout and docstrings are taken away.
//!
//! Two files that differ only in formatting come out as the same bytes. Docstrings are dropped only where no file of the
//! bundle mentions `__doc__`, because otherwise they could carry knowledge for free.

use std::collections::BTreeMap;

use super::decode::decode;
use super::parse::{ParseProblem, Token, TokenKind, tokens_of};

/// Why a bundle has no normalised source.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NormaliseError {
    #[error("{path}: cannot be read as Python source: {reason}")]
    Unreadable { path: String, reason: String },
}

impl NormaliseError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            NormaliseError::Unreadable { .. } => {
                "review the bundle first; only accepted bundles have a code length"
            }
        }
    }
}

const INDENT: u8 = 0x01;
const DEDENT: u8 = 0x02;

/// Concatenates all files in path order: Python files as their tokens, one space apart, with a newline for each logical
/// line, 0x01 for INDENT and 0x02 for DEDENT; other files verbatim. Each file begins with its path and a newline.
pub fn normalised_source(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, NormaliseError> {
    let reads_docstrings = reads_docstrings(files);
    let mut output = Vec::new();
    for (path, bytes) in files {
        output.extend_from_slice(path.as_bytes());
        output.push(b'\n');
        if path.ends_with(".py") {
            append_python(&mut output, path, bytes, !reads_docstrings)?;
        } else {
            output.extend_from_slice(bytes);
            output.push(b'\n');
        }
    }
    Ok(output)
}

/// Whether any file mentions `__doc__`: docstrings then count, and stay.
pub(super) fn reads_docstrings(files: &BTreeMap<String, Vec<u8>>) -> bool {
    files.values().any(|bytes| {
        bytes
            .windows(b"__doc__".len())
            .any(|window| window == b"__doc__")
    })
}

fn append_python(
    output: &mut Vec<u8>,
    path: &str,
    bytes: &[u8],
    drop_docstrings: bool,
) -> Result<(), NormaliseError> {
    let unreadable = |reason: String| NormaliseError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let text = decode(bytes).map_err(|problem| unreadable(problem.message))?;
    let tokens = tokens_of(&text).map_err(|problem| {
        unreadable(match problem {
            ParseProblem::Syntax { message, .. } | ParseProblem::Unsupported { message, .. } => {
                message
            }
            ParseProblem::Limit(exceeded) => format!("too many {}", exceeded.what),
        })
    })?;
    for piece in pieces(&tokens, drop_docstrings) {
        match piece {
            Piece::Indent => output.push(INDENT),
            Piece::Dedent => output.push(DEDENT),
            Piece::Line(statements) => {
                for statement in statements {
                    for (index, token) in statement.iter().enumerate() {
                        if index > 0 {
                            output.push(b' ');
                        }
                        let text = text.get(token.start..token.end).unwrap_or("");
                        output.extend_from_slice(text.as_bytes());
                    }
                    output.push(b'\n');
                }
            }
        }
    }
    Ok(())
}

/// What a file consists of, once comments and layout are gone.
pub(super) enum Piece<'t> {
    Indent,
    Dedent,
    /// One logical line: its statements, which semicolons part, as tokens. Neither is empty.
    Line(Vec<Vec<&'t Token>>),
}

/// The pieces of a file in their order; with `drop_docstrings` without the statements that are nothing but text.
pub(super) fn pieces(tokens: &[Token], drop_docstrings: bool) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut line: Vec<Vec<&Token>> = Vec::new();
    let mut statement: Vec<&Token> = Vec::new();
    for token in tokens {
        match token.kind {
            TokenKind::Semicolon | TokenKind::Newline => {
                line.extend(ended(&mut statement, drop_docstrings));
                if token.kind == TokenKind::Newline && !line.is_empty() {
                    pieces.push(Piece::Line(std::mem::take(&mut line)));
                }
            }
            TokenKind::Indent => pieces.push(Piece::Indent),
            TokenKind::Dedent => pieces.push(Piece::Dedent),
            TokenKind::Str | TokenKind::Other if token.end > token.start => statement.push(token),
            TokenKind::Str | TokenKind::Other => {}
        }
    }
    line.extend(ended(&mut statement, drop_docstrings));
    if !line.is_empty() {
        pieces.push(Piece::Line(line));
    }
    pieces
}

/// The statement that ends here, if there is one and it counts.
fn ended<'t>(statement: &mut Vec<&'t Token>, drop_docstrings: bool) -> Option<Vec<&'t Token>> {
    let statement = std::mem::take(statement);
    let is_text = statement.iter().all(|token| token.kind == TokenKind::Str);
    let counts = !(statement.is_empty() || is_text && drop_docstrings);
    counts.then_some(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(source: &str) -> Vec<u8> {
        let files = BTreeMap::from([("a.py".to_owned(), source.as_bytes().to_vec())]);
        normalised_source(&files).unwrap()
    }

    #[test]
    fn formatting_comments_and_docstrings_do_not_count() {
        let plain = "def f(x, y):\n    return x+y\n";
        let dressed = "# head\n\ndef f( x,\n        y ):  # why\n\t'''Adds.\n\n\tTwo numbers.'''\n\treturn (x \\\n\t   +y)\n";
        let dressed = dressed.replace("(x \\\n\t   +y)", "x \\\n\t   + y");
        assert_eq!(normalised(plain), normalised(&dressed));
        assert_eq!(
            normalised(plain),
            b"a.py\ndef f ( x , y ) :\n\x01return x + y\n\x02"
        );
    }

    #[test]
    fn docstrings_count_where_they_could_be_read() {
        let source = "\"\"\"weights\"\"\"\nx = f.__doc__\n";
        assert!(
            String::from_utf8(normalised(source))
                .unwrap()
                .contains("weights")
        );
    }

    #[test]
    fn f_strings_are_code() {
        let text = String::from_utf8(normalised("f'{step()}'\n'plain'\n")).unwrap();
        assert!(text.contains("step") && !text.contains("plain"), "{text}");
    }

    #[test]
    fn other_files_are_verbatim_and_order_is_by_path() {
        let files = BTreeMap::from([
            ("b.py".to_owned(), b"x=1\n".to_vec()),
            ("a.json".to_owned(), b"{ }".to_vec()),
        ]);
        assert_eq!(
            normalised_source(&files).unwrap(),
            b"a.json\n{ }\nb.py\nx = 1\n"
        );
    }

    #[test]
    fn unreadable_files_are_named() {
        let files = BTreeMap::from([("b.py".to_owned(), b"x = '\n".to_vec())]);
        let error = normalised_source(&files).unwrap_err();
        assert!(error.to_string().starts_with("b.py: "), "{error}");
        assert!(!error.hint().is_empty());
    }
}
