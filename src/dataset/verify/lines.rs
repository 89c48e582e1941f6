//! The lines of one shard: whether each is a document, belongs into its split and follows its predecessor.
//!
//! Almost every line is in the canonical form `{"id":"…","text":"…"}` and is checked where it lies, at several bytes a
//! nanosecond. Whatever is not goes through the parser that a run uses, so that what passes here can be read there.

use sha2::{Digest, Sha256};

use crate::dataset::Document;
use crate::dataset::manifest::{Split, is_open};

/// More than this without a line's end is no document of ours.
const MAX_LINE_BYTES: usize = 1 << 30;
const BEFORE_ID: &[u8] = b"{\"id\":\"";
const BEFORE_TEXT: &[u8] = b"\",\"text\":\"";
const AFTER_TEXT: &[u8] = b"\"}";

/// Which documents may stand in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Split(Split),
    /// The open sample: documents of train in its buckets.
    Open,
}

/// A bad line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFault {
    /// Its bytes in the shard.
    pub from: u64,
    pub to: u64,
    /// Its number, from 1.
    pub document: u64,
    pub reason: &'static str,
}

/// What was found so far.
#[derive(Debug)]
pub struct LineScan {
    place: Place,
    /// The beginning of a line whose end has not come yet.
    carry: Vec<u8>,
    offset: u64,
    pub documents: u64,
    pub text_bytes: u64,
    pub first_id: String,
    pub last_id: String,
    /// sha256 of every line of the open sample; of a train shard, of those that must stand in it.
    pub open_lines: Vec<[u8; 32]>,
    /// The first bad line. Nothing after it is looked at.
    pub fault: Option<LineFault>,
}

impl LineScan {
    pub fn new(place: Place) -> Self {
        Self {
            place,
            carry: Vec::new(),
            offset: 0,
            documents: 0,
            text_bytes: 0,
            first_id: String::new(),
            last_id: String::new(),
            open_lines: Vec::new(),
            fault: None,
        }
    }

    /// Takes the shard's next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        if !self.carry.is_empty() {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.keep(bytes);
                return;
            };
            let mut line = std::mem::take(&mut self.carry);
            line.extend_from_slice(&bytes[..end]);
            self.line(&line);
            line.clear();
            self.carry = line;
            bytes = &bytes[end + 1..];
        }
        while self.fault.is_none() {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.keep(bytes);
                return;
            };
            self.line(&bytes[..end]);
            bytes = &bytes[end + 1..];
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.carry.extend_from_slice(bytes);
        if self.carry.len() > MAX_LINE_BYTES {
            self.fault_at(self.carry.len(), "a line that is far too long");
            self.carry = Vec::new();
        }
    }

    /// Ends the shard: every line must have had its end.
    pub fn finish(&mut self) {
        if self.fault.is_none() && !self.carry.is_empty() {
            self.fault_at(
                self.carry.len(),
                "the last line does not end with a newline",
            );
        }
    }

    fn fault_at(&mut self, bytes: usize, reason: &'static str) {
        self.fault = Some(LineFault {
            from: self.offset,
            to: self.offset + bytes as u64,
            document: self.documents + 1,
            reason,
        });
    }

    fn line(&mut self, line: &[u8]) {
        match self.check(line) {
            Ok(text_bytes) => {
                self.documents += 1;
                self.text_bytes += text_bytes;
                self.offset += line.len() as u64 + 1;
            }
            Err(reason) => self.fault_at(line.len() + 1, reason),
        }
    }

    /// The bytes of the line's text.
    fn check(&mut self, line: &[u8]) -> Result<u64, &'static str> {
        let utf8 = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
        let parsed: Document;
        let (id, text_bytes) = match canonical(utf8) {
            Some(found) => found,
            None => {
                parsed = serde_json::from_str(utf8)
                    .map_err(|_| "not a document: expected {\"id\", \"text\"}")?;
                (parsed.id.as_str(), parsed.text.len() as u64)
            }
        };
        if id.is_empty() || text_bytes == 0 {
            return Err("an empty id or text");
        }
        let (split, only_open) = match self.place {
            Place::Split(split) => (split, false),
            Place::Open => (Split::Train, true),
        };
        if Split::of(id) != split {
            return Err("the document's id belongs to another split");
        }
        let open = split == Split::Train && is_open(id);
        if only_open && !open {
            return Err("a document that is not of the open sample");
        }
        if self.documents == 0 {
            id.clone_into(&mut self.first_id);
        } else if *id <= *self.last_id {
            return Err("ids are not in strictly rising order");
        }
        id.clone_into(&mut self.last_id);
        if open {
            self.open_lines.push(Sha256::digest(line).into());
        }
        Ok(text_bytes)
    }
}

