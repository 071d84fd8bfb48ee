"""What the tests of the log and of labels share: a database with predictions in it."""

import numpy as np
import pytest

from fraud.schema import default
from monitoring import database
from monitoring.storage.tables import LoggedPrediction
from tests.monitoring.records import ORIGINS, origin
from tests.ulb import COLUMNS

SCHEMA = default().hash[:12]
DAY = 86_400.0
NOW = 1_000 * DAY


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'fraud.sqlite'}"


@pytest.fixture
def engine(url):
    """A prepared database."""
    opened = database.connect(url)
    database.prepare(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def predict(engine):
    """Logs a prediction: ``predict("id", flagged=True, age_days=10)``."""
    random = np.random.default_rng(3)

    def add(name, *, flagged=False, age_days=10.0, version="v1", schema=SCHEMA, features=True, now=NOW):
        values = random.normal(size=len(COLUMNS)).round(4)
        values[COLUMNS.index("Time")] = abs(values[0]) * 1000
        values[COLUMNS.index("Amount")] = abs(values[-1])
        row = values.astype("<f8").tobytes() if features else None
        at, score = now - age_days * DAY, 0.9 * flagged
        scored = LoggedPrediction(origin(version, schema), at, name, None, score, flagged, values[-1], row)
        database.insert(engine, [scored], ORIGINS, {SCHEMA: default()})
        return values

    return add
