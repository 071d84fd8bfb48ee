"""How long a scorer file takes to load, and what two processes that score with it share of its memory (Linux).

python -m benchmarks.mapped "$(bentoml models get fraud_detector:latest -o path)/forest.safetensors"
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from fraud.scorer import file as forest_file

ROUNDS = 25
FIELDS = ("Rss", "Pss", "Private_Clean", "Private_Dirty")


def main() -> None:
    """Print Markdown; with --hold, load, score, and wait to be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--hold", action="store_true", help="used by the benchmark for its own two processes")
    arguments = parser.parse_args()
    if arguments.hold:
        _hold(arguments.file)
        return
    seconds = [_load_seconds(arguments.file) for _ in range(ROUNDS)]
    forest, _ = forest_file.load(arguments.file)
    print(
        f"{forest.n_trees} trees, {len(forest.value):,} nodes, {arguments.file.stat().st_size / 1e6:.2f} MB, ", end=""
    )
    print(f"engine {forest.engine}; loaded and checked in {statistics.median(seconds) * 1e3:.1f} ms (median)\n")
    print("| process |", " | ".join(f"{field}, KiB" for field in FIELDS), "|")
    print("| --- |", " | ".join("---" for _ in FIELDS), "|")
    command = [sys.executable, "-m", "benchmarks.mapped", str(arguments.file), "--hold"]
    holders = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    for holder in holders:
        assert holder.stdout  # noqa: S101 - for the type checker
        holder.stdout.readline()
    for number, holder in enumerate(holders, start=1):
        print(f"| {number} |", " | ".join(str(kib) for kib in _shares(holder.pid, arguments.file)), "|")
    for holder in holders:
        holder.communicate()


def _load_seconds(file: Path) -> float:
    started = time.perf_counter()
    forest_file.load(file)
    return time.perf_counter() - started


def _hold(file: Path) -> None:
    forest, _ = forest_file.load(file)
    forest.score(np.random.default_rng(0).normal(size=(10_000, forest.n_features)).astype(np.float32))
    print("ready", flush=True)
    sys.stdin.read()


def _shares(pid: int, file: Path) -> list[int]:
    """Sums over the mappings of the file, from the kernel's own account."""
    sums = dict.fromkeys(FIELDS, 0)
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            inside = line.endswith(str(file.resolve()))
        elif inside and name[:-1] in sums:
            sums[name[:-1]] += int(rest[0])
    return list(sums.values())


if __name__ == "__main__":
    main()
