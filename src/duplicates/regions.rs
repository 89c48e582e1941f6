//! Which lines of two submissions are alike.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::examples;
use crate::review::{Fingerprints, Gram};

/// Lines between two windows that still make one region.
const GAP_LINES: u32 = 3;
const MAX_REGIONS: usize = 8;

/// Lines, from 1, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lines {
    pub path: String,
    pub first_line: u32,
    pub last_line: u32,
}

/// A stretch that stands in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    pub new: Lines,
    pub earlier: Lines,
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { new, earlier } = self;
        write!(
            f,
            "{}:{}-{} is {}:{}-{} there",
            new.path,
            new.first_line,
            new.last_line,
            earlier.path,
            earlier.first_line,
            earlier.last_line
        )
    }
}

/// The regions that two submissions share and no example has, the longest first.
pub fn shared(new: &Fingerprints, old: &Fingerprints) -> Vec<Region> {
    let theirs: HashMap<u32, &Gram> = old.grams.iter().map(|gram| (gram.hash, gram)).collect();
    let mut pairs: Vec<(&Gram, &Gram)> = new
        .grams
        .iter()
        .filter(|gram| !examples::structure().contains(&gram.hash))
        .filter_map(|gram| theirs.get(&gram.hash).map(|old| (gram, *old)))
        .collect();
    pairs.sort_by_key(|(gram, _)| (gram.file, gram.first_line, gram.last_line));
    let mut runs: Vec<(Gram, Gram)> = Vec::new();
    for (here, there) in pairs {
        let open = runs
            .iter_mut()
            .rev()
            .take(4)
            .find(|(new, old)| touches(new, here) && touches(old, there));
        match open {
            Some((new, old)) => {
                widen(new, here);
                widen(old, there);
            }
            None => runs.push((*here, *there)),
        }
    }
    runs.sort_by_key(|(new, _)| {
        let lines = new.last_line - new.first_line.min(new.last_line);
        (std::cmp::Reverse(lines), new.file, new.first_line)
    });
    let lines = |gram: &Gram, paths: &[String]| Lines {
        path: paths.get(gram.file as usize).cloned().unwrap_or_default(),
        first_line: gram.first_line,
        last_line: gram.last_line,
    };
    runs.iter()
        .take(MAX_REGIONS)
        .map(|(here, there)| Region {
            new: lines(here, &new.paths),
            earlier: lines(there, &old.paths),
        })
        .collect()
}

fn touches(run: &Gram, next: &Gram) -> bool {
    run.file == next.file
        && next.first_line <= run.last_line + GAP_LINES
        && run.first_line <= next.last_line + GAP_LINES
}

fn widen(run: &mut Gram, by: &Gram) {
    run.first_line = run.first_line.min(by.first_line);
    run.last_line = run.last_line.max(by.last_line);
}
