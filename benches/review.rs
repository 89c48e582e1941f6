//! Speed of the static review, in one run on the same files: the whole review of a zip against the bare parse of the
//! same sources. See `just bench-review`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use prism::bundle::{self, Limits};
use prism::config::Config;
use prism::pipeline::review_of;

/// The fastest of several rounds: what the work costs when nothing disturbs it.
fn fastest(rounds: usize, mut work: impl FnMut()) -> Duration {
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn main() {
    let rounds: usize = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(20);
    let config = Config::default();
    let limits = Limits::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut zips = Vec::new();
    for name in ["causal-conv", "gru", "ngram-linear", "tiny-1m", "over-cap"] {
        zips.push((
            name,
            bundle::pack(&root.join(name), &limits).expect("an example"),
        ));
    }
    for (name, zip) in &zips {
        let opened = bundle::open(zip, &limits).expect("an example");
        let sources: BTreeMap<&String, &str> = opened
            .files
            .iter()
            .filter(|(path, _)| path.ends_with(".py"))
            .map(|(path, bytes)| (path, std::str::from_utf8(bytes).expect("UTF-8")))
            .collect();
        let bytes: usize = sources.values().map(|text| text.len()).sum();
        let parse = fastest(rounds, || {
            for text in sources.values() {
                black_box(
                    rustpython_parser::parse(text, rustpython_parser::Mode::Module, "")
                        .expect("Python"),
                );
            }
        });
        let whole = fastest(rounds, || {
            let bundle = bundle::open(zip, &limits).expect("an example");
            black_box(review_of(&config, &bundle));
        });
        let unzip = fastest(rounds, || {
            black_box(bundle::open(zip, &limits).expect("an example"));
        });
        println!(
            "{name:14} {bytes:6} B  parse {parse:>10.1?}  unzip {unzip:>10.1?} whole {whole:>10.1?}  ratio {:.2}",
            whole.as_secs_f64() / parse.as_secs_f64()
        );
    }
}
