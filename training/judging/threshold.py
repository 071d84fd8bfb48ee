"""Choose the score from which a transaction is called fraud, on validation scores alone."""

import numpy as np
from numpy.typing import NDArray

from fraud.errors import DataError
from fraud.manifest import ThresholdChoice
from training.judging.ranking import Ranking

FALLBACK = "highest F1"
"""Begins the rule of a choice that does not reach the precision asked for."""


def choose(scores: NDArray[np.float64], labels: NDArray[np.int8], target_precision: float) -> ThresholdChoice:
    """The threshold of the highest recall whose precision on validation rows reaches ``target_precision``.

    Where none reaches it, that of the highest F1; ``rule`` says which it was. ``scores``: ``(n,)``, ``labels``:
    ``(n,)`` of 0 and 1. Scores of fully grown trees are multiples of 1/trees; the threshold is put halfway to the
    next lower score, so that rounding in another library version flips no decision. It is never 0, which would call
    every transaction fraud: a score of 0 is left out. Raises DataError when no fraud scores above 0, or there is none.
    """
    frauds = int(labels.sum())
    if not frauds:
        raise DataError.too_little("no fraud among the validation rows: the threshold cannot be chosen")
    ranking = Ranking(scores, labels == 1)
    values, curve = ranking.distinct_scores, ranking.curve(np.ones(len(scores)))
    above = values > 0
    caught, alerts = curve.caught[above], curve.alerts[above]
    if not caught.any():
        raise DataError.too_little(
            "every fraud among the validation rows scores 0: no threshold can be chosen", or_else="more trees"
        )
    precision, recall = curve.precision[above], curve.recall[above]
    reaches = (precision >= target_precision) & (caught > 0)
    if reaches.any():
        best = int(np.flatnonzero(reaches)[-1])
        rule = f"highest recall at precision >= {target_precision:g}"
    else:
        best = int(np.argmax(2 * caught / (alerts + frauds)))
        rule = f"{FALLBACK}, as no threshold reaches precision {target_precision:g}"
    below = values[best + 1] if best + 1 < len(values) else 0.0
    return ThresholdChoice(
        threshold=float((values[best] + below) / 2),
        rule=rule,
        precision=float(precision[best]),
        recall=float(recall[best]),
        rows=len(scores),
        frauds=frauds,
    )
