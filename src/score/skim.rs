//! A fast look at a manifest: what the scoring rules need of it, and whether the rest is JSON as a careful reader takes it.
//!
//! Most of a manifest is lists of numbers that no rule reads. They are checked here for their grammar, eight bytes at a
//! time, and never become values. The skim vouches for a document or declines; what it declines is read by
//! [`super::json::parse`], which knows every fault by name. So it may decline at will, and must never accept what
//! `parse` refuses or read another value than `parse` does.

use serde_json::{Map, Value};

/// Nesting that the skim follows; deeper documents are declined.
const MAX_DEPTH: u32 = 32;

/// Keys of one object that are compared; an object with more is declined.
const MAX_KEYS: usize = 128;

/// Digits before the point, so that no number that is accepted can leave the range of f64.
const MAX_INTEGER_DIGITS: usize = 100;

/// Fields at the top that are kept whole.
const WHOLE: [&str; 7] = [
    "schema_version",
    "submission_id",
    "hotkey",
    "accepted_at",
    "anti_cheat",
    "score",
    "measurement",
];

/// Fields of `metrics` and of `data` that are kept.
const FIELDS: [&str; 14] = [
    "covered_bytes",
    "sum_neg_log_likelihood_nats",
    "online_loss",
    "heldout_delta",
    "held_out_delta",
    "val_bpb_trained",
    "val_bpb_random_init",
    "train_bpb_converged",
    "gap_basis",
    "train_bpb_basis",
    "val_bpb_basis",
    "train_heldout_gap",
    "train_val_gap",
    "memorization_flag",
];

/// The list of which only matters whether it is one, and not empty.
const LOSSES: &str = "online_loss";

/// What the rules read of a document: fields of the names above, with the values that [`super::json::parse`] gives them;
/// a list of losses that is not empty is `[null]`. None when the document is not an object, or for anything else that
/// the skim does not vouch for.
pub fn skim(bytes: &[u8]) -> Option<Value> {
    let mut scanner = Scanner {
        bytes,
        at: 0,
        keys: Vec::with_capacity(64),
    };
    let mut document = Map::new();
    scanner.space();
    scanner.object(0, |scanner, key| {
        let start = scanner.at;
        if matches!(key, b"metrics" | b"data") && scanner.byte() == b'{' {
            let block = scanner.block()?;
            document.insert(text(key)?, Value::Object(block));
        } else {
            scanner.value(1)?;
            if names(&WHOLE, key) || matches!(key, b"metrics" | b"data") {
                document.insert(text(key)?, scanner.kept(start)?);
            }
        }
        Some(())
    })?;
    scanner.space();
    (scanner.at == bytes.len()).then_some(Value::Object(document))
}

fn names(list: &[&str], key: &[u8]) -> bool {
    list.iter().any(|name| name.as_bytes() == key)
}

fn text(key: &[u8]) -> Option<String> {
    std::str::from_utf8(key).ok().map(str::to_owned)
}

/// The byte at `at`; 0, which JSON has nowhere, after the end.
#[inline(always)]
fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// Eight bytes from `at` on, the first one lowest; zeros after the end.
#[inline(always)]
fn eight(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(word) => u64::from_le_bytes(*word),
        None => last_bytes(bytes, at),
    }
}

#[cold]
fn last_bytes(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    let rest = bytes.get(at..).unwrap_or_default();
    for (to, from) in word.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

/// The first place from `at` on that is no white space.
#[inline(always)]
fn space(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match byte(bytes, at) {
            b' ' => {
                // the lowest bit in which the bytes differ from eight blanks lies in the first other byte
                let differ = eight(bytes, at) ^ 0x2020_2020_2020_2020;
                at += if differ == 0 {
                    8
                } else {
                    differ.trailing_zeros() as usize / 8
                };
            }
            b'\n' | b'\r' | b'\t' => at += 1,
            _ => return at,
        }
    }
}

/// The first place from `at` on that is no digit.
#[inline(always)]
fn digits(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let nibbles = eight(bytes, at) ^ 0x3030_3030_3030_3030;
        // the high bit of each byte that is not 0 to 9; 0x7f + 0x76 does not carry into the next byte
        let others = (((nibbles & 0x7f7f_7f7f_7f7f_7f7f) + 0x7676_7676_7676_7676) | nibbles)
            & 0x8080_8080_8080_8080;
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
}

/// The end of the number at `at`; none when there is no number, or one that may leave the range of f64.
#[inline(always)]
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(byte(bytes, at) == b'-');
    let mut end = digits(bytes, start);
    let integer_digits = end - start;
    if integer_digits == 0
        || integer_digits > MAX_INTEGER_DIGITS
        || (integer_digits > 1 && byte(bytes, start) == b'0')
    {
        return None;
    }
    if byte(bytes, end) == b'.' {
        let fraction = end + 1;
        end = digits(bytes, fraction);
        if end == fraction {
            return None;
        }
    }
    if matches!(byte(bytes, end), b'e' | b'E') {
        let sign = usize::from(matches!(byte(bytes, end + 1), b'+' | b'-'));
        let exponent = end + 1 + sign;
        end = digits(bytes, exponent);
        // two digits stay far from the limits of f64
        if !(1..=2).contains(&(end - exponent)) {
            return None;
        }
    }
    Some(end)
}

