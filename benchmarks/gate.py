"""How often the gate refuses honest retrains, and how often it lets spoiled ones through; evidence for its margins.

python -m benchmarks.gate --data creditcard.csv --honest 20 --spoiled 20

A champion is fitted with one seed. Honest challengers differ by the seed alone; spoiled ones are fitted on shuffled
training labels. All are judged on the same held-out rows, by every rule but latency.
"""

import argparse
import sys
import time

import numpy as np

from fraud.features import transform
from fraud.schema import default
from fraud.scorer.from_sklearn import from_sklearn
from training import data, split, train
from training.judging.contender import Contender
from training.judging.gate import Case, Policy, decide
from training.train import DEFAULTS, Recipe


def main() -> None:
    """Fit and judge, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--split", choices=("time", "stratified"), default="stratified")
    parser.add_argument("--threshold", type=float, default=0.55, help="of champion and challengers alike")
    parser.add_argument("--honest", type=int, default=20)
    parser.add_argument("--spoiled", type=int, default=20)
    parser.add_argument("--spoiled-trees", type=int, default=20, help="without signal more trees change nothing")
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    dataset = data.load(arguments.data, default())
    parts = split.split(dataset, arguments.split)
    features = transform(dataset.rows)
    train_features, test_features = features[parts.train], features[parts.test]
    labels = dataset.labels[parts.train]

    def contender(name: str, recipe: Recipe, fitted_labels: train.Labels) -> Contender:
        started = time.perf_counter()
        forest = from_sklearn(train.fit(train_features, fitted_labels, recipe, jobs=arguments.jobs))
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        return Contender(name, forest.score(test_features), arguments.threshold, 0, 1.0)

    champion = contender("champion", DEFAULTS, labels)
    print("| challenger | average precision | its bound | recall | its bound | verdict | refused by |")
    print("| --- " * 7 + "|")
    for kind, count in (("honest", arguments.honest), ("spoiled", arguments.spoiled)):
        refused = 0
        for seed in range(1, count + 1):
            shuffled = np.random.default_rng(seed).permutation(labels)
            trees = arguments.spoiled_trees if kind == "spoiled" else DEFAULTS.trees
            recipe = DEFAULTS.model_copy(update={"seed": seed, "trees": trees})
            challenger = contender(f"{kind} {seed}", recipe, labels if kind == "honest" else shuffled)
            case = Case(
                labels=dataset.labels[parts.test],
                amounts=None if dataset.amounts is None else dataset.amounts[parts.test],
                left_out=0,
                challenger=challenger,
                champion=champion,
                scorer_differences=0,
            )
            refused += _row(challenger.version, case)
        print(f"| **{kind}: {refused} of {count} refused** | | | | | | |", flush=True)


def _row(name: str, case: Case) -> int:
    verdict = decide(case, Policy())
    first, second = verdict.figures["differences"].values()
    rules = "; ".join(reason.rule for reason in verdict.reasons if not reason.passed)
    print(
        f"| {name} | {first['challenger']:.3f} | {first['bound']:+.3f} | {second['challenger']:.3f} "
        f"| {second['bound']:+.3f} | {'passed' if verdict.passed else 'refused'} | {rules} |",
        flush=True,
    )
    return int(not verdict.passed)


if __name__ == "__main__":
    main()
