"""Figures of merit on test rows, each with a bootstrap 95 % interval.

The percentile bootstrap (Efron 1979) resamples rows with replacement. Rows of one class and one score are
interchangeable for every figure but the amounts, and a forest gives few distinct scores; so a resample is one
multinomial draw over groups: every fraud by itself, the legitimate rows by score.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fraud.manifest import Figure, Metrics

RESAMPLES = 1000
TOP = (50, 100, 200)
"""The k of precision@k: as many alerts as a team may look at."""

Counts = NDArray[np.float64]


class Groups:
    """Test rows grouped for resampling, in falling order of score.

    ``scores`` ``(n,)``, ``labels`` ``(n,)`` of 0 and 1, ``amounts`` ``(n,)`` in the account's currency.
    """

    def __init__(self, scores: NDArray[np.float64], labels: NDArray[np.int8], amounts: NDArray[np.float64]) -> None:
        fraud = labels == 1
        legitimate, sizes = np.unique(scores[~fraud], return_counts=True)
        self.scores = np.concatenate([scores[fraud], legitimate])
        self.fraud = np.concatenate([np.ones(fraud.sum(), bool), np.zeros(len(legitimate), bool)])
        self.amounts = np.concatenate([amounts[fraud], np.zeros(len(legitimate))])
        self.sizes = np.concatenate([np.ones(fraud.sum()), sizes]).astype(np.float64)
        order = np.argsort(-self.scores, kind="stable")
        self.scores, self.fraud = self.scores[order], self.fraud[order]
        self.amounts, self.sizes = self.amounts[order], self.sizes[order]
        self.last_of_score = np.append(np.flatnonzero(np.diff(self.scores)), len(self.scores) - 1)

    def resamples(self, count: int, seed: int) -> Iterator[Counts]:
        """How often each group occurs in each of ``count`` resamples of all rows."""
        random = np.random.default_rng(seed)
        rows = int(self.sizes.sum())
        for _ in range(count):
            yield random.multinomial(rows, self.sizes / rows).astype(np.float64)


def evaluate(
    scores: NDArray[np.float64],
    labels: NDArray[np.int8],
    amounts: NDArray[np.float64],
    threshold: float,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Metrics:
    """Judge scores against labels at a threshold that was chosen elsewhere."""
    groups = Groups(scores, labels, amounts)
    value = figures(groups, groups.sizes, threshold)
    drawn = [figures(groups, counts, threshold) for counts in groups.resamples(resamples, seed)]
    return Metrics(**{name: _figure(value[name], np.array([draw[name] for draw in drawn])) for name in value})


def _figure(value: float, drawn: NDArray[np.float64]) -> Figure:
    defined = drawn[np.isfinite(drawn)]
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (np.nan, np.nan)
    return Figure(value=_defined(value), low=_defined(low), high=_defined(high))


def _defined(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def figures(groups: Groups, counts: Counts, threshold: float) -> dict[str, float]:
    """All figures for ``counts`` rows of each group; NaN where one is not defined."""
    flagged = groups.scores >= threshold
    frauds, legitimate = counts * groups.fraud, counts * ~groups.fraud
    caught, missed = frauds[flagged].sum(), frauds[~flagged].sum()
    alarms, passed = legitimate[flagged].sum(), legitimate[~flagged].sum()
    lost = (frauds * groups.amounts).sum()
    amount_caught = (frauds * groups.amounts)[flagged].sum()
    return {
        **_ranking(groups, frauds, legitimate),
        "precision": _ratio(caught, caught + alarms),
        "recall": _ratio(caught, caught + missed),
        "true_positives": caught,
        "false_positives": alarms,
        "false_negatives": missed,
        "true_negatives": passed,
        "amount_caught": amount_caught,
        "amount_caught_share": _ratio(amount_caught, lost),
    }


def _ranking(groups: Groups, frauds: Counts, legitimate: Counts) -> dict[str, float]:
    """Figures that need no threshold, from cumulative counts at each distinct score."""
    found = np.cumsum(frauds)[groups.last_of_score]
    alerts = found + np.cumsum(legitimate)[groups.last_of_score]
    total, rows = found[-1], alerts[-1]
    new, negatives = np.diff(found, prepend=0), np.diff(alerts - found, prepend=0)
    with np.errstate(invalid="ignore"):
        precision = np.where(alerts > 0, found / np.maximum(alerts, 1), 0.0)
    # a legitimate row is beaten by the frauds above it, and by half of those that share its score
    beaten = (negatives * (found - new / 2)).sum()
    ranking = {
        "average_precision": _ratio((precision * new).sum(), total),
        "roc_auc": _ratio(beaten, total * (rows - total)),
    }
    for k in TOP:
        # rows that share the k-th score come in any order: their expected share of frauds counts
        expected = np.interp(k, np.append(0.0, alerts), np.append(0.0, found))
        ranking[f"precision_at_{k}"] = expected / k if rows >= k else float("nan")
    return ranking


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
