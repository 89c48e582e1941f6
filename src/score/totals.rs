//! Adding up streams with polars: streams of a usual length file by file on a few threads, longer ones in one lazy query
//! over their online and one over their held-out streams.
//!
//! All sums are integers, so they are the same whatever the way, the grouping, the thread count or the machine. The
//! streaming engine of the query reads row group by row group: memory does not grow with the length of a run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::constants::Q32_ONE;
use super::error::ScoreError;
use super::formulas::{bits_per_byte, nats_from_q32};
use super::stream_query::{FILE, heldout_sums, online_sums};
use super::stream_rows::HeldoutRole;
use super::stream_sums::{MOST_ROWS, sum_run};
use super::streams::{HELDOUT_FILE, ONLINE_FILE};

/// Runs of one query: its memory grows with them.
const QUERY_RUNS: usize = 64;

/// Tokens, their bytes and their code length.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamSum {
    pub tokens: u64,
    pub bytes: u64,
    /// Fixed point nats (2^32 a nat). Wider than a row's: a stream may be longer than 2^31 nats.
    pub nats_q32: i128,
}

impl StreamSum {
    /// Bits per byte; none when no bytes are covered.
    pub fn bits_per_byte(&self) -> Option<f64> {
        bits_per_byte(self.nats_q32, self.bytes)
    }

    /// Code length in nats.
    pub fn nats(&self) -> f64 {
        nats_from_q32(self.nats_q32)
    }
}

/// What the streams of one run add up to. Scores are made of this and of the manifest's `measurement` block alone.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct RunTotals {
    pub submission_id: String,
    /// Steps that were predicted.
    pub steps: u64,
    /// Ranks that predicted.
    pub ranks: u64,
    /// Everything that is charged, unpredicted tokens included.
    pub charged: StreamSum,
    /// Step 0 over all ranks.
    pub first_step: StreamSum,
    /// Tokens charged because the submission stopped of its own choice.
    pub unpredicted: StreamSum,
    /// Tokens in the last position of a row.
    pub blind_tokens: u64,
    pub blind_nats_q32: i128,
    /// The reference predictor on the same tokens, and on the blind ones among them.
    pub ref_nats_q32: i128,
    pub ref_blind_nats_q32: i128,
    /// Tokens that were charged the worst case because their logits were not finite.
    pub nonfinite_tokens: u64,
    /// Trained weights on val, untrained twin on val, trained weights on the train tail; none where not measured.
    pub trained: Option<StreamSum>,
    pub twin: Option<StreamSum>,
    pub train_tail: Option<StreamSum>,
}

/// Adds up the streams of `runs` (submission id and run folder), in their order. A run without `heldout.parquet` has
/// no held-out sums. Files that are not fresh from this process are to be checked first
/// ([`super::stream_digests::StreamDigests::check`]): the decoder trusts what it reads.
///
/// # Errors
/// [`ScoreError::DuplicateRun`], [`ScoreError::BadStream`] when the stream that is at fault is known,
/// [`ScoreError::Query`] when it is not. Must not be called from a rayon worker (polars has a pool of its own and
/// waits for it): that is a [`ScoreError::Query`] too.
pub fn totals(runs: &[(String, PathBuf)]) -> Result<Vec<RunTotals>, ScoreError> {
    distinct_folders(runs)?;
    totals_of_each(runs).into_iter().collect()
}

/// Totals of every run, or what is wrong with it, in their order.
pub fn totals_of_each(runs: &[(String, PathBuf)]) -> Vec<Result<RunTotals, ScoreError>> {
    totals_up_to(runs, MOST_ROWS)
}

/// Streams of more than `most_rows` go through the query.
fn totals_up_to(
    runs: &[(String, PathBuf)],
    most_rows: usize,
) -> Vec<Result<RunTotals, ScoreError>> {
    if rayon::current_thread_index().is_some() {
        let fault = || ScoreError::Query {
            runs: runs.len(),
            what: "called from a rayon worker, expected a thread outside the pool".to_owned(),
        };
        return runs.iter().map(|_| Err(fault())).collect();
    }
    let mut sums = sum_small(runs, most_rows);
    let is_long = |sum: &Result<Option<RunTotals>, ScoreError>| matches!(sum, Ok(None));
    let long: Vec<(String, PathBuf)> = runs
        .iter()
        .zip(&sums)
        .filter(|(_, sum)| is_long(sum))
        .map(|(run, _)| run.clone())
        .collect();
    let places = sums.iter_mut().filter(|sum| is_long(sum));
    for (place, sum) in places.zip(query_each(&long)) {
        *place = sum.map(Some);
    }
    sums.into_iter()
        .zip(runs)
        .map(|(sum, (_, folder))| {
            // none is left: there was one answer for each
            sum?.ok_or_else(|| bad_stream(&folder.join(ONLINE_FILE), "it was not added up"))
        })
        .collect()
}

