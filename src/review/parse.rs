//! The narrow door to the Python parser: nothing outside of it names `rustpython_parser`.
//!
//! Tokens come from [`lexer`] and are checked against [`super::limits`] before the parser sees them, because a
//! deep syntax tree overflows the stack when it is walked or dropped, and that cannot be caught.

mod lexer;
mod unread;

pub use rustpython_parser::ast;
use rustpython_parser::lexer::{LexResult, LexicalError, LexicalErrorType};
use rustpython_parser::{Mode, StringKind, Tok};

pub use lexer::difference;

use super::fingerprints::TokenHashes;
use super::limits::{self, LimitExceeded, NestingMeter};
use super::rules::is_data_word;

/// One lexical token with its byte range in the source.
pub struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

/// What the code-length normalisation must tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Newline,
    Indent,
    Dedent,
    Semicolon,
    /// Plain text or bytes.
    Str,
    Other,
}

/// A parsed file. Dropping it recurses as deep as the tree is: keep it inside the deep-stack thread.
pub struct ParsedModule {
    pub body: Vec<ast::Stmt>,
    pub tokens: TokenHashes,
    /// A name of which [`is_data_word`] holds stands in the file, as a name or inside an f-string.
    pub has_data_words: bool,
}

/// Why there is no syntax tree.
#[derive(Debug)]
pub enum ParseProblem {
    /// The source is not Python as the parser knows it.
    Syntax { message: String, offset: usize },
    /// CPython can read it.
    Unsupported { message: String, offset: usize },
    /// The source is larger or deeper than the reviewer accepts.
    Limit(LimitExceeded),
}

/// Tokenises, checks the nesting limits and parses one decoded file.
///
/// Token by token: what the parser has built of a file never goes beyond what the tokens before were allowed.
pub fn parse_module(source: &str) -> Result<ParsedModule, ParseProblem> {
    let mut tokens = Checked {
        source,
        lexer: lexer::Lexer::new(source),
        meter: NestingMeter::default(),
        hashes: TokenHashes::for_source(source),
        has_data_words: false,
        count: 0,
        problem: None,
    };
    let parsed = rustpython_parser::parse_tokens(&mut tokens, Mode::Module, "<submission>");
    // a limit that is passed behind a syntax error is the finding
    tokens.by_ref().for_each(drop);
    let problem = match (tokens.problem, parsed) {
        (Some(problem), _) => problem,
        (None, Ok(ast::Mod::Module(module))) => {
            return Ok(ParsedModule {
                body: module.body,
                tokens: tokens.hashes,
                has_data_words: tokens.has_data_words,
            });
        }
        (None, Ok(_)) => ParseProblem::Syntax {
            message: "not a module".to_owned(),
            offset: 0,
        },
        (None, Err(error)) => ParseProblem::Syntax {
            message: error.error.to_string(),
            offset: usize::from(error.offset),
        },
    };
    Err(problem.or_unsupported(source))
}

impl ParseProblem {
    /// An error of syntax where CPython finds one, too, as far as can be told.
    fn or_unsupported(self, source: &str) -> ParseProblem {
        let ParseProblem::Syntax { offset, .. } = &self else {
            return self;
        };
        let Some((offset, found)) = unread::unread(source, *offset) else {
            return self;
        };
        let message = format!(
            "a field of this f-string has {found} in it, which Python reads from 3.12 on and the reviewer does not"
        );
        ParseProblem::Unsupported { message, offset }
    }

    fn of_tokens(error: &LexicalError) -> ParseProblem {
        let (message, offset) = (error.error.to_string(), usize::from(error.location));
        match error.error {
            LexicalErrorType::TabsAfterSpaces => ParseProblem::Unsupported {
                message: "a tab behind spaces in an indentation, which Python reads and the reviewer does not".to_owned(),
                offset,
            },
            _ => ParseProblem::Syntax { message, offset },
        }
    }
}

/// The tokens of a file up to the first that is not accepted.
struct Checked<'s, L> {
    source: &'s str,
    lexer: L,
    meter: NestingMeter,
    hashes: TokenHashes,
    has_data_words: bool,
    count: usize,
    problem: Option<ParseProblem>,
}

impl<L> Checked<'_, L> {
    fn check(&mut self, tok: &Tok, start: usize, end: usize) -> Result<(), LimitExceeded> {
        self.meter.feed(shape_of(tok), start)?;
        let text = || self.source.get(start..end).unwrap_or("");
        match tok {
            Tok::Newline | Tok::Indent | Tok::Dedent => {}
            Tok::String { kind, .. } => {
                if matches!(kind, StringKind::FString | StringKind::RawFString) {
                    limits::check_fstring(text(), start)?;
                    let is_word = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
                    let mut words = text().split(|byte| !is_word(byte));
                    self.has_data_words |= words.any(is_data_word);
                }
                self.hashes.string();
            }
            Tok::Int { .. } | Tok::Float { .. } | Tok::Complex { .. } => self.hashes.number(),
            Tok::Name { name } => {
                self.has_data_words |= is_data_word(name);
                self.hashes.text(name);
            }
            _ => self.hashes.text(text()),
        }
        Ok(())
    }
}

