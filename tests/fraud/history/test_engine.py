"""Windows are what they are declared to be, in C and in Python, whatever the order."""

import math
from itertools import pairwise

import numpy as np
import pytest

from fraud.errors import SchemaError
from fraud.history import engine, plain
from fraud.history.amounts import times_of, values_of
from fraud.history.layout import FURTHEST, MICROSECONDS, MISSING, layouts
from fraud.schema import of_document
from fraud.scorer import kernel

DAY = 86_400 * MICROSECONDS


def schema_of(*histories, missing=False):
    return of_document(
        {
            "name": "cards",
            "roles": {"time": "at", "amount": "amount"},
            "columns": {
                "at": {"kind": "time"},
                "amount": {"kind": "number", "decimals": 2, "missing": missing},
                "card": {"kind": "key"},
                "shop": {"kind": "key"},
            },
            "history": list(histories),
        },
        "test",
    )


CARD = {
    "key": "card",
    "windows": ["1h", "1d", "7d"],
    "of": ["count", "sum:amount", "mean:amount", "ratio:amount", "seconds_since_last"],
}
SHOP = {
    "key": "shop",
    "windows": ["1d", "7d"],
    "of": ["count", "fraud_count", "fraud_share"],
    "label_delay": "3d",
    "buckets": 12,
}


def transactions(rows, seed, *, late=0.0):
    """Times ascending but for the share ``late``, amounts of which a tenth is missing, labels, and keys."""
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(-3 * DAY, 60 * DAY, rows))
    moved = random.random(rows) < late
    times[moved] -= random.integers(0, 20 * DAY, moved.sum())
    amounts = random.integers(-500, 100_000, (rows, 1))
    amounts[random.random(rows) < 0.1] = MISSING
    return times, amounts, (random.random(rows) < 0.2).astype(np.uint8), random.integers(0, 4, rows)


def advance(layout, states, slots, times, values, frauds=None, *, by=engine.advance):
    values = np.ascontiguousarray(values[:, : len(layout.scales)])
    if by is engine.advance:
        return engine.advance(layout, states, slots, times, values, frauds)
    features = np.empty((len(slots), len(layout.made)))
    plain.advance(layout, states, slots, times, values, frauds, features)
    return features


