//! Bytes to text, so strictly that CPython can read nothing else than what the reviewer reads.

use std::borrow::Cow;

use super::limits::{MAX_FILE_BYTES, check_numbers};

/// Why a file is not acceptable as text, with the byte offset of the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeProblem {
    pub rule_id: &'static str,
    pub message: String,
    pub offset: usize,
}

/// Decodes a Python source file. Line ends come out as `\n`; every other doubtful byte is an error.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, DecodeProblem> {
    let text = decode_text(bytes)?;
    if let Some((offset, cookie)) = foreign_cookie(&text) {
        return Err(encoding(
            offset,
            format!("coding cookie {cookie:?}; the only accepted encoding is utf-8"),
        ));
    }
    check_numbers(&text).map_err(|exceeded| DecodeProblem {
        rule_id: "prism:source-limit",
        message: format!(
            "{} {}, limit {}",
            exceeded.got, exceeded.what, exceeded.limit
        ),
        offset: exceeded.offset,
    })?;
    Ok(text)
}

fn decode_text(bytes: &[u8]) -> Result<Cow<'_, str>, DecodeProblem> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(DecodeProblem {
            rule_id: "prism:source-limit",
            message: format!("{} bytes, limit {MAX_FILE_BYTES}", bytes.len()),
            offset: 0,
        });
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Err(encoding(
            0,
            "byte order mark at the start of the file".to_owned(),
        ));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| encoding(error.valid_up_to(), "bytes that are not UTF-8".to_owned()))?;
    if bytes.chunks(64).all(is_plain) {
        return Ok(Cow::Borrowed(text));
    }
    let mut has_carriage_return = false;
    for (offset, character) in text.char_indices() {
        let problem = match character {
            '\t' | '\n' => continue,
            '\r' if text.as_bytes().get(offset + 1) == Some(&b'\n') => {
                has_carriage_return = true;
                continue;
            }
            '\r' => "a carriage return that does not belong to a CRLF line end",
            '\0' => "a NUL byte",
            '\x0c' => "a form feed",
            character if (character as u32) < 0x20 || character == '\x7f' => "a control character",
            '\u{80}'..='\u{9f}' => "a C1 control character",
            '\u{200e}'
            | '\u{200f}'
            | '\u{061c}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                "a bidirectional control character: the text reads differently from what runs"
            }
            '\u{2028}' | '\u{2029}' => "a Unicode line separator",
            _ => continue,
        };
        return Err(encoding(
            offset,
            format!("U+{:04X}: {problem}", character as u32),
        ));
    }
    if has_carriage_return {
        return Ok(Cow::Owned(text.replace("\r\n", "\n")));
    }
    Ok(Cow::Borrowed(text))
}

/// Whether bytes are ASCII without control characters but tabs and line feeds. Without a branch, for speed.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |is_plain, byte| {
        is_plain & ((0x20..0x7f).contains(byte) | (*byte == b'\t') | (*byte == b'\n'))
    })
}

fn encoding(offset: usize, message: String) -> DecodeProblem {
    DecodeProblem {
        rule_id: "prism:source-encoding",
        message,
        offset,
    }
}

/// Finds `coding[:=]\s*name` in a comment of the first two lines when `name` is not utf-8.
fn foreign_cookie(text: &str) -> Option<(usize, String)> {
    let mut line_start = 0;
    for line in text.split('\n').take(2) {
        if let Some(comment) = line.find('#') {
            let mut from = comment;
            while let Some(found) = line.get(from..).and_then(|rest| rest.find("coding")) {
                let after = from + found + "coding".len();
                if let Some(name) = cookie_name(line.get(after..).unwrap_or(""))
                    && !matches!(
                        name.to_ascii_lowercase().replace('_', "-").as_str(),
                        "utf-8" | "utf8" | "ascii" | "us-ascii"
                    )
                {
                    return Some((line_start + from + found, name));
                }
                from = after;
            }
        }
        line_start += line.len() + 1;
    }
    None
}

fn cookie_name(rest: &str) -> Option<String> {
    let rest = rest
        .strip_prefix([':', '='])?
        .trim_start_matches([' ', '\t']);
    let name: String = rest
        .chars()
        .take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cpython_may_read_differently() {
        let table: &[(&[u8], &str, usize)] = &[
            (b"\xef\xbb\xbfx = 1\n", "byte order mark", 0),
            (b"x = '\xe9'\n", "not UTF-8", 5),
            (b"x = 1\0\n", "NUL", 5),
            (b"\x0c# coding: utf-7\n", "form feed", 0),
            (b"x = 1\ry = 2\n", "carriage return", 5),
            (b"# coding: utf-7\n", "utf-7", 2),
            (
                b"#!/bin/sh\n# vim: set fileencoding=latin-1 :\n",
                "latin-1",
                27,
            ),
            ("x = '\u{202e}'\n".as_bytes(), "bidirectional", 5),
            ("x = '\u{2066}'\n".as_bytes(), "bidirectional", 5),
            (b"x = 1\x1b\n", "control", 5),
        ];
        for (bytes, part, offset) in table {
            let problem = decode(bytes).unwrap_err();
            assert_eq!(problem.rule_id, "prism:source-encoding");
            assert!(
                problem.message.contains(part),
                "{}: {part}",
                problem.message
            );
            assert_eq!(problem.offset, *offset, "{}", problem.message);
        }
    }

    #[test]
    fn accepts_ordinary_text_and_normalises_line_ends() {
        assert_eq!(decode(b"a\r\nb\r\n").unwrap(), "a\nb\n");
        assert_eq!(
            decode(b"# -*- coding: utf-8 -*-\nx = 1\n").unwrap(),
            "# -*- coding: utf-8 -*-\nx = 1\n"
        );
        assert!(decode("x = 'é 漢 🙂'\n".as_bytes()).is_ok());
        assert!(decode(b"# the encoding of bytes\n# decoding\n").is_ok());
        assert!(decode(b"x = 1\ny = 2\n# coding: utf-7\n").is_ok());
    }

    #[test]
    fn refuses_oversized_files_and_numbers() {
        let problem = decode(&vec![b'\n'; MAX_FILE_BYTES + 1]).unwrap_err();
        assert_eq!(problem.rule_id, "prism:source-limit");
        let digits = format!("x = {}\n", "1".repeat(5_000));
        assert_eq!(
            decode(digits.as_bytes()).unwrap_err().rule_id,
            "prism:source-limit"
        );
    }
}
