"""The reference profile: bins, their edges, and how rows are counted into them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.features import transform
from fraud.manifest import Bins
from fraud.profile import BINS, SCORE, SCORE_EDGES, Profile, bin_counts, build
from tests.ulb import FEATURES


def of(column, scores=(0.0, 1.0)):
    """Profile of one feature."""
    return build(("x",), np.array(column, dtype=np.float32)[:, None], np.array(scores, dtype=np.float64))


@pytest.fixture(scope="module")
def built(rows, model):
    features = transform(rows)
    return build(FEATURES, features, model.predict_proba(features)[:, 1])


def test_deciles_hold_a_tenth_each():
    """A column of many distinct values is cut into ten equal bins."""
    assert of(range(1_000)).ratios[0].tolist() == [0.1] * BINS


def test_names_are_the_features_and_the_score(built):
    """The score is watched like a feature, after them."""
    assert built.names == (*FEATURES, SCORE)
    assert built.edges.shape == (len(FEATURES) + 1, BINS - 1)
    assert built.ratios.shape == (len(FEATURES) + 1, BINS)


def test_ratios_sum_to_one(built):
    """Every reference row is in one bin of each feature."""
    assert np.allclose(built.ratios.sum(axis=1), 1.0, atol=1e-12, rtol=0)


def test_edges_ascend(built):
    """Edges of a feature never fall, and rise while they are finite."""
    for edges in built.edges:
        finite = edges[np.isfinite(edges)]
        assert (np.diff(finite) > 0).all()
        assert np.isinf(edges[len(finite) :]).all()


def test_score_edges_are_fixed(built):
    """The score's bins are the same for every model, and there are ten."""
    assert built.edges[-1].tolist() == list(SCORE_EDGES)


@pytest.mark.parametrize(
    ("value", "bin_number"),
    [(-1e30, 0), (0.0, 0), (0.5, 1), (1.0, 1), (1.5, 2), (8.0, 8), (8.5, 9), (1e30, 9)],
)
def test_upper_edges_are_inclusive(value, bin_number):
    """A value on an edge is in the bin below it; beyond the last edge is the last bin."""
    edges = np.arange(9, dtype=np.float64)[None, :]
    assert bin_counts(np.array([[value]]), edges).argmax() == bin_number


@pytest.mark.parametrize("score", [*SCORE_EDGES, 0.0, 1.0])
def test_reference_and_live_rows_are_binned_alike(score):
    """A score on an edge counts in the same bin when the profile is built and when it is used."""
    profile = of([1, 2, 3], [score])
    counts = profile.counts(np.array([[1]], dtype=np.float32), np.array([score]))
    assert counts[-1].tolist() == profile.ratios[-1].tolist()


def test_a_constant_column_has_one_edge():
    """All of its rows are in the first bin, a larger value goes to the second, and the other bins stay empty."""
    profile = of([5.0] * 40)
    assert profile.edges[0].tolist() == [5.0] + [np.inf] * (BINS - 2)
    assert profile.ratios[0].tolist() == [1.0] + [0.0] * (BINS - 1)
    assert profile.counts(np.array([[6]], dtype=np.float32), np.array([0.0]))[0].argmax() == 1


def test_few_distinct_values_share_no_bin():
    """A column of three values has each in a bin of its own."""
    assert of([1.0] * 30 + [2.0] * 30 + [3.0] * 40).ratios[0].tolist() == [0.3, 0.3, 0.4] + [0.0] * (BINS - 3)


def test_reference_counts_are_the_ratios(built, rows, model):
    """Counting the reference rows again gives the stored ratios."""
    features = transform(rows)
    counts = built.counts(features, model.predict_proba(features)[:, 1])
    assert np.array_equal(counts / len(rows), built.ratios)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1_000])
def test_counts_sum_to_the_rows(built, rows, size):
    """Every row is counted once in each feature, whatever the size of the block."""
    counts = built.counts(transform(rows[:size]), np.linspace(0, 1, size))
    assert counts.dtype == np.int64
    assert (counts.sum(axis=1) == size).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 1_100), st.integers(1, 1_000))
def test_counts_of_parts_add_up(seed, size, cut):
    """Counting in two batches gives the counts of one."""
    random = np.random.default_rng(seed)
    edges = np.sort(random.normal(size=(3, BINS - 1)), axis=1)
    values = random.normal(size=(size, 3))
    parts = bin_counts(values[:cut], edges) + bin_counts(values[cut:], edges)
    assert np.array_equal(parts, bin_counts(values, edges))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_counts_equal_a_plain_search(seed):
    """Each bin holds the values above its lower edge, up to and with its upper one."""
    random = np.random.default_rng(seed)
    edges = np.unique(random.integers(0, 40, BINS - 1).astype(np.float64))
    values = random.integers(-3, 43, 200).astype(np.float64)
    expected = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    assert bin_counts(values[:, None], edges[None, :])[0].tolist() == expected.tolist()


def test_json_keeps_every_bit(built):
    """A profile written to a JSON manifest and read again is the same, padding and all."""
    document = {name: bins.model_dump(mode="json") for name, bins in built.as_bins().items()}
    document = json.loads(json.dumps(document, allow_nan=False))
    again = Profile.from_bins({name: Bins.model_validate(bins) for name, bins in document.items()})
    assert again.names == built.names
    assert again.edges.tobytes() == built.edges.tobytes()
    assert again.ratios.tobytes() == built.ratios.tobytes()


def test_json_of_a_constant_column_has_no_infinity():
    """Padding is left out of the document, which is strict JSON."""
    bins = of([5.0] * 40).as_bins()
    assert bins["x"].model_dump(mode="json")["edges"] == [5.0]
    assert Profile.from_bins(bins).edges[0].tolist() == [5.0] + [np.inf] * (BINS - 2)
