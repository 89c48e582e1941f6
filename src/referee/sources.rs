//! What was reviewed is what runs: the runner's digest of every source file, from CPython's own parser, against ours.
//!
//! Compared when a process has its plan and before it has imported anything of the submission. Our parser is not CPython's;
//! where the two read a file differently, the review has judged something that does not run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::measured::Fault;
use super::plan::Source;
use super::stop::{Stop, explain, unexpected};
use super::wire::{FromRunner, clipped};
use crate::sandbox::Running;

/// Takes the `sources` frames of every rank and compares them with what the review has read.
///
/// # Errors
/// A fault `prism:parser-differential` where a digest, or the list of files, is another.
pub fn check(
    expected: &BTreeMap<String, Source>,
    connections: &mut [Connection],
    running: &Running,
    patience: Duration,
) -> Result<(), Stop> {
    let deadline = Instant::now() + patience;
    for connection in connections {
        let told = take(expected.len(), connection, deadline)
            .map_err(|stop| explain(stop, running, "reading the submission's files"))?;
        compare(expected, &told)?;
    }
    Ok(())
}

/// The digests of one rank; null for a file that CPython cannot parse.
fn take(
    count: usize,
    connection: &mut Connection,
    deadline: Instant,
) -> Result<BTreeMap<String, Option<String>>, Stop> {
    let mut told = BTreeMap::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let frame = connection.receive(left)?;
        let FromRunner::Sources { digests, more } = frame else {
            return Err(unexpected(&frame, "sources").into());
        };
        let is_stalling = more && digests.is_empty();
        told.extend(digests);
        // the comparison names what is too much
        if !more || is_stalling || told.len() > count {
            return Ok(told);
        }
    }
}

fn compare(
    expected: &BTreeMap<String, Source>,
    told: &BTreeMap<String, Option<String>>,
) -> Result<(), Fault> {
    for (path, source) in expected {
        let reviewed = &source.ast_sha256;
        let got = match told.get(path) {
            Some(Some(digest)) if digest == reviewed => continue,
            Some(Some(digest)) => format!("syntax tree {}", clipped(digest)),
            Some(None) => "a file that this Python cannot parse".to_owned(),
            None => "no such file".to_owned(),
        };
        return Err(differential(path, &got, &format!("syntax tree {reviewed}")));
    }
    match told.keys().find(|path| !expected.contains_key(*path)) {
        Some(path) => Err(differential(&clipped(path), "a file", "none, as reviewed")),
        None => Ok(()),
    }
}

fn differential(path: &str, got: &str, expected: &str) -> Fault {
    Fault::new(
        "prism:parser-differential",
        format!("{path}: Python does not read what was reviewed: got {got}, expected {expected}"),
        "`python -m py_compile` says whether this Python reads the file; otherwise write its unusual literals, f-strings \
         and names more plainly",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let expected = [("a.py", "11"), ("b.py", "22")].map(|(path, digest)| {
            let source = Source {
                ast_sha256: digest.to_owned(),
                lines: Vec::new(),
            };
            (path.to_owned(), source)
        });
        let expected = BTreeMap::from(expected);
        type Told<'a> = &'a [(&'a str, Option<&'a str>)];
        let table: &[(Told<'_>, Option<&str>)] = &[
            (&[("a.py", Some("11")), ("b.py", Some("22"))], None),
            (
                &[("a.py", Some("11")), ("b.py", Some("23"))],
                Some(
                    "b.py: Python does not read what was reviewed: got syntax tree 23, expected syntax tree 22",
                ),
            ),
            (
                &[("a.py", None), ("b.py", Some("22"))],
                Some("cannot parse"),
            ),
            (&[("a.py", Some("11"))], Some("b.py: ")),
            (
                &[
                    ("a.py", Some("11")),
                    ("b.py", Some("22")),
                    ("c.py", Some("33")),
                ],
                Some("c.py: "),
            ),
        ];
        for (told, message) in table {
            let told = told
                .iter()
                .map(|(path, digest)| ((*path).to_owned(), digest.map(str::to_owned)))
                .collect();
            match (compare(&expected, &told), message) {
                (Ok(()), None) => {}
                (Err(fault), Some(part)) => {
                    assert_eq!(fault.rule_id, "prism:parser-differential");
                    assert!(fault.message.contains(part), "{}", fault.message);
                }
                (got, expected) => panic!("{told:?}: got {got:?}, expected {expected:?}"),
            }
        }
    }
}
