"""Probe rows look like the data, belong to nobody, and sit where an inexact scorer goes wrong."""

from dataclasses import replace

import numpy as np
import pytest

from fraud.features import of_default, transform
from fraud.schema import default
from fraud.scorer import order
from fraud.scorer.from_sklearn import from_sklearn
from fraud.scorer.order import LEAF
from fraud.tables import table
from tests import shop_schema
from tests.ulb import COLUMNS, FEATURES, bounds
from training import encode, probes, train
from training.data import load
from training.dataset import combine


@pytest.fixture(scope="module")
def made():
    dataset = load(["sample:3000"], default())
    model = train.fit(transform(dataset.rows), dataset.labels, train.DEFAULTS.model_copy(update={"trees": 20}))
    forest = from_sklearn(model)
    return dataset, forest, probes.make(dataset.rows, forest, of_default(), seed=1)


def test_no_probe_is_a_row_of_the_data(made):
    """A model file carries nobody's transaction."""
    dataset, _, rows = made
    known = {row.tobytes() for row in dataset.rows}
    assert not any(row.tobytes() in known for row in rows)


def test_probes_stay_within_the_schema(made):
    """Every probe would be accepted by the service."""
    lowest, highest = np.array([bounds(column) for column in COLUMNS]).T
    assert ((made[2] >= lowest) & (made[2] <= highest)).all()


def test_many_probes_sit_on_a_split_threshold(made):
    """At least a quarter of the second half holds a value that is exactly a threshold of its feature."""
    _, forest, rows = made
    inner, columns, thresholds = forest.nodes != LEAF, order.columns(forest.nodes), order.thresholds(forest.nodes)
    cuts = [set(thresholds[inner & (columns == column)].tolist()) for column in range(len(FEATURES))]
    features = transform(rows[probes.COUNT :])
    on_a_cut = [any(float(value) in cuts[column] for column, value in enumerate(row)) for row in features]
    assert np.mean(on_a_cut) > 0.25


def test_probes_tell_a_threshold_that_is_one_step_off(made):
    """A scorer whose thresholds are rounded up instead of down gives other scores on the probes."""
    _, forest, rows = made
    features = transform(rows)
    up = forest.nodes.copy()
    up[up != LEAF] += np.uint64(2**32)  # the key of the next float32
    off = replace(forest, nodes=up)
    assert not np.array_equal(forest.score(features), off.score(features))


def test_every_feature_of_a_schema_is_probed(monkeypatch):
    """Also what is derived, coded or true: each takes several values, and is missing where it may be."""
    checked = table.check(shop_schema.generate(3_000), shop_schema.SCHEMA, labelled=True)
    dataset = combine([checked], ["shop"], shop_schema.SCHEMA, synthetic=True)
    path, features = encode.fit(dataset, np.arange(dataset.size), train.DEFAULTS)
    forest = from_sklearn(train.fit(features, dataset.labels, train.DEFAULTS), path.nullable)
    rows = probes.make(encode.rows_of(path, dataset, np.arange(dataset.size)), forest, path, seed=1)
    put, source_of = set(), probes.source_of
    monkeypatch.setattr(probes, "source_of", lambda *given: put.add(path.names[given[1]]) or source_of(*given))
    again = probes.make(encode.rows_of(path, dataset, np.arange(dataset.size)), forest, path, seed=1)
    assert np.array_equal(rows, again, equal_nan=True)
    assert put == set(path.names)
    made = path.transform(rows)
    for place, name in enumerate(path.names):
        assert np.isnan(made[:, place]).any() == (place in path.nullable), name
        assert len(np.unique(made[:, place][~np.isnan(made[:, place])])) > 1