impl<L: Iterator<Item = LexResult>> Iterator for Checked<'_, L> {
    type Item = LexResult;

    fn next(&mut self) -> Option<LexResult> {
        if self.problem.is_some() {
            return None;
        }
        let item = self.lexer.next()?;
        self.count += 1;
        let problem = match &item {
            _ if self.count > limits::MAX_TOKENS => Some(ParseProblem::Limit(LimitExceeded {
                what: "tokens in one file",
                got: self.count,
                limit: limits::MAX_TOKENS,
                offset: self.source.len(),
            })),
            Ok((tok, range)) => self
                .check(tok, usize::from(range.start()), usize::from(range.end()))
                .err()
                .map(ParseProblem::Limit),
            Err(error) => Some(ParseProblem::of_tokens(error)),
        };
        self.problem = problem;
        self.problem.is_none().then_some(item)
    }
}

/// Tokens of a file for [`super::normalise`], without building a tree.
pub fn tokens_of(source: &str) -> Result<Vec<Token>, ParseProblem> {
    let mut tokens = Vec::new();
    for item in lexer::Lexer::new(source) {
        match item {
            Ok((tok, range)) => tokens.push(Token {
                kind: kind_of(&tok),
                start: usize::from(range.start()),
                end: usize::from(range.end()),
            }),
            Err(error) => return Err(ParseProblem::of_tokens(&error)),
        }
        if tokens.len() > limits::MAX_TOKENS {
            return Err(ParseProblem::Limit(LimitExceeded {
                what: "tokens in one file",
                got: tokens.len(),
                limit: limits::MAX_TOKENS,
                offset: source.len(),
            }));
        }
    }
    Ok(tokens)
}

/// Byte range of any syntax node.
pub fn span<T: ast::Ranged>(node: &T) -> (usize, usize) {
    let range = node.range();
    (usize::from(range.start()), usize::from(range.end()))
}

fn kind_of(tok: &Tok) -> TokenKind {
    match tok {
        Tok::Newline => TokenKind::Newline,
        Tok::Indent => TokenKind::Indent,
        Tok::Dedent => TokenKind::Dedent,
        // an f-string is code, not text
        Tok::String {
            kind: StringKind::FString | StringKind::RawFString,
            ..
        } => TokenKind::Other,
        Tok::String { .. } => TokenKind::Str,
        Tok::Semi => TokenKind::Semicolon,
        _ => TokenKind::Other,
    }
}

/// How a token changes the depth of the tree above it.
fn shape_of(tok: &Tok) -> limits::Shape {
    use limits::Shape;
    match tok {
        Tok::Lpar | Tok::Lsqb | Tok::Lbrace => Shape::Open,
        Tok::Rpar | Tok::Rsqb | Tok::Rbrace => Shape::Close,
        Tok::Comma | Tok::Semi => Shape::Separator,
        Tok::Newline => Shape::LineEnd,
        Tok::Indent => Shape::Indent,
        Tok::Dedent => Shape::Dedent,
        Tok::Elif => Shape::Elif,
        Tok::Name { .. }
        | Tok::Int { .. }
        | Tok::Float { .. }
        | Tok::Complex { .. }
        | Tok::String { .. }
        | Tok::True
        | Tok::False
        | Tok::None
        | Tok::Ellipsis
        | Tok::EndOfFile
        | Tok::StartModule
        | Tok::StartExpression
        | Tok::StartInteractive => Shape::Leaf,
        _ => Shape::Deepening,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tokens_are_refused_for_comes_before_what_the_parser_says() {
        let chain = format!(
            "x = =\nx = {}1\n",
            "-".repeat(2 * limits::MAX_OPERATOR_CHAIN)
        );
        assert!(matches!(
            parse_module(&chain),
            Err(ParseProblem::Limit(LimitExceeded { offset, .. })) if offset > limits::MAX_OPERATOR_CHAIN
        ));
        let unclosed = "x = =\ny = 'text\n";
        assert!(matches!(
            parse_module(unclosed),
            Err(ParseProblem::Syntax { offset, .. }) if offset > "x = =\n".len()
        ));
        assert!(matches!(
            parse_module("x = =\n"),
            Err(ParseProblem::Syntax { offset: 4, .. })
        ));
    }

    #[test]
    fn words_of_data_are_seen_as_names_and_in_f_strings() {
        for (source, expected) in [
            ("x = ctx.data_dir\n", true),
            ("x = f'{ctx.data_dir}'\n", true),
            ("x = y.load_state_dict(z)\n", false),
            ("'data_dir'\n", false),
        ] {
            let module = parse_module(source).unwrap();
            assert_eq!(module.has_data_words, expected, "{source}");
        }
    }
}
