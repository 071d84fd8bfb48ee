"""Random forests and hostile rows, with values missing in training, in serving, in both or in neither: do both engines
give scikit-learn's scores in every bit, and are other models refused?

python -m benchmarks.fuzz_forest --cases 3000 --seed 0
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from fraud.errors import ModelError
from fraud.schema import default
from fraud.scorer import file as forest_file
from fraud.scorer import order
from fraud.scorer.forest import Engine, Forest
from fraud.scorer.from_sklearn import from_sklearn
from fraud.scorer.order import LEAF

ENGINES: tuple[Engine, ...] = ("kernel", "numpy")
TINY, MAX = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
ODD = np.array(
    [0.0, -0.0, TINY, -TINY, 1e-40, -1e-40, 1.1754944e-38, -1.1754944e-38, 1.0, -1.0, 16777217.0, MAX, -MAX],
    dtype=np.float32,
)
NANS = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], dtype=np.uint32).view(np.float32)
Model = Any  # scikit-learn ships no types
NO_PROBES = forest_file.Probes(np.zeros((1, len(default().inputs))), np.zeros(1))


def main() -> None:
    """Run the cases, print their counts as Markdown; exit code 1 when a score differed or a wrong model was taken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    started = time.perf_counter()
    for number in range(arguments.cases):
        outcome = case([arguments.seed, number])
        if outcome["scores that differ"] or outcome["wrong models taken"]:
            print(f"case --seed {arguments.seed}, number {number}: {dict(outcome)}", file=sys.stderr)
        counts.update(outcome)
    print("| | count |\n| --- | --- |")
    for name, count in counts.items():
        print(f"| {name} | {count:,} |")
    print(f"| seconds | {time.perf_counter() - started:.0f} |")
    sys.exit(bool(counts["scores that differ"] or counts["wrong models taken"]))


def case(seed: list[int]) -> Counter[str]:
    """Counts of one case; the same seed is the same case."""
    random = np.random.default_rng(seed)
    with np.errstate(all="ignore"):  # scikit-learn adds huge numbers up to see whether any is infinite
        if random.random() < 0.05:
            return _refused(random)
        width = int(random.choice([1, 2, 6, 30, 33, 128, 256]))
        in_training, in_serving = random.random(2) < 0.4
        features = inputs(random, int(random.integers(4, 400)), width)
        features = _missing(random, features) if in_training else features
        model = _fitted(random, features, _labels(random, features))
        forest = _through_a_file(from_sklearn(model, _nullable(random, width, in_serving)))
        fresh = inputs(random, int(random.integers(1, 200)), width)
        rows = np.concatenate([fresh, on_thresholds(random, forest, inputs(random, 150, width))])
        rows = rows[: int(random.integers(1, 30))] if random.random() < 0.2 else rows
        kept = [place for place in range(width) if place not in forest.nullable]
        served = np.where(np.isin(np.arange(width), kept), rows, _missing(random, rows)) if in_serving else rows
        counts = _compared(model, forest, served)
        counts[f"forests, missing in training: {in_training}, in serving: {in_serving}"] += 1
        return counts


