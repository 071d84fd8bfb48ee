"""A schema with two histories, and transactions of it, with the hashes of their keys."""

import numpy as np

from fraud.history import engine
from fraud.history.amounts import times_of, values_of
from fraud.history.layout import layouts
from fraud.inputs.keys import KeyHasher
from fraud.schema import of_document

SECRET = "a secret of tests that is long enough"  # noqa: S105 - of tests
HASHER = KeyHasher(SECRET)
DOCUMENT = {
    "name": "cards",
    "roles": {"time": "at", "amount": "amount", "id": "id", "label": "fraud"},
    "columns": {
        "at": {"kind": "time", "zone": "UTC"},
        "amount": {"kind": "number", "decimals": 2, "missing": True},
        "card": {"kind": "key", "missing": True},
        "shop": {"kind": "key"},
    },
    "history": [
        {"key": "card", "windows": ["1h", "1d"], "of": ["count", "mean:amount", "seconds_since_last"]},
        {"key": "shop", "windows": ["1d", "7d"], "of": ["count", "fraud_share"], "label_delay": "1d", "buckets": 12},
    ],
}
SCHEMA = of_document(DOCUMENT, "tests")
START = 1_530_000_000


def transactions(count, seed=0, cards=40, shops=15):
    """Rows in time order, keys by column, and labels; a tenth has no amount, some have no card."""
    random = np.random.default_rng(seed)
    times = START + np.sort(random.integers(0, 20 * 86_400, count)).astype(float)
    amounts = np.round(random.gamma(2, 30, count), 2)
    amounts[random.random(count) < 0.1] = np.nan
    numbers = {"card": random.integers(0, cards, count), "shop": random.integers(0, shops, count)}
    keys = {
        name: np.array([HASHER(f"{name} {number}") for number in own], dtype=object) for name, own in numbers.items()
    }
    keys["card"][random.random(count) < 0.05] = None
    return np.column_stack([times, amounts]), keys, (random.random(count) < 0.1).astype(np.int8)


def one_at_a_time(rows, keys, frauds, schema=SCHEMA):
    """Features, and states by history and key, of ``engine.advance`` called for each row by itself."""
    found, states = [], []
    for layout in layouts(schema):
        own = {key: np.zeros(layout.size, dtype=np.uint8) for key in set(keys[layout.declared.key]) - {None}}
        parts = []
        for row, key, fraud in zip(rows, keys[layout.declared.key], frauds, strict=True):
            one = row[np.newaxis]
            told = (times_of(one, schema), values_of(one, schema, layout), np.array([fraud], dtype=np.uint8))
            slot = np.array([-1 if key is None else 0], dtype=np.int64)
            state = np.zeros(layout.size, dtype=np.uint8) if key is None else own[key]
            parts.append(engine.advance(layout, state, slot, *told)[0])
        found.append(np.array(parts))
        states.append({bytes.fromhex(key[3:]): state.tobytes() for key, state in own.items()})
    return np.hstack(found), states


def gathered(parts):
    """States by history and key, of parts of (number, keys, states)."""
    found = [{} for _ in SCHEMA.history]
    for number, keys, states in parts:
        for key, state in zip(keys, states, strict=True):
            assert bytes(key) not in found[number]
            found[number][bytes(key)] = state.tobytes()
    return found
