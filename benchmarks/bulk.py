"""Score a Parquet file to a Parquet file with ours and with scikit-learn, in turn, process by process.

python -m benchmarks.bulk --data creditcard.parquet --repeat 10 --folder /tmp/bulk

scikit-learn's side is the usual script: read the table, ``predict_proba`` on all cores, write the table. Both are
timed as whole processes, with the start of Python; ``work`` leaves out imports and loading the model.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet

SCIKIT = """
import sys, os, json, time
import bentoml, pandas as pd
from fraud.features import transform
from fraud.schema import default
model = bentoml.sklearn.load_model(sys.argv[3])["forest"].set_params(n_jobs=os.cpu_count())
started = time.perf_counter()
scores = model.predict_proba(transform(pd.read_parquet(sys.argv[1])[list(default().inputs)].to_numpy()))[:, 1]
pd.DataFrame({"fraud_probability": scores}).to_parquet(sys.argv[2])
print(json.dumps({"work": time.perf_counter() - started, "rows": len(scores)}))
"""
OURS = """
import sys, json, time
from pathlib import Path
import bentoml
from fraud import store
from fraud.bulk.one_file import score_file
store.open_served(store.get(sys.argv[3]))
started = time.perf_counter()
rows = score_file(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])["rows"]
print(json.dumps({"work": time.perf_counter() - started, "rows": rows}))
"""
FIGURES = ("wall", "work", "cpu", "peak")


def main() -> None:
    """Run the rounds, compare every score, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Parquet file")
    parser.add_argument("--model", default="fraud_detector:latest")
    parser.add_argument("--repeat", type=int, default=10, help="the longer file holds the rows this often")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, required=True, help="where the longer file and the outputs go")
    arguments = parser.parse_args()
    long = repeated(arguments.data, arguments.repeat, arguments.folder)
    print(f"{os.cpu_count()} cores, median of {arguments.rounds} interleaved rounds (least to most)\n")
    print("| rows | engine | whole process, s | work, s | CPU, s | peak memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for source in (arguments.data, long):
        compare(source, arguments.folder, arguments.model, arguments.rounds)


def repeated(source: Path, times: int, folder: Path) -> Path:
    """A file with the rows of ``source`` several times."""
    target, table = folder / f"repeated-{times}.parquet", pyarrow.parquet.read_table(source, partitioning=None)
    with pyarrow.parquet.ParquetWriter(target, table.schema) as writer:
        for _ in range(times):
            writer.write_table(table)
    return target


def compare(source: Path, folder: Path, model: str, rounds: int) -> None:
    """Both engines in turn on one file."""
    outputs = {"scikit-learn": folder / "theirs.parquet", "ours": folder / "ours.parquet"}
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in outputs}
    for _ in range(rounds):
        for name, code in (("scikit-learn", SCIKIT), ("ours", OURS)):
            taken[name].append(timed(["-c", code, str(source), str(outputs[name]), model]))
    for name, runs in taken.items():
        cells = " | ".join(spread([run[figure] for run in runs]) for figure in FIGURES)
        print(f"| {runs[0]['rows']:.0f} | {name} | {cells} |", flush=True)
    ratios = [
        " | ".join(
            f"{statistics.median(a[f] / b[f] for a, b in zip(*taken.values(), strict=True)):.1f}x" for f in FIGURES
        )
    ]
    print(f"| | ratio of a round, median | {ratios[0]} |", flush=True)
    columns = [
        pyarrow.parquet.read_table(path, columns=["fraud_probability"])[0].to_numpy() for path in outputs.values()
    ]
    print(f"| | scores that differ in a bit | {int((columns[0] != columns[1]).sum())} | | | |", flush=True)


def timed(arguments: list[str], python: str = sys.executable) -> dict[str, float]:
    """Figures of one process of ``python``: seconds, CPU seconds, and peak memory in MiB."""
    started = time.perf_counter()
    child = subprocess.Popen([python, *arguments], stdout=subprocess.PIPE, text=True)
    output = child.stdout.read() if child.stdout else ""
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"exit code {child.returncode}")
    return {
        **json.loads(output),
        "wall": time.perf_counter() - started,
        "cpu": cpu(used),
        "peak": used.ru_maxrss / 1024,
    }


def cpu(used: resource.struct_rusage) -> float:
    """User and system seconds."""
    return used.ru_utime + used.ru_stime


def spread(values: list[float]) -> str:
    """Median, least and most."""
    digits = 0 if min(values) > 100 else 2
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
