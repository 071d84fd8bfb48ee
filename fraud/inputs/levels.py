"""Texts of categories as numbers of a row array: the place of a level in a list of levels.

A row array is float64 ``(n, inputs)``; of a category it holds the place in ``Levels``, ``OTHER`` for a text that is not
among them, NaN for none. A data set has its own list, and a model that of what it learnt.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fraud.schema import Schema

Levels = Mapping[str, tuple[str, ...]]
"""The texts of each category, by column."""
OTHER = -1.0


def same(text: str) -> str:
    """A text as the same value is written elsewhere: ``5411.0``, as files with gaps have it, is ``5411``, ``True`` is
    ``true``."""
    known = _SAME.get(text)
    if known is not None or not text.endswith("0") or "." not in text:
        return known or text
    digits, _, zeros = text.partition(".")
    return digits if not zeros.strip("0") and digits.removeprefix("-").isdecimal() else text


_SAME = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}


def places(texts: Sequence[str | None], levels: Sequence[str]) -> NDArray[np.float64]:
    """Where each text stands in ``levels``, ``(n,)``."""
    at = {level: float(place) for place, level in enumerate(levels)}
    return np.array([np.nan if text is None else at.get(text, OTHER) for text in texts], dtype=np.float64)


def moved(rows: NDArray[np.float64], schema: Schema, levels: Levels, others: Levels) -> NDArray[np.float64]:
    """Rows ``(n, inputs)`` of ``levels`` as rows of ``others``: the same array where no column is a category."""
    if levels == others:
        return rows
    return _replaced(rows, schema, {name: places(levels[name], others[name]) for name in schema.categories})


def content(rows: NDArray[np.float64], schema: Schema, levels: Levels) -> NDArray[np.float64]:
    """The rows with a number of its text for each level, the same in every list of levels: what hashes are made of.

    Histories that stand behind the inputs are left out: they tell of other transactions.
    """
    numbers = {name: np.array([*map(_number, levels[name])], dtype=np.float64) for name in schema.categories}
    own = rows if not schema.history else rows[:, : len(schema.inputs)]
    return _replaced(own, schema, numbers)


def _replaced(
    rows: NDArray[np.float64], schema: Schema, numbers: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The rows with the number of its place for each level; the same array where no column is a category."""
    if not numbers:
        return rows
    result = rows.copy()
    for name, own in numbers.items():
        column = schema.inputs.index(name)
        known = ~np.isnan(rows[:, column])
        table = np.append(own, OTHER)  # the last for OTHER, which is -1
        result[known, column] = table[rows[known, column].astype(np.int64)]
    return result


def _number(text: str) -> float:
    """52 bits of a hash of the text: a float64 holds them."""
    return float(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 12)