/// Every run whose streams are short, on threads of their own: polars is not called from a pool that it may wait for.
fn sum_small(
    runs: &[(String, PathBuf)],
    most_rows: usize,
) -> Vec<Result<Option<RunTotals>, ScoreError>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = runs.len().div_ceil(threads).max(1);
    let mut sums: Vec<Result<Option<RunTotals>, ScoreError>> =
        runs.iter().map(|_| Ok(None)).collect();
    std::thread::scope(|scope| {
        for (runs, sums) in runs.chunks(part).zip(sums.chunks_mut(part)) {
            scope.spawn(move || {
                for ((id, folder), sum) in runs.iter().zip(sums) {
                    *sum = sum_run(id, folder, most_rows);
                }
            });
        }
    });
    sums
}

/// Totals of every run by the query. When the one query over all of them fails, halves of the list are tried, so that
/// few damaged streams among many cost few queries.
fn query_each(runs: &[(String, PathBuf)]) -> Vec<Result<RunTotals, ScoreError>> {
    let mut sums = Vec::with_capacity(runs.len());
    let mut parts: Vec<_> = runs.chunks(QUERY_RUNS).rev().collect();
    while let Some(part) = parts.pop() {
        match query(part) {
            Ok(all) => sums.extend(all.into_iter().map(Ok)),
            Err(error) if part.len() <= 1 => sums.push(Err(error)),
            Err(_) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
        }
    }
    sums
}

/// One query over all of `runs`.
fn query(runs: &[(String, PathBuf)]) -> Result<Vec<RunTotals>, ScoreError> {
    let folders = distinct_folders(runs)?;
    let online = stream_paths(&folders, ONLINE_FILE, |_| true)?;
    let heldout = stream_paths(&folders, HELDOUT_FILE, Path::exists)?;

    let mut sums: Vec<RunTotals> = runs
        .iter()
        .map(|(id, _)| RunTotals {
            submission_id: id.clone(),
            ..RunTotals::default()
        })
        .collect();
    let mut seen = vec![false; runs.len()];
    let frame = online_sums(&online)?;
    for_each_group(runs.len(), &frame, &online, |_, run, cell| {
        seen[run] = true;
        read_online_sums(&mut sums[run], cell)
    })?;
    if let Some(run) = seen.iter().position(|seen| !seen) {
        return Err(bad_stream(
            &folders[run].join(ONLINE_FILE),
            "it has no rows",
        ));
    }
    if !heldout.is_empty() {
        let frame = heldout_sums(&heldout)?;
        let roles = frame.column("role").and_then(|column| column.str());
        let roles = roles.map_err(|error| ScoreError::Query {
            runs: runs.len(),
            what: error.to_string(),
        })?;
        for_each_group(runs.len(), &frame, &heldout, |group, run, cell| {
            refuse_empty_cells(cell)?;
            let sum = Some(narrow("", cell)?);
            match roles.get(group).and_then(HeldoutRole::from_name) {
                Some(HeldoutRole::Trained) => sums[run].trained = sum,
                Some(HeldoutRole::Twin) => sums[run].twin = sum,
                Some(HeldoutRole::TrainTail) => sums[run].train_tail = sum,
                None => return Err("a role is none of trained, twin, train_tail".to_owned()),
            }
            Ok(())
        })?;
    }
    Ok(sums)
}

fn distinct_folders(runs: &[(String, PathBuf)]) -> Result<Vec<PathBuf>, ScoreError> {
    let mut folders = Vec::with_capacity(runs.len());
    let mut seen = std::collections::HashSet::with_capacity(runs.len());
    for (_, folder) in runs {
        let absolute = std::path::absolute(folder).map_err(|source| ScoreError::Io {
            action: "find",
            path: folder.clone(),
            source,
        })?;
        if !seen.insert(absolute.clone()) {
            return Err(ScoreError::DuplicateRun {
                path: folder.clone(),
            });
        }
        folders.push(absolute);
    }
    Ok(folders)
}

