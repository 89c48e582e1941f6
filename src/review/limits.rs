//! Size and depth limits, checked before a syntax tree exists.
//!
//! Walking and dropping a tree recurses once per level, so its depth is bounded by counting tokens: every operator,
//! dot, keyword and opening bracket between two commas can add at most one level.

/// Bytes of one source file.
pub const MAX_FILE_BYTES: usize = 256 * 1024;
/// Tokens of one source file.
pub const MAX_TOKENS: usize = 100_000;
/// Open brackets at any point: CPython's own limit.
pub const MAX_BRACKETS: usize = 200;
/// Indentation levels: CPython's own limit.
pub const MAX_INDENTS: usize = 100;
/// Operators, dots and postfix brackets that enclose one expression.
pub const MAX_OPERATOR_CHAIN: usize = 1_000;
/// `elif` branches of one file, because each nests one level deeper.
pub const MAX_ELIFS: usize = 500;
/// Digits of one number: CPython's limit for decimal integers.
pub const MAX_NUMBER_CHARS: usize = 4_300;
/// Levels that the walk descends; the token limits keep well below it.
pub const MAX_WALK_DEPTH: usize = 3_000;
/// Functions, classes, lambdas and comprehensions inside one another: a name may be looked for in all of them.
pub const MAX_SCOPE_DEPTH: usize = 256;
/// Steps that following all names of one file may take.
pub const MAX_STEPS_PER_FILE: usize = 400_000;
/// Findings kept for one file; rejecting ones up to twice as many.
pub const MAX_FINDINGS_PER_FILE: usize = 100;
/// Stack of the thread that parses, walks and drops.
pub const STACK_BYTES: usize = 128 << 20;

/// A limit that the source passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    pub what: &'static str,
    pub got: usize,
    pub limit: usize,
    /// Byte offset in the source.
    pub offset: usize,
}

/// The effect of a token on tree depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Open,
    Close,
    Separator,
    LineEnd,
    Indent,
    Dedent,
    Elif,
    Deepening,
    Leaf,
}

/// Running bound on tree depth over a token stream.
#[derive(Default)]
pub struct NestingMeter {
    /// Deepening tokens since the last separator, one entry per open bracket; the first is the line itself.
    chains: Vec<usize>,
    line_chain: usize,
    total_chain: usize,
    indents: usize,
    elifs: usize,
}

impl NestingMeter {
    /// Counts one token that starts at `offset`.
    pub fn feed(&mut self, shape: Shape, offset: usize) -> Result<(), LimitExceeded> {
        match shape {
            Shape::Leaf => {}
            Shape::Deepening => self.add(1),
            Shape::Open => {
                self.add(1);
                self.chains.push(0);
                check("open brackets", self.chains.len(), MAX_BRACKETS, offset)?;
            }
            Shape::Close => {
                if let Some(inner) = self.chains.pop() {
                    self.total_chain = self.total_chain.saturating_sub(inner);
                }
            }
            Shape::Separator => {
                let current = self.chains.last_mut().unwrap_or(&mut self.line_chain);
                self.total_chain = self.total_chain.saturating_sub(*current);
                *current = 0;
            }
            Shape::LineEnd => {
                self.chains.clear();
                self.line_chain = 0;
                self.total_chain = 0;
            }
            Shape::Indent => {
                self.indents += 1;
                check("indentation levels", self.indents, MAX_INDENTS, offset)?;
            }
            Shape::Dedent => self.indents = self.indents.saturating_sub(1),
            Shape::Elif => {
                self.elifs += 1;
                check("elif branches", self.elifs, MAX_ELIFS, offset)?;
            }
        }
        check(
            "operators around one expression",
            self.total_chain,
            MAX_OPERATOR_CHAIN,
            offset,
        )
    }

    fn add(&mut self, count: usize) {
        *self.chains.last_mut().unwrap_or(&mut self.line_chain) += count;
        self.total_chain += count;
    }
}

/// Bounds the trees hidden inside one f-string, which is a single token to the lexer.
pub fn check_fstring(text: &str, offset: usize) -> Result<(), LimitExceeded> {
    let mut brackets = 0usize;
    let mut operators = 0usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => {
                brackets += 1;
                check(
                    "open brackets in an f-string",
                    brackets,
                    MAX_BRACKETS,
                    offset,
                )?;
            }
            b')' | b']' | b'}' => {
                brackets = brackets.saturating_sub(1);
                if brackets == 0 {
                    operators = 0;
                }
            }
            byte if brackets > 0 && (byte.is_ascii_punctuation() || byte == b' ') => {
                operators += 1;
                check(
                    "operators in an f-string field",
                    operators,
                    MAX_OPERATOR_CHAIN,
                    offset,
                )?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Byte-level checks that must come before the lexer: numbers so long that converting them is slow.
pub fn check_numbers(source: &str) -> Result<(), LimitExceeded> {
    // no line is long enough
    let mut line_start = 0;
    let is_short = memchr::memchr_iter(b'\n', source.as_bytes())
        .chain([source.len()])
        .all(|line_end| {
            let length = line_end - line_start;
            line_start = line_end;
            length <= MAX_NUMBER_CHARS
        });
    if is_short {
        return Ok(());
    }
    let mut run = 0usize;
    let mut starts_with_digit = false;
    let mut previous_is_word = false;
    for (offset, byte) in source.bytes().enumerate() {
        let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
        if is_word && !previous_is_word {
            starts_with_digit = byte.is_ascii_digit();
            run = 0;
        }
        if is_word {
            run += 1;
            if starts_with_digit {
                check("characters of one number", run, MAX_NUMBER_CHARS, offset)?;
            }
        }
        previous_is_word = is_word;
    }
    Ok(())
}

fn check(what: &'static str, got: usize, limit: usize, offset: usize) -> Result<(), LimitExceeded> {
    if got > limit {
        return Err(LimitExceeded {
            what,
            got,
            limit,
            offset,
        });
    }
    Ok(())
}
