//! A look at the bytes of prism.yaml before the YAML parser sees them.
//!
//! Anchors and aliases make small documents unfold into large ones, merge keys and tags change what
//! a key means. Nothing of this is needed here. The scan knows no quoting and no nesting, on
//! purpose: it refuses every place where such a token could begin, so there is no way to hide one.
//! The price is that quoted text is refused too when a word of it begins with `&`, `*` or `!`.

use super::error::ManifestPlace;

/// The largest prism.yaml that is read.
pub(super) const MAX_MANIFEST_BYTES: usize = 16 * 1024;
const MAX_INDENT: usize = 32;
const MAX_BRACKETS: usize = 64;

/// Where the manifest is refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub place: ManifestPlace,
    pub reason: String,
}

/// Checks the bytes and returns them as text.
pub(super) fn check(bytes: &[u8]) -> Result<&str, Refusal> {
    let whole_file = |reason: String| Refusal {
        place: ManifestPlace::WholeFile,
        reason,
    };
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(whole_file(format!(
            "got {} bytes, at most {MAX_MANIFEST_BYTES} are read",
            bytes.len()
        )));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()]
            .iter()
            .filter(|&&b| b == b'\n')
            .count();
        let reason = format!("not UTF-8 at byte {}", error.valid_up_to());
        Refusal {
            place: ManifestPlace::At { line, column: 1 },
            reason,
        }
    })?;
    let brackets = text.bytes().filter(|byte| b"[{".contains(byte)).count();
    if brackets > MAX_BRACKETS {
        let reason = format!("got {brackets} opening brackets, at most {MAX_BRACKETS} are read");
        return Err(whole_file(reason));
    }
    let mut content_seen = false;
    for (index, line) in text.split('\n').enumerate() {
        check_line(line.strip_suffix('\r').unwrap_or(line), &mut content_seen).map_err(
            |(column, reason)| Refusal {
                place: ManifestPlace::At {
                    line: index + 1,
                    column,
                },
                reason,
            },
        )?;
    }
    Ok(text)
}

/// Checks one line; `content_seen` tells whether a line with content came before.
fn check_line(line: &str, content_seen: &mut bool) -> Result<(), (usize, String)> {
    for (index, character) in line.chars().enumerate() {
        // Line breaks of Unicode and the byte order mark mean something to YAML 1.1.
        let hidden_break = matches!(character, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
        if character.is_control() || hidden_break {
            let reason = format!("character U+{:04X} is not read", u32::from(character));
            return Err((index + 1, reason));
        }
    }
    let indent = line.len() - line.trim_start_matches(' ').len();
    let content = &line[indent..];
    // Such a line is a comment, or text inside a scalar: no token begins in it either way.
    if content.is_empty() || content.starts_with('#') {
        return Ok(());
    }
    if indent > MAX_INDENT {
        let reason = format!("indented by {indent}, at most {MAX_INDENT} spaces are read");
        return Err((indent + 1, reason));
    }
    check_document_marker(line, *content_seen).map_err(|reason| (1, reason))?;
    *content_seen = true;
    check_tokens(line)
}

/// One `---` may open the document; directives and further documents are refused.
fn check_document_marker(line: &str, content_seen: bool) -> Result<(), String> {
    let is_marker = |marker| {
        line.strip_prefix(marker)
            .is_some_and(|rest: &str| rest.is_empty() || rest.starts_with(' '))
    };
    if line.starts_with('%') {
        return Err("directives are not read".to_owned());
    }
    let is_plain_start = line.trim_end() == "---" && !content_seen;
    if (is_marker("---") && !is_plain_start) || is_marker("...") {
        return Err("more than one document".to_owned());
    }
    Ok(())
}

/// Refuses anchors, aliases, tags and merge keys wherever one could begin.
fn check_tokens(line: &str) -> Result<(), (usize, String)> {
    let mut before = ' ';
    let mut rest = line.chars().enumerate().peekable();
    while let Some((index, character)) = rest.next() {
        let next = rest.peek().map_or(' ', |(_, next)| *next);
        let could_begin = matches!(
            before,
            ' ' | '[' | ']' | '{' | '}' | ',' | ':' | '-' | '?' | '"' | '\''
        );
        let refused = match character {
            '&' if next != ' ' => Some("anchor"),
            '*' if next != ' ' => Some("alias"),
            '!' => Some("tag"),
            '<' if next == '<' => Some("merge key"),
            _ => None,
        };
        if let Some(what) = refused
            && could_begin
        {
            let reason =
                format!("{what} {character:?} is not read, also not at the start of a word");
            return Err((index + 1, reason));
        }
        before = character;
    }
    Ok(())
}
