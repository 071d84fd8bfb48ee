"""Predictions and labels for the tests of the database's side."""

import numpy as np

from fraud.schema import default
from monitoring.database import LoggedPrediction
from tests.ulb import COLUMNS

DAY = 86_400
NOW = 1_800_000_000.0
HASH = default().hash[:12]


def features(time=0.0, amount=1.0):
    """The 30 inputs of a transaction as the log keeps them."""
    return np.array([time, *([0.5] * (len(COLUMNS) - 2)), amount], dtype="<f8").tobytes()


def scored(name, days_ago=10.0, *, flagged=False, version="v1", schema=HASH, row=b"", time=0.0):
    """A prediction, with features unless ``row`` is None."""
    score = 0.9 if flagged else 0.1
    given = features(time) if row == b"" else row
    return LoggedPrediction(NOW - days_ago * DAY, name, version, score, flagged, 1.0, schema, given)
