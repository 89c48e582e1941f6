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

# The zoo: honest learners and cheats through the referee, with a table of who was stopped by what (`--quick`: a few).
zoo *arguments: build
    {{ python }} scripts/zoo.py "$@"

alias redteam := zoo
