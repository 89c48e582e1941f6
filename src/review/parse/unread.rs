//! What CPython reads and the library does not: the f-strings of Python 3.12 (PEP 701).
//!
//! Only files that could not be parsed come here, to tell their author which of the two it is.

/// F-strings and fields inside one another; CPython ends at 150.
const MAX_DEPTH: usize = 150;

/// Where the scan is.
enum Inside {
    /// The text of an f-string.
    Text { quotes: Quotes, is_raw: bool },
    /// The expression of a field, with its open brackets.
    Field { brackets: usize },
    /// The format behind a field's colon.
    Format,
}

/// How a string begins and ends.
#[derive(Clone, Copy)]
struct Quotes {
    quote: u8,
    is_tripled: bool,
}

impl Quotes {
    fn at(bytes: &[u8], at: usize) -> Option<Quotes> {
        let quote = *bytes.get(at)?;
        let is_tripled = bytes.get(at + 1..at + 3) == Some(&[quote, quote]);
        matches!(quote, b'"' | b'\'').then_some(Quotes { quote, is_tripled })
    }

    fn length(self) -> usize {
        if self.is_tripled { 3 } else { 1 }
    }

    /// Whether they stand here, as the end or as a part of something else.
    fn stand_at(self, bytes: &[u8], at: usize) -> bool {
        let quotes = [self.quote; 3];
        bytes.get(at..at + self.length()) == quotes.get(..self.length())
    }
}

/// The first f-string up to a syntax error that CPython 3.12 reads otherwise than the library: where it begins, and what
/// is in a field of it.
pub fn unread(source: &str, error_offset: usize) -> Option<(usize, &'static str)> {
    let bytes = source.as_bytes();
    let mut at = 0;
    while at <= error_offset {
        let byte = *bytes.get(at)?;
        if byte == b'#' {
            at += memchr::memchr(b'\n', bytes.get(at..)?)?;
            continue;
        }
        let Some((prefix, quotes)) = string_at(bytes, at) else {
            at += word_length(bytes, at).max(1);
            continue;
        };
        let open = at + prefix.len();
        if is_fstring(prefix) {
            let (end, found) = fstring(bytes, open, quotes, is_raw(prefix))?;
            if let Some(found) = found {
                return Some((at, found));
            }
            at = end;
        } else {
            at = plain_end(bytes, open, quotes)?;
        }
    }
    None
}

/// The prefix and quotes of a string that begins here.
fn string_at(bytes: &[u8], at: usize) -> Option<(&[u8], Quotes)> {
    let length = word_length(bytes, at);
    let quotes = Quotes::at(bytes, at + length)?;
    let prefix = bytes.get(at..at + length)?;
    let is_prefix = matches!(
        prefix.to_ascii_lowercase().as_slice(),
        b"" | b"r" | b"u" | b"b" | b"f" | b"br" | b"rb" | b"fr" | b"rf"
    );
    is_prefix.then_some((prefix, quotes))
}

fn word_length(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_' || **byte >= 0x80)
        .count()
}

fn is_fstring(prefix: &[u8]) -> bool {
    prefix.iter().any(|byte| matches!(byte, b'f' | b'F'))
}

fn is_raw(prefix: &[u8]) -> bool {
    prefix.iter().any(|byte| matches!(byte, b'r' | b'R'))
}

/// The end of a string without fields; none where it has none.
fn plain_end(bytes: &[u8], open: usize, quotes: Quotes) -> Option<usize> {
    let mut at = open + quotes.length();
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            b'\n' if !quotes.is_tripled => return None,
            _ if quotes.stand_at(bytes, at) => return Some(at + quotes.length()),
            _ => at += 1,
        }
    }
}

