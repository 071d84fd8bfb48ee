"""What is wrong with the rows of a table, gathered from its parts: for each rule the first rows that break it."""

from collections import Counter

from fraud.tables import refusals

Faults = dict[tuple[str, str], list[int]]
"""Rows at fault by column and rule, ascending, counted from 0."""


class Gathered:
    """Faults of the parts of a table, with the rows of the whole; of many only the first are kept, all are counted."""

    def __init__(self) -> None:
        self._first: Faults = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def __bool__(self) -> bool:
        return bool(self._first)

    def add(self, faults: Faults, first_row: int = 0) -> None:
        """Those of a part that begins at ``first_row`` of the table."""
        for rule, rows in faults.items():
            named = self._first.setdefault(rule, [])
            named += [first_row + row for row in rows[: refusals.MAX_ROWS_NAMED - len(named)]]
            self._counts[rule] += len(rows)

    def words(self) -> list[str]:
        """A problem for each rule."""
        return [refusals.broken_rule(*rule, rows, self._counts[rule]) for rule, rows in self._first.items()]
