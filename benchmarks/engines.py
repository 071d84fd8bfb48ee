"""The scorer against scikit-learn, treelite and ONNX Runtime: time on one thread, and whether scores are the same.

make engines DATA=creditcard.csv      (or: python -m benchmarks.engines --data creditcard.csv)

Engines take turns in every round, so that what else the machine does meets them all. Each is given its rows in the
form it likes best before the clock starts.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from benchmarks.fuzz_forest import on_thresholds
from fraud.features import transform
from fraud.schema import default
from fraud.scorer.from_sklearn import from_sklearn
from training import data, split, train

Rows = NDArray[Any]
Model = Any  # scikit-learn ships no types
TREES = (100, 300, 1000)
BATCHES = (1, 8, 64, 1_000, 10_000, 100_000)
REFERENCE = "scikit-learn"
ROUNDS = 7
SLICE_SECONDS = 0.03  # of one engine in one round; at least one call
SLOW_SECONDS = 1.0  # a call that takes longer is made once
PARTS = 4  # forests of more than 300 trees are fitted on every fourth training row, which is said in the table
PACKAGES = {"treelite": ("treelite",), "onnxruntime": ("onnxruntime", "skl2onnx")}


@dataclass(frozen=True)
class Engine:
    """How rows are put for it, and how it scores them."""

    prepare: Callable[[NDArray[np.float32]], Rows]
    score: Callable[[Rows], NDArray[Any]]


def main() -> None:
    """Fit, compare, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--trees", type=int, nargs="+", default=TREES)
    parser.add_argument("--keep", type=Path, help="folder where fitted forests are kept for the next time")
    arguments = parser.parse_args()
    loaded = data.load(arguments.data, default())
    features = transform(loaded.rows)
    training = split.split(loaded).train
    print(_machine(), flush=True)
    for trees in arguments.trees:
        rows = training[:: PARTS if trees > TREES[1] else 1]
        model = _fitted(features[rows], loaded.labels[rows], trees, arguments.keep)
        _compare(model, features, len(rows))


def _machine() -> str:
    packages = [name for names in PACKAGES.values() for name in names]
    versions = ", ".join(f"{name} {_version(name)}" for name in ("scikit-learn", "numpy", *packages))
    model = next((line for line in _cpu_info() if line.startswith("model name")), platform.machine())
    cores = os.cpu_count()
    return f"{model.split(':')[-1].strip()}, {cores} cores, Python {platform.python_version()}, {versions}"


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed: `make engines`"


def _fitted(features: NDArray[np.float32], labels: NDArray[np.int8], trees: int, keep: Path | None) -> Model:
    path = keep / f"forest-{trees}-{len(labels)}.joblib" if keep else None
    if path and path.exists():
        return joblib.load(path).set_params(n_jobs=1)
    model = train.fit(features, labels, train.DEFAULTS.model_copy(update={"trees": trees}))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(model, path)
    return model.set_params(n_jobs=1)


def engines(model: Model) -> dict[str, Engine | None]:
    """Every contestant on one thread, ours on all cores too; None where it is not installed."""
    forest = from_sklearn(model)
    cores = os.cpu_count() or 1
    numpy_only = replace(forest, prefer="numpy")
    contestants: dict[str, Engine | None] = {
        REFERENCE: Engine(np.asarray, lambda rows: model.predict_proba(rows)[:, 1]),
        f"ours, {forest.engine}": Engine(np.asarray, forest.score),
        f"ours, {forest.engine}, {cores} threads": Engine(np.asarray, partial(forest.score, threads=cores)),
        "ours, numpy": Engine(np.asarray, numpy_only.score),
    }
    for name, make in {"treelite": _treelite, "onnxruntime": _onnx}.items():
        try:
            contestants[name] = make(model)
        except ImportError:
            contestants[name] = None
    return contestants


def _treelite(model: Model) -> Engine:
    import treelite

    converted = treelite.sklearn.import_model(model)
    # thresholds are float64, so rows must be too; they keep the values of float32, as scikit-learn casts them
    return Engine(
        lambda rows: rows.astype(np.float64),
        lambda rows: treelite.gtil.predict(converted, rows, nthread=1).reshape(len(rows), -1)[:, -1],
    )


