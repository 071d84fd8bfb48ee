"""How well one column tells the label by itself. One that does was most often written after the fraud was found."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.schemas.column_facts import ColumnFacts

_MIN_FRAUDS = 20
_MIN_ROWS_OF_A_LEVEL = 10
_MAX_LEVELS = 1_000

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Label:
    """The label column as it was found."""

    name: str
    marked_is_fraud: bool
    """Whether the value met first, which facts count, is the one that means fraud."""
    rows: int
    frauds: int


@dataclass(frozen=True)
class Telling:
    """Values of a column that hold ``frauds_held`` of all frauds, and ``purity`` of whose rows are frauds."""

    values: str
    frauds_held: float
    purity: float

    @property
    def is_the_label(self) -> bool:
        """It cannot be known before the label is."""
        return min(self.frauds_held, self.purity) >= 0.95

    @property
    def is_suspect(self) -> bool:
        """It may be."""
        return self.frauds_held >= 0.5 and self.purity >= 0.8

    @property
    def words(self) -> str:
        """The figures."""
        return f"{self.values} holds {self.frauds_held:.1%} of all frauds, and {self.purity:.1%} of its rows are frauds"


@dataclass(frozen=True)
class _Groups:
    """Values of a column in groups, with frauds and others of each."""

    names: list[str]
    frauds: Counts
    others: Counts
    all_frauds: float


def measure(facts: ColumnFacts, label: Label, *, is_number: bool) -> Telling | None:
    """The levels, or the range of numbers, that hold more frauds than others, taken together; None for none of them."""
    if label.frauds < _MIN_FRAUDS or not len(facts.distinct.values):
        return None
    groups = _range(facts, label) if is_number else _levels(facts, label)
    rows = groups.frauds + groups.others
    chosen = np.flatnonzero((groups.frauds > groups.others) & (rows >= _MIN_ROWS_OF_A_LEVEL))
    if not len(chosen):
        return None
    held = float(groups.frauds[chosen].sum())
    named = ", ".join(groups.names[place] for place in chosen[:5])
    named += f" and {len(chosen) - 5} more" if len(chosen) > 5 else ""
    return Telling(named, held / groups.all_frauds, held / float(rows[chosen].sum()))


def _frauds(marked: Counts, rows: Counts, label: Label) -> Counts:
    return marked if label.marked_is_fraud else rows - marked


def _levels(facts: ColumnFacts, label: Label) -> _Groups:
    """Each level, and no value at all as one more; of too many levels, any value as the other one."""
    distinct = facts.distinct
    rows, frauds = distinct.rows, _frauds(distinct.marked, distinct.rows, label)
    names = [repr(str(value)) for value in distinct.values[:_MAX_LEVELS]]
    blank_frauds = _frauds(np.array([facts.marked_blank]), np.array([facts.blank]), label)
    if len(distinct.values) > _MAX_LEVELS:
        names, rows, frauds = ["any value"], np.array([facts.filled]), label.frauds - blank_frauds
    all_rows, all_frauds = np.append(rows, facts.blank), np.append(frauds, blank_frauds)
    return _Groups([*names, "no value"], all_frauds, all_rows - all_frauds, float(all_frauds.sum()))


def _range(facts: ColumnFacts, label: Label) -> _Groups:
    """The one range with the most frauds beyond others (the largest sum of a run), and no number at all."""
    distinct = facts.distinct
    numbers, order = facts.sorted_numbers()
    frauds = _frauds(distinct.marked, distinct.rows, label)
    others = distinct.rows - frauds
    sums = np.append(0.0, np.cumsum((frauds - others)[order]))
    gains = sums - np.minimum.accumulate(sums)
    end = int(gains.argmax())
    start = int(sums[: end + 1].argmin())
    inside = order[start:end]
    blank = facts.blank * distinct.share
    blank_frauds = float(_frauds(np.array(facts.marked_blank), np.array(facts.blank), label)) * distinct.share
    name = f"{numbers[inside[0]]:g} to {numbers[inside[-1]]:g}" if len(inside) else ""
    held, beside = float(frauds[inside].sum()), float(others[inside].sum())
    return _Groups(
        [name, "no value"],
        np.array([held, blank_frauds]),
        np.array([beside, blank - blank_frauds]),
        float(frauds.sum()) + blank_frauds,
    )
