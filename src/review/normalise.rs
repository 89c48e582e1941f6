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
    let reads_docstrings = files.values().any(|bytes| {
        bytes
            .windows(b"__doc__".len())
            .any(|window| window == b"__doc__")
    });
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
    let mut statement: Vec<&Token> = Vec::new();
    let flush = |output: &mut Vec<u8>, statement: &mut Vec<&Token>| {
        let is_text =
            !statement.is_empty() && statement.iter().all(|token| token.kind == TokenKind::Str);
        if !(statement.is_empty() || is_text && drop_docstrings) {
            for (index, token) in statement.iter().enumerate() {
                if index > 0 {
                    output.push(b' ');
                }
                output.extend_from_slice(text.get(token.start..token.end).unwrap_or("").as_bytes());
            }
            output.push(b'\n');
        }
        statement.clear();
    };
    for token in &tokens {
        match token.kind {
            TokenKind::Newline | TokenKind::Semicolon => flush(output, &mut statement),
            TokenKind::Indent => output.push(INDENT),
            TokenKind::Dedent => output.push(DEDENT),
            TokenKind::Str | TokenKind::Other if token.end > token.start => statement.push(token),
            TokenKind::Str | TokenKind::Other => {}
        }
    }
    flush(output, &mut statement);
    Ok(())
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
