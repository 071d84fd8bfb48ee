import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fraud.errors import DataError
from fraud.schema import default
from tests.ulb import COLUMNS, LABEL
from training import split
from training.dataset import combine

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
TIME = COLUMNS.index("Time")
PROTOCOLS = st.sampled_from(["time", "stratified"])


def dataset(random, size, times=50, distinct=60):
    """Rows drawn with repetition from few distinct ones, under random labels, at few different times."""
    pool = random.normal(size=(distinct, len(COLUMNS)))
    pool[:, TIME] = random.integers(0, times, distinct)
    pool[:, 3] *= random.integers(0, 2, distinct) * -1.0  # zeros of either sign
    frame = pd.DataFrame(pool[random.integers(0, distinct, size)], columns=list(COLUMNS))
    labels = (random.random(size) < 0.5).astype(np.int8)
    labels[:2] = 0, 1
    return combine([frame.assign(**{LABEL: labels})], ["drawn"], default(), synthetic=True)


def values(rows):
    return {(row + 0.0).tobytes() for row in rows}


@pytest.fixture
def many():
    """Five thousand rows of different values, a fifth of them frauds, a hundred at each Time."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame(random.normal(size=(5_000, len(COLUMNS))), columns=list(COLUMNS))
    labels = (random.random(5_000) < 0.2).astype(np.int8)
    return combine([frame.assign(Time=np.arange(5_000) // 100, **{LABEL: labels})], ["t"], default(), synthetic=True)


@QUICK
@given(st.integers(0, 2**32), PROTOCOLS, st.integers(0, 2**64 - 1), st.floats(0.05, 0.95))
def test_no_test_row_occurs_in_training(draw, protocol, seed, share):
    """Every row is on one side, and no row on it has the values of a row on the other, whatever the labels."""
    drawn = dataset(np.random.default_rng(draw), 300)
    try:
        parts = split.split(drawn, protocol, share, seed)
    except DataError:
        assume(False)
    assert sorted([*parts.train, *parts.test]) == list(range(drawn.size))
    assert not values(drawn.rows[parts.train]) & values(drawn.rows[parts.test])


@QUICK
@given(st.integers(0, 2**32), st.integers(0, 1_000))
def test_held_out_rows_stay_held_out(draw, seed):
    """As data grows, in any place, each row keeps its side under the stratified protocol."""
    random = np.random.default_rng(draw)
    grown = dataset(random, 400, distinct=200)
    kept = np.sort(random.permutation(grown.size)[: grown.size // 2])
    assume(0 < grown.labels[kept].sum() < len(kept))
    frame = pd.DataFrame(grown.rows[kept], columns=list(COLUMNS)).assign(**{LABEL: grown.labels[kept]})
    before = combine([frame], ["drawn"], default(), synthetic=True)
    try:
        old, new = (split.split(drawn, "stratified", seed=seed) for drawn in (before, grown))
    except DataError:
        assume(False)
    assert values(before.rows[old.test]) <= values(grown.rows[new.test])
    assert values(before.rows[old.train]) <= values(grown.rows[new.train])


@QUICK
@given(st.integers(0, 2**32), st.integers(2, 30), st.floats(0.05, 0.95))
def test_every_test_row_is_later(draw, times, share):
    """Under the time protocol rows of one Time stay together, so all of the test side is strictly later."""
    drawn = dataset(np.random.default_rng(draw), 300, times=times)
    try:
        parts = split.split(drawn, "time", share)
    except DataError:
        assume(False)
    assert drawn.rows[parts.train, TIME].max() < drawn.rows[parts.test, TIME].min()
    assert len(parts.test) >= round(drawn.size * share) - 1


@QUICK
@given(st.integers(0, 2**32), st.integers(2, 6), st.integers(0, 1_000))
def test_rows_of_equal_values_share_a_fold(draw, k, seed):
    """Folds never divide rows of equal values, not even those of different labels."""
    drawn = dataset(np.random.default_rng(draw), 300)
    train = np.arange(drawn.size // 2, dtype=np.int64)
    numbers = split.folds(drawn, train, k, seed)
    assert set(numbers) <= set(range(k))
    for fold in range(k):
        inside, outside = drawn.rows[train[numbers == fold]], drawn.rows[train[numbers != fold]]
        assert not values(inside) & values(outside)


def test_shares(many):
    """Both protocols hold out about the share asked for, of frauds too; by default a fifth, by time."""
    assert split.split(many).protocol == "time"
    for protocol in ("time", "stratified"):
        parts = split.split(many, protocol)
        assert len(parts.test) / many.size == pytest.approx(0.2, abs=0.025)
        assert many.labels[parts.test].sum() / many.frauds == pytest.approx(0.2, abs=0.05)
        assert parts.train.dtype == parts.test.dtype == np.int64
        assert (np.diff(parts.train) > 0).all()
        assert (np.diff(parts.test) > 0).all()


def test_only_the_seed_moves_a_stratified_split(many):
    """The same seed gives the same split again, and another seed an unrelated one."""
    one, again, other = (split.split(many, "stratified", seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.test, again.test)
    common = np.intersect1d(one.test, other.test)
    assert len(common) / len(one.test) == pytest.approx(0.2, abs=0.06)


def test_the_label_decides_nothing(many):
    """Turning every label round moves no row to the other side."""
    frame = pd.DataFrame(many.rows, columns=list(COLUMNS)).assign(**{LABEL: 1 - many.labels})
    turned = combine([frame], ["turned"], default(), synthetic=True)
    for protocol in ("time", "stratified"):
        np.testing.assert_array_equal(split.split(many, protocol).test, split.split(turned, protocol).test)


def test_folds_are_even(many):
    """Folds differ by one fraud and by one legitimate row at most; a seed gives the same ones again."""
    train = split.split(many, "stratified").train
    numbers = split.folds(many, train, 7, seed=2)
    for label in (0, 1):
        counts = np.bincount(numbers[many.labels[train] == label], minlength=7)
        assert np.ptp(counts) <= 1
    np.testing.assert_array_equal(numbers, split.folds(many, train, 7, seed=2))
    assert (numbers != split.folds(many, train, 7, seed=3)).any()


def test_folds_are_unrelated_to_the_split(many):
    """Under one seed a row's fold says nothing of the side it was on."""
    everything = np.arange(many.size, dtype=np.int64)
    held_out = np.isin(everything, split.split(many, "stratified", seed=9).test)
    shares = [held_out[split.folds(many, everything, 5, seed=9) == fold].mean() for fold in range(5)]
    assert shares == pytest.approx([held_out.mean()] * 5, abs=0.06)


