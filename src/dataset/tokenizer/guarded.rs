//! A submission's own tokenizer.json: hostile data, loaded and used in a process of its own, behind a wall.
//!
//! That process is this project's code with their data: a request on stdin, an answer on stdout, and nothing else to
//! read, write or reach. It is told the text, val included; what comes back are ids, which are compared with the text
//! here. Its answers are checked as a stranger's.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::{OWN, Scratch, Table};
use crate::dataset::{DatasetError, Document};
use crate::sandbox::filter::{self, Filter, FilterFailure, FilterLimits};
use crate::sandbox::{Isolation, SandboxError};

/// The hidden command of `prism` that answers ([`answer`]).
pub const COMMAND: &str = "tokenize-guarded";

const MEMORY_BYTES: u64 = 4 << 30;
const BASE_CPU_S: u64 = 20;
/// The slowest tokenizer that is accepted: one MiB of text in two seconds of processor time.
const CPU_S_PER_MIB: u64 = 2;
const MAX_TABLE_BYTES: u64 = 64 << 20;
const MAX_REASON_CHARS: usize = 300;

const TABLE: u8 = b'T';
const IDS: u8 = b'I';
const REFUSED: u8 = b'R';

/// Where such a process runs.
#[derive(Debug, Clone)]
pub struct Process {
    /// The `prism` executable.
    pub prism: PathBuf,
    pub isolation: Isolation,
    /// What a container is made from.
    pub image: Option<String>,
}

/// A tokenizer.json that its process has accepted.
#[derive(Debug)]
pub struct Guarded {
    json: Vec<u8>,
    process: Process,
}

impl Guarded {
    /// Has the file loaded once, without text, and returns what its ids stand for.
    pub(super) fn load(json: Vec<u8>, process: Process) -> Result<(Table, Self), DatasetError> {
        let guarded = Self { json, process };
        let answer = guarded.ask(&[], MAX_TABLE_BYTES)?;
        let table = match answer.split_first() {
            // Their file's affair: no text was given out yet that could be in the reason.
            Some((&REFUSED, reason)) => return Err(wrong(readable(reason))),
            Some((&TABLE, table)) => parse_table(table),
            _ => None,
        };
        let table = table.ok_or_else(|| wrong("its process gave no table of ids".to_owned()))?;
        Ok((table, guarded))
    }

    /// Ids of documents, not compared with them yet.
    pub(super) fn encode(&self, documents: &[Document]) -> Result<Vec<Vec<u32>>, DatasetError> {
        // A token stands for at least one byte.
        let most = documents
            .iter()
            .map(|document| 4 * document.text.len() as u64 + 4)
            .sum::<u64>();
        let answer = self.ask(documents, most + 16)?;
        let ids = match answer.split_first() {
            Some((&IDS, ids)) => parse_ids(ids, documents.len()),
            _ => None,
        };
        ids.ok_or_else(|| wrong("it cannot encode all of the text".to_owned()))
    }

    fn ask(&self, documents: &[Document], answer_bytes: u64) -> Result<Vec<u8>, DatasetError> {
        let filter = Filter {
            isolation: self.process.isolation,
            image: self.process.image.clone(),
            program: self.process.prism.clone(),
            arguments: vec![COMMAND.into()],
        };
        let text_bytes: u64 = documents.iter().map(|d| d.text.len() as u64).sum();
        let cpu_s = BASE_CPU_S + CPU_S_PER_MIB * text_bytes.div_ceil(1 << 20);
        let limits = FilterLimits {
            memory_bytes: MEMORY_BYTES,
            cpu_s,
            // Other work on the machine takes its share.
            patience: Duration::from_secs(3 * cpu_s),
            answer_bytes,
        };
        let not_started = |source: std::io::Error| {
            DatasetError::Sandbox(SandboxError::Io {
                path: self.process.prism.clone(),
                source,
            })
        };
        let request = request(&self.json, documents);
        filter::run(&filter, &limits, &request).map_err(|failure| match failure {
            FilterFailure::Sandbox(error) => DatasetError::Sandbox(error),
            FilterFailure::Io(source) => not_started(source),
            FilterFailure::NotStarted => not_started(std::io::Error::other(
                "started for a tokenizer, it ended before it read anything",
            )),
            FilterFailure::TimeUp => wrong(format!(
                "loading it or encoding with it takes more than {cpu_s} s of processor time for {text_bytes} bytes of text"
            )),
            FilterFailure::AnswerTooLong => {
                wrong("it makes more ids than there are bytes".to_owned())
            }
            FilterFailure::Ended => wrong(format!(
                "its process ended without an answer; it may use {MEMORY_BYTES} bytes of memory"
            )),
        })
    }
}

fn wrong(reason: String) -> DatasetError {
    DatasetError::Tokenizer {
        name: OWN.to_owned(),
        reason,
    }
}

