//! Fuzzing on the stable compiler: `just fuzz [SECONDS] [TARGET...] [FOLDER...]`.
//!
//! Seeds are the shipped cases, examples and the archives of `scripts/make_archives.py`, and the Python files of the
//! folders that are named; each input is a seed with a few
//! mutations, and inputs that give an outcome not seen before become seeds. A panic, an internal fault, or more than
//! [`LIMIT`] for one input is a finding: the input is kept in `target/fuzz/`, and the exit code is 1. An abort (stack,
//! memory) ends the process and leaves the input in `target/fuzz/current-<target>`.

mod mutate;
mod seeds;
mod targets;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mutate::Random;
use targets::{TARGETS, Target};

/// More than eight times what a file may cost, for a machine with other work.
const LIMIT: Duration = Duration::from_secs(2);
/// Inputs kept as seeds beside the first ones.
const MAX_SEEDS: usize = 4_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let seconds = arguments
        .iter()
        .find_map(|argument| argument.parse::<u64>().ok())
        .unwrap_or(180);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
    std::fs::create_dir_all(&folder).expect("a folder in target/");
    let sources: Vec<Vec<u8>> = arguments
        .iter()
        .map(Path::new)
        .filter(|path| path.is_dir())
        .flat_map(seeds::python)
        .collect();
    // panics are findings, told below; the default hook would print each
    std::panic::set_hook(Box::new(|_| {}));
    let mut findings = 0;
    for target in &TARGETS {
        let is_wanted = arguments.iter().any(|argument| argument == target.name);
        let is_any_named = arguments
            .iter()
            .any(|argument| TARGETS.iter().any(|target| target.name == argument));
        if is_wanted || !is_any_named {
            findings += fuzz(target, &sources, Duration::from_secs(seconds), &folder);
        }
    }
    ExitCode::from(u8::from(findings > 0))
}

/// Runs one target; returns the number of findings.
fn fuzz(target: &Target, sources: &[Vec<u8>], time: Duration, folder: &Path) -> usize {
    let mut pool = (target.seeds)();
    pool.extend_from_slice(sources);
    let first = pool.len();
    let mut outcomes: HashSet<String> = HashSet::new();
    let mut random = Random::new(0x5eed ^ time.as_secs());
    let current: PathBuf = folder.join(format!("current-{}", target.name));
    let (mut inputs, mut findings, mut slowest) = (0u64, 0, Duration::ZERO);
    let began = Instant::now();
    while began.elapsed() < time && findings < 20 {
        let input = match pool.get(inputs as usize) {
            // every seed once as it is
            Some(seed) if inputs < first as u64 => seed.clone(),
            _ => mutate::mutated(&pool, target.words, &mut random),
        };
        inputs += 1;
        std::fs::write(&current, &input).expect("a file in target/");
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        let took = start.elapsed();
        slowest = slowest.max(took);
        let problem = match outcome {
            Err(_) => Some("panic".to_owned()),
            Ok(Err(fault)) => Some(fault),
            Ok(Ok(_)) if took > LIMIT => Some(format!("took {took:.1?}")),
            Ok(Ok(outcome)) => {
                if outcomes.insert(outcome) && pool.len() < first + MAX_SEEDS {
                    pool.push(input.clone());
                }
                None
            }
        };
        if let Some(problem) = problem {
            findings += 1;
            let path = folder.join(format!("{}-{findings}", target.name));
            std::fs::write(&path, &input).expect("a file in target/");
            println!("{}: {problem}: {}", target.name, path.display());
        }
    }
    println!(
        "{}: {inputs} inputs in {:.0?}, {} different outcomes, slowest {slowest:.1?}, {findings} findings",
        target.name,
        began.elapsed(),
        outcomes.len()
    );
    findings
}
