"""Score a file's rows with the stored scorer and with scikit-learn, side by side in one run; compare every score.

python -m benchmarks.score --data creditcard.csv --model fraud_detector:latest
"""

import argparse
import os
import time
from collections.abc import Callable

import bentoml
import numpy as np
from numpy.typing import NDArray

from fraud import store
from fraud.estimator.row_features import FOREST
from fraud.features import transform
from fraud.schema import default
from training import data

BATCHES = (1, 64, 4096)
ROUNDS = 5


def main() -> None:
    """Time both engines on one thread, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--model", default="fraud_detector:latest")
    arguments = parser.parse_args()
    forest = store.open_served(store.get(arguments.model)).forest
    model = bentoml.sklearn.load_model(arguments.model)[FOREST].set_params(n_jobs=1)
    features = transform(data.load(arguments.data, default()).rows)

    def reference(batch: NDArray[np.float32]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = model.predict_proba(batch)[:, 1]
        return scores

    def on_all_cores(batch: NDArray[np.float32]) -> NDArray[np.float64]:
        return forest.score(batch, threads=cores)

    cores = os.cpu_count() or 1
    print(f"{forest.n_trees} trees, {len(forest.value)} nodes, engine {forest.engine}, one thread and {cores}\n")
    print("| rows at once | scikit-learn, s | ours, s | ratio | all cores, s | ratio | scores that differ |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in (*BATCHES, len(features)):
        batch = features[:size]
        theirs, ours, spread = (_best(engine, batch) for engine in (reference, forest.score, on_all_cores))
        differing = int((reference(batch) != forest.score(batch)).sum())
        print(f"| {len(batch)} | {theirs:.6f} | {ours:.6f} | {theirs / ours:.1f} |", end="")
        print(f" {spread:.6f} | {theirs / spread:.1f} | {differing} |", flush=True)


def _best(engine: Callable[[NDArray[np.float32]], NDArray[np.float64]], batch: NDArray[np.float32]) -> float:
    """Seconds of the quickest of some rounds."""
    rounds = ROUNDS if len(batch) > BATCHES[-1] else 5 * ROUNDS
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        engine(batch)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