/// The end of an f-string as CPython 3.12 reads it, and what in its fields is new there.
fn fstring(
    bytes: &[u8],
    open: usize,
    quotes: Quotes,
    is_raw: bool,
) -> Option<(usize, Option<&'static str>)> {
    let mut stack = vec![Inside::Text { quotes, is_raw }];
    let mut found = None;
    let mut at = open + quotes.length();
    while let Some(inside) = stack.last_mut() {
        let byte = *bytes.get(at)?;
        match inside {
            Inside::Text { quotes, is_raw } => {
                let (quotes, is_raw) = (*quotes, *is_raw);
                if quotes.stand_at(bytes, at) {
                    stack.pop();
                    at += quotes.length();
                } else if byte == b'\\' && !is_raw && bytes.get(at + 1..at + 3) == Some(b"N{") {
                    at += memchr::memchr(b'}', bytes.get(at..)?)? + 1;
                } else if byte == b'\\' && bytes.get(at + 1) == Some(&b'{') {
                    // a field all the same
                    at += 1;
                } else if byte == b'\\' || bytes.get(at..at + 2) == Some(b"{{") {
                    at += 2;
                } else if byte == b'{' {
                    stack.push(Inside::Field { brackets: 0 });
                    at += 1;
                } else if byte == b'\n' && !quotes.is_tripled {
                    return None;
                } else {
                    at += 1;
                }
            }
            Inside::Format => {
                match byte {
                    b'{' => stack.push(Inside::Field { brackets: 0 }),
                    b'}' => {
                        stack.pop();
                        stack.pop();
                    }
                    b'\n' => return None,
                    _ => {}
                }
                at += 1;
            }
            Inside::Field { brackets } => {
                if let Some((prefix, inner)) = string_at(bytes, at) {
                    let start = at + prefix.len();
                    if has_quotes_of_outer(&stack, bytes, start) {
                        found = found.or(Some("the quotes of the f-string itself"));
                    }
                    if is_fstring(prefix) {
                        let is_raw = self::is_raw(prefix);
                        stack.push(Inside::Text {
                            quotes: inner,
                            is_raw,
                        });
                        at = start + inner.length();
                    } else {
                        at = plain_end(bytes, start, inner)?;
                    }
                    if stack.len() > MAX_DEPTH {
                        return None;
                    }
                    continue;
                }
                match byte {
                    b'(' | b'[' | b'{' => *brackets += 1,
                    b'}' if *brackets == 0 => drop(stack.pop()),
                    b')' | b']' | b'}' => *brackets = brackets.checked_sub(1)?,
                    b':' if *brackets == 0 => stack.push(Inside::Format),
                    b'\\' => found = found.or(Some("a backslash")),
                    b'#' => {
                        found = found.or(Some("a comment"));
                        at += memchr::memchr(b'\n', bytes.get(at..)?)?;
                        continue;
                    }
                    b'\n' if !is_around_tripled(&stack) => {
                        found = found.or(Some("the end of a line"));
                    }
                    _ => {}
                }
                at += word_length(bytes, at).max(1);
            }
        }
    }
    Some((at, found))
}

fn has_quotes_of_outer(stack: &[Inside], bytes: &[u8], at: usize) -> bool {
    stack
        .iter()
        .any(|inside| matches!(inside, Inside::Text { quotes, .. } if quotes.stand_at(bytes, at)))
}

/// Whether the lines of a field may end: the outermost string says.
fn is_around_tripled(stack: &[Inside]) -> bool {
    stack
        .iter()
        .all(|inside| !matches!(inside, Inside::Text { quotes, .. } if !quotes.is_tripled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_new_f_strings_from_errors() {
        for (source, expected) in [
            (
                "x = f\"{\"a\"}\"\n",
                Some((4, "the quotes of the f-string itself")),
            ),
            (
                "y = 1\nx = rf'{a['b']:>{c}}'\n",
                Some((10, "the quotes of the f-string itself")),
            ),
            (
                "x = f'{f'{1}'}'\n",
                Some((4, "the quotes of the f-string itself")),
            ),
            ("x = f'{\"\\n\".join(a)}'\n", None),
            ("x = f'{a\\\n}'\n", Some((4, "a backslash"))),
            ("x = f'{\na}'\n", Some((4, "the end of a line"))),
            ("x = f'''{a # c\n}'''\n", Some((4, "a comment"))),
            ("x = f'''{\na}'''\n", None),
            (
                "x = rf'\\{a['b']}'\n",
                Some((4, "the quotes of the f-string itself")),
            ),
            ("x = f'\\'{a}' {\n", None),
            ("x = f'{{' '}'\n", None),
            ("x = f'{a'\n", None),
            ("x = f'\\N{DIGIT ONE}{a:{b}}' # f'{'a'}'\n", None),
            ("x = \"f'{'a'}'\"\n", None),
            ("x = 'unclosed\n", None),
            ("x = f'{a\n", None),
        ] {
            assert_eq!(unread(source, source.len()), expected, "{source:?}");
        }
        // the error comes first
        assert_eq!(unread("x = =\ny = f'{'a'}'\n", 4), None);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "f'{".repeat(100_000);
        assert_eq!(unread(&deep, deep.len()), None);
    }
}
