//! One token by what it begins with.

use rustpython_parser::ast::bigint::BigInt;
use rustpython_parser::lexer::lex;
use rustpython_parser::{Mode, StringKind, Tok};

/// Longest run of digits that is certainly a `u64`.
const MAX_DIGITS: usize = 19;

/// The token that begins at byte `at`, and where it ends. None where the library must say.
pub fn read(source: &str, at: usize) -> Option<(Tok, usize)> {
    let bytes = source.as_bytes();
    let first = *bytes.get(at)?;
    match first {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => word(source, at),
        b'0'..=b'9' => number(source, at),
        b'"' | b'\'' => string(source, at, StringKind::String),
        b'.' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => number(source, at),
        _ => {
            // no operator has a NUL in it
            let next = |ahead: usize| bytes.get(at + ahead).copied().unwrap_or(0);
            let (tok, length) = operator(first, next(1), next(2))?;
            Some((tok, at + length))
        }
    }
}

/// Letters, digits and underscores, by byte.
static IS_WORD: [bool; 256] = {
    let mut is_word = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        is_word[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    is_word
};

fn is_word(byte: u8) -> bool {
    IS_WORD[usize::from(byte)]
}

fn word(source: &str, at: usize) -> Option<(Tok, usize)> {
    let bytes = source.as_bytes();
    let rest = bytes.get(at..)?;
    let length = rest.iter().take_while(|byte| is_word(**byte)).count();
    match rest.get(length) {
        Some(0x80..) => return None,
        Some(b'"' | b'\'') if length <= 2 => {
            let kind = match *rest {
                [only, b'"' | b'\'', ..] => StringKind::try_from(char::from(only)),
                [first, second, ..] => StringKind::try_from([first.into(), second.into()]),
                _ => return None,
            };
            if let Ok(kind) = kind {
                return string(source, at, kind);
            }
        }
        _ => {}
    }
    let text = source.get(at..at + length)?;
    let tok = keyword(text.as_bytes()).unwrap_or_else(|| Tok::Name {
        name: text.to_owned(),
    });
    Some((tok, at + length))
}

fn keyword(word: &[u8]) -> Option<Tok> {
    Some(match word {
        b"as" => Tok::As,
        b"if" => Tok::If,
        b"in" => Tok::In,
        b"is" => Tok::Is,
        b"or" => Tok::Or,
        b"and" => Tok::And,
        b"def" => Tok::Def,
        b"del" => Tok::Del,
        b"for" => Tok::For,
        b"not" => Tok::Not,
        b"try" => Tok::Try,
        b"None" => Tok::None,
        b"True" => Tok::True,
        b"case" => Tok::Case,
        b"elif" => Tok::Elif,
        b"else" => Tok::Else,
        b"from" => Tok::From,
        b"pass" => Tok::Pass,
        b"type" => Tok::Type,
        b"with" => Tok::With,
        b"False" => Tok::False,
        b"async" => Tok::Async,
        b"await" => Tok::Await,
        b"break" => Tok::Break,
        b"class" => Tok::Class,
        b"match" => Tok::Match,
        b"raise" => Tok::Raise,
        b"while" => Tok::While,
        b"yield" => Tok::Yield,
        b"assert" => Tok::Assert,
        b"except" => Tok::Except,
        b"global" => Tok::Global,
        b"import" => Tok::Import,
        b"lambda" => Tok::Lambda,
        b"return" => Tok::Return,
        b"finally" => Tok::Finally,
        b"continue" => Tok::Continue,
        b"nonlocal" => Tok::Nonlocal,
        _ => return None,
    })
}

/// A string with its prefix; the text is as it is written.
fn string(source: &str, start: usize, kind: StringKind) -> Option<(Tok, usize)> {
    let bytes = source.as_bytes();
    let open = start + usize::from(kind.prefix_len());
    let quote = *bytes.get(open)?;
    let is_tripled = |at: usize| bytes.get(at + 1..at + 3) == Some(&[quote, quote]);
    let triple_quoted = is_tripled(open);
    let quotes = if triple_quoted { 3 } else { 1 };
    let mut at = open + quotes;
    loop {
        let rest = bytes.get(at..)?;
        at += if triple_quoted {
            memchr::memchr2(quote, b'\\', rest)?
        } else {
            memchr::memchr3(quote, b'\\', b'\n', rest)?
        };
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'\n' => return None,
            _ if !triple_quoted || is_tripled(at) => break,
            _ => at += 1,
        }
    }
    let value = source.get(open + quotes..at)?.to_owned();
    let tok = Tok::String {
        value,
        kind,
        triple_quoted,
    };
    Some((tok, at + quotes))
}

