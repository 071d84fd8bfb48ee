"""A small business whose cards and shops have histories: its schema, and rows of it."""

import numpy as np
import pandas as pd

SECRET = "a secret of the tests alone, of no card"  # noqa: S105
START = 1_700_000_000  # 2023-11-14T22:13:20Z
SCHEMA = """
name = "cards-with-histories"

[roles]
label = "is_fraud"
id = "payment_id"
time = "at"
amount = "amount"

[columns.at]
kind = "time"
zone = "UTC"
derive = ["hour"]
[columns.amount]
kind = "number"
minimum = 0
decimals = 2
[columns.country]
kind = "category"
[columns.card_id]
kind = "key"
[columns.shop_id]
kind = "key"
missing = true

[[history]]
key = "card_id"
windows = ["1h", "1d", "7d"]
of = ["count", "mean:amount", "ratio:amount", "seconds_since_last"]

[[history]]
key = "shop_id"
windows = ["1d", "7d"]
of = ["fraud_count", "fraud_share"]
label_delay = "2d"
buckets = 12
"""


def payments(rows, seed=0, *, days=30):
    """Rows in time order; frauds are payments of far more than the card usually pays, in few shops."""
    random = np.random.default_rng(seed)
    cards, shops = random.integers(0, max(rows // 20, 2), rows), random.integers(0, 40, rows)
    usual = random.lognormal(3, 0.6, max(rows // 20, 2))[cards]
    fraud = random.random(rows) < np.where(shops < 4, 0.2, 0.01)
    amount = np.round(usual * random.lognormal(0, 0.3, rows) * np.where(fraud, 5, 1), 2)
    at = np.sort(random.uniform(START, START + days * 86_400, rows))
    return pd.DataFrame(
        {
            "payment_id": [f"p-{seed}-{row}" for row in range(rows)],
            "at": pd.to_datetime(np.round(at, 3), unit="s", utc=True),
            "amount": amount,
            "country": random.choice(["DE", "FR", "PL"], rows),
            "card_id": [f"card-{card}" for card in cards],
            "shop_id": [None if row % 50 == 0 else f"shop-{shop}" for row, shop in enumerate(shops)],
            "is_fraud": fraud.astype(int),
        }
    )
