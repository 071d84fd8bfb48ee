"""Transactions of an invented shop, as people have them in files: something to try a schema on. Nothing is real."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fraud import atomic
from fraud.errors import DataError

MIN_ROWS, MAX_ROWS = 1_000, 2_000_000
_FRAUD_SHARE = 0.02
_DAYS = 90
_START = np.datetime64("2024-01-01T00:00:00")
_SHARES = {
    "country": {"DE": 0.55, "AT": 0.15, "CH": 0.1, "FR": 0.08, "PL": 0.06, "NL": 0.04, "US": 0.02},
    "channel": {"web": 0.5, "app": 0.3, "shop": 0.15, "phone": 0.05},
    "merchant_category": {
        "5411": 0.35,
        "5812": 0.2,
        "5651": 0.15,
        "5732": 0.12,
        "4111": 0.1,
        "5999": 0.05,
        "7995": 0.03,
    },
}
_THEFT = {"country": ("US", "PL", "FR"), "channel": ("web", "phone"), "merchant_category": ("5732", "7995", "5999")}
"""Where stolen cards are used."""
_WISHES = (
    "please leave it at the door",
    "ring twice at the gate",
    "gift wrap for number",
    "call before delivery to flat",
)

Random = np.random.Generator
Mask = NDArray[np.bool_]


def generate(rows: int, seed: int = 0) -> pd.DataFrame:
    """Transactions in time order over 90 days, 2 % of them fraud; the same for the same arguments.

    Four in five frauds are of stolen cards: other countries, shops and hours, high amounts, new accounts. The others
    look like anybody's. Raises DataError when there are to be too few or too many rows.
    """
    if not MIN_ROWS <= rows <= MAX_ROWS:
        raise DataError(f"the shop has from {MIN_ROWS} to {MAX_ROWS} rows, asked for {rows}")
    random = np.random.default_rng(seed)
    is_fraud = np.zeros(rows, np.bool_)
    is_fraud[random.permutation(rows)[: round(rows * _FRAUD_SHARE)]] = True
    is_theft = is_fraud & (random.random(rows) < 0.8)
    table = pd.DataFrame(
        {
            "ordered_at": _times(random, is_theft),
            "amount": _amounts(random, is_theft),
            **{name: _levels(random, name, shares, is_theft) for name, shares in _SHARES.items()},
            "card_present": np.where(random.random(rows) < np.where(is_theft, 0.03, 0.4), "yes", "no"),
            "account_age_days": _ages(random, is_theft),
            "card_id": [f"c{number:06d}" for number in random.integers(0, rows // 5, rows)],
            "note": _notes(random, rows),
            "is_fraud": np.where(is_fraud, "Y", "N"),
        }
    ).sort_values("ordered_at", ignore_index=True)
    table.insert(0, "order_id", [f"o-{seed}-{number:07d}" for number in range(1, rows + 1)])
    return table


def write(path: Path, table: pd.DataFrame, *, replace: bool = False) -> None:
    """Write ``table`` as a European spreadsheet does: semicolons, decimal commas, a byte-order mark.

    Whole or not at all. Raises FraudError when the file is there and not to be replaced, or cannot be written.
    """
    with atomic.new(path, replace=replace) as part:
        table.to_csv(part, sep=";", decimal=",", index=False, encoding="utf-8-sig", date_format="%Y-%m-%d %H:%M:%S")


def _times(random: Random, is_theft: Mask) -> NDArray[np.datetime64]:
    """Local times to the second; stolen cards are used at night more often."""
    rows = len(is_theft)
    days = random.integers(0, _DAYS, rows)
    hours = np.clip(random.normal(15.0, 4.0, rows), 0.0, 23.99)
    at_night = is_theft & (random.random(rows) < 0.6)
    hours = np.where(at_night, random.random(rows) * 5.0, hours)
    seconds = (days * 86_400 + hours * 3_600).astype(np.int64)
    return _START + seconds.astype("timedelta64[s]")


def _amounts(random: Random, is_theft: Mask) -> NDArray[np.float64]:
    medians = np.where(is_theft, 190.0, 32.0)
    return np.round(medians * np.exp(0.8 * random.standard_normal(len(is_theft))), 2)


def _levels(random: Random, name: str, shares: dict[str, float], is_theft: Mask) -> NDArray[Any]:
    usual = random.choice(list(shares), len(is_theft), p=list(shares.values()))
    moved = is_theft & (random.random(len(is_theft)) < 0.7)
    return np.where(moved, random.choice(_THEFT[name], len(is_theft)), usual)


def _ages(random: Random, is_theft: Mask) -> "pd.Series[Any]":
    """Whole days; unknown of every fourth, who has no account."""
    days = np.floor(random.exponential(np.where(is_theft, 25.0, 500.0)))
    ages = pd.Series(days).astype("Int64")
    return ages.mask(pd.Series(random.random(len(is_theft)) < 0.25))


def _notes(random: Random, rows: int) -> list[str]:
    """A wish in every fifth row, hardly ever the same."""
    wishes = random.choice(_WISHES, rows)
    numbers, is_said = random.integers(1, 9_999, rows), random.random(rows) < 0.2
    return [f"{wish} {number}" if said else "" for wish, number, said in zip(wishes, numbers, is_said, strict=True)]