fn number(source: &str, at: usize) -> Option<(Tok, usize)> {
    let bytes = source.as_bytes();
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut end = digits(at);
    let mut is_float = bytes.get(end) == Some(&b'.');
    if is_float {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let is_signed = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
        let exponent = end + 1 + usize::from(is_signed);
        // `1.e` is an error and `1else` two tokens
        if !bytes.get(exponent).is_some_and(u8::is_ascii_digit) {
            return rare_number(source, at);
        }
        is_float = true;
        end = digits(exponent);
    }
    // other bases, underscores, imaginary parts, errors
    if bytes
        .get(end)
        .is_some_and(|byte| is_word(*byte) || *byte >= 0x80)
    {
        return rare_number(source, at);
    }
    let text = source.get(at..end)?;
    if is_float {
        let value = text.parse().ok()?;
        return Some((Tok::Float { value }, end));
    }
    let starts_with_zero = text.len() > 1 && text.starts_with('0');
    if starts_with_zero || text.len() > MAX_DIGITS {
        return rare_number(source, at);
    }
    let value = BigInt::from(text.parse::<u64>().ok()?);
    Some((Tok::Int { value }, end))
}

/// A number as the library reads it.
fn rare_number(source: &str, at: usize) -> Option<(Tok, usize)> {
    let (tok, range) = lex(source.get(at..)?, Mode::Module).next()?.ok()?;
    Some((tok, at + usize::from(range.end())))
}

/// The longest operator that the bytes begin with, and its length.
fn operator(first: u8, second: u8, third: u8) -> Option<(Tok, usize)> {
    Some(match (first, second, third) {
        (b'(', ..) => (Tok::Lpar, 1),
        (b')', ..) => (Tok::Rpar, 1),
        (b'[', ..) => (Tok::Lsqb, 1),
        (b']', ..) => (Tok::Rsqb, 1),
        (b'{', ..) => (Tok::Lbrace, 1),
        (b'}', ..) => (Tok::Rbrace, 1),
        (b',', ..) => (Tok::Comma, 1),
        (b';', ..) => (Tok::Semi, 1),
        (b'~', ..) => (Tok::Tilde, 1),
        (b'.', b'.', b'.') => (Tok::Ellipsis, 3),
        (b'.', ..) => (Tok::Dot, 1),
        (b':', b'=', _) => (Tok::ColonEqual, 2),
        (b':', ..) => (Tok::Colon, 1),
        (b'=', b'=', _) => (Tok::EqEqual, 2),
        (b'=', ..) => (Tok::Equal, 1),
        (b'!', b'=', _) => (Tok::NotEqual, 2),
        (b'<', b'<', b'=') => (Tok::LeftShiftEqual, 3),
        (b'<', b'<', _) => (Tok::LeftShift, 2),
        (b'<', b'=', _) => (Tok::LessEqual, 2),
        (b'<', ..) => (Tok::Less, 1),
        (b'>', b'>', b'=') => (Tok::RightShiftEqual, 3),
        (b'>', b'>', _) => (Tok::RightShift, 2),
        (b'>', b'=', _) => (Tok::GreaterEqual, 2),
        (b'>', ..) => (Tok::Greater, 1),
        (b'*', b'*', b'=') => (Tok::DoubleStarEqual, 3),
        (b'*', b'*', _) => (Tok::DoubleStar, 2),
        (b'*', b'=', _) => (Tok::StarEqual, 2),
        (b'*', ..) => (Tok::Star, 1),
        (b'/', b'/', b'=') => (Tok::DoubleSlashEqual, 3),
        (b'/', b'/', _) => (Tok::DoubleSlash, 2),
        (b'/', b'=', _) => (Tok::SlashEqual, 2),
        (b'/', ..) => (Tok::Slash, 1),
        (b'+', b'=', _) => (Tok::PlusEqual, 2),
        (b'+', ..) => (Tok::Plus, 1),
        (b'-', b'=', _) => (Tok::MinusEqual, 2),
        (b'-', b'>', _) => (Tok::Rarrow, 2),
        (b'-', ..) => (Tok::Minus, 1),
        (b'%', b'=', _) => (Tok::PercentEqual, 2),
        (b'%', ..) => (Tok::Percent, 1),
        (b'|', b'=', _) => (Tok::VbarEqual, 2),
        (b'|', ..) => (Tok::Vbar, 1),
        (b'^', b'=', _) => (Tok::CircumflexEqual, 2),
        (b'^', ..) => (Tok::CircumFlex, 1),
        (b'&', b'=', _) => (Tok::AmperEqual, 2),
        (b'&', ..) => (Tok::Amper, 1),
        (b'@', b'=', _) => (Tok::AtEqual, 2),
        (b'@', ..) => (Tok::At, 1),
        _ => return None,
    })
}
