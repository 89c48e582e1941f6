//! Speed of the static review, in one run on the same files. `just bench-review [ROUNDS] [ZIPS]`.
//!
//! Per core: the whole review of a zip (unzip, decode, parse, rules, digest, fingerprints, comparison with earlier
//! submissions) against the bare rustpython-parser parse of the same sources; for scale, CPython's `ast.parse` with one
//! `ast.walk`; and where the time of a review goes. Then the same work on all cores, each against the bare parse on as
//! many, and `prism review` on many zips in one command, with its peak of memory.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use prism::bundle::{self, Bundle, Limits};
use prism::config::Config;
use prism::duplicates::{Earlier, Index, Newcomer, Thresholds, check};
use prism::pipeline::review_of;
use prism::review::{self, Fingerprints, Roles};
use rayon::prelude::*;

/// Has the size that the earlier implementation was measured with.
const TWO_FILES: &str = "examples/tiny-1m";
const FOLDERS: [&str; 7] = [
    TWO_FILES,
    "examples/causal-conv",
    "examples/gru",
    "examples/ngram-linear",
    "tests/fixtures/tiny-ddp",
    "tests/fixtures/duplicates/original",
    "tests/fixtures/duplicates/other",
];
/// Earlier submissions that each is compared with; `just bench-duplicates` has the large number.
const EARLIER: usize = 100;

/// The fastest of several rounds: what the work costs when nothing disturbs it.
fn fastest(rounds: usize, mut work: impl FnMut()) -> Duration {
    (0..rounds.max(1))
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// The same for two pieces of work in turn, so that both have the same share of the machine.
fn fastest_pair(
    rounds: usize,
    mut first: impl FnMut(),
    mut second: impl FnMut(),
) -> (Duration, Duration) {
    let mut least = (Duration::MAX, Duration::MAX);
    for _ in 0..rounds.max(1) {
        least.0 = least.0.min(fastest(1, &mut first));
        least.1 = least.1.min(fastest(1, &mut second));
    }
    least
}

struct Subject {
    name: &'static str,
    zip: Vec<u8>,
    sources: Vec<String>,
}

fn subjects() -> Vec<Subject> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    FOLDERS
        .iter()
        .map(|name| {
            let limits = Limits::default();
            let zip = bundle::pack(&root.join(name), &limits).expect("a folder of the repository");
            let sources = open(&zip)
                .files
                .into_iter()
                .filter(|(path, _)| path.ends_with(".py"))
                .map(|(_, bytes)| String::from_utf8(bytes).expect("UTF-8"))
                .collect();
            Subject { name, zip, sources }
        })
        .collect()
}

fn open(zip: &[u8]) -> Bundle {
    bundle::open(zip, &Limits::default()).expect("a sound zip")
}

fn parse(subject: &Subject) {
    for source in &subject.sources {
        let mode = rustpython_parser::Mode::Module;
        black_box(rustpython_parser::parse(source, mode, "").expect("Python"));
    }
}

fn whole(config: &Config, index: &Index, subject: &Subject) {
    let bundle = open(&subject.zip);
    let review = review_of(config, &bundle);
    compare(config, index, &review.fingerprints);
}

fn compare(config: &Config, index: &Index, fingerprints: &Fingerprints) {
    let newcomer = Newcomer {
        id: "newcomer",
        owner: None,
        fingerprints,
    };
    let thresholds = Thresholds {
        source: config.duplicates.source,
        graph: config.duplicates.graph,
        structure: config.duplicates.structure,
    };
    black_box(check(index, &newcomer, thresholds, &mut |_| None));
}

fn main() {
    // as `prism review` does it
    review::on_workers(run);
}

fn run() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<usize>().ok());
    let rounds = arguments.next().unwrap_or(50);
    let zips = arguments.next().unwrap_or(10_000);
    let config = Config::default();
    let subjects = subjects();
    let mut index = Index::default();
    let other = review_of(&config, &open(&subjects[subjects.len() - 1].zip)).fingerprints;
    for number in 0..EARLIER {
        let earlier = Earlier {
            id: format!("{number:024x}"),
            owner: None,
            accepted_at: "2026-01-01T00:00:00.000Z".to_owned(),
        };
        index.add(earlier, &other);
    }

    println!("per core, fastest of {rounds} rounds, parse and review in turn");
    let (mut all_parse, mut all_whole, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    for subject in &subjects {
        let size: usize = subject.sources.iter().map(String::len).sum();
        let (parse, whole) = fastest_pair(
            rounds,
            || parse(subject),
            || whole(&config, &index, subject),
        );
        let ratio = whole.as_secs_f64() / parse.as_secs_f64();
        let name = subject.name;
        println!(
            "  {name:36} {size:6} bytes  parse {parse:8.1?}  review {whole:8.1?}  {ratio:.2} x"
        );
        if name == TWO_FILES {
            println!("  the two-file example: {whole:.1?}, wanted at most 1ms");
        }
        all_parse += parse;
        all_whole += whole;
        bytes += size;
    }
    let ratio = all_whole.as_secs_f64() / all_parse.as_secs_f64();
    let speed = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e6;
    println!(
        "  all: parse {all_parse:.1?} ({:.1} MB/s), review {all_whole:.1?} ({:.1} MB/s): {ratio:.2} x, wanted at most 1.50",
        speed(all_parse),
        speed(all_whole)
    );
    cpython(&subjects, rounds);
    stages(&config, &index, &subjects, rounds);
    cores(&config, &index, &subjects);
    if zips > 0 {
        many(&subjects, zips);
    }
}

