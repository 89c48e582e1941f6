//! The narrow door to the Python parser: the only file that names `rustpython_parser`.
//!
//! The lexer runs first and its tokens are checked against [`super::limits`] before the parser sees them, because a
//! deep syntax tree overflows the stack when it is walked or dropped, and that cannot be caught.

pub use rustpython_parser::ast;
use rustpython_parser::{Mode, StringKind, Tok, lexer::LexResult};

use super::fingerprints::TokenHashes;
use super::limits::{self, LimitExceeded, NestingMeter};

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
}

/// Why there is no syntax tree.
#[derive(Debug)]
pub enum ParseProblem {
    /// The source is not Python as the parser knows it.
    Syntax { message: String, offset: usize },
    /// The source is larger or deeper than the reviewer accepts.
    Limit(LimitExceeded),
}

/// Tokenises, checks the nesting limits and parses one decoded file.
pub fn parse_module(source: &str) -> Result<ParsedModule, ParseProblem> {
    let mut meter = NestingMeter::default();
    let mut results: Vec<LexResult> = Vec::new();
    let mut tokens = TokenHashes::default();
    for item in rustpython_parser::lexer::lex(source, Mode::Module) {
        if results.len() >= limits::MAX_TOKENS {
            return Err(ParseProblem::Limit(LimitExceeded {
                what: "tokens in one file",
                got: results.len() + 1,
                limit: limits::MAX_TOKENS,
                offset: source.len(),
            }));
        }
        match &item {
            Ok((tok, range)) => {
                let start = usize::from(range.start());
                let end = usize::from(range.end());
                meter
                    .feed(shape_of(tok), start)
                    .map_err(ParseProblem::Limit)?;
                match tok {
                    Tok::Newline | Tok::Indent | Tok::Dedent => {}
                    Tok::String { .. } => tokens.string(),
                    Tok::Int { .. } | Tok::Float { .. } | Tok::Complex { .. } => tokens.number(),
                    _ => tokens.text(source.get(start..end).unwrap_or("")),
                }
                if let Tok::String {
                    kind: StringKind::FString | StringKind::RawFString,
                    ..
                } = tok
                {
                    let text = source.get(start..end).unwrap_or("");
                    limits::check_fstring(text, start).map_err(ParseProblem::Limit)?;
                }
            }
            Err(error) => {
                return Err(ParseProblem::Syntax {
                    message: error.error.to_string(),
                    offset: usize::from(error.location),
                });
            }
        }
        results.push(item);
    }
    match rustpython_parser::parse_tokens(results, Mode::Module, "<submission>") {
        Ok(ast::Mod::Module(module)) => Ok(ParsedModule {
            body: module.body,
            tokens,
        }),
        Ok(_) => Err(ParseProblem::Syntax {
            message: "not a module".to_owned(),
            offset: 0,
        }),
        Err(error) => Err(ParseProblem::Syntax {
            message: error.error.to_string(),
            offset: usize::from(error.offset),
        }),
    }
}

/// Tokens of a file for [`super::normalise`], without building a tree.
pub fn tokens_of(source: &str) -> Result<Vec<Token>, ParseProblem> {
    let mut tokens = Vec::new();
    for item in rustpython_parser::lexer::lex(source, Mode::Module) {
        match item {
            Ok((tok, range)) => tokens.push(Token {
                kind: kind_of(&tok),
                start: usize::from(range.start()),
                end: usize::from(range.end()),
            }),
            Err(error) => {
                return Err(ParseProblem::Syntax {
                    message: error.error.to_string(),
                    offset: usize::from(error.location),
                });
            }
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