def _onnx(model: Model) -> Engine:
    import onnxruntime
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    kind = [("rows", FloatTensorType([None, model.n_features_in_]))]
    converted = skl2onnx.convert_sklearn(model, initial_types=kind, options={"zipmap": False})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(converted.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Engine(np.asarray, lambda rows: session.run(["probabilities"], {"rows": rows})[0][:, 1])


def _compare(model: Model, features: NDArray[np.float32], fitted_rows: int) -> None:
    contestants = engines(model)
    ready = {name: engine for name, engine in contestants.items() if engine}
    print(
        f"\n### {model.n_estimators} trees, {sum(tree.tree_.node_count for tree in model.estimators_):,} nodes", end=""
    )
    print(f" (fitted on {fitted_rows:,} rows)\n")
    print("| engine |", " | ".join(f"{size:,} row{'s' * (size > 1)}" for size in BATCHES), "|")
    print("| --- |", " | ".join("---" for _ in BATCHES), "|")
    columns = [_column(ready, features, size) for size in BATCHES]
    for name in contestants:
        cells = [column[name] for column in columns] if name in ready else ["not installed: `make engines`"]
        print(f"| {name} |", " | ".join(cells), "|")
    _print_verdicts(model, ready, features)


def _column(ready: dict[str, Engine], features: NDArray[np.float32], size: int) -> dict[str, str]:
    """Cells of one batch size: time of a call, rows a second, and the ratio to scikit-learn in the same rounds."""
    seconds = _seconds(ready, features, size)
    cells = {}
    for name, own in seconds.items():
        median = statistics.median(own)
        ratio = statistics.median(theirs / mine for theirs, mine in zip(seconds[REFERENCE], own, strict=False))
        cells[name] = f"{_readable(median)}, {size / median:,.0f}/s, {ratio:.3g}x"
    return cells


def _seconds(ready: dict[str, Engine], features: NDArray[np.float32], size: int) -> dict[str, list[float]]:
    random = np.random.default_rng(size)
    batches = [features[start : start + size] for start in random.integers(0, max(1, len(features) - size), 64)]
    batches = batches if size <= 1_000 else batches[:2]
    prepared = {name: [engine.prepare(batch) for batch in batches] for name, engine in ready.items()}
    once = {name: _timed(ready[name], prepared[name], 1) for name in ready}  # warms up, too
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(ROUNDS):
        for name, engine in ready.items():
            if once[name] <= SLOW_SECONDS or not seconds[name]:
                calls = max(1, int(SLICE_SECONDS / once[name]))
                seconds[name].append(_timed(engine, prepared[name], calls))
    return seconds


def _timed(engine: Engine, batches: list[Rows], calls: int) -> float:
    started = time.perf_counter()
    for number in range(calls):
        engine.score(batches[number % len(batches)])
    return (time.perf_counter() - started) / calls


def _readable(seconds: float) -> str:
    unit, scale = ("s", 1) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("µs", 1e6)
    return f"{seconds * scale:.3g} {unit}"


def _print_verdicts(model: Model, ready: dict[str, Engine], features: NDArray[np.float32]) -> None:
    """Over real rows and rows that lie on thresholds or one float32 beside them."""
    hostile = on_thresholds(np.random.default_rng(0), from_sklearn(model), features[::100])
    rows = np.concatenate([features[::10], hostile])
    expected = ready[REFERENCE].score(rows)
    print(f"\n| of {len(rows):,} rows | scores that differ | largest | decisions at 0.5 | at the worst threshold |")
    print("| --- | --- | --- | --- | --- |")
    for name, engine in ready.items():
        scores = np.asarray(engine.score(engine.prepare(rows)), dtype=np.float64)
        off = scores != expected
        flips = int(((scores >= 0.5) != (expected >= 0.5)).sum())
        largest = f"{np.abs(scores - expected).max():.1g}" if off.any() else "0"
        print(f"| {name} | {int(off.sum()):,} | {largest} | {flips:,} | {worst(expected, scores):,} |", flush=True)


def worst(expected: NDArray[np.float64], scores: NDArray[np.float64]) -> int:
    """Most decisions that differ at one threshold, of all thresholds that are some row's score."""
    thresholds = np.unique(expected)
    low, high = np.minimum(expected, scores), np.maximum(expected, scores)
    steps = np.zeros(len(thresholds) + 1, dtype=np.int64)  # a row's decision differs where low < threshold <= high
    np.add.at(steps, np.searchsorted(thresholds, low, side="right"), 1)
    np.add.at(steps, np.searchsorted(thresholds, high, side="right"), -1)
    return int(np.cumsum(steps)[:-1].max())


if __name__ == "__main__":
    main()