/// Where the time goes, as sums over all subjects.
fn stages(config: &Config, index: &Index, subjects: &[Subject], rounds: usize) {
    let mut sums: Vec<(&'static str, Duration)> = Vec::new();
    let mut add = |place: usize, stage: &'static str, took: Duration| match sums.get_mut(place) {
        Some((_, sum)) => *sum += took,
        None => sums.push((stage, took)),
    };
    for subject in subjects {
        let unzip = fastest(rounds, || {
            black_box(open(&subject.zip));
        });
        add(0, "unzip", unzip);
        let bundle = open(&subject.zip);
        let roles = Roles {
            architecture: (&bundle.architecture.path, &bundle.architecture.symbol),
            training: (&bundle.training.path, &bundle.training.symbol),
            contract: bundle.contract.version,
        };
        let mut best: Vec<(&'static str, Duration)> = Vec::new();
        for _ in 0..rounds.max(1) {
            let took = review::stages(&bundle.files, &roles).expect("readable files");
            if best.is_empty() {
                best = took;
            } else {
                for ((_, least), (_, took)) in best.iter_mut().zip(took) {
                    *least = took.min(*least);
                }
            }
        }
        let fingerprints = review_of(config, &bundle).fingerprints;
        let compared = fastest(rounds, || compare(config, index, &fingerprints));
        best.push(("comparison", compared));
        for (place, (stage, took)) in best.into_iter().enumerate() {
            add(place + 1, stage, took);
        }
    }
    let whole: Duration = sums.iter().map(|(_, took)| *took).sum();
    println!("where the time of a review goes");
    for (stage, took) in &sums {
        let share = 100.0 * took.as_secs_f64() / whole.as_secs_f64();
        println!("  {stage:20} {took:8.1?}  {share:4.1} %");
    }
    println!("  together {whole:.1?}");
}

/// The same sources through CPython.
fn cpython(subjects: &[Subject], rounds: usize) {
    let script = "import ast, json, sys, time\n\
        sources = json.load(sys.stdin)\n\
        def work():\n    start = time.perf_counter()\n    for source in sources:\n        for node in ast.walk(ast.parse(source)):\n            pass\n    return time.perf_counter() - start\n\
        best = min(work() for _ in range(int(sys.argv[1])))\n\
        print(f'  CPython {sys.version.split()[0]}: ast.parse and ast.walk {best * 1e3:.2f} ms, {sum(map(len, sources)) / best / 1e6:.1f} MB/s')";
    let sources: Vec<&String> = subjects
        .iter()
        .flat_map(|subject| &subject.sources)
        .collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("sources.json");
    std::fs::write(&input, serde_json::to_vec(&sources).expect("JSON")).expect("a file");
    let status = Command::new("python3")
        .args(["-c", script, &rounds.to_string()])
        .stdin(std::fs::File::open(&input).expect("a file"))
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!("  CPython: python3 did not run");
    }
}

/// Reviews in a second on one core and on all, and how much faster the bare parse gets by as many.
fn cores(config: &Config, index: &Index, subjects: &[Subject]) {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs: Vec<&Subject> = subjects.iter().cycle().take(1_400).collect();
    let mut single = [0.0; 2];
    let mut threads = 1;
    loop {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .stack_size(review::WORKER_STACK_BYTES)
            .build()
            .expect("threads");
        let rate = |work: &(dyn Fn(&Subject) + Sync)| {
            let took = fastest(3, || {
                pool.install(|| jobs.par_iter().for_each(|subject| work(subject)));
            });
            jobs.len() as f64 / took.as_secs_f64()
        };
        let rates = [rate(&|subject| whole(config, index, subject)), rate(&parse)];
        if threads == 1 {
            single = rates;
        }
        println!(
            "{threads} threads: {:.0} reviews/s, {:.2} x one thread; the bare parse {:.2} x",
            rates[0],
            rates[0] / single[0],
            rates[1] / single[1]
        );
        if threads >= available {
            break;
        }
        threads = (threads * 2).min(available);
    }
}

/// One command, many zips.
fn many(subjects: &[Subject], zips: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut paths: BTreeMap<String, &[u8]> = BTreeMap::new();
    for (number, subject) in subjects.iter().cycle().take(zips).enumerate() {
        paths.insert(format!("{number:05}.zip"), &subject.zip);
    }
    for (name, zip) in &paths {
        std::fs::write(folder.path().join(name), zip).expect("a file");
    }
    let prism = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debug/prism");
    let script = "import resource, subprocess, sys, time\n\
        start = time.perf_counter()\n\
        code = subprocess.run([sys.argv[1], 'review', *sys.argv[2:]], stdout=subprocess.DEVNULL).returncode\n\
        took = time.perf_counter() - start\n\
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024\n\
        print(f'{len(sys.argv) - 2} zips in one command: exit {code}, {took:.1f} s, peak resident {peak:.0f} MiB')";
    let status = Command::new("python3")
        .args(["-c", script])
        .arg(prism)
        .args(paths.keys())
        .current_dir(folder.path())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!("many zips: python3 did not run");
    }
}
