//! The text of a run as ids, cut into lanes: every token is charged exactly once, whatever the geometry.
//!
//! The documents' ids, each document followed by end-of-text, are one long line of N tokens. It is cut into `lanes` contiguous pieces
//! whose lengths differ by at most one. The first token of a lane has no context and is charged log2 V bits; each later token is
//! a target once: step `i` shows a lane's tokens `[iT, iT + T)` and asks for `[iT + 1, iT + T + 1)`.
//! What is left at the end of the lanes (less than a row) is predicted in one last, padded step that is not trained on.

use std::ops::Range;

use super::tokenizer::Tokenizer;
use super::{DatasetError, Document};

/// The ids of a text and what each is worth in bytes.
#[derive(Debug, Clone)]
pub struct TokenStream {
    ids: Vec<u32>,
    /// UTF-8 bytes by id.
    bytes_of: Vec<u32>,
    /// UTF-8 bytes of the documents.
    pub text_bytes: u64,
    pub documents: u64,
    end_of_text: u32,
    document_ends: Vec<usize>,
}

impl TokenStream {
    /// Encodes documents in order. The bytes of the ids are the bytes of the documents, or it is an error.
    pub fn new(documents: &[Document], tokenizer: &Tokenizer) -> Result<Self, DatasetError> {
        let mut ids = Vec::new();
        let mut document_ends = Vec::with_capacity(documents.len());
        tokenizer.encode_all(documents, &mut |document| {
            ids.extend(document);
            ids.push(tokenizer.end_of_text());
            document_ends.push(ids.len());
        })?;
        Ok(Self {
            ids,
            bytes_of: (0..tokenizer.size())
                .map(|id| tokenizer.bytes_of(id) as u32)
                .collect(),
            text_bytes: documents
                .iter()
                .map(|document| document.text.len() as u64)
                .sum(),
            documents: documents.len() as u64,
            end_of_text: tokenizer.end_of_text(),
            document_ends,
        })
    }

    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Where each document ends among the ids, its end-of-text included.
    pub fn document_ends(&self) -> &[usize] {
        &self.document_ends
    }

    /// UTF-8 bytes of one id.
    pub fn bytes_of(&self, id: u32) -> u64 {
        u64::from(self.bytes_of[id as usize])
    }

    /// A slice of the ids, for probes that need other real text of the same stream.
    pub fn ids(&self, range: Range<usize>) -> &[u32] {
        &self.ids[range]
    }

    /// Cuts the stream into `lanes` lanes read `seq_len` tokens at a time.
    pub fn lanes(&self, lanes: usize, seq_len: usize) -> Result<Lanes<'_>, DatasetError> {
        if self.ids.len() < 2 * lanes || lanes == 0 || seq_len == 0 {
            return Err(DatasetError::TooFewTokens {
                tokens: self.ids.len(),
                lanes,
            });
        }
        let (base, longer) = (self.ids.len() / lanes, self.ids.len() % lanes);
        let starts = (0..lanes)
            .map(|lane| {
                let start = lane * base + lane.min(longer);
                start..start + base + usize::from(lane < longer)
            })
            .collect();
        Ok(Lanes {
            stream: self,
            lanes: starts,
            seq_len,
            full_steps: (base - 1) / seq_len,
        })
    }
}

/// A stream in its run's geometry.
#[derive(Debug, Clone)]
pub struct Lanes<'a> {
    stream: &'a TokenStream,
    lanes: Vec<Range<usize>>,
    seq_len: usize,
    full_steps: usize,
}

/// One step of some lanes: `rows` × `cols` ids and targets, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub rows: usize,
    pub cols: usize,
    pub ids: Vec<u32>,
    /// The next token at each position; end-of-text as padding where `lengths` says so.
    pub targets: Vec<u32>,
    /// Charged targets per row, counted from its start: `cols` in every full step.
    pub lengths: Vec<usize>,
}

impl Batch {
    /// Charged targets of all rows.
    pub fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Whether every position is charged; only the last step of a stream is not full.
    pub fn is_full(&self) -> bool {
        self.lengths.iter().all(|&length| length == self.cols)
    }

    /// The charged targets of one row.
    pub fn row_targets(&self, row: usize) -> &[u32] {
        &self.targets[row * self.cols..row * self.cols + self.lengths[row]]
    }
}

