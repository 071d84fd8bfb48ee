"""States in another store, and under a schema that gained a window: what both hold is kept."""

from contextlib import closing

import numpy as np
import pytest

from fraud.errors import DataError
from fraud.history import engine
from fraud.history.batch import reader
from fraud.history.layout import layouts
from fraud.history.store import Store
from tests.fraud.history.test_engine import schema_of
from tests.fraud.history.test_store import HASHED
from training.histories import copying

CARD = {"key": "card", "windows": ["1h", "7d"], "of": ["count", "mean:amount"]}
SHOP = {"key": "shop", "windows": ["1d"], "of": ["fraud_count"], "label_delay": "2d"}
FEWER = schema_of(CARD, SHOP)
MORE = schema_of(CARD | {"windows": ["1h", "1d", "7d"]}, SHOP | {"of": ["fraud_count", "sum:amount"]})


def rows(count, seed, start=1_700_000_000):
    random = np.random.default_rng(seed)
    times = start + np.cumsum(random.random(count) * 900)
    cards = [HASHED(f"c{number}") for number in random.integers(0, 20, count)]
    shops = [HASHED(f"s{number}") for number in random.integers(0, 20, count)]
    values = np.column_stack([times, np.round(random.random(count) * 100, 2)])
    return values, list(zip(cards, shops, strict=True)), [f"{seed}-{row}" for row in range(count)]


@pytest.fixture
def stores(tmp_path):
    """Of the two schemas; the first holds rows."""
    old, new = (layouts(own) for own in (FEWER, MORE))
    with (
        closing(Store.open(f"file://{tmp_path / 'old'}", old, "ours")) as first,
        closing(Store.open(f"file://{tmp_path / 'new'}", new, "ours")) as second,
    ):
        with first.gate.held(1):
            first.add(reader(FEWER, old)(*rows(300, 1)))
        yield (first, old), (second, new)


def test_a_store_that_was_copied_goes_on_as_the_first(stores, tmp_path):
    """The same features; a second copy changes nothing."""
    (first, old), _ = stores
    with closing(Store.open(f"file://{tmp_path / 'third'}", old, "ours")) as third:
        pairs = copying.pairs(old, old)
        copied = copying.copy(first, third, pairs)
        assert (copied.added, copied.there, copied.whole_from) == (40, 0, {})
        assert copying.copy(first, third, pairs).added == 0
        more = reader(FEWER, old)(*rows(100, 2, 1_700_200_000))
        with first.gate.held(1), third.gate.held(1):
            assert first.add(more).tobytes() == third.add(more).tobytes()


def test_windows_that_both_have_go_on(stores):
    """Those that were gained, and histories wholly new, begin empty, and it is said from when they are whole."""
    (first, old), (second, new) = stores
    copied = copying.copy(first, second, copying.pairs(old, new))
    assert list(copied.whole_from) == ["card.1d", "shop.1d"]
    assert copied.added == 20
    more = rows(100, 2, 1_700_200_000)
    with first.gate.held(1), second.gate.held(1):
        before = first.add(reader(FEWER, old)(*more))
        after = second.add(reader(MORE, new)(*more))
    names = [made.name for one in old for made in one.made]
    place = {made.name: number for number, made in enumerate(made for one in new for made in one.made)}
    shared = [name for name in names if name.startswith("card.")]
    assert shared
    for name in shared:
        np.testing.assert_array_equal(after[:, place[name]], before[:, names.index(name)])


def test_the_window_is_whole_when_it_says(stores):
    """From then on it holds what it would had it been there from the start."""
    (first, old), (second, new) = stores
    copying.copy(first, second, copying.pairs(old, new))
    read = reader(MORE, new)
    more = rows(600, 3, 1_700_400_000)
    states = [np.zeros(20_000 * one.size, np.uint8) for one in new]
    expected = []
    for given in (rows(300, 1), more):
        batch, parts = read(*given), []
        for layout, buffer, keys, values in zip(new, states, batch.keys, batch.values, strict=True):
            places = np.array([int.from_bytes(key[:2], "little") % 20_000 for key in keys])
            parts.append(engine.advance(layout, buffer, places, batch.times, values))
        expected.append(np.hstack(parts))
    with second.gate.held(1):
        found = second.add(read(*more))
    (width,) = {len(one.made) for one in new[:1]}
    late = more[0][:, 0] > 1_700_400_000 + 2 * 86_400
    assert late.sum() > 100
    np.testing.assert_array_equal(found[late, :width], expected[1][late, :width])


def test_models_without_a_window_in_common_are_refused():
    """Nothing would be copied."""
    with pytest.raises(DataError, match="nothing to copy"):
        copying.pairs(layouts(schema_of(CARD)), layouts(schema_of(SHOP)))