def _compared(model: Model, forest: Forest, rows: NDArray[np.float32]) -> Counter[str]:
    expected = model.predict_proba(rows)[:, 1]
    counts = Counter({"forests": 1, "trees": forest.n_trees, "nodes": len(forest.value), "rows": len(rows)})
    counts["forests of single leaves"] = int((forest.nodes == LEAF).all())
    counts["nodes that part missing values from all others"] = int(sum(map(_infinite, model.estimators_)))
    counts["missing values"] = int(np.isnan(rows).sum())
    counts["scores that differ"] = 0
    for engine in ENGINES:
        walked = replace(forest, prefer=engine)
        counts[f"scores by {walked.engine}"] += 2 * len(rows)
        together = walked.score(rows)
        few = [walked.score(part) for part in np.array_split(rows, max(1, len(rows) // 5))]
        for scores in (together, np.concatenate(few)):
            counts["scores that differ"] += int((scores.view(np.uint64) != expected.view(np.uint64)).sum())
    return counts


def _infinite(tree: Model) -> int:
    return int(np.isinf(tree.tree_.threshold).sum())


def _nullable(random: np.random.Generator, width: int, needed: bool) -> tuple[int, ...]:
    """Places of features that may be missing: some, or all, or, where none needs to be, perhaps none."""
    most = min(width, order.MOST_FEATURES - width)
    size = most if random.random() < 0.5 else int(random.integers(0, most + 1))
    chosen = random.choice(width, size, replace=False)
    return tuple(sorted(chosen.tolist())) if needed or random.random() < 0.5 else ()


def _missing(random: np.random.Generator, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows with values missing here and there, in whole rows, and in whole columns; NaN of every kind."""
    gone = random.random(rows.shape) < random.choice([0, 0.01, 0.3, 0.9])
    gone |= random.random((len(rows), 1)) < random.choice([0, 0.1])
    gone |= random.random(rows.shape[1]) < random.choice([0, 0.1, 0.5])
    filled: NDArray[np.float32] = np.where(gone, random.choice(NANS, rows.shape), rows)
    return filled


def inputs(random: np.random.Generator, size: int, width: int) -> NDArray[np.float32]:
    """Columns of every scale: normal, huge, minute, few whole numbers, the odd values of float32, constant."""
    makers = [
        lambda: random.normal(size=size),
        lambda: random.normal(size=size) * 1e30,
        lambda: random.normal(size=size) * 1e-42,
        lambda: random.integers(-3, 4, size),
        lambda: random.choice(ODD, size),
        lambda: random.lognormal(3, 2, size),
        lambda: random.integers(0, 2**32, size, dtype=np.uint32).view(np.float32),
        lambda: np.full(size, random.choice(ODD)),
    ]
    columns = [np.asarray(makers[number]()).astype(np.float32) for number in random.integers(0, len(makers), width)]
    return np.clip(np.nan_to_num(np.stack(columns, axis=1)), -MAX, MAX)


def on_thresholds(random: np.random.Generator, forest: Forest, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows with up to three values each put on thresholds, or on the float32 before or after one."""
    rows = rows.copy()
    inner = np.flatnonzero(forest.nodes != LEAF)
    for _ in range(3 if len(inner) else 0):
        nodes = random.choice(inner, len(rows))
        cuts = order.thresholds(forest.nodes)[nodes]
        side = random.choice(np.array([-np.inf, np.inf], dtype=np.float32), len(rows))
        values = np.where(random.random(len(rows)) < 0.4, cuts, np.nextafter(cuts, side))
        rows[np.arange(len(rows)), forest.features_of(forest.nodes[nodes])] = np.clip(values, -MAX, MAX)
    return rows


def _labels(random: np.random.Generator, features: NDArray[np.float32]) -> NDArray[np.int8]:
    column = features[:, random.integers(features.shape[1])]
    noisy = np.argsort(np.argsort(column)) / len(column) + random.normal(size=len(column)) * random.choice([0, 0.2, 2])
    labels = (noisy > np.quantile(noisy, random.choice([0.2, 0.5, 0.9]))).astype(np.int8)
    labels[:2] = 0, 1
    return labels


def _fitted(random: np.random.Generator, features: NDArray[np.float32], labels: NDArray[np.int8]) -> Model:
    extra = random.random() < 0.3
    settings = {
        "n_estimators": int(random.choice([1, 2, 7, 8, 9, 16, 17, 40])),
        "max_depth": random.choice([None, 1, 2, 4, 12]),
        "min_samples_leaf": random.choice([1, 1, 1, 1, 1, 2, 9, len(labels)]),
        "max_leaf_nodes": random.choice([None, None, 2, 11]),
        "max_features": random.choice([None, "sqrt", 1]),
        "criterion": random.choice(["gini", "entropy", "log_loss"]),
        "class_weight": random.choice([None, "balanced", {0: 1.0, 1: 17.3}, {0: 1e-3, 1: 1e3}]),
        "ccp_alpha": random.choice([0.0, 0.0, 0.01]),
        "bootstrap": bool(random.random() < 0.7),
        "random_state": int(random.integers(2**31)),
        "n_jobs": 1,
    }
    weights = random.lognormal(0, 2, len(labels)) if random.random() < 0.2 else None
    maker = ExtraTreesClassifier if extra else RandomForestClassifier
    return maker(**settings).fit(features, labels, sample_weight=weights)


def _through_a_file(forest: Forest) -> Forest:
    with tempfile.TemporaryDirectory() as folder:
        forest_file.save(Path(folder) / "forest", forest, NO_PROBES)
        return forest_file.load(Path(folder) / "forest")[0]


def _refused(random: np.random.Generator) -> Counter[str]:
    """A forest over other classes than 0 and 1, which must be refused."""
    classes = random.choice([1, 3, 4, 25])
    labels = np.arange(60) % classes if classes > 1 else np.full(60, random.integers(2))
    if random.random() < 0.3:
        labels = np.arange(60) % 2 + random.choice([-1, 1, 7])
    model = RandomForestClassifier(3, n_jobs=1).fit(inputs(random, 60, 4), labels)
    try:
        from_sklearn(model)
    except ModelError:
        return Counter({"wrong models refused": 1})
    return Counter({"wrong models taken": 1})


if __name__ == "__main__":
    main()
