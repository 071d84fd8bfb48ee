"""Which trees are best: recipes, and boosted trees that were searched for, out of fold and by time, paired.

python -m benchmarks.forests --data creditcard.parquet --folder /tmp/forests --recipe best.toml \
    --boosted xgboost lightgbm --minutes 30

Scores are kept in the folder by variant and seed, so what was interrupted goes on; those of other data, or of another
recipe of that name, are refused. Folds are dealt out by the seeds; boosted trees are searched for on the folds of
another one, for so many minutes of processor time each. They need ``.venv-baselines``.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.forests.boosted import Boosted
from fraud import schema
from fraud.manifest import Recipe
from training import data, encode, split, train
from training.dataset import Dataset
from training.judging import paired
from training.train import DEFAULTS
from training.tuning import recipe_file

FOLDS = 3
PRECISION = DEFAULTS.target_precision
Scores = NDArray[np.float64]
Out = Callable[[split.Indices, split.Indices, int], Scores]
"""Fitted on these rows, by a seed, the scores of those."""


def main() -> None:
    """Print a table, and the differences from the first variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--schema", type=Path, help="TOML file; the default one where it is left out")
    parser.add_argument("--folder", type=Path, required=True, help="where scores are kept")
    parser.add_argument("--recipe", type=Path, nargs="*", default=[], help="TOML files, beside the defaults")
    parser.add_argument("--boosted", nargs="*", default=[], choices=("xgboost", "lightgbm"))
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    dataset = data.load(asked.data, schema.read(asked.schema) if asked.schema else schema.default())
    variants: dict[str, Out] = {"defaults": scores_by(dataset, DEFAULTS, asked.jobs)}
    variants |= {path.stem: scores_by(dataset, recipe_file.read(path), asked.jobs) for path in asked.recipe}
    variants |= {name: Boosted(name, dataset, asked.minutes, asked.folder).scores for name in asked.boosted}
    _same(asked, dataset)
    found = {name: _Found(name, one, dataset, asked) for name, one in variants.items()}
    _tell(found, dataset)


def _same(asked: argparse.Namespace, dataset: Dataset) -> None:
    """Note in the folder of what its scores are. Raises SystemExit where that is noted and another."""
    facts = {"data": dataset.fingerprint, "minutes": str(asked.minutes)}
    for name, fact in (facts | {path.stem: recipe_file.read(path).model_dump_json() for path in asked.recipe}).items():
        file = asked.folder / f"{name}.of"
        if not file.exists():
            file.write_text(fact)
        elif file.read_text() != fact:
            sys.exit(f"error: {file}: the scores in this folder are of other ones; name another --folder")


def scores_by(dataset: Dataset, recipe: Recipe, jobs: int) -> Out:
    """What fits by a recipe and scores."""

    def scores(fitted: split.Indices, held: split.Indices, seed: int) -> Scores:
        own = recipe.model_copy(update={"seed": seed})
        path, features = encode.fit(dataset, fitted, own)
        model = train.fit(features, dataset.labels[fitted], own, jobs=jobs)
        return train.score(model, encode.features_of(path, dataset, held))

    return scores


class _Found:
    """Scores of one variant: out of fold ``(seeds, n)``, and of the later rows, where the data has times."""

    def __init__(self, name: str, scores: Out, dataset: Dataset, asked: argparse.Namespace) -> None:
        everything = np.arange(dataset.size)
        self.out_of_fold = np.zeros((len(asked.seeds), dataset.size))
        self.by_fold = np.zeros((len(asked.seeds), FOLDS))
        self.seconds = 0.0
        for place, seed in enumerate(asked.seeds):
            fold_of = split.folds(dataset, everything, FOLDS, seed)
            for fold in range(FOLDS):
                held = fold_of == fold
                file = asked.folder / f"{name}-{seed}-{fold}.npy"
                own = self._kept(file, scores, everything[~held], everything[held], seed)
                self.out_of_fold[place, held] = own
                self.by_fold[place, fold] = _average_precision(own, dataset.labels[held])
        self.by_time = None
        if dataset.times is not None:
            parts = split.split(dataset, "time")
            self.by_time = self._kept(asked.folder / f"{name}-time.npy", scores, parts.train, parts.test, 0)

    def _kept(self, file: Path, scores: Out, fitted: split.Indices, held: split.Indices, seed: int) -> Scores:
        if not file.exists():
            began = time.process_time()
            np.save(file, scores(fitted, held, seed))
            print(f"{file.stem}: {time.process_time() - began:.0f} s", file=sys.stderr, flush=True)
        kept: Scores = np.load(file)
        return kept


def _tell(found: dict[str, _Found], dataset: Dataset) -> None:
    labels = dataset.labels
    later = split.split(dataset, "time").test if dataset.times is not None else None
    print(f"{dataset.size} rows, {dataset.frauds} frauds, {FOLDS} folds\n")
    print("| variant | out of fold, mean over seeds | each seed | mean over folds | by time |")
    print("| --- | --- | --- | --- | --- |")
    for name, one in found.items():
        each = [_average_precision(own, labels) for own in one.out_of_fold]
        told = " ".join(f"{value:.4f}" for value in each)
        timed = "" if later is None else _figure(one.by_time, labels[later])
        print(f"| {name} | {np.mean(each):.4f} | {told} | {one.by_fold.mean():.4f} | {timed} |", flush=True)
    print("\n| average precision | out of fold | by time |\n| --- | --- | --- |")
    names = list(found)
    for place, name in enumerate(names):
        for other in names[:place]:
            ours, theirs = found[name], found[other]
            whole = _difference(ours.out_of_fold, theirs.out_of_fold, labels)
            timed = "" if later is None else _difference(ours.by_time, theirs.by_time, labels[later])
            print(f"| {name} less {other} | {whole} | {timed} |", flush=True)


def _average_precision(scores: Scores, labels: NDArray[np.int8]) -> float:
    return paired.alone(scores, labels, PRECISION, resamples=1)[0].value or 0.0


def _figure(scores: Scores | None, labels: NDArray[np.int8]) -> str:
    assert scores is not None  # noqa: S101 - there are times
    one, _ = paired.alone(scores, labels, PRECISION)
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _difference(ours: Scores | None, theirs: Scores | None, labels: NDArray[np.int8]) -> str:
    assert ours is not None and theirs is not None  # noqa: S101 - there are times
    one, _ = paired.compare(ours, theirs, labels, PRECISION)
    return f"{one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"


if __name__ == "__main__":
    main()