/// Path of the stream, as polars will name it, to the index of its run.
fn stream_paths(
    folders: &[PathBuf],
    name: &str,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<(PlRefPath, usize)>, ScoreError> {
    let mut paths = Vec::new();
    for (run, folder) in folders.iter().enumerate() {
        let path = folder.join(name);
        if wanted(&path) {
            let readable = PlRefPath::try_from_path(&path)
                .map_err(|_| bad_stream(&path, "its path is not UTF-8, as the reader needs"))?;
            paths.push((readable, run));
        }
    }
    Ok(paths)
}

/// Integer of one group by column name.
type Cell<'a> = &'a dyn Fn(&str) -> Result<i64, String>;

/// Hands every group of a query's result to `take`, with the run that its file belongs to.
fn for_each_group(
    runs: usize,
    frame: &DataFrame,
    paths: &[(PlRefPath, usize)],
    mut take: impl FnMut(usize, usize, Cell) -> Result<(), String>,
) -> Result<(), ScoreError> {
    let run_of: HashMap<&str, usize> = paths
        .iter()
        .map(|(path, run)| (path.as_str(), *run))
        .collect();
    let fault = |what: String| ScoreError::Query { runs, what };
    let files = frame
        .column(FILE)
        .and_then(|column| column.str())
        .map_err(|error| fault(error.to_string()))?;
    for group in 0..frame.height() {
        let file = files.get(group).unwrap_or_default();
        let run = *run_of.get(file).ok_or_else(|| {
            fault(format!(
                "the query names a stream that was not asked for: {file}"
            ))
        })?;
        let cell = |name: &str| -> Result<i64, String> {
            let column = frame
                .column(name)
                .and_then(|column| column.i64())
                .map_err(|error| error.to_string())?;
            column
                .get(group)
                .ok_or_else(|| format!("column {name} has no value"))
        };
        take(group, run, &cell).map_err(|what| bad_stream(Path::new(file), &what))?;
    }
    Ok(())
}

fn read_online_sums(sums: &mut RunTotals, cell: Cell) -> Result<(), String> {
    refuse_empty_cells(cell)?;
    let steps = cell("steps")?;
    // rank 0 has every step once: n rows whose steps add up to 0 + 1 + ... + (n - 1), none above n - 1
    let expected_sum = steps * (steps - 1) / 2;
    if steps > 0 && (cell("step_sum")? != expected_sum || cell("last_step")? != steps - 1) {
        return Err(format!(
            "rank 0 has {steps} steps, the last one is {}: expected every step once",
            cell("last_step")?
        ));
    }
    sums.steps = unsigned("steps", steps.into())?;
    sums.ranks = if steps > 0 {
        unsigned("rank", cell("last_rank")?.into())? + 1
    } else {
        0
    };
    sums.charged = narrow("", cell)?;
    sums.first_step = narrow("first_", cell)?;
    sums.unpredicted = narrow("left_", cell)?;
    sums.blind_tokens = unsigned("blind_tokens", cell("blind_tokens")?.into())?;
    sums.blind_nats_q32 = join("blind_nats_q32", cell)?;
    sums.ref_nats_q32 = join("ref_nats_q32", cell)?;
    sums.ref_blind_nats_q32 = join("ref_blind_nats_q32", cell)?;
    sums.nonfinite_tokens = unsigned("nonfinite", cell("nonfinite")?.into())?;
    Ok(())
}

fn refuse_empty_cells(cell: Cell) -> Result<(), String> {
    match cell("empty_cells")? {
        0 => Ok(()),
        count => Err(format!("it has {count} empty cells, expected none")),
    }
}

fn narrow(prefix: &str, cell: Cell) -> Result<StreamSum, String> {
    Ok(StreamSum {
        tokens: unsigned("tokens", cell(&format!("{prefix}tokens"))?.into())?,
        bytes: unsigned("bytes", join(&format!("{prefix}bytes"), cell)?)?,
        nats_q32: join(&format!("{prefix}nats_q32"), cell)?,
    })
}

fn join(name: &str, cell: Cell) -> Result<i128, String> {
    Ok(
        i128::from(cell(&format!("{name}_high"))?) * i128::from(Q32_ONE)
            + i128::from(cell(&format!("{name}_low"))?),
    )
}

fn unsigned(name: &str, sum: i128) -> Result<u64, String> {
    u64::try_from(sum).map_err(|_| format!("{name} add up to {sum}, expected 0 to 2^64 - 1"))
}

fn bad_stream(path: &Path, what: &str) -> ScoreError {
    ScoreError::BadStream {
        path: path.to_path_buf(),
        what: what.to_owned(),
    }
}

#[cfg(test)]
#[path = "totals_tests.rs"]
mod tests;
