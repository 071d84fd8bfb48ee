"""One model's side of a comparison, and what is said of two of them: the gate and ``compare`` judge by this alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraud.manifest import Metrics
from training.judging import evaluate, paired
from training.judging.paired import Difference, Labels


@dataclass(frozen=True, eq=False)
class Contender:
    """Scores ``(n,)`` of the judged rows, and facts about the model's scorer."""

    version: str
    scores: NDArray[np.float64]
    threshold: float
    scorer_bytes: int
    seconds_per_row: float


def metrics(contender: Contender, labels: Labels, amounts: NDArray[np.float64] | None, seed: int = 0) -> Metrics:
    """Its figures at its own threshold."""
    return evaluate.evaluate(contender.scores, labels, amounts, contender.threshold, seed=seed)


def differences(
    challenger: NDArray[np.float64], standard: NDArray[np.float64], labels: Labels, precision: float, seed: int = 0
) -> dict[str, Difference]:
    """Average precision, and recall at ``precision``, by the names that people are told; as ``paired.compare``."""
    found = paired.compare(challenger, standard, labels, precision, seed=seed)
    return dict(zip(figure_names(precision), found, strict=True))


def told(differences: dict[str, Difference]) -> dict[str, dict[str, float]]:
    """Plain values for JSON."""
    return {name: difference.as_dict() for name, difference in differences.items()}


def less(standard: str, differences: dict[str, Difference]) -> dict[str, dict[str, float]]:
    """The same where nobody is champion: ``value`` is a model's ``own`` figure less that of the ``standard``."""
    names = {"challenger": "own", "champion": standard}
    return {
        figure: {names.get(name, name): one for name, one in own.items()} for figure, own in told(differences).items()
    }


def figure_names(precision: float) -> tuple[str, str]:
    """What the two figures of a comparison are called."""
    return "average precision", f"recall at precision {precision:.2f}"
