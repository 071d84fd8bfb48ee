"""The reference profile: bins, their edges, and how rows are counted into them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.features import FeaturePath, of_default, transform
from fraud.inputs.encoding import Codes, Encoding
from fraud.manifest import Bins
from fraud.profile import BINS, SCORE, SCORE_EDGES, Profile, bin_counts, build, reference
from tests.shop_schema import SCHEMA
from tests.ulb import FEATURES

NO_ROWS = np.empty((1, 0))


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
    counts = profile.counts(NO_ROWS, np.array([[1]], dtype=np.float32), np.array([score]))
    assert counts[-1].tolist() == profile.ratios[-1].tolist()


def test_a_constant_column_has_one_edge():
    """All of its rows are in the first bin, a larger value goes to the second, and the other bins stay empty."""
    profile = of([5.0] * 40)
    assert profile.edges[0].tolist() == [5.0] + [np.inf] * (BINS - 2)
    assert profile.ratios[0].tolist() == [1.0] + [0.0] * (BINS - 1)
    assert profile.counts(NO_ROWS, np.array([[6]], dtype=np.float32), np.array([0.0]))[0].argmax() == 1


def test_few_distinct_values_share_no_bin():
    """A column of three values has each in a bin of its own."""
    assert of([1.0] * 30 + [2.0] * 30 + [3.0] * 40).ratios[0].tolist() == [0.3, 0.3, 0.4] + [0.0] * (BINS - 3)


def test_reference_counts_are_the_ratios(built, rows, model):
    """Counting the reference rows again gives the stored ratios."""
    features = transform(rows)
    counts = built.counts(rows, features, model.predict_proba(features)[:, 1])
    assert np.array_equal(counts / len(rows), built.ratios)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1_000])
def test_counts_sum_to_the_rows(built, rows, size):
    """Every row is counted once in each feature, whatever the size of the block."""
    counts = built.counts(rows[:size], transform(rows[:size]), np.linspace(0, 1, size))
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


# --- other than plain numbers

LEARNT = Codes(levels=tuple("ABCDEFGHI"), codes=(0.5,) * 9, other=0.5, missing=0.5)
CHANNELS = Codes(levels=("app", "web"), codes=(0.1, 0.9), other=0.5, missing=0.5)
SHOP = FeaturePath(SCHEMA, Encoding(columns={"country": LEARNT, "channel": CHANNELS}))


def shop(rows=4_000, seed=0):
    """Rows of the shop: a fifth of the ages, countries and truths is missing, some texts are unseen."""
    random = np.random.default_rng(seed)
    columns = {
        "bought_at": random.uniform(1.5e9, 1.6e9, rows),
        "total": random.lognormal(3, 1, rows),
        "age": random.integers(18, 90, rows).astype(np.float64),
        "country": np.minimum(random.geometric(0.3, rows) - 1.0, 8) - (random.random(rows) < 0.1) * 100,
        "channel": random.integers(-1, 2, rows).astype(np.float64),
        "returning": random.integers(0, 2, rows).astype(np.float64),
    }
    columns["country"] = np.maximum(columns["country"], -1)
    for name in ("age", "country", "returning"):
        columns[name][random.random(rows) < 0.2] = np.nan
    return np.column_stack([columns[name] for name in SCHEMA.inputs])


def read(profile, name):
    """Shares of the bins of one feature, by their names."""
    at = profile.names.index(name)
    return dict(zip(profile.cuts[at].labels, profile.ratios[at], strict=False))


@pytest.fixture(scope="module")
def mixed():
    return reference(SHOP, shop(), np.linspace(0, 1, 100))


def test_the_default_schema_is_of_plain_numbers_alone(built, rows, model):
    """Its profile, as it is stored, is that of ten bins each, and says nothing else."""
    scores = model.predict_proba(transform(rows))[:, 1]
    found = {
        name: bins.model_dump(mode="json") for name, bins in reference(of_default(), rows, scores).as_bins().items()
    }
    assert found == {name: bins.model_dump(mode="json") for name, bins in built.as_bins().items()}
    assert {name for bins in found.values() for name in bins} == {"edges", "ratios"}


def test_a_missing_number_is_in_its_own_bin(mixed):
    """The deciles are those of the rows that have one."""
    shares, ages = read(mixed, "age"), shop()[:, SCHEMA.inputs.index("age")]
    assert shares["(missing)"] == np.isnan(ages).mean()
    known = ages[~np.isnan(ages)].astype(np.float32)
    plain = of(known)
    assert mixed.edges[mixed.names.index("age")].tolist() == plain.edges[0].tolist()
    assert list(shares.values())[:BINS] == pytest.approx((plain.ratios[0] * len(known) / len(ages)).tolist())


def test_a_boolean_has_a_bin_for_each_truth(mixed):
    """And one for none."""
    truths = shop()[:, SCHEMA.inputs.index("returning")]
    expected = {"false": (truths == 0).mean(), "true": (truths == 1).mean(), "(missing)": np.isnan(truths).mean()}
    assert read(mixed, "returning") == expected


def test_a_category_has_a_bin_for_each_frequent_level(mixed):
    """The rest, missing and unseen have one each: what training has left out is unseen in the reference too."""
    places = shop()[:, SCHEMA.inputs.index("country")]
    shares = read(mixed, "country")
    assert list(shares)[7:] == ["(rest)", "(missing)", "(unseen)"]
    for place, level in enumerate(LEARNT.levels):
        if level in shares:
            assert shares[level] == (places == place).mean()
    assert shares["(unseen)"] == (places == -1).mean() > 0
    assert shares["(missing)"] == np.isnan(places).mean()
    assert sum(shares.values()) == pytest.approx(1)


def test_reference_rows_of_every_kind_give_the_ratios(mixed):
    """They are counted as the service counts: by places of levels, whatever their codes are."""
    rows = shop()
    counts = mixed.counts(rows, SHOP.transform(rows), np.zeros(len(rows)))
    assert np.array_equal(counts[:-1] / len(rows), mixed.ratios[:-1])


def test_json_keeps_every_kind(mixed):
    """Read again with the columns of the rows, a profile counts the same."""
    document = json.loads(json.dumps({name: bins.model_dump(mode="json") for name, bins in mixed.as_bins().items()}))
    again = Profile.from_bins({name: Bins.model_validate(bins) for name, bins in document.items()}, SCHEMA.inputs)
    assert again.cuts == mixed.cuts
    assert again.ratios.tobytes() == mixed.ratios.tobytes()
    rows = shop(700, seed=1)
    scores = np.zeros(len(rows))
    assert np.array_equal(
        again.counts(rows, SHOP.transform(rows), scores), mixed.counts(rows, SHOP.transform(rows), scores)
    )


def test_a_plain_number_says_nothing_of_bins_that_it_has_not(mixed):
    """Its document is what it was before there were other kinds."""
    document = mixed.as_bins()["total"].model_dump(mode="json")
    assert set(document) == {"edges", "ratios"}


def test_a_model_saved_before_there_were_levels_counts_as_before():
    """Its categories are cut by their codes, and a missing value is in the first bin, as in its reference."""
    names, rows = SHOP.names, shop(600)
    old = build(names, np.nan_to_num(SHOP.transform(rows)), np.zeros(1))
    again = Profile.from_bins(old.as_bins())
    features = SHOP.transform(rows)
    counts = again.counts(rows, features, np.zeros(len(rows)))
    expected = bin_counts(np.column_stack([features, np.zeros(len(rows))]), old.edges)
    assert np.array_equal(counts, expected)


def test_a_column_that_is_never_there_has_no_edges():
    """All of it is missing; what comes later is seen."""
    rows = shop(50)
    rows[:, SCHEMA.inputs.index("age")] = np.nan
    profile = reference(SHOP, rows, np.zeros(1))
    assert read(profile, "age")["(missing)"] == 1
    assert np.isinf(profile.edges[profile.names.index("age")]).all()
