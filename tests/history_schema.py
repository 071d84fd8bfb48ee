"""A schema of card payments with two histories, and invented rows of it."""

import numpy as np
import pandas as pd

from fraud import schema

TEXT = """
name = "payments"

[roles]
label = "is_fraud"
id = "payment_id"
time = "paid_at"
amount = "amount"

[columns.paid_at]
kind = "time"

[columns.amount]
kind = "number"
minimum = 0
decimals = 2

[columns.card]
kind = "key"
missing = true

[columns.terminal]
kind = "key"

[[history]]
key = "card"
windows = ["1d", "7d"]
of = ["count", "mean:amount", "seconds_since_last"]

[[history]]
key = "terminal"
windows = ["1d", "7d"]
of = ["count", "ratio:amount"]
"""

SCHEMA = schema.parse(TEXT, "payments.toml")
START = 1_700_000_000  # 2023-11-14T22:13:20Z


def generate(rows, seed=0, cards=40):
    """Labelled payments in time order; frauds are larger."""
    random = np.random.default_rng(seed)
    fraud = random.random(rows) < 0.1
    return pd.DataFrame(
        {
            "payment_id": [f"p-{seed}-{row}" for row in range(rows)],
            "paid_at": START + np.sort(random.integers(0, 20 * 86_400, rows)),
            "amount": np.round(random.lognormal(3 + 2 * fraud), 2),
            "card": [None if random.random() < 0.05 else f"c{card}" for card in random.integers(0, cards, rows)],
            "terminal": [f"t{terminal}" for terminal in random.integers(0, cards, rows)],
            "is_fraud": fraud.astype(int),
        }
    )