impl Lanes<'_> {
    /// Steps in which every position is charged; these are trained on.
    pub fn full_steps(&self) -> usize {
        self.full_steps
    }

    /// How many lanes there are.
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Place among the ids of the first one in `lane` that the first `steps` steps did not charge.
    pub fn charged(&self, lane: usize, steps: usize) -> usize {
        let lane = &self.lanes[lane];
        // The first step charges the lane's first token, too.
        match steps {
            0 => lane.start,
            steps => (lane.start + 1 + steps * self.seq_len).min(lane.end),
        }
    }

    /// Whether there is a last, partial step after the full ones.
    pub fn has_partial_step(&self) -> bool {
        self.lanes
            .iter()
            .any(|lane| lane.len() - 1 > self.full_steps * self.seq_len)
    }

    /// First tokens of the lanes in `range`: ids without context.
    pub fn first_tokens(&self, range: Range<usize>) -> Vec<u32> {
        self.lanes[range]
            .iter()
            .map(|lane| self.stream.ids[lane.start])
            .collect()
    }

    /// Step `step` of the lanes in `range` (a rank's own). `step == full_steps()` is the partial one.
    pub fn batch(&self, step: usize, range: Range<usize>) -> Batch {
        let cols = self.seq_len;
        let rows = range.len();
        let pad = self.stream.end_of_text;
        let mut batch = Batch {
            rows,
            cols,
            ids: vec![pad; rows * cols],
            targets: vec![pad; rows * cols],
            lengths: Vec::with_capacity(rows),
        };
        for (row, lane) in self.lanes[range].iter().enumerate() {
            let from = lane.start + step * cols;
            let length = (lane.end - 1).saturating_sub(from).min(cols);
            let place = row * cols;
            batch.ids[place..place + length].copy_from_slice(&self.stream.ids[from..from + length]);
            batch.targets[place..place + length]
                .copy_from_slice(&self.stream.ids[from + 1..from + length + 1]);
            batch.lengths.push(length);
        }
        batch
    }

    /// Tokens and bytes that no step before `step` charged, in the lanes in `range`.
    pub fn left_after(&self, step: usize, range: Range<usize>) -> (u64, u64) {
        let mut tokens = 0;
        let mut bytes = 0;
        for lane in &self.lanes[range] {
            let from = (lane.start + step * self.seq_len + 1).min(lane.end);
            let rest = &self.stream.ids[from..lane.end];
            tokens += rest.len() as u64;
            bytes += rest.iter().map(|&id| self.stream.bytes_of(id)).sum::<u64>();
        }
        (tokens, bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::tokenizer::tests::every_tokenizer;

    fn tokenizer(name: &str) -> Tokenizer {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tokenizers");
        Tokenizer::load(name, &folder).unwrap()
    }

    thread_local! {
        /// `bytes`, `prism-4096`, `gpt2`, Llama's kind, and one that came with a submission.
        static ALL: Vec<Tokenizer> = every_tokenizer();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        /// The charged bytes are the bytes of the text, for every tokenizer and any geometry, at the end and at any
        /// stop before it, however many ranks share the lanes.
        #[test]
        fn every_byte_is_charged_once(
            texts in proptest::collection::vec(
                "(\\PC|[ \\n\\x00▁<>é漢🙂]){1,80}|[a-z ]{1,200}|a{1,150}| {1,150}", 1..12,
            ),
            rows in 1usize..5,
            ranks in 1usize..4,
            seq_len in 1usize..40,
            which in 0usize..5,
            stop in 0usize..50,
            budget_bytes in 1u64..2_000,
        ) {
            let mut documents: Vec<Document> = Vec::new();
            let mut text_bytes = 0;
            // As a budget cuts a split: the document at the border is whole.
            for text in &texts {
                if text_bytes < budget_bytes {
                    documents.push(Document { id: documents.len().to_string(), text: text.clone() });
                    text_bytes += text.len() as u64;
                }
            }
            let stream = ALL.with(|all| TokenStream::new(&documents, &all[which])).unwrap();
            prop_assert_eq!(stream.text_bytes, text_bytes);
            let lanes = rows * ranks;
            let Ok(cut) = stream.lanes(lanes, seq_len) else {
                prop_assert!(stream.tokens() < 2 * lanes);
                return Ok(());
            };
            let (mut tokens, mut bytes) = (0, 0);
            let steps = cut.full_steps() + usize::from(cut.has_partial_step());
            for step in 0..=steps {
                if step == stop || step == steps {
                    let left = (0..ranks).map(|rank| cut.left_after(step, rank * rows..(rank + 1) * rows));
                    let (left_tokens, left_bytes) =
                        left.fold((0, 0), |sum, left| (sum.0 + left.0, sum.1 + left.1));
                    let firsts = if step == 0 { cut.first_tokens(0..lanes) } else { Vec::new() };
                    let first_bytes: u64 = firsts.iter().map(|&id| stream.bytes_of(id)).sum();
                    prop_assert_eq!(tokens + left_tokens + firsts.len() as u64, stream.tokens() as u64);
                    prop_assert_eq!(bytes + left_bytes + first_bytes, text_bytes);
                }
                if step == steps {
                    break;
                }
                for rank in 0..ranks {
                    let own = rank * rows..(rank + 1) * rows;
                    if step == 0 {
                        let firsts = cut.first_tokens(own.clone());
                        tokens += firsts.len() as u64;
                        bytes += firsts.iter().map(|&id| stream.bytes_of(id)).sum::<u64>();
                    }
                    let batch = cut.batch(step, own);
                    prop_assert!(step >= cut.full_steps() || batch.is_full());
                    tokens += batch.tokens() as u64;
                    for row in 0..rows {
                        let targets = batch.row_targets(row);
                        bytes += targets.iter().map(|&id| stream.bytes_of(id)).sum::<u64>();
                    }
                }
            }
            prop_assert_eq!(cut.left_after(steps, 0..lanes), (0, 0));
        }
    }

    #[test]
    fn a_row_s_last_target_is_not_among_its_inputs() {
        let documents = [Document {
            id: "d".to_owned(),
            text: ('a'..='z').collect(),
        }];
        let stream = TokenStream::new(&documents, &tokenizer("bytes")).unwrap();
        let lanes = stream.lanes(2, 4).unwrap();
        let batch = lanes.batch(0, 0..2);
        assert_eq!(&batch.ids[..4], [97, 98, 99, 100]);
        assert_eq!(&batch.targets[..4], [98, 99, 100, 101]);
        assert_eq!(lanes.batch(1, 0..2).ids[0], 101);
        assert_eq!(lanes.batch(0, 1..2).ids, batch.ids[4..]);
    }
}
