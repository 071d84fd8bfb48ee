"""How the Handbook divides its days and judges scores (chapters 3.4 and 5.2 of the book), for rows in time order."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DAYS = 7
"""Of each: fitting, the delay of labels, testing."""
TOP = 100
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Days:
    """Rows of one week of fitting and one of testing, as indices, with the day of each test row."""

    fitting: NDArray[np.int64]
    testing: NDArray[np.int64]
    day: NDArray[np.int64]


def divide(times: NDArray[np.float64], cards: NDArray[np.int64], frauds: NDArray[np.bool_], start: date) -> Days:
    """Fit on a week from ``start`` on, test on the week that begins a week after it ended.

    ``times``: seconds since 1970, ``(n,)``. Of the test rows those of cards are left out whose fraud was known on that
    day: that of the fitting week, and later ones as their labels come.
    """
    day = (times // _DAY_SECONDS).astype(np.int64)
    first = (start - date(1970, 1, 1)).days
    fitting = (day >= first) & (day < first + DAYS)
    known = set(cards[fitting & frauds].tolist())
    testing = np.zeros(len(day), dtype=bool)
    for number in range(DAYS):
        known |= set(cards[frauds & (day == first + DAYS + number - 1)].tolist())
        testing |= (day == first + 2 * DAYS + number) & ~np.isin(cards, [*known])
    return Days(np.flatnonzero(fitting), np.flatnonzero(testing), day[testing])


def card_precision(
    scores: NDArray[np.float64], cards: NDArray[np.int64], frauds: NDArray[np.bool_], day: NDArray[np.int64]
) -> float:
    """Of the ``TOP`` cards with the highest scores of a day, the share that were defrauded that day; mean of the days.

    A card that was found is not looked at again.
    """
    rows = pd.DataFrame({"card": cards, "fraud": frauds, "score": scores})
    found, shares = set[int](), []
    for _, of_day in rows[["card", "fraud", "score"]].groupby(day):
        best = of_day[~of_day["card"].isin(found)].groupby("card").max().nlargest(TOP, "score")
        caught = best.index[best["fraud"]].tolist()
        shares.append(len(caught) / TOP)
        found |= set(caught)
    return float(np.mean(shares))
