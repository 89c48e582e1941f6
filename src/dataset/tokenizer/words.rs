//! Where text is cut before merging: no merge reaches over the border of a word.

use std::sync::LazyLock;

use regex_syntax::hir::{Class as HirClass, HirKind};

/// Classes of characters in GPT-2's pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    Other,
    Letter,
    Number,
    Space,
}

/// Words of GPT-2's pattern, which byte-level tokenizers share:
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
pub struct Gpt2Words<'a> {
    text: &'a str,
    at: usize,
    classes: &'static Classes,
}

impl<'a> Gpt2Words<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            classes: &CLASSES,
        }
    }

    /// End of the run of characters of `class` that begins at `from`.
    fn run_end(&self, from: usize, class: Class) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if byte < 0x80 {
                if self.classes.ascii[usize::from(byte)] != class {
                    break;
                }
                at += 1;
            } else {
                let Some(char) = self.text[at..].chars().next() else {
                    break;
                };
                if self.classes.of(char) != class {
                    break;
                }
                at += char.len_utf8();
            }
        }
        at
    }

    fn class_at(&self, at: usize) -> Option<Class> {
        match self.text.as_bytes().get(at) {
            Some(&byte) if byte < 0x80 => Some(self.classes.ascii[usize::from(byte)]),
            Some(_) => self.text[at..].chars().next().map(|c| self.classes.of(c)),
            None => None,
        }
    }

    /// End of the word that begins at `at`.
    fn end(&self, at: usize, class: Class) -> usize {
        let bytes = self.text.as_bytes();
        if class != Class::Space {
            if bytes[at] == b'\''
                && let Some(length) = contraction(&bytes[at + 1..])
            {
                return at + 1 + length;
            }
            return self.run_end(at, class);
        }
        // A space belongs to the word after it.
        if bytes[at] == b' '
            && let Some(next) = self.class_at(at + 1)
            && next != Class::Space
        {
            return self.run_end(at + 1, next);
        }
        let end = self.run_end(at, Class::Space);
        if end == bytes.len() {
            return end;
        }
        // White space before a word leaves its last character to what follows, if it has more than one.
        let last = self.text[at..end]
            .chars()
            .next_back()
            .map_or(0, char::len_utf8);
        if end - last > at { end - last } else { end }
    }
}

impl<'a> Iterator for Gpt2Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let class = self.class_at(self.at)?;
        let (from, end) = (self.at, self.end(self.at, class));
        self.at = end;
        Some(&self.text[from..end])
    }
}

/// Length of what follows the apostrophe in `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll`, `'d`.
fn contraction(after: &[u8]) -> Option<usize> {
    match after {
        [b's' | b't' | b'm' | b'd', ..] => Some(1),
        [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => Some(2),
        _ => None,
    }
}

struct Classes {
    ascii: [Class; 128],
    /// Two bits a character, four characters a byte.
    packed: Vec<u8>,
}

impl Classes {
    fn of(&self, char: char) -> Class {
        let code = char as usize;
        match self
            .packed
            .get(code / 4)
            .map_or(0, |byte| byte >> (code % 4 * 2) & 3)
        {
            1 => Class::Letter,
            2 => Class::Number,
            3 => Class::Space,
            _ => Class::Other,
        }
    }

    fn set(&mut self, char: char, class: Class) {
        let code = char as usize;
        if let Some(byte) = self.packed.get_mut(code / 4) {
            *byte |= (class as u8) << (code % 4 * 2);
        }
    }
}

static CLASSES: LazyLock<Classes> = LazyLock::new(|| {
    let mut classes = Classes {
        ascii: [Class::Other; 128],
        packed: vec![0; (char::MAX as usize + 1).div_ceil(4)],
    };
    for (pattern, class) in [(r"\p{L}", Class::Letter), (r"\p{N}", Class::Number)] {
        for char in characters_of(pattern) {
            classes.set(char, class);
        }
    }
    // `char::is_whitespace` is the property White_Space, which is what `\s` stands for.
    for char in ('\0'..=char::MAX).filter(|char| char.is_whitespace()) {
        classes.set(char, Class::Space);
    }
    for (code, class) in (0u8..128).zip(0..128) {
        classes.ascii[class] = classes.of(char::from(code));
    }
    classes
});

/// All characters of a class in the syntax of the crate `regex`.
fn characters_of(pattern: &str) -> impl Iterator<Item = char> {
    let ranges = match regex_syntax::parse(pattern).map(|hir| hir.into_kind()) {
        Ok(HirKind::Class(HirClass::Unicode(class))) => class.ranges().to_vec(),
        _ => Vec::new(),
    };
    ranges
        .into_iter()
        .flat_map(|range| range.start()..=range.end())
}

/// Words of Llama's vocabularies: a run of spaces goes with what follows it.
pub fn spaced_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let spaces = rest.len() - rest.trim_start_matches(' ').len();
        let end = rest[spaces..]
            .find(' ')
            .map_or(rest.len(), |at| spaces + at);
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_gpt2_s() {
        let table: &[(&str, &[&str])] = &[
            (
                "Hello  world's 12² x_y",
                &["Hello", " ", " world", "'s", " 12²", " x", "_", "y"],
            ),
            ("a\n\n b", &["a", "\n\n", " b"]),
            ("a\n\nb", &["a", "\n", "\n", "b"]),
            (
                "é漢字\u{a0}z \u{3000}",
                &["é漢字", "\u{a0}", "z", " \u{3000}"],
            ),
            ("a\u{1c}b", &["a", "\u{1c}", "b"]),
            (
                "don't 'S ''s 'll'",
                &["don", "'t", " '", "S", " ''", "s", " '", "ll", "'"],
            ),
            ("'re're'r", &["'re", "'re", "'", "r"]),
            ("   ", &["   "]),
            (" \t x", &[" \t", " x"]),
            ("", &[]),
        ];
        for (text, words) in table {
            assert_eq!(&Gpt2Words::new(text).collect::<Vec<_>>(), words, "{text:?}");
        }
    }

    #[test]
    fn runs_of_spaces_begin_words() {
        let words = |text: &'static str| spaced_words(text).collect::<Vec<_>>();
        assert_eq!(words("a  b c "), ["a", "  b", " c", " "]);
        assert_eq!(words(""), [""; 0]);
    }
}
