"""Speed of `prism rescore`: historical manifests against a Python loop and against reading the files, in pairs.

Makes COUNT manifests of 1,500 steps as the earlier implementation wrote them (sorted keys, indent 2, about 58 kB), then
times, one after the other in every round, as whole processes:

  rescore   prism rescore FOLDER --format json
  python    a loop of json.loads and the same formula
  cat       cat FILES | wc -c

With --many N it also rescores N manifests and shows the peak of resident memory. Run folders with streams:
`just bench-score-streams`.
"""

import argparse
import json
import math
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

STEPS = 1_500

LOOP = """
import json, math, os, sys
def f(x): return 1.0 / (1.0 + max(0.0, x))
rows = []
for name in sorted(os.listdir(sys.argv[1])):
    with open(os.path.join(sys.argv[1], name), "rb") as file:
        m = json.loads(file.read())
    metrics, score = m["metrics"], m["score"]
    assert metrics["online_loss"]
    bpb = metrics["sum_neg_log_likelihood_nats"] * (1.0 / math.log(2.0)) / int(metrics["covered_bytes"])
    delta = metrics.get("heldout_delta", score.get("heldout_delta"))
    gap = metrics.get("train_heldout_gap")
    flag = bool(metrics.get("memorization_flag")) or (gap is not None and gap > 1.0)
    penalty = 0.5 if flag else 1.0
    cap = min(1e-3 * penalty, 0.5 * penalty * max(0.0, f(bpb) - f(bpb + 5e-3)))
    tie = 0.0 if delta is None else cap * math.tanh(delta)
    final = (f(bpb) * penalty + tie) * (0.0 if m["anti_cheat"]["step0_anomaly"] else 1.0)
    rows.append({"submission_id": m["submission_id"], "bpb": bpb, "final_score": final, "heldout_delta": delta})
json.dump(rows, sys.stdout)
"""


def manifest(number: int, chance: random.Random) -> dict:
    """One manifest: losses that fall from ln 4096, about 4 bytes a token."""
    floor = 3.0 + chance.random()
    losses = [floor + (8.4 - floor) / (1 + step / 80) + chance.gauss(0, 0.1) for step in range(STEPS)]
    per_step = [2_048.0 * (3.9 + chance.random() / 5) // 1 for _ in range(STEPS)]
    total, cumulative = 0.0, []
    for count in per_step:
        total += count
        cumulative.append(total)
    nats = sum(loss * 2_032 for loss in losses)
    delta, gap = chance.random() * 3, chance.random() * 0.5
    bits = nats * (1.0 / math.log(2.0))
    bpb = bits / int(total)
    f = lambda x: 1.0 / (1.0 + max(0.0, x))
    cap = min(1e-3, 0.5 * max(0.0, f(bpb) - f(bpb + 5e-3)))
    heldout = {"heldout_delta": delta, "held_out_delta": delta, "train_heldout_gap": gap, "memorization_flag": False}
    return {
        "schema_version": "prism_run_manifest.v2", "submission_id": f"s{number:06}", "run_id": f"prism-reexec-s{number:06}",
        "mode": "gpu_proxy_eval", "miner_reported_ignored": True, "hotkey": f"hotkey-{number % 97:03}",
        "accepted_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_780_000_000 + 60 * number)),
        "anti_cheat": {"memorization_flag": False, "nan_inf_batches": 0, "nan_inf_detected": False, "no_learning": False,
                       "step0_anomaly": False, "step0_anomaly_threshold_nats": 4.16, "zero_forward": False},
        "artifacts": {"trained_state": "trained_state.pt"},
        "compute": {"device": "cuda:0", "gpu_count": 1, "model_params": 1_053_312, "schema": "prism_compute.v1", "world_size": 1},
        "data": {"consumed_batches": STEPS, "covered_bytes": int(total), "covered_bytes_cumulative": cumulative,
                 "random_token_fallback": False, "single_pass": True, "stopped_reason": "data_exhausted"},
        "metrics": {"bits_per_byte": bpb, "covered_bytes": int(total), "online_loss": losses, "step0_loss": losses[0],
                    "prequential_bpb": bpb, "sum_neg_log_likelihood_nats": nats, "train_bpb_basis": "bytes",
                    "val_bpb_basis": "bytes", "val_bpb_trained": bpb - 0.2, "train_bpb_converged": bpb - 0.2 - gap,
                    "gap_basis": "converged", **heldout},
        "run": {"device": "cuda:0", "rank": 0, "seed": 1337, "world_size": 1},
        "score": {"schema": "prism_score.v2", "final_score": (f(bpb) + cap * math.tanh(delta)) * 1.0, "flags": [],
                  "prequential_bpb": bpb, "covered_bytes": int(total), "anti_cheat_multiplier": 1.0,
                  "memorization_penalty": 1.0, "anomaly": False, **heldout},
    }


def make_manifests(folder: pathlib.Path, count: int, distinct: int) -> int:
    """Writes the manifests; beyond `distinct` ones, earlier ones again under another id. Returns their bytes."""
    chance = random.Random(6)
    texts: list[str] = []
    written = 0
    for number in range(count):
        if number < distinct:
            texts.append(json.dumps(manifest(number, chance), indent=2, sort_keys=True))
        text = texts[number % len(texts)].replace(f"s{number % len(texts):06}", f"s{number:06}")
        written += len(text)
        (folder / f"{number:06}.json").write_text(text)
    return written


def timed(command: list[str], **options) -> tuple[float, float]:
    """Wall seconds of a command and the peak resident memory of what it started, in MiB."""
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=options.get("stdout", subprocess.DEVNULL), stderr=subprocess.DEVNULL)
    peak = 0.0
    if options.get("watch"):
        # not the maximum that wait4 tells: a fork starts with the memory of this process
        while process.poll() is None:
            peak = max(peak, high_water(process.pid))
            time.sleep(0.002)
    status = process.wait()
    seconds = time.perf_counter() - before
    if status != 0:
        raise SystemExit(f"{command[:3]}... ended with {status}")
    return seconds, peak


