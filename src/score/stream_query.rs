//! The two polars queries: integer sums per stream file, and per held-out role.
//!
//! Columns may need more than 64 bits once they are added up, so each is summed as its high and low 32 bits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use polars::prelude::*;

use super::constants::Q32_ONE;
use super::error::ScoreError;
use super::streams::{heldout_schema, online_schema};

/// Columns of the online stream that are summed in halves: `<name>_high` and `<name>_low`.
const WIDE: [&str; 5] = [
    "bytes",
    "nats_q32",
    "blind_nats_q32",
    "ref_nats_q32",
    "ref_blind_nats_q32",
];

/// Column that polars adds: the file that a row came from.
pub(super) const FILE: &str = "stream_file";

/// Sums of every online stream: one row per file.
pub(super) fn online_sums(paths: &[(PlRefPath, usize)]) -> Result<DataFrame, ScoreError> {
    query(paths, online_schema(), add_up_online)
}

/// Sums of every held-out stream: one row per file and role.
pub(super) fn heldout_sums(paths: &[(PlRefPath, usize)]) -> Result<DataFrame, ScoreError> {
    query(paths, heldout_schema(), add_up_heldout)
}

fn query(
    paths: &[(PlRefPath, usize)],
    schema: Schema,
    add_up: fn(LazyFrame) -> LazyFrame,
) -> Result<DataFrame, ScoreError> {
    let fault = |what: String| ScoreError::Query {
        runs: paths.len(),
        what,
    };
    let run = || {
        let args = ScanArgsParquet {
            schema: Some(Arc::new(schema)),
            glob: false,
            cache: false,
            include_file_paths: Some(FILE.into()),
            ..ScanArgsParquet::default()
        };
        let paths = paths.iter().map(|(path, _)| path.clone()).collect();
        let scan = LazyFrame::scan_parquet_files(paths, args)?;
        Ok(add_up(scan)
            .collect_with_engine(Engine::Streaming)?
            .unwrap_single())
    };
    // the decoder asserts on some kinds of damage
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(frame)) => Ok(frame),
        Ok(Err::<_, PolarsError>(error)) => Err(fault(error.to_string())),
        Err(_) => Err(fault(
            "the parquet decoder gave up on one of them".to_owned(),
        )),
    }
}

fn add_up_online(scan: LazyFrame) -> LazyFrame {
    let predicted = || col("unpredicted").not();
    let mark = |condition: Expr, name: &str| condition.cast(DataType::Int64).alias(name);
    let mut columns = halves(&WIDE);
    columns.extend([
        mark(predicted(), "predicted"),
        mark(col("unpredicted"), "left"),
        mark(predicted().and(col("step").eq(lit(0))), "first"),
        mark(predicted().and(col("rank").eq(lit(0))), "steps"),
    ]);
    columns.extend(
        ["step", "rank", "tokens", "blind_tokens", "nonfinite"].map(|name| wide(name).alias(name)),
    );
    columns.push(empty_cells(&online_schema()));
    let sum = |name: &str| col(name).sum();
    let mut sums: Vec<Expr> = [
        "tokens",
        "blind_tokens",
        "nonfinite",
        "steps",
        "empty_cells",
    ]
    .map(sum)
    .into_iter()
    .chain(half_sums(&WIDE))
    .collect();
    sums.push((col("step") * col("steps")).sum().alias("step_sum"));
    sums.push((col("step") * col("predicted")).max().alias("last_step"));
    sums.push((col("rank") * col("predicted")).max().alias("last_rank"));
    for part in ["first", "left"] {
        for name in [
            "tokens",
            "bytes_high",
            "bytes_low",
            "nats_q32_high",
            "nats_q32_low",
        ] {
            sums.push(
                (col(name) * col(part))
                    .sum()
                    .alias(format!("{part}_{name}")),
            );
        }
    }
    scan.with_columns(columns).group_by([col(FILE)]).agg(sums)
}

fn add_up_heldout(scan: LazyFrame) -> LazyFrame {
    let mut columns = halves(&["bytes", "nats_q32"]);
    columns.push(wide("tokens").alias("tokens"));
    columns.push(empty_cells(&heldout_schema()));
    let mut sums = vec![col("tokens").sum(), col("empty_cells").sum()];
    sums.extend(half_sums(&["bytes", "nats_q32"]));
    scan.with_columns(columns)
        .group_by([col(FILE), col("role")])
        .agg(sums)
}

fn wide(name: &str) -> Expr {
    col(name).strict_cast(DataType::Int64)
}

/// `name_high` and `name_low` of each column: value = high x 2^32 + low, 0 <= low < 2^32. The sum of either fits 64
/// bits for up to 2^31 rows.
fn halves(names: &[&str]) -> Vec<Expr> {
    let low = |name: &str| wide(name).and(lit(Q32_ONE - 1));
    names
        .iter()
        .flat_map(|name| {
            // value - low is a multiple of 2^32 below 2^63: f64 holds it, and its quotient, exactly
            let high = (wide(name) - low(name)).cast(DataType::Float64) * lit(1.0 / Q32_ONE as f64);
            [
                high.cast(DataType::Int64).alias(format!("{name}_high")),
                low(name).alias(format!("{name}_low")),
            ]
        })
        .collect()
}

fn half_sums(names: &[&str]) -> Vec<Expr> {
    names
        .iter()
        .flat_map(|name| ["high", "low"].map(|half| col(format!("{name}_{half}")).sum()))
        .collect()
}

fn empty_cells(schema: &Schema) -> Expr {
    let empty = |name: &str| col(name).is_null().cast(DataType::Int64);
    schema
        .iter_names()
        .fold(lit(0_i64), |sum, name| sum + empty(name))
        .alias("empty_cells")
}
