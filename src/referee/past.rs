//! What `ctx.data_dir` shows: the past only. The open sample from the start, then each document once every token of it was
//! charged, so that nothing can be read before it was predicted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::dataset::Document;
use crate::dataset::stream::{Lanes, TokenStream};

/// Documents per file, as in the corpus's own shards.
const DOCUMENTS_PER_FILE: usize = 1_024;

/// Makes the folder and puts the open sample into it.
pub fn lay_out(folder: &Path, open_sample: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let entries = match fs::read_dir(open_sample) {
        Ok(entries) => entries,
        // A corpus without an open sample.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    Ok(())
}

/// Watches which documents of a stream are charged whole and shows those.
#[derive(Debug)]
pub struct Past<'a> {
    folder: PathBuf,
    documents: &'a [Document],
    /// End of each document in the stream's ids, end-of-text included.
    ends: &'a [usize],
    /// Ids of each document that are not charged yet.
    left: Vec<usize>,
    /// For each lane: its first id that is not charged, and the document which that belongs to.
    frontiers: Vec<(usize, usize)>,
    file: Option<File>,
    shown: usize,
}

impl<'a> Past<'a> {
    /// `documents` are those that `stream` was made of, in its order; `folder` was laid out before.
    pub fn new(
        folder: PathBuf,
        documents: &'a [Document],
        stream: &'a TokenStream,
        lanes: &Lanes<'_>,
    ) -> Self {
        let ends = stream.document_ends();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let left = starts.zip(ends).map(|(start, end)| end - start).collect();
        let frontiers = (0..lanes.count())
            .map(|lane| lanes.charged(lane, 0))
            .map(|from| (from, ends.partition_point(|&end| end <= from)))
            .collect();
        Self {
            folder,
            documents,
            ends,
            left,
            frontiers,
            file: None,
            shown: 0,
        }
    }

    /// Shows what became whole by the first `steps` steps of all lanes.
    pub fn charged(&mut self, lanes: &Lanes<'_>, steps: usize) -> io::Result<()> {
        for lane in 0..self.frontiers.len() {
            let (mut from, mut document) = self.frontiers[lane];
            let to = lanes.charged(lane, steps);
            while from < to {
                let part = to.min(self.ends[document]) - from;
                from += part;
                self.left[document] -= part;
                if self.left[document] == 0 {
                    self.show(document)?;
                }
                if from == self.ends[document] {
                    document += 1;
                }
            }
            self.frontiers[lane] = (from, document);
        }
        Ok(())
    }

    /// Appends a whole line with one write: a reader never sees a part of it.
    fn show(&mut self, document: usize) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) if !self.shown.is_multiple_of(DOCUMENTS_PER_FILE) => file,
            file => {
                let name = format!("past-{:05}.jsonl", self.shown / DOCUMENTS_PER_FILE);
                file.insert(File::create_new(self.folder.join(name))?)
            }
        };
        let mut line = serde_json::to_vec(&self.documents[document])?;
        line.push(b'\n');
        file.write_all(&line)?;
        self.shown += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::tokenizer::Tokenizer;

    fn shown(folder: &Path) -> Vec<String> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
            .iter()
            .flat_map(|file| {
                let text = fs::read_to_string(file).unwrap();
                let lines = text.lines().map(|line| {
                    let document: Document = serde_json::from_str(line).unwrap();
                    document.id
                });
                lines.collect::<Vec<_>>()
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// After every step exactly those documents are shown of which no token is left, each once.
        #[test]
        fn a_document_is_shown_when_its_last_token_was_charged(
            sizes in proptest::collection::vec(1usize..60, 1..20),
            lane_count in 1usize..6,
            seq_len in 1usize..20,
        ) {
            let documents: Vec<Document> = sizes
                .iter()
                .enumerate()
                .map(|(n, size)| Document { id: n.to_string(), text: "x".repeat(*size) })
                .collect();
            let tokenizer = Tokenizer::load("bytes", Path::new("nowhere")).unwrap();
            let stream = TokenStream::new(&documents, &tokenizer).unwrap();
            let Ok(lanes) = stream.lanes(lane_count, seq_len) else { return Ok(()) };
            let folder = tempfile::tempdir().unwrap();
            let mut past = Past::new(folder.path().to_owned(), &documents, &stream, &lanes);
            let mut charged = vec![false; stream.tokens()];
            let steps = lanes.full_steps() + usize::from(lanes.has_partial_step());
            for step in 0..=steps {
                past.charged(&lanes, step).unwrap();
                for lane in 0..lane_count {
                    // Written out once more: the first token with the first step, then seq_len a step.
                    let (base, longer) = (stream.tokens() / lane_count, stream.tokens() % lane_count);
                    let start = lane * base + lane.min(longer);
                    let end = start + base + usize::from(lane < longer);
                    let to = if step == 0 { start } else { (start + 1 + step * seq_len).min(end) };
                    charged[start..to].fill(true);
                }
                let mut expected = Vec::new();
                let mut from = 0;
                for (document, size) in documents.iter().zip(&sizes) {
                    if charged[from..from + size + 1].iter().all(|&token| token) {
                        expected.push(document.id.clone());
                    }
                    from += size + 1;
                }
                let mut seen = shown(folder.path());
                seen.sort();
                expected.sort();
                prop_assert_eq!(seen, expected, "step {}", step);
            }
        }
    }

    #[test]
    fn the_open_sample_is_there_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        let data = folder.path().join("data");
        lay_out(&data, &open).unwrap();
        fs::create_dir(&open).unwrap();
        fs::write(
            open.join("open-00000.jsonl"),
            "{\"id\":\"a\",\"text\":\"b\"}\n",
        )
        .unwrap();
        lay_out(&data, &open).unwrap();
        assert_eq!(shown(&data), ["a"]);
    }
}
