"""What the service takes a short way for is what the long way gives, to the bit."""

import numpy as np
import pytest

from fraud.history import engine
from fraud.history.amounts import times_of, values_of
from fraud.history.batch import reader
from fraud.history.layout import layouts
from fraud.scorer import kernel
from tests.fraud.history.test_engine import CARD, SHOP, schema_of, transactions

SCHEMA = schema_of(CARD, SHOP, missing=True)
LAYOUTS = layouts(SCHEMA)


@pytest.mark.parametrize("rows", [1, 5, 300])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_a_batch_is_what_amounts_are(rows, missing):
    """Times and values of each history, some missing or not, far too large, or with too many decimals."""
    random = np.random.default_rng(rows)
    amounts = np.where(random.random(rows) < 0.1, random.normal(0, 1e30, rows), random.normal(0, 1e3, rows))
    amounts[random.random(rows) < missing] = np.nan
    values = np.column_stack([random.uniform(-1e9, 2e9, rows), amounts])
    keys = [("h1:" + "0f" * 16, None)] * rows
    batch = reader(SCHEMA, LAYOUTS)(values, keys, [""] * rows)
    assert batch.times.tolist() == times_of(values, SCHEMA).tolist()
    for found, layout in zip(batch.values, LAYOUTS, strict=True):
        assert found.tolist() == values_of(values, SCHEMA, layout).tolist()
    assert [set(keys) for keys in batch.keys] == [{b"\x0f" * 16}, {None}]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS, ids=["sums", "labels"])
def test_the_bound_engine_is_the_checked_one(layout, binary, monkeypatch):
    """In C and in Python: features and states."""
    if not binary:
        monkeypatch.setattr(kernel, "load", lambda _: None)
    times, amounts, _, slots = transactions(200, 3, late=0.1)
    values = amounts if layout.scales else np.empty((200, 0), np.int64)
    states, own = np.zeros(4 * layout.size, np.uint8), bytearray(4 * layout.size)
    expected = engine.advance(layout, states, slots, times, np.ascontiguousarray(values))
    found = engine.bound(layout)(own, slots, times, np.ascontiguousarray(values))
    assert (found.tobytes(), bytes(own)) == (expected.tobytes(), states.tobytes())
