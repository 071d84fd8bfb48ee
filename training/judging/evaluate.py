"""Figures of merit on test rows, each with a bootstrap 95 % interval.

The percentile bootstrap (Efron 1979) resamples rows with replacement. Rows of one class and one score are
interchangeable for every figure but the amounts, and a forest gives few distinct scores; so a resample is one
multinomial draw over groups: every fraud by itself, the legitimate rows by score.
"""

import numpy as np
from numpy.typing import NDArray

from fraud.manifest import Figure, Metrics
from training.judging.ranking import RESAMPLES, Curve, Floats, Ranking, bootstrap, gains

TOP = (50, 100, 200)
"""The k of precision@k: as many alerts as a team may look at."""


class Groups:
    """Test rows grouped for resampling, in falling order of score.

    ``scores`` ``(n,)``, ``labels`` ``(n,)`` of 0 and 1, ``amounts`` ``(n,)`` in the account's currency, or None: no
    figure of money is defined then.
    """

    def __init__(self, scores: Floats, labels: NDArray[np.int8], amounts: Floats | None) -> None:
        fraud = labels == 1
        legitimate, sizes = np.unique(scores[~fraud], return_counts=True)
        is_fraud = np.concatenate([np.ones(fraud.sum(), bool), np.zeros(len(legitimate), bool)])
        self.ranking = Ranking(np.concatenate([scores[fraud], legitimate]), is_fraud)
        order = self.ranking.order
        lost = np.full(fraud.sum(), np.nan) if amounts is None else amounts[fraud]
        self.amounts = np.concatenate([lost, np.zeros(len(legitimate))])[order]
        self.sizes = np.concatenate([np.ones(fraud.sum()), sizes]).astype(np.float64)[order]


def evaluate(
    scores: NDArray[np.float64],
    labels: NDArray[np.int8],
    amounts: NDArray[np.float64] | None,
    threshold: float,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Metrics:
    """Judge scores against labels at a threshold that was chosen elsewhere."""
    groups = Groups(scores, labels, amounts)
    value = figures(groups, groups.sizes, threshold)
    drawn = [figures(groups, counts, threshold) for counts in bootstrap(groups.sizes, resamples, seed)]
    return Metrics(**{name: _figure(value[name], np.array([draw[name] for draw in drawn])) for name in value})


def _figure(value: float, drawn: NDArray[np.float64]) -> Figure:
    defined = drawn[np.isfinite(drawn)]
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (np.nan, np.nan)
    return Figure(value=_defined(value), low=_defined(low), high=_defined(high))


def _defined(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def figures(groups: Groups, counts: Floats, threshold: float) -> dict[str, float]:
    """All figures for ``counts`` rows of each group; NaN where one is not defined."""
    flagged, fraud = groups.ranking.scores >= threshold, groups.ranking.fraud
    frauds, legitimate = counts * fraud, counts * ~fraud
    caught, missed = frauds[flagged].sum(), frauds[~flagged].sum()
    alarms, passed = legitimate[flagged].sum(), legitimate[~flagged].sum()
    lost = (frauds * groups.amounts).sum()
    amount_caught = (frauds * groups.amounts)[flagged].sum() if np.isfinite(lost) else lost
    return {
        **_ranking_figures(groups.ranking.curve(counts)),
        "precision": _ratio(caught, caught + alarms),
        "recall": _ratio(caught, caught + missed),
        "true_positives": caught,
        "false_positives": alarms,
        "false_negatives": missed,
        "true_negatives": passed,
        "amount_caught": amount_caught,
        "amount_caught_share": _ratio(amount_caught, lost),
    }


def _ranking_figures(curve: Curve) -> dict[str, float]:
    """Figures that need no threshold."""
    new, negatives = gains(curve.caught), gains(curve.alerts - curve.caught)
    # a legitimate row is beaten by the frauds above it, and by half of those that share its score
    beaten = (negatives * (curve.caught - new / 2)).sum()
    ranking = {
        "average_precision": _ratio(float((curve.precision * new).sum()), curve.frauds),
        "roc_auc": _ratio(beaten, curve.frauds * (curve.rows - curve.frauds)),
    }
    for k in TOP:
        # rows that share the k-th score come in any order: their expected share of frauds counts
        expected = np.interp(k, np.append(0.0, curve.alerts), np.append(0.0, curve.caught))
        ranking[f"precision_at_{k}"] = expected / k if curve.rows >= k else float("nan")
    return ranking


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