def high_water(process: int) -> float:
    """Peak of resident memory so far, MiB."""
    try:
        status = pathlib.Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def shown(values: list[float]) -> str:
    return f"median {statistics.median(values) * 1e3:7.1f} ms   min {min(values) * 1e3:7.1f}   max {max(values) * 1e3:7.1f}"


def pairs(prism: str, folder: pathlib.Path, rounds: int, count: int, written: int, output: pathlib.Path) -> None:
    print(f"{count} manifests, {written / count / 1e3:.1f} kB each, {written / 1e6:.0f} MB; {rounds} rounds")
    cat = ["sh", "-c", f"cat {folder}/*.json | wc -c"]
    commands = {
        "rescore": [prism, "rescore", "--format", "json", str(folder)],
        "python": [sys.executable, "-c", LOOP, str(folder)],
        "cat": cat,
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            # python is slow and steady: every third round is enough
            if name == "python" and turn % 3 != 1:
                continue
            with output.open("wb") as sink:
                seconds, _ = timed(command, stdout=sink)
            # the first turn warms the page cache
            if turn > 0:
                times[name].append(seconds)
    for name, values in times.items():
        print(f"  {name:8} {shown(values)}")
    rescore = statistics.median(times["rescore"])
    ratios = [a / b for a, b in zip(times["rescore"], times["cat"])]
    print(f"  python / rescore  {statistics.median(times['python']) / rescore:6.1f}   (wanted: at least 10)")
    print(f"  rescore / cat     {statistics.median(ratios):6.2f}   (wanted: at most 1.5; median of pairs)")
    with output.open("wb") as sink:
        _, peak = timed(commands["rescore"], stdout=sink, watch=True)
    print(f"  peak resident memory of rescore {peak:.0f} MiB")


def many(prism: str, folder: pathlib.Path, count: int, output: pathlib.Path) -> None:
    written = make_manifests(folder, count, 200)
    with output.open("wb") as sink:
        seconds, peak = timed([prism, "rescore", "--format", "json", str(folder)], stdout=sink, watch=True)
    print(f"{count} manifests, {written / 1e9:.2f} GB: {seconds:.1f} s, peak resident memory {peak:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prism", default="target/debug/prism")
    parser.add_argument("--count", type=int, default=2_000, help="manifests of the paired comparison")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--many", type=int, default=0, help="also rescore that many manifests once, for the peak of memory")
    parser.add_argument("--folder", help="where to put the files; default: a temporary folder, removed at the end")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        root = pathlib.Path(place)
        output = root / "output"
        if arguments.count:
            folder = root / "manifests"
            folder.mkdir()
            written = make_manifests(folder, arguments.count, arguments.count)
            pairs(arguments.prism, folder, arguments.rounds, arguments.count, written, output)
        if arguments.many:
            folder = root / "many"
            folder.mkdir()
            many(arguments.prism, folder, arguments.many, output)


if __name__ == "__main__":
    main()
