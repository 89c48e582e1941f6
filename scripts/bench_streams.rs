//! Speed and memory of `prism rescore` over run folders: many runs of many steps into leaderboard and weights.
//!
//! `just bench-score-streams --runs 10000 --steps 2000`. Makes a few distinct runs, copies them under other ids, and
//! rescores the folder once with the program itself.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use prism::score::code_length::code_bits;
use prism::score::inputs::MANIFEST_FILE;
use prism::score::measurement::MeasurementBlock;
use prism::score::score_run;
use prism::score::stream_rows::{HeldoutRole, HeldoutRow, OnlineRow, nats_to_q32};
use prism::score::streams::{HELDOUT_FILE, ONLINE_FILE, write_heldout, write_online};

/// Runs that are made; the others are copies.
const DISTINCT: u32 = 20;

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<(), Box<dyn std::error::Error>> {
    let (mut runs, mut steps) = (1_000, 2_000);
    let mut folder = std::env::temp_dir();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        // cargo adds --bench
        if name == "--bench" {
            continue;
        }
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--runs" => runs = value.parse()?,
            "--steps" => steps = value.parse()?,
            "--folder" => folder = value.into(),
            _ => return Err(format!("{name}: expected --runs, --steps or --folder").into()),
        }
    }
    let root = tempfile::tempdir_in(folder)?;
    let mut bytes = 0;
    for run in 0..runs {
        let to = root.path().join(format!("r{run:06}"));
        fs::create_dir(&to)?;
        if run < DISTINCT {
            make_run(&to, run, steps)?;
        } else {
            copy_run(root.path(), run % DISTINCT, &to, run)?;
        }
        bytes += fs::metadata(to.join(ONLINE_FILE))?.len();
    }
    let output = tempfile::NamedTempFile::new()?;
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_prism"))
        .args(["rescore", "--format", "json"])
        .arg(root.path())
        .stdout(Stdio::from(output.reopen()?))
        .spawn()?;
    let mut peak_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak_kib = peak_kib.max(high_water_kib(child.id()));
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let seconds = started.elapsed().as_secs_f64();
    let report: serde_json::Value = serde_json::from_slice(&fs::read(output.path())?)?;
    println!(
        "{runs} runs of {steps} steps, {:.0} MB of streams: {seconds:.2} s, peak resident memory {} MiB; {} scored, {} errors, exit {status}",
        bytes as f64 / 1e6,
        peak_kib / 1_024,
        report["scored"],
        report["failed"],
    );
    Ok(())
}

/// Peak of resident memory so far, as the kernel counts it; 0 when the process has just ended.
fn high_water_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn make_run(folder: &Path, run: u32, steps: u32) -> Result<(), Box<dyn std::error::Error>> {
    let mut state = u64::from(run) + 1;
    // a linear congruential sequence: losses that do not compress better than real ones
    let mut noise = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut rows = Vec::new();
    for step in 0..steps {
        let per_token = 3.0 + 5.0 / (1.0 + f64::from(step) / 80.0) + noise() / 5.0;
        rows.push(OnlineRow {
            step,
            tokens: 2_032,
            bytes: 8_000 + (noise() * 200.0) as u64,
            nats_q32: nats_to_q32(2_032.0 * per_token)?,
            blind_tokens: 16,
            blind_nats_q32: nats_to_q32(16.0 * (per_token + noise()))?,
            ref_nats_q32: nats_to_q32(2_032.0 * (6.0 + noise()))?,
            ref_blind_nats_q32: nats_to_q32(16.0 * (6.0 + noise()))?,
            ..OnlineRow::default()
        });
    }
    write_online(&folder.join(ONLINE_FILE), &rows)?;
    let mut heldout = Vec::new();
    for role in HeldoutRole::ALL {
        for step in 0..16 {
            heldout.push(HeldoutRow {
                role,
                step,
                tokens: 1_024,
                bytes: 4_096,
                nats_q32: nats_to_q32(4_000.0 + 100.0 * noise())?,
            });
        }
    }
    write_heldout(&folder.join(HELDOUT_FILE), &heldout)?;
    fs::write(folder.join(MANIFEST_FILE), manifest(folder, &id(run))?)?;
    Ok(())
}

fn id(run: u32) -> String {
    format!("r{run:06}")
}

fn manifest(folder: &Path, id: &str) -> Result<String, Box<dyn std::error::Error>> {
    let facts: MeasurementBlock = serde_json::from_value(serde_json::json!({
        "vocab_size": 4_096, "bytes_per_token": 3.9, "step0_nats": 8.3,
        "code": code_bits(b"def build_model(ctx): ...")?,
        "checks": [{"name": "prism:non-causal", "passed": true, "evidence": "largest difference 0"}],
    }))?;
    let scored = score_run(id, folder, &facts, Some(1_053_312))?;
    let manifest = serde_json::json!({
        "schema_version": "prism_run_manifest.v2", "submission_id": id, "metrics": scored.blocks.metrics,
        "data": {"covered_bytes_cumulative": scored.coverage.covered_bytes_cumulative},
        "anti_cheat": scored.blocks.anti_cheat, "score": scored.blocks.score, "measurement": scored.blocks.measurement,
    });
    Ok(format!("{manifest:#}\n"))
}

fn copy_run(root: &Path, from: u32, to: &Path, run: u32) -> std::io::Result<()> {
    let from_folder = root.join(id(from));
    for name in [ONLINE_FILE, HELDOUT_FILE] {
        fs::copy(from_folder.join(name), to.join(name))?;
    }
    let text = fs::read_to_string(from_folder.join(MANIFEST_FILE))?;
    fs::write(to.join(MANIFEST_FILE), text.replace(&id(from), &id(run)))
}