def as_declared(layout, slots, times, values, frauds):
    """The definition, a row at a time, from all that came before."""
    rows = []
    declared = layout.declared
    for row, (slot, time) in enumerate(zip(slots, times, strict=True)):
        own = np.flatnonzero(slots[: row + 1] == slot)
        found = []
        for made in layout.made:
            if made.op == "seconds_since_last":
                since = time - times[own[-2]] if len(own) > 1 else layout.cap_us
                found.append(min(since, layout.cap_us) / 1e6)
                continue
            width = declared.spans[made.window] * MICROSECONDS // declared.buckets
            buckets = times[own] // width
            inside = (buckets >= time // width - declared.buckets) & (buckets <= time // width)
            if made.op.startswith("fraud"):
                end = (time - layout.delay_us) // width
                inside = (buckets >= end - declared.buckets) & (buckets < end)
                frauds_in = int(frauds[own[inside]].sum())
                share = frauds_in / inside.sum() if inside.any() else 0.0
                found.append(frauds_in if made.op == "fraud_count" else share)
            elif made.op == "count":
                found.append(inside.sum())
            else:
                there = [int(value) for value in values[own[inside], 0] if value != MISSING]
                mine = int(values[row, 0])
                if made.op == "sum":
                    found.append(sum(there) / 100)
                elif made.op == "mean":
                    found.append(sum(there) / (len(there) * 100.0) if there else math.nan)
                else:
                    known = mine != MISSING and sum(there)
                    found.append(float(mine) * len(there) / sum(there) if known else math.nan)
        rows.append(found)
    return np.array(rows, dtype=np.float64)


@pytest.mark.parametrize("declared", [CARD, SHOP])
@pytest.mark.parametrize("by", [engine.advance, plain.advance])
def test_windows_hold_what_is_declared(declared, by):
    (layout,) = layouts(schema_of(declared, missing=True))
    times, values, frauds, slots = transactions(600, 1)
    states = np.zeros(4 * layout.size, dtype=np.uint8)
    found = advance(layout, states, slots, times, values, frauds, by=by)
    np.testing.assert_array_equal(found, as_declared(layout, slots, times, values, frauds))


@pytest.mark.parametrize("declared", [CARD, SHOP])
@pytest.mark.parametrize("missing", [False, True])
def test_both_engines_agree_on_what_comes_late(declared, missing):
    """Features and states, byte for byte, whatever comes when."""
    (layout,) = layouts(schema_of(declared, missing=missing))
    times, values, frauds, slots = transactions(800, 2, late=0.3)
    slots[::17] = -1
    one, other = (np.zeros(4 * layout.size, dtype=np.uint8) for _ in range(2))
    found = advance(layout, one, slots, times, values, frauds)
    again = advance(layout, other, slots, times, values, frauds, by=plain.advance)
    np.testing.assert_array_equal(found, again)
    np.testing.assert_array_equal(one, other)
    assert np.isnan(found[slots < 0]).all()


def test_both_engines_agree_on_times_that_are_far_away():
    """A state may hold any time, also one from which 64 bits do not reach to now."""
    (layout,) = layouts(schema_of(CARD))
    times, slots = np.array([-(2**63), 50 * DAY, -FURTHEST, FURTHEST, 51 * DAY]), np.zeros(5, dtype=np.int64)
    values = np.full((5, 1), 100)
    one, other = (np.zeros(layout.size, dtype=np.uint8) for _ in range(2))
    found = advance(layout, one, slots, times, values)
    np.testing.assert_array_equal(found, advance(layout, other, slots, times, values, by=plain.advance))
    np.testing.assert_array_equal(one, other)
    since = next(place for place, made in enumerate(layout.made) if made.op == "seconds_since_last")
    assert (found[:, since] >= 0).all()


def test_the_compiled_engine_is_there():
    assert kernel.load(kernel.FOLDER) is not None


@pytest.mark.parametrize("declared", [CARD, SHOP])
def test_the_state_at_the_end_is_the_same_in_every_order(declared):
    (layout,) = layouts(schema_of(declared, missing=True))
    times, values, frauds, slots = transactions(500, 3)
    ends = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(500) if seed else np.arange(500)
        states = np.zeros(4 * layout.size, dtype=np.uint8)
        advance(layout, states, slots[order], times[order], values[order], frauds[order])
        ends.append(states)
    for one, other in pairwise(ends):
        np.testing.assert_array_equal(one, other)


def test_what_is_older_than_the_windows_changes_nothing():
    (layout,) = layouts(schema_of(CARD))
    states, slot = np.zeros(layout.size, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    advance(layout, states, slot, np.array([100 * DAY]), np.array([[500]]))
    before = states.copy()
    found = advance(layout, states, slot, np.array([80 * DAY]), np.array([[700]]))
    np.testing.assert_array_equal(states, before)
    counts = [value for made, value in zip(layout.made, found[0], strict=True) if made.op == "count"]
    assert counts == [1, 1, 1]  # itself


def test_no_label_is_seen_before_it_would_have_been_known():
    """A fraud shows from the first bucket on that ended a whole delay ago, and not a microsecond earlier."""
    (layout,) = layouts(schema_of({**SHOP, "of": ["fraud_count"], "windows": ["1d"]}))
    width = DAY // 12
    for wait in (0, 3 * DAY - 1, 3 * DAY, 3 * DAY + width - 1, 3 * DAY + width, 4 * DAY):
        states, slot = np.zeros(layout.size, dtype=np.uint8), np.zeros(1, dtype=np.int64)
        nothing = np.empty((1, 0), dtype=np.int64)
        advance(layout, states, slot, np.array([50 * DAY]), nothing, np.ones(1, dtype=np.uint8))
        found = advance(layout, states, slot, np.array([50 * DAY + wait]), nothing)
        assert found[0, 0] == (wait >= 3 * DAY + width), wait


def test_rows_become_whole_numbers():
    schema = schema_of(CARD, missing=True)
    (layout,) = layouts(schema)
    rows = np.array([[1.5, 0.125], [-1.0, np.nan], [2e9, 1e300], [0.0, 19.99]])
    assert times_of(rows, schema).tolist() == [1_500_000, -1_000_000, 2_000_000_000_000_000, 0]
    assert times_of(np.array([[1e300, 0], [-1e300, 0]]), schema).tolist() == [FURTHEST, -FURTHEST]
    assert values_of(rows, schema, layout).ravel().tolist() == [12, MISSING, 10**12, 1999]


def test_more_features_than_a_forest_takes_are_refused():
    spans = [f"{minutes}m" for minutes in range(10, 26)]
    one = CARD | {"windows": spans, "of": ["count", "sum:amount", "mean:amount", "ratio:amount"]}
    with pytest.raises(SchemaError, match="makes 128 features of its windows, and 120 are the most"):
        schema_of(one, one | {"key": "shop"})


def test_one_history_that_stands_twice_is_refused():
    """Its states would be one, and count each transaction twice."""
    with pytest.raises(SchemaError, match="of card stands twice with the same windows"):
        schema_of(CARD | {"of": ["count"]}, CARD | {"of": ["seconds_since_last"]})
    schema_of(CARD | {"of": ["count"]}, CARD | {"windows": ["2h"], "of": ["seconds_since_last"]})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": "amount"}, "should be a column of kind key"),
        ({"of": ["sum:card"]}, "no column of kind number"),
        ({"of": ["fraud_share"]}, "needs label_delay"),
        ({"of": ["fraud_share"], "label_delay": 7}, "label_delay should be text, in quotes"),
        ({"of": ["count"], "label_delay": "7d"}, "only of use with"),
        ({"of": ["median"]}, "it may have count"),
        ({"windows": ["10"]}, "no length of time"),
        ({"windows": ["1d", "24h"]}, "one length twice"),
        ({"windows": ["10m"], "of": ["fraud_count"], "label_delay": "30d"}, "are the most"),
        ({"buckets": 0}, "[[history]] (number 1) buckets should be greater"),
        ({"since": "1d"}, "[[history]] (number 1) since is not known here"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(change, says):
    with pytest.raises(Exception, match="test: ") as refused:
        schema_of(CARD | change)
    assert says in str(refused.value)
