#!/usr/bin/env python3
"""Start-up of the commands that measure nothing, and the CPU that an idle watch uses.

    ./prism-dev bench-startup [--runs 50] [--idle-seconds 60]
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRISM = ROOT / "target/debug/prism"
COMMANDS = {
    "prism --version": ["--version"],
    "prism config": ["config"],
    "prism schema status": ["schema", "status"],
    "prism review examples/tiny-1m": ["review", "examples/tiny-1m"],
    "prism run (empty inbox)": ["run", "--quiet"],
}


def wall_ms(arguments: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([PRISM, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1e3


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description="Start-up times and idle watch.")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--idle-seconds", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prism-bench-") as folder:
        (Path(folder) / "inbox").mkdir()
        environment = os.environ | {"PRISM_INBOX": f"{folder}/inbox", "PRISM_OUTBOX": f"{folder}/outbox"}
        for name, command in COMMANDS.items():
            wall_ms(command, environment)
            times = [wall_ms(command, environment) for _ in range(arguments.runs)]
            print(f"{name:<32} min {min(times):6.1f} ms  median {statistics.median(times):6.1f} ms  max {max(times):6.1f} ms")
        watch = subprocess.Popen([PRISM, "watch", "--quiet"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            time.sleep(2)
            before = cpu_seconds(watch.pid)
            time.sleep(arguments.idle_seconds)
            used = cpu_seconds(watch.pid) - before
        finally:
            watch.terminate()
            watch.wait()
        print(f"idle watch: {used * 1e3:.0f} ms of CPU in {arguments.idle_seconds} s")


if __name__ == "__main__":
    main()
