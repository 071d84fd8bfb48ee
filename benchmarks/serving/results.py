"""Raw figures of all rounds: what a contest leaves, and tables and pictures are made of."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

Record = dict[str, Any]
Results = dict[str, Any]


def median(records: Sequence[Record], key: str) -> float:
    """Over the rounds that have the figure; NaN when none has."""
    values = [record[key] for record in records if record[key] is not None and not math.isnan(record[key])]
    return statistics.median(values) if values else math.nan


def of(results: Results, name: str, load: str) -> list[Record]:
    """The rounds' figures of one contestant under one load."""
    return [record for record in results["records"] if record["contestant"] == name and record["load"] == load]
