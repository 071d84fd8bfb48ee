"""A second schema, of an invented shop, and rows of it: every kind, and every way in which a value is declared."""

import numpy as np
import pandas as pd

from fraud import schema

TEXT = """
name = "shop"

[roles]
label = "fraudulent"
fraud = ["Y"]
id = "order"
time = "bought_at"
amount = "total"

[columns.bought_at]
kind = "time"
zone = "Europe/Berlin"
derive = ["hour", "weekday"]

[columns.total]
kind = "number"
description = "In euros."
minimum = 0
maximum = 10000

[columns.age]
kind = "number"
missing = true

[columns.country]
kind = "category"
missing = true

[columns.channel]
kind = "category"
levels = ["app", "shop", "web"]

[columns.returning]
kind = "boolean"
missing = true

[columns.customer]
kind = "key"

[columns.comment]
kind = "ignored"
"""

SCHEMA = schema.parse(TEXT, "shop.toml")
START = 1_532_000_000  # 2018-07-19T11:33:20Z
COUNTRIES = ("AT", "CH", "DE", "FR", "NA")


def generate(rows=1_000, seed=0, fraud_share=0.1):
    """Labelled rows as a file of them holds them, in time order; frauds pay more, mostly in the web."""
    random = np.random.default_rng(seed)
    fraud = random.random(rows) < fraud_share
    moments = pd.to_datetime(START + np.sort(random.integers(0, 20 * 86_400, rows)), unit="s", utc=True)
    frame = pd.DataFrame(
        {
            "order": [f"o-{seed}-{number}" for number in range(rows)],
            "bought_at": moments.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "total": np.round(np.minimum(random.lognormal(3 + 3 * fraud), 10_000), 2),
            "age": random.integers(18, 90, rows).astype(np.float64),
            "country": random.choice(COUNTRIES, rows),
            "channel": np.where(
                fraud & (random.random(rows) < 0.7), "web", random.choice(["app", "shop", "web"], rows)
            ),
            "returning": random.choice(["yes", "no"], rows),
            "customer": [f"c{number}" for number in random.integers(0, rows // 3 + 1, rows)],
            "comment": "",
            "fraudulent": np.where(fraud, "Y", "N"),
        }
    )
    for name in ("age", "country", "returning"):
        frame[name] = frame[name].astype(object).where(random.random(rows) > 0.1, None)
    return frame