/// What a stranger wrote, on one line.
fn readable(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .take(MAX_REASON_CHARS)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

/// Length and bytes of the file, number of documents, length and bytes of each.
fn request(json: &[u8], documents: &[Document]) -> Vec<u8> {
    let mut request = Vec::new();
    let mut put = |part: &[u8]| {
        request.extend_from_slice(&(part.len() as u32).to_le_bytes());
        request.extend_from_slice(part);
    };
    put(json);
    for document in documents {
        put(document.text.as_bytes());
    }
    request
}

/// What the process does: reads a request, writes an answer. Called by the hidden command only.
///
/// # Errors
/// Those of the two ends, and a request that is cut short.
pub fn answer(input: &mut impl Read, output: &mut impl Write) -> std::io::Result<()> {
    use rayon::prelude::*;
    output.write_all(&[filter::STARTED])?;
    output.flush()?;
    let mut request = Vec::new();
    input.read_to_end(&mut request)?;
    let mut rest = request.as_slice();
    let cut_short = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let json = part(&mut rest).ok_or_else(cut_short)?;
    let (table, engine) = match Table::read(json, true) {
        Ok(read) => read,
        Err(reason) => {
            output.write_all(&[REFUSED])?;
            return output.write_all(reason.as_bytes());
        }
    };
    if rest.is_empty() {
        output.write_all(&[TABLE])?;
        output.write_all(&table.end_of_text.to_le_bytes())?;
        for bytes in &table.bytes_of {
            output.write_all(&(bytes.len() as u32).to_le_bytes())?;
            output.write_all(bytes)?;
        }
        return Ok(());
    }
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let text = part(&mut rest).ok_or_else(cut_short)?;
        texts.push(str::from_utf8(text).map_err(|_| cut_short())?);
    }
    let tokenizer = super::Tokenizer {
        name: OWN.to_owned(),
        file: None,
        bytes_of: table.bytes_of,
        end_of_text: table.end_of_text,
        engine,
    };
    let encoded: Vec<_> = texts
        .par_iter()
        .map_init(Scratch::default, |scratch, text| {
            tokenizer.encode(text, scratch)
        })
        .collect();
    if encoded.iter().any(Result::is_err) {
        // Without a reason: it could quote the text.
        return output.write_all(&[REFUSED]);
    }
    output.write_all(&[IDS])?;
    for ids in encoded.into_iter().flatten() {
        output.write_all(&(ids.len() as u32).to_le_bytes())?;
        for id in ids {
            output.write_all(&id.to_le_bytes())?;
        }
    }
    Ok(())
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*number))
}

/// A length and so many bytes.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)? as usize;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

fn parse_table(mut rest: &[u8]) -> Option<Table> {
    let end_of_text = number(&mut rest)?;
    let mut bytes_of = Vec::new();
    while !rest.is_empty() && bytes_of.len() <= super::definition::MAX_IDS as usize {
        bytes_of.push(part(&mut rest)?.to_vec());
    }
    let stands_alone = bytes_of
        .get(end_of_text as usize)
        .is_some_and(Vec::is_empty);
    (rest.is_empty() && stands_alone).then_some(Table {
        bytes_of,
        end_of_text,
    })
}

fn parse_ids(mut rest: &[u8], documents: usize) -> Option<Vec<Vec<u32>>> {
    let mut all = Vec::with_capacity(documents);
    for _ in 0..documents {
        let count = number(&mut rest)? as usize;
        let (ids, after) = rest.split_at_checked(count.checked_mul(4)?)?;
        rest = after;
        all.push(
            ids.chunks_exact(4)
                .map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]))
                .collect(),
        );
    }
    rest.is_empty().then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"model": {"type": "BPE", "byte_fallback": false, "unk_token": null,
        "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}"#;

    fn documents(texts: &[&str]) -> Vec<Document> {
        let document = |text: &&str| Document {
            id: String::new(),
            text: (*text).to_owned(),
        };
        texts.iter().map(document).collect()
    }

    fn answered(json: &str, texts: &[&str]) -> Vec<u8> {
        let mut answered = Vec::new();
        let request = request(json.as_bytes(), &documents(texts));
        answer(&mut request.as_slice(), &mut answered).unwrap();
        assert_eq!(answered.remove(0), filter::STARTED);
        answered
    }

    #[test]
    fn a_table_then_ids() {
        let table = answered(FILE, &[]);
        assert_eq!(table[0], TABLE);
        let table = parse_table(&table[1..]).unwrap();
        assert_eq!(table.bytes_of, [&b"a"[..], b"b", b"ab", b""]);
        assert_eq!(table.end_of_text, 3);
        let ids = answered(FILE, &["aab", "", "b"]);
        assert_eq!(ids[0], IDS);
        let ids = parse_ids(&ids[1..], 3).unwrap();
        assert_eq!(ids, [vec![0, 2], vec![], vec![1]]);
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_refused_with_a_reason() {
        for (json, expected) in [
            ("{}", "neither an object nor a list"),
            (
                r#"{"model": {"type": "Nothing", "vocab": {"a": 0}}}"#,
                "did not match",
            ),
        ] {
            let answer = answered(json, &[]);
            assert_eq!(answer[0], REFUSED, "{json}");
            let reason = readable(&answer[1..]);
            assert!(reason.contains(expected), "{reason}");
        }
        assert_eq!(readable(b"a\nb\x1b[1m\xff"), "a b [1m\u{fffd}");
    }

    #[test]
    fn a_stranger_s_answers_are_checked() {
        let table = answered(FILE, &[])[1..].to_vec();
        for cut in 0..table.len() {
            // Whole entries may be missing; then end of text stands for something, or nothing is there.
            assert!(parse_table(&table[..cut]).is_none(), "{cut}");
        }
        let mut far = table.clone();
        far[0] = 200;
        assert!(parse_table(&far).is_none());
        let ids = answered(FILE, &["ab", "b"])[1..].to_vec();
        for cut in 0..ids.len() {
            assert!(parse_ids(&ids[..cut], 2).is_none(), "{cut}");
        }
        assert!(parse_ids(&ids, 1).is_none());
        assert!(parse_ids(&[255; 64], 1).is_none());
    }

    #[test]
    fn a_request_that_is_cut_short_has_no_answer() {
        let request = request(FILE.as_bytes(), &documents(&["ab"]));
        for cut in [0, 3, 10, request.len() - 1] {
            assert!(
                answer(&mut &request[..cut], &mut Vec::new()).is_err(),
                "{cut}"
            );
        }
    }
}
