"""Predictions and labels for the tests of the database's side."""

from types import SimpleNamespace

import numpy as np

from fraud.rows import Rows, ScoredRow
from fraud.schema import default
from monitoring.storage.tables import LoggedPrediction, Origin
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
    at = NOW - days_ago * DAY
    return LoggedPrediction(origin(version, schema), at, name, None, score, flagged, 1.0, given)


ORIGINS = {}


def origin(version="v1", schema=HASH):
    """Its number; ``ORIGINS`` says what it is."""
    made = Origin(version, schema, 0.5)
    ORIGINS[made.number] = made
    return made.number


class Model:
    """A model, as decoded rows carry it."""

    def __init__(self, schema=None, version="v1"):
        self.schema = schema or default()
        self.hash_key, self.amount = None, None
        self.served = SimpleNamespace(version=version, manifest=SimpleNamespace(threshold=0.5))


MODEL = Model()


def sent(values, names, texts=(), model=MODEL):
    """Decoded transactions, as the service logs them."""
    return Rows(np.asarray(values, dtype=np.float64), tuple(names), tuple(texts), model)


def answers(count, version="v1", model=MODEL):
    """What the service says of so many."""
    said = [number.to_bytes(4 * len(model.schema.features)) for number in range(count)]
    return [ScoredRow(number / count, number % 3 == 0, version, said[number]) for number in range(count)]