/// Passes a run of numbers with commas between them, from `at` on; returns the place of the first byte that continues
/// the list otherwise: its end, a fault, or the comma before an element of another kind.
#[inline(never)]
fn numbers(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = space(bytes, number(bytes, at)?);
        if byte(bytes, at) != b',' {
            return Some(at);
        }
        let next = space(bytes, at + 1);
        if !matches!(byte(bytes, next), b'0'..=b'9' | b'-') {
            return Some(at);
        }
        at = next;
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Keys of all open objects, the innermost last.
    keys: Vec<&'a [u8]>,
}

impl<'a> Scanner<'a> {
    #[inline(always)]
    fn byte(&self) -> u8 {
        byte(self.bytes, self.at)
    }

    #[inline(always)]
    fn space(&mut self) {
        self.at = space(self.bytes, self.at);
    }

    /// Takes `byte`.
    #[inline(always)]
    fn take(&mut self, byte: u8) -> Option<()> {
        if self.byte() != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Passes a text; returns its bytes between the quotes and whether it has no escape.
    fn string(&mut self) -> Option<(&'a [u8], bool)> {
        self.take(b'"')?;
        let start = self.at;
        let (mut plain, mut ascii) = (true, true);
        loop {
            match self.byte() {
                b'"' => break,
                b'\\' => {
                    plain = false;
                    self.at += 1;
                    // escapes by number may be halves of pairs
                    if !matches!(
                        self.byte(),
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'
                    ) {
                        return None;
                    }
                }
                0..=0x1f => return None,
                byte => ascii &= byte < 0x80,
            }
            self.at += 1;
        }
        let inside = self.bytes.get(start..self.at)?;
        self.at += 1;
        (ascii || std::str::from_utf8(inside).is_ok()).then_some((inside, plain))
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        if !self.bytes.get(self.at..)?.starts_with(word) {
            return None;
        }
        self.at += word.len();
        Some(())
    }

    fn value(&mut self, depth: u32) -> Option<()> {
        match self.byte() {
            b'"' => self.string().map(|_| ()),
            b'{' => self.object(depth, |scanner, _| scanner.value(depth + 1)),
            b'[' => self.list(depth),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => {
                self.at = number(self.bytes, self.at)?;
                Some(())
            }
        }
    }

    fn list(&mut self, depth: u32) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        self.take(b'[')?;
        self.space();
        if self.byte() == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            if matches!(self.byte(), b'0'..=b'9' | b'-') {
                self.at = numbers(self.bytes, self.at)?;
            } else {
                self.value(depth + 1)?;
                self.space();
            }
            match self.byte() {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
            self.space();
        }
        self.at += 1;
        Some(())
    }

    /// Passes an object; `field` passes the value of a key. Keys with escapes, and keys that occur twice, are declined.
    fn object(
        &mut self,
        depth: u32,
        mut field: impl FnMut(&mut Self, &'a [u8]) -> Option<()>,
    ) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        self.take(b'{')?;
        self.space();
        if self.byte() == b'}' {
            self.at += 1;
            return Some(());
        }
        let first = self.keys.len();
        let mut ascending = true;
        loop {
            let (key, plain) = self.string()?;
            let before = self.keys.get(first..)?;
            ascending &= before.last().is_none_or(|last| *last < key);
            if !plain || before.len() >= MAX_KEYS || (!ascending && before.contains(&key)) {
                return None;
            }
            self.keys.push(key);
            self.space();
            self.take(b':')?;
            self.space();
            field(self, key)?;
            self.space();
            match self.byte() {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
            self.space();
        }
        self.at += 1;
        self.keys.truncate(first);
        Some(())
    }

    /// The fields of one block.
    fn block(&mut self) -> Option<Map<String, Value>> {
        let mut fields = Map::new();
        self.object(1, |scanner, key| {
            let start = scanner.at;
            scanner.value(2)?;
            if names(&FIELDS, key) {
                let value = match scanner.bytes.get(start..scanner.at)? {
                    [b'[', inside @ .., b']'] if key == LOSSES.as_bytes() => {
                        let empty = inside.trim_ascii().is_empty();
                        Value::Array(if empty { vec![] } else { vec![Value::Null] })
                    }
                    _ => scanner.kept(start)?,
                };
                fields.insert(text(key)?, value);
            }
            Some(())
        })?;
        Some(fields)
    }

    /// What was just passed, as a value. Its keys were compared.
    fn kept(&self, start: usize) -> Option<Value> {
        serde_json::from_slice(self.bytes.get(start..self.at)?).ok()
    }
}

#[cfg(test)]
#[path = "skim_tests.rs"]
mod tests;
