"""What a command takes as an argument: each type once, and one form of words for what it is not.

A type reads the text of an argument, or raises ``ArgumentTypeError`` with what was expected and what came, which
argparse prints with the usage before it exits 2.
"""

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

Number = TypeVar("Number", int, float)

MODEL_NAMES = "a version, a tag, `latest` (the newest in the local store) or `champion`"
"""How a model may be named, as ``fraud.remote.resolve`` reads it; for the help."""

TABLES = "a CSV or Parquet file, a folder of them, a pattern with *, s3://bucket/key or s3://bucket/folder/"
"""How tables may be named, as ``fraud.remote.sources`` finds them; for the help and for messages."""

_MAX_SEED = 2**32 - 1  # scikit-learn's
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def wrong(expected: str, text: str) -> argparse.ArgumentTypeError:
    """The error of a text that is something else than what was expected."""
    return argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")


def _number(kind: Callable[[str], Number], holds: Callable[[Number], bool], expected: str) -> Callable[[str], Number]:
    """The type of a number of a range; NaN is in none."""

    def read(text: str) -> Number:
        try:
            number = kind(text)
        except ValueError:
            raise wrong(expected, text) from None
        if not holds(number):
            raise wrong(expected, text)
        return number

    return read


positive = _number(int, lambda number: number >= 1, "a whole number from 1 on")
limit = _number(int, lambda number: 1 <= number < 2**31, "a whole number from 1 to 2147483647")
seed = _number(int, lambda number: 0 <= number <= _MAX_SEED, f"a whole number from 0 to {_MAX_SEED}")
cores = _number(int, lambda number: number == -1 or number >= 1, "a whole number from 1 on, or -1 for all cores")
port = _number(int, lambda number: 1 <= number <= 65535, "a port from 1 to 65535")
share = _number(float, lambda number: 0 < number <= 1, "a share above 0 and at most 1")
part = _number(float, lambda number: 0 <= number < 1, "a share from 0 on, below 1")
weight = _number(float, lambda number: 0 < number < 1e6, "a weight above 0 and below 1000000")
above_zero = _number(float, lambda number: 0 < number < float("inf"), "a number above 0")
multiple = _number(float, lambda number: 1 <= number < float("inf"), "a number from 1 on")
folds = _number(int, lambda number: 2 <= number <= 20, "a whole number from 2 to 20")
psi = above_zero
days = _number(float, lambda number: 0 <= number < 1e6, "a number of days from 0 on, below 1000000")


def features(text: str) -> float | str:
    """A share, or ``sqrt``."""
    return text if text == "sqrt" else share(text)


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """The type of a text that matches all of ``pattern``."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise wrong(expected, text)
        return text

    return read


def local_path(text: str) -> Path:
    """A file or folder of this machine; ``Path`` alone makes another text of ``s3://``."""
    if "://" in text:
        raise wrong("a path on this machine (copy it from or to S3 apart)", text)
    return Path(text)


def local_file(text: str) -> Path:
    """A file of this machine: ``Path`` alone drops what says that a folder is meant."""
    if text.rpartition("/")[2] in ("", ".", ".."):
        raise wrong("the name of a file", text)
    return local_path(text)


def duration(text: str) -> float:
    """Seconds in a text such as 90s, 30m, 6h or 1d."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII)
    if not match or not int(match[1]):
        raise wrong("a time such as 30m, 6h or 1d", text)
    return float(int(match[1]) * _SECONDS[match[2]])


def period(text: str) -> tuple[float, float]:
    """``2018-07-25..2018-07-31``, both days included: seconds of the local clock, from and before."""
    try:
        first, last = (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) for day in text.split(".."))
    except ValueError:
        raise wrong("two days, such as 2018-07-25..2018-07-31", text) from None
    if last < first:
        raise wrong("the earlier day first, such as 2018-07-25..2018-07-31", text)
    return first.timestamp(), (last + timedelta(days=1)).timestamp()