def test_later_part(many):
    """The later part is strictly later than the rest of the indices given, in whatever order they come."""
    train = split.split(many).train
    later = split.later_part(many, train[::-1], 0.25)
    earlier = np.setdiff1d(train, later)
    assert many.rows[earlier, TIME].max() < many.rows[later, TIME].min()
    assert (np.diff(later) > 0).all()
    assert len(later) / len(train) == pytest.approx(0.25, abs=0.03)


def test_what_cannot_be_divided(many):
    """Sides without rows or frauds, one Time throughout, too few frauds and bad shares are stated errors."""
    frame = pd.DataFrame(many.rows, columns=list(COLUMNS)).assign(**{LABEL: 0})
    early = combine([frame.assign(**{LABEL: [1] * 9 + [0] * (many.size - 9)})], ["t"], default(), synthetic=True)
    with pytest.raises(
        DataError, match=r"the test side of the time split would have \d+ rows and no fraud .*give more data"
    ):
        split.split(early)
    late = combine([frame.assign(**{LABEL: [0] * (many.size - 9) + [1] * 9})], ["t"], default(), synthetic=True)
    with pytest.raises(DataError, match="the training side of the time split"):
        split.split(late)
    with pytest.raises(DataError, match="9 frauds cannot be spread over 10 folds"):
        split.folds(late, np.arange(late.size), 10)
    with pytest.raises(DataError, match="no row is earlier than Time 0"):
        split.split(dataset(np.random.default_rng(0), 50, times=1))
    with pytest.raises(DataError, match="no rows"):
        split.later_part(many, np.empty(0, dtype=np.int64), 0.2)
    for share in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(DataError, match="between 0 and 1"):
            split.split(many, "stratified", share)
