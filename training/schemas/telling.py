"""How well one column tells the label by itself. One that does was most often written after the fraud was found.

It is measured on the rarer of the two values: of the other one, any value of any column would hold nearly all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.schemas.column_facts import ColumnFacts

_MIN_SOUGHT = 20
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

    @property
    def is_fraud_rarer(self) -> bool:
        """Whether fewer rows than half are frauds, as it should be."""
        return 2 * self.frauds <= self.rows

    @property
    def rarer(self) -> int:
        """Rows with the rarer of the two values: they are sought."""
        return min(self.frauds, self.rows - self.frauds)

    def sought(self, marked: Counts, rows: Counts) -> Counts:
        """How many of ``rows`` are sought, of which ``marked`` have the value met first."""
        return marked if self.marked_is_fraud == self.is_fraud_rarer else rows - marked


@dataclass(frozen=True)
class Telling:
    """Values of a column that hold a share of all rows that are sought, and ``purity`` of whose rows are so."""

    values: str
    held: float
    purity: float
    sought: str
    """Their plural: frauds, where those are the rarer ones."""

    @property
    def is_the_label(self) -> bool:
        """It cannot be known before the label is."""
        return min(self.held, self.purity) >= 0.95

    @property
    def is_suspect(self) -> bool:
        """It may be."""
        return self.held >= 0.5 and self.purity >= 0.8

    @property
    def words(self) -> str:
        """The figures."""
        share, purity = f"{self.held:.1%}", f"{self.purity:.1%}"
        return f"{self.values} holds {share} of all {self.sought}, and {purity} of its rows are {self.sought}"


@dataclass(frozen=True)
class _Groups:
    """Values of a column in groups, with the rows that are sought and others of each."""

    names: list[str]
    sought: Counts
    others: Counts
    all_sought: float


def measure(facts: ColumnFacts, label: Label, *, is_number: bool) -> Telling | None:
    """The levels, or the range of numbers, with more sought rows than others, taken together; None for none of them."""
    if label.rarer < _MIN_SOUGHT or not len(facts.distinct.values):
        return None
    groups = _range(facts, label) if is_number else _levels(facts, label)
    rows = groups.sought + groups.others
    chosen = np.flatnonzero((groups.sought > groups.others) & (rows >= _MIN_ROWS_OF_A_LEVEL))
    if not len(chosen):
        return None
    held = float(groups.sought[chosen].sum())
    named = ", ".join(groups.names[place] for place in chosen[:5])
    named += f" and {len(chosen) - 5} more" if len(chosen) > 5 else ""
    sought = "frauds" if label.is_fraud_rarer else "rows that are no frauds"
    return Telling(named, held / groups.all_sought, held / float(rows[chosen].sum()), sought)


def _levels(facts: ColumnFacts, label: Label) -> _Groups:
    """Each level, and no value at all as one more; of too many levels, any value as the other one."""
    distinct = facts.distinct
    rows, sought = distinct.rows, label.sought(distinct.marked, distinct.rows)
    names = [repr(str(value)) for value in distinct.values[:_MAX_LEVELS]]
    blank_sought = label.sought(np.array([facts.marked_blank]), np.array([facts.blank]))
    if len(distinct.values) > _MAX_LEVELS:
        names, rows, sought = ["any value"], np.array([facts.filled]), label.rarer - blank_sought
    all_rows, all_sought = np.append(rows, facts.blank), np.append(sought, blank_sought)
    return _Groups([*names, "no value"], all_sought, all_rows - all_sought, float(all_sought.sum()))


def _range(facts: ColumnFacts, label: Label) -> _Groups:
    """The one range with the most of what is sought beyond others (the largest sum of a run), and no number at all."""
    distinct = facts.distinct
    numbers, order = facts.sorted_numbers()
    sought = label.sought(distinct.marked, distinct.rows)
    others = distinct.rows - sought
    sums = np.append(0.0, np.cumsum((sought - others)[order]))
    gains = sums - np.minimum.accumulate(sums)
    end = int(gains.argmax())
    start = int(sums[: end + 1].argmin())
    inside = order[start:end]
    blank = facts.blank * distinct.share
    blank_sought = float(label.sought(np.array(facts.marked_blank), np.array(facts.blank))) * distinct.share
    name = f"{numbers[inside[0]]:g} to {numbers[inside[-1]]:g}" if len(inside) else ""
    held, beside = float(sought[inside].sum()), float(others[inside].sum())
    return _Groups(
        [name, "no value"],
        np.array([held, blank_sought]),
        np.array([beside, blank - blank_sought]),
        float(sought.sum()) + blank_sought,
    )
