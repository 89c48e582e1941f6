//! Sums against sums made row by row, and what is refused.

use super::super::run_fixture::{heldout_rows, online_rows, write_run};
use super::super::stream_rows::OnlineRow;
use super::super::streams::{write_heldout, write_online};
use super::*;

fn run(root: &Path, name: &str) -> (String, PathBuf) {
    (name.to_owned(), root.join(name))
}

/// As for streams that are too long to be decoded whole.
fn by_query(runs: &[(String, PathBuf)]) -> Result<Vec<RunTotals>, ScoreError> {
    totals_up_to(runs, 0).into_iter().collect()
}

/// The sums, added up row by row.
fn expected(id: &str) -> RunTotals {
    let rows = online_rows();
    let sum = |keep: &dyn Fn(&&OnlineRow) -> bool| {
        rows.iter()
            .filter(keep)
            .fold(StreamSum::default(), |sum, row| StreamSum {
                tokens: sum.tokens + u64::from(row.tokens),
                bytes: sum.bytes + row.bytes,
                nats_q32: sum.nats_q32 + i128::from(row.nats_q32),
            })
    };
    let role = |role| {
        Some(heldout_rows().iter().filter(|row| row.role == role).fold(
            StreamSum::default(),
            |sum, row| StreamSum {
                tokens: sum.tokens + u64::from(row.tokens),
                bytes: sum.bytes + row.bytes,
                nats_q32: sum.nats_q32 + i128::from(row.nats_q32),
            },
        ))
    };
    let total = |pick: fn(&OnlineRow) -> i64| rows.iter().map(|row| i128::from(pick(row))).sum();
    RunTotals {
        submission_id: id.to_owned(),
        steps: 3,
        ranks: 2,
        charged: sum(&|_| true),
        first_step: sum(&|row| row.step == 0),
        unpredicted: sum(&|row| row.unpredicted),
        blind_tokens: 24,
        blind_nats_q32: total(|row| row.blind_nats_q32),
        ref_nats_q32: total(|row| row.ref_nats_q32),
        ref_blind_nats_q32: total(|row| row.ref_blind_nats_q32),
        nonfinite_tokens: 2,
        trained: role(HeldoutRole::Trained),
        twin: role(HeldoutRole::Twin),
        train_tail: role(HeldoutRole::TrainTail),
    }
}

#[test]
fn sums_are_those_of_the_rows_in_the_order_of_the_runs() {
    let root = tempfile::tempdir().unwrap();
    // a name that a glob would expand
    let runs = ["b", "a[1]*", "c"].map(|name| run(root.path(), name));
    for (_, folder) in &runs {
        write_run(folder);
    }
    std::fs::remove_file(root.path().join("c").join(HELDOUT_FILE)).unwrap();
    let bare = RunTotals {
        trained: None,
        twin: None,
        train_tail: None,
        ..expected("c")
    };
    let all = [expected("b"), expected("a[1]*"), bare];
    assert_eq!(totals(&runs).unwrap(), all);
    assert_eq!(by_query(&runs).unwrap(), all);
    assert_eq!(totals(&[]).unwrap(), []);
}

#[test]
fn sums_beyond_64_bits_and_negative_ones_are_exact() {
    let root = tempfile::tempdir().unwrap();
    let runs = [run(root.path(), "huge"), run(root.path(), "negative")];
    let rows = |nats_q32| -> Vec<OnlineRow> {
        (0..5)
            .map(|step| OnlineRow {
                step,
                nats_q32,
                bytes: 1 << 40,
                ..OnlineRow::default()
            })
            .collect()
    };
    for ((_, folder), nats_q32) in runs.iter().zip([i64::MAX, -3]) {
        std::fs::create_dir(folder).unwrap();
        write_online(&folder.join(ONLINE_FILE), &rows(nats_q32)).unwrap();
    }
    for sums in [totals(&runs).unwrap(), by_query(&runs).unwrap()] {
        assert_eq!(sums[0].charged.nats_q32, 5 * i128::from(i64::MAX));
        assert_eq!(sums[1].charged.nats_q32, -15);
        assert_eq!(sums[1].charged.bytes, 5 << 40);
    }
}

#[test]
fn a_stream_with_a_hole_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(ONLINE_FILE);
    let rows = [0, 1, 3].map(|step| OnlineRow {
        step,
        ..OnlineRow::default()
    });
    write_online(&path, &rows).unwrap();
    let error = totals(&[("x".to_owned(), root.path().to_path_buf())]).unwrap_err();
    assert!(
        error.to_string().contains("expected every step once"),
        "{error}"
    );
    write_online(&path, &[]).unwrap();
    let error = totals(&[("x".to_owned(), root.path().to_path_buf())]).unwrap_err();
    assert!(error.to_string().contains("it has no rows"), "{error}");
}

#[test]
fn an_early_stop_before_the_first_step_has_no_steps() {
    let root = tempfile::tempdir().unwrap();
    write_online(
        &root.path().join(ONLINE_FILE),
        &[OnlineRow {
            tokens: 9,
            bytes: 9,
            nats_q32: 9,
            unpredicted: true,
            ..OnlineRow::default()
        }],
    )
    .unwrap();
    let sums = totals(&[("x".to_owned(), root.path().to_path_buf())]).unwrap();
    assert_eq!(
        (sums[0].steps, sums[0].ranks, sums[0].unpredicted),
        (0, 0, sums[0].charged)
    );
}

#[test]
fn wrong_calls_and_damaged_files_are_errors() {
    let root = tempfile::tempdir().unwrap();
    let whole = run(root.path(), "whole");
    write_run(&whole.1);
    assert!(matches!(
        totals(&[whole.clone(), whole.clone()]),
        Err(ScoreError::DuplicateRun { .. })
    ));
    assert!(totals(&[run(root.path(), "absent")]).is_err());
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    assert!(
        pool.install(|| totals(std::slice::from_ref(&whole)))
            .unwrap_err()
            .to_string()
            .contains("rayon worker")
    );
    let damaged = run(root.path(), "damaged");
    write_run(&damaged.1);
    std::fs::write(damaged.1.join(ONLINE_FILE), b"PAR1 not really PAR1").unwrap();
    assert!(totals(&[whole.clone(), damaged.clone()]).is_err());
    // another table under the stream's name
    write_heldout(&damaged.1.join(ONLINE_FILE), &heldout_rows()).unwrap();
    assert!(totals(&[damaged]).is_err());
    assert!(totals(&[whole]).is_ok());
}
