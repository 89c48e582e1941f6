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
    {{ python }} -m unittest discover -s tests/scripts

# Every fault (kill, power failure, no space, device error, full disk) at every step by which prism changes the disk or starts a run.
crash-test: build
    CRASH_TEST=whole cargo test --locked --test end_to_end -- crash:: checkpoints::

# Random arrivals, kills and faults for some seconds, then the proof of the invariants ([SECONDS] --seed N --no-measuring).
soak *arguments: build
    {{ python }} scripts/soak.py "$@"

# Man pages, and completions for bash, zsh and fish, into FOLDER/man and FOLDER/completions.
man folder="target/packaging": build
    {{ prism }} generate man {{ folder }}/man
    {{ prism }} generate completions {{ folder }}/completions

# The systemd units, man pages and completions of packaging/, asked of systemd, man and bash where they are installed.
check-packaging: build
    {{ python }} scripts/check_packaging.py

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

# Arrivals to the verdict of the review: zips per second, and latency of a single one (--zips 3000, --singles 200).
bench-intake *arguments: build
    {{ python }} scripts/bench_intake.py "$@"

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

# `prism data verify` against sha256 alone on the same files and cores.
bench-verify *arguments: build
    {{ python }} scripts/bench_verify.py "$@"

# Millions of hostile frames and conversations against the referee's side of the wire (cases of each of three properties).
fuzz-wire cases="1000000":
    PRISM_FUZZ_CASES={{ cases }} cargo test --locked --lib referee::wire_fuzz::fuzz

# The zoo: honest learners and cheats through the referee (`--quick`: a few; `--resume`; docs/detection.md).
zoo *arguments: build
    {{ python }} scripts/zoo.py "$@"

# The cheats alone, with the gate that stopped each, its bits per byte and its honest twin's (`--quick`: a few).
redteam *arguments: build
    {{ python }} scripts/zoo.py --role cheats --seeds 1 "$@"

# `prism rescore`: manifests against a Python loop and against `cat | wc -c`, in pairs (--many N: peak of memory).
bench-score *arguments: build
    {{ python }} scripts/bench_score.py "$@"

# `prism rescore` over run folders: --runs 10000 --steps 2000 [--folder DIR].
bench-score-streams *arguments: build
    cargo bench --locked --profile dev --bench score_streams -- "$@"

# Tokens per second and core, against the Python packages tokenizers and tiktoken (in an environment of their own).
bench-tokenizers *arguments: build
    test -x .venv-tokenizers/bin/python || {{ python }} -m venv .venv-tokenizers
    .venv-tokenizers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-bench.txt
    .venv-tokenizers/bin/python scripts/bench_tokenizers.py "$@"

# Static review against the bare parse of the same sources, on one core and on all; `[ROUNDS] [ZIPS]`.
bench-review *arguments: build
    cargo bench --locked --profile dev --bench review -- "$@"

# One comparison with 100,000 earlier submissions.
bench-duplicates *arguments:
    cargo bench --locked --profile dev --bench duplicates -- "$@"

# An inbox with 100,000 files: time and memory of a look; `[FILES]`.
bench-arrivals *arguments:
    cargo bench --locked --profile dev --bench arrivals -- "$@"

# Fuzz the zip walk, the review, its tokens and prism.yaml, some minutes each; `SECONDS [zip] [source] [tokens] [manifest] [FOLDER]`.
fuzz *arguments:
    cargo bench --locked --profile dev --bench fuzz -- "$@"
