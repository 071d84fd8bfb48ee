"""Two businesses that the whole loop is tried on: invented card payments, and claims of vehicle insurance.

The claims are those of ``vehicle_claims.csv`` where it lies beside the real card data (``E2E_REAL_DATA``), else
invented ones of the same columns.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

START = 1_700_000_000  # 2023-11-14T22:13:20Z
CARDS = """
name = "cards"

[roles]
label = "is_fraud"
id = "payment_id"
time = "paid_at"
amount = "amount"

[columns.paid_at]
kind = "time"
derive = ["hour", "weekday"]

[columns.amount]
kind = "number"
minimum = 0

[columns.mcc]
kind = "category"

[columns.country]
kind = "category"
missing = true

[columns.channel]
kind = "category"
levels = ["online", "phone", "terminal"]

[columns.entry_mode]
kind = "category"

[columns.card_present]
kind = "boolean"

[columns.card_id]
kind = "key"

[columns.account_age_days]
kind = "number"
minimum = 0
missing = true
"""
CODES = ("4111", "5411", "5812", "5999", "7995")


def cards(rows, seed=0):
    """Labelled payments in time order; frauds are online, dear, and of young accounts."""
    random = np.random.default_rng(seed)
    fraud = random.random(rows) < 0.08
    moments = pd.to_datetime(START + np.sort(random.integers(0, 30 * 86_400, rows)), unit="s", utc=True)
    age = np.round(random.gamma(2, 400 - 300 * fraud))
    return pd.DataFrame(
        {
            "payment_id": [f"p-{seed}-{number}" for number in range(rows)],
            "paid_at": moments.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "amount": np.round(random.lognormal(3 + 2 * fraud), 2),
            "mcc": np.where(fraud & (random.random(rows) < 0.6), "7995", random.choice(CODES, rows)),
            "country": np.where(random.random(rows) < 0.05, None, random.choice(["DE", "FR", "NA", "US"], rows)),
            "channel": np.where(fraud, "online", random.choice(["online", "phone", "terminal"], rows)),
            "entry_mode": random.choice(["chip", "manual", "stripe"], rows),
            "card_present": np.where(fraud, False, random.random(rows) < 0.5),
            "card_id": [f"4111-{number:06}" for number in random.integers(0, rows // 4 + 1, rows)],
            "account_age_days": np.where(random.random(rows) < 0.1, np.nan, age),
            "is_fraud": fraud.astype(int),
        }
    )


CLAIMS = {
    "Month": ["Jan", "Apr", "Dec"],
    "Make": ["Honda", "Mazda", "Pontiac", "Toyota"],
    "AccidentArea": ["Rural", "Urban"],
    "Sex": ["Female", "Male"],
    "Age": range(16, 80),
    "Fault": ["Policy Holder", "Third Party"],
    "PolicyType": ["Sedan - All Perils", "Sedan - Collision", "Sedan - Liability", "Utility - All Perils"],
    "VehicleCategory": ["Sedan", "Sport", "Utility"],
    "Deductible": [300, 400, 500, 700],
    "PastNumberOfClaims": ["1", "2 to 4", "more than 4", "none"],
    "BasePolicy": ["All Perils", "Collision", "Liability"],
}


def claims(folder):
    """The path of a CSV file of labelled claims."""
    real = os.environ.get("E2E_REAL_DATA")
    if real and (path := Path(real).with_name("vehicle_claims.csv")).exists():
        return path
    random, rows = np.random.default_rng(3), 8_000
    frame = pd.DataFrame({name: random.choice(list(values), rows) for name, values in CLAIMS.items()})
    likely = np.where((frame["Fault"] == "Policy Holder") & (frame["BasePolicy"] != "Liability"), 0.2, 0.01)
    frame["FraudFound_P"] = (random.random(rows) < likely).astype(int)
    frame["PolicyNumber"] = np.arange(rows) + 1
    frame.to_csv(folder / "claims.csv", sep=";", index=False, encoding="utf-8-sig")
    return folder / "claims.csv"