/// Id and bytes of the text of a line in canonical form; None if it is not, or has escapes that must be parsed.
fn canonical(line: &str) -> Option<(&str, u64)> {
    let bytes = line.as_bytes();
    // A plain loop over all bytes, so that it becomes vector instructions.
    if bytes.iter().fold(false, |bad, &byte| bad | (byte < 0x20)) {
        return None;
    }
    let rest = bytes.strip_prefix(BEFORE_ID)?;
    let id_bytes = memchr::memchr2(b'"', b'\\', rest)?;
    let text = rest[id_bytes..]
        .strip_prefix(BEFORE_TEXT)?
        .strip_suffix(AFTER_TEXT)?;
    let mut text_bytes = text.len() as u64;
    let mut from = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[from..]) {
        let at = from + found;
        // A quote ends the text too early; \u needs decoding; the others stand for one byte.
        let escaped = text.get(at + 1).filter(|_| text[at] == b'\\')?;
        if !matches!(
            escaped,
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'
        ) {
            return None;
        }
        text_bytes -= 1;
        from = at + 2;
    }
    // Both borders are ASCII, so that this is a character boundary.
    let id = line.get(BEFORE_ID.len()..BEFORE_ID.len() + id_bytes)?;
    Some((id, text_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_agrees_with_the_parser() {
        let cases = [
            (r#"{"id":"a","text":"b"}"#, true),
            (r#"{"id":"a","text":"é\n\"quoted\" \\ \/ 漢字"}"#, true),
            (r#"{"id":"a","text":"\\"}"#, true),
            (r#"{"id":"a","text":"\u0000x"}"#, false),
            (r#"{"id":"a\n","text":"b"}"#, false),
            (r#"{"text":"b","id":"a"}"#, false),
            (r#"{"id": "a","text":"b"}"#, false),
            (r#"{"id":"a","text":"b","text":"c"}"#, false),
            (r#"{"id":"a","text":"b\"}"#, false),
            (r#"{"id":"a","text":"b\x"}"#, false),
            (r#"{"id":"a","text":"b"c"}"#, false),
            (r#"{"id":"a","text":""}"#, true),
            (r#"{"id":"a","text":"b"} "#, false),
            (r#"{"id":"a","text":"#, false),
            ("{\"id\":\"a\",\"text\":\"tab\there\"}", false),
            ("", false),
        ];
        for (line, short) in cases {
            let found = canonical(line);
            assert_eq!(found.is_some(), short, "{line}");
            if let Some((id, text_bytes)) = found {
                let parsed: Document = serde_json::from_str(line).unwrap();
                assert_eq!(
                    (id, text_bytes),
                    (parsed.id.as_str(), parsed.text.len() as u64)
                );
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn what_the_short_way_accepts_is_what_the_parser_reads(
            id in "\\PC{0,6}", text in "(\\PC|[\"\\\\\n\t/]){0,40}", cut in 0usize..80,
        ) {
            let line = serde_json::json!({"id": id, "text": text}).to_string();
            for line in [line.as_str(), line.get(..cut).unwrap_or(""), line.get(cut..).unwrap_or("")] {
                if let Some((id, text_bytes)) = canonical(line) {
                    let parsed: Document = serde_json::from_str(line).unwrap();
                    proptest::prop_assert_eq!(id, parsed.id);
                    proptest::prop_assert_eq!(text_bytes, parsed.text.len() as u64);
                }
            }
        }
    }

    fn scan(shard: &[u8], piece: usize) -> LineScan {
        let mut scan = LineScan::new(Place::Split(Split::Train));
        shard.chunks(piece).for_each(|bytes| scan.feed(bytes));
        scan.finish();
        scan
    }

    #[test]
    fn faults_are_placed_however_the_bytes_come() {
        let good = b"{\"id\":\"a\",\"text\":\"one\"}\n{\"text\":\"two\",\"id\":\"c\"}\n";
        for (line, reason) in [
            (
                &b"{\"id\":\"d\"}\n"[..],
                "not a document: expected {\"id\", \"text\"}",
            ),
            (b"\n", "not a document: expected {\"id\", \"text\"}"),
            (b"{\"id\":\"d\",\"text\":\"\xff\"}\n", "not UTF-8"),
            (b"{\"id\":\"d\",\"text\":\"\"}\n", "an empty id or text"),
            (
                b"{\"id\":\"c\",\"text\":\"x\"}\n",
                "ids are not in strictly rising order",
            ),
            (
                b"{\"id\":\"b\",\"text\":\"x\"}\n",
                "the document's id belongs to another split",
            ),
            (
                b"{\"id\":\"d\",\"text\":\"x\"}",
                "the last line does not end with a newline",
            ),
        ] {
            let shard = [good, line].concat();
            for piece in [1, 7, 1_000] {
                let scan = scan(&shard, piece);
                let expected = LineFault {
                    from: good.len() as u64,
                    to: shard.len() as u64,
                    document: 3,
                    reason,
                };
                assert_eq!(scan.fault, Some(expected), "{piece}");
                assert_eq!((scan.documents, scan.text_bytes), (2, 6));
            }
        }
        let whole = scan(good, 5);
        assert_eq!(
            (whole.fault, whole.first_id.as_str(), whole.last_id.as_str()),
            (None, "a", "c")
        );
    }
}
