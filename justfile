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

# Tokens per second and core, against the Python packages tokenizers and tiktoken (in an environment of their own).
bench-tokenizers *arguments: build
    test -x .venv-tokenizers/bin/python || {{ python }} -m venv .venv-tokenizers
    .venv-tokenizers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-bench.txt
    .venv-tokenizers/bin/python scripts/bench_tokenizers.py "$@"
