//! The tokens of a file, the very same as rustpython-parser's own lexer gives, in a fraction of the time.
//!
//! It reads what nearly every file is made of. Wherever it does not know to the last detail what the library would do
//! (errors, identifiers beyond ASCII, `match`, `case` and `type` at the start of a line) it makes the library's lexer,
//! passes over the tokens that were given already, and goes on with that one. `just fuzz tokens` compares the two.

mod difference;
mod token;

use std::cmp::Ordering;

use rustpython_parser::lexer::{LexResult, Spanned, lex};
use rustpython_parser::text_size::{TextRange, TextSize};
use rustpython_parser::{Mode, Tok};

pub use difference::difference;

/// The library must say what comes here.
struct Unknown;

/// Blanks at the start of a line; all tabs stand before all spaces.
#[derive(Clone, Copy, Default)]
struct Indentation {
    tabs: usize,
    spaces: usize,
}

impl Indentation {
    /// None where it depends on the width of a tab.
    fn compare(self, other: Indentation) -> Option<Ordering> {
        let spaces = self.spaces.cmp(&other.spaces);
        match self.tabs.cmp(&other.tabs) {
            Ordering::Equal => Some(spaces),
            tabs => (spaces != tabs.reverse()).then_some(tabs),
        }
    }
}

/// The tokens of one file.
pub struct Lexer<'s> {
    source: &'s str,
    at: usize,
    /// Tokens that were given.
    given: usize,
    /// Open brackets.
    brackets: usize,
    /// Around the line at hand, the module's own aside.
    indentations: Vec<Indentation>,
    is_line_start: bool,
    /// Nothing of the line was given.
    is_first_of_line: bool,
    /// Dedents that come next, all at `at_dedent`.
    dedents: usize,
    at_dedent: usize,
    /// Comes behind an indent or the dedents: what the library finds wrong there it tells before them.
    held: Option<Spanned>,
    library: Option<Box<dyn Iterator<Item = LexResult> + 's>>,
}

impl<'s> Lexer<'s> {
    pub fn new(source: &'s str) -> Lexer<'s> {
        let mut lexer = Lexer {
            source,
            at: 0,
            given: 0,
            brackets: 0,
            indentations: Vec::new(),
            is_line_start: true,
            is_first_of_line: true,
            dedents: 0,
            at_dedent: 0,
            held: None,
            library: None,
        };
        if memchr::memchr2(b'\r', b'\x0c', source.as_bytes()).is_some() {
            lexer.hand_over();
        }
        lexer
    }

    fn hand_over(&mut self) {
        let mut library = lex(self.source, Mode::Module);
        if let Some(last) = self.given.checked_sub(1) {
            library.nth(last);
        }
        self.library = Some(Box::new(library));
    }

    fn step(&mut self) -> Result<Option<Spanned>, Unknown> {
        if self.dedents > 0 {
            self.dedents -= 1;
            return Ok(Some((Tok::Dedent, range(self.at_dedent, self.at_dedent))));
        }
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        if self.is_line_start
            && let Some(first) = self.line_start()?
        {
            return Ok(Some(first));
        }
        self.token()
    }

    /// Passes over empty lines and the blanks of the next; the indent or the first dedent that they mean.
    fn line_start(&mut self) -> Result<Option<Spanned>, Unknown> {
        let here = self.indentation()?;
        let outer = self.indentations.last().copied().unwrap_or_default();
        match here.compare(outer).ok_or(Unknown)? {
            Ordering::Equal => return Ok(None),
            Ordering::Greater => {
                self.indentations.push(here);
                let indent = range(self.at - here.spaces - here.tabs, self.at);
                self.hold()?;
                return Ok(Some((Tok::Indent, indent)));
            }
            Ordering::Less => {}
        }
        self.at_dedent = self.at;
        loop {
            let current = self.indentations.last().copied().unwrap_or_default();
            match here.compare(current).ok_or(Unknown)? {
                Ordering::Less => {
                    self.indentations.pop();
                    self.dedents += 1;
                }
                Ordering::Equal => break,
                Ordering::Greater => return Err(Unknown),
            }
        }
        self.hold()?;
        self.dedents -= 1;
        Ok(Some((Tok::Dedent, range(self.at_dedent, self.at_dedent))))
    }

    fn indentation(&mut self) -> Result<Indentation, Unknown> {
        self.is_first_of_line = true;
        let mut here = Indentation::default();
        loop {
            match self.byte(0) {
                Some(b' ') => here.spaces += 1,
                Some(b'\t') if here.spaces > 0 => return Err(Unknown),
                Some(b'\t') => here.tabs += 1,
                Some(b'\n') => here = Indentation::default(),
                Some(b'#') => {
                    self.comment();
                    here = Indentation::default();
                    continue;
                }
                Some(_) => {
                    self.is_line_start = false;
                    return Ok(here);
                }
                None => return Ok(Indentation::default()),
            }
            self.at += 1;
        }
    }

    fn hold(&mut self) -> Result<(), Unknown> {
        if self.byte(0) == Some(b'\\') {
            return Err(Unknown);
        }
        self.held = self.token()?;
        Ok(())
    }

    /// The next token of a line; none at the end of the file.
    fn token(&mut self) -> Result<Option<Spanned>, Unknown> {
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'#') => self.comment(),
                Some(b'\n') => {
                    self.at += 1;
                    if self.brackets == 0 {
                        self.is_line_start = true;
                        return Ok(Some((Tok::Newline, range(self.at - 1, self.at))));
                    }
                }
                Some(b'\\') if self.byte(1) == Some(b'\n') && self.byte(2).is_some() => {
                    self.at += 2;
                }
                Some(_) => break,
                None if self.brackets > 0 => return Err(Unknown),
                None if self.is_line_start => return Ok(None),
                None => {
                    self.is_line_start = true;
                    return Ok(Some((Tok::Newline, range(self.at, self.at))));
                }
            }
        }
        let start = self.at;
        let (mut tok, end) = token::read(self.source, start).ok_or(Unknown)?;
        match &tok {
            Tok::Lpar | Tok::Lsqb | Tok::Lbrace => self.brackets += 1,
            Tok::Rpar | Tok::Rsqb | Tok::Rbrace => {
                self.brackets = self.brackets.checked_sub(1).ok_or(Unknown)?;
            }
            Tok::Match | Tok::Case | Tok::Type if self.is_first_of_line => return Err(Unknown),
            Tok::Match | Tok::Case | Tok::Type => {
                let name = self.source.get(start..end).ok_or(Unknown)?.to_owned();
                tok = Tok::Name { name };
            }
            _ => {}
        }
        self.is_first_of_line = false;
        self.at = end;
        Ok(Some((tok, range(start, end))))
    }

    /// Up to the end of the line.
    fn comment(&mut self) {
        let rest = self.source.as_bytes().get(self.at..).unwrap_or_default();
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }
}

impl Iterator for Lexer<'_> {
    type Item = LexResult;

    fn next(&mut self) -> Option<LexResult> {
        if self.library.is_none() {
            match self.step() {
                Ok(None) => return None,
                Ok(Some(token)) => {
                    self.given += 1;
                    return Some(Ok(token));
                }
                Err(Unknown) => self.hand_over(),
            }
        }
        self.library.as_mut()?.next()
    }
}

/// Sources are far below 4 GiB.
fn range(start: usize, end: usize) -> TextRange {
    TextRange::new(TextSize::new(start as u32), TextSize::new(end as u32))
}
