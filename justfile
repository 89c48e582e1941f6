# Recipes; `./prism-dev RECIPE` does the set-up first.

set positional-arguments

prism := "target/debug/prism"
python := ".venv/bin/python"

[private]
default:
    @just --list --unsorted

# Compile everything (the first time takes some minutes).
build:
    cargo build --locked

# The main job on real input: lock the corpus, zip the examples, measure them, print the leaderboard.
demo: build
    sh scripts/demo.sh

# The demo from nothing: forgets what it measured before.
demo-fresh:
    rm -rf demo
    just demo

# Every test: Rust (unit, property, end to end through the binaries) and the Python runner.
test: build
    cargo test --locked
    {{ python }} -m unittest discover -s tests/runner

# Format and lint, as a reviewer would.
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# Cost of the referee: a refereed run against the same loop bare in Python, in pairs.
bench-referee *arguments: build
    {{ python }} scripts/bench_referee.py "$@"

# Start-up of the commands that measure nothing, and the CPU of an idle watch.
bench-startup *arguments: build
    {{ python }} scripts/bench_startup.py "$@"

# Write the table of torch's public surface anew, for the torch that is installed.
torch-surface:
    {{ python }} scripts/torch_surface.py

# The reviewer's parser against CPython's, over torch, all of site-packages and the standard library.
differential *folders: build
    {{ python }} scripts/differential.py "${@:-$({{ python }} -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')}"

# Findings of the review in torch's own layers and optimizers (docs/review_realism.md).
review-realism *arguments: build
    {{ python }} scripts/realism.py "$@"

# Time and memory of the review on the worst files that we know, at the size limit.
bench-review-worst *arguments: build
    {{ python }} scripts/bench_review_worst.py "$@"

# Static review against the bare parse of the same sources, on one core and on all; `ROUNDS ZIPS`.
bench-review *arguments: build
    cargo bench --locked --profile dev --bench review -- "$@"

# One comparison with 100,000 earlier submissions.
bench-duplicates *arguments:
    cargo bench --locked --profile dev --bench duplicates -- "$@"

# Fuzz the zip walk, the review and prism.yaml, some minutes each; `SECONDS [zip] [source] [manifest]`.
fuzz *arguments:
    cargo bench --locked --profile dev --bench fuzz -- "$@"
