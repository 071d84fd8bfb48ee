"""Whose each row is: hashes of keys as numbers from 0 on, and as the 16 bytes that states are kept under."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fraud.errors import DataError
from fraud.history.keys import KEY_BYTES, bytes_of
from fraud.inputs.keys import is_hashed

Keys = NDArray[np.uint8]
"""``(k, 16)``."""


class Keyed(NamedTuple):
    """The rows of one key column."""

    slots: NDArray[np.int64]
    """``(n,)``: which of ``keys`` it is, -1 where there is none."""
    keys: Keys
    """Each once."""

    @classmethod
    def of_texts(cls, texts: Sequence[str | None] | NDArray[np.object_]) -> Self:
        """Those of hashes, None where there is no key. Raises DataError for a key in plain."""
        slots, different = pd.factorize(np.asarray(texts, dtype=object))
        return cls(slots.astype(np.int64, copy=False), packed(different))

    @classmethod
    def of_halves(cls, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> Self:
        """Those of keys of 16 bytes as two numbers each, of rows that all have one."""
        slots, different = pd.factorize(np.ascontiguousarray(high))
        first = np.empty(len(different), dtype="<u8")
        first[slots[::-1]] = low[::-1]
        if (first[slots] != low).any():  # two keys that begin alike
            slots, both = pd.factorize(np.fromiter(zip(high.tolist(), low.tolist(), strict=True), dtype=object))
            different, first = (np.array(half, dtype="<u8") for half in zip(*both, strict=True))
        keys = np.column_stack([different, first]).astype("<u8", copy=False)
        return cls(slots.astype(np.int64, copy=False), np.ascontiguousarray(keys).view(np.uint8))


def packed(hashes: Iterable[str]) -> Keys:
    """Hashes of keys as bytes. Raises DataError for a key in plain, which it does not repeat."""
    found = [*hashes]
    if not all(map(is_hashed, found)):
        raise DataError("a key is in plain, and histories are kept by hashes alone: set FRAUD_KEY_SECRET")
    return _array(bytes_of(text.strip()) for text in found)


def _array(keys: Iterable[bytes]) -> Keys:
    return np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, KEY_BYTES)
