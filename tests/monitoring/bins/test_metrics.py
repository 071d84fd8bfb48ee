"""Bins of every kind of feature, unseen texts, and whose bins are on the page of metrics."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from fraud import profile
from fraud.features import FeaturePath
from fraud.inputs.encoding import Codes, Encoding
from fraud.manifest import Manifest
from monitoring.metrics import FraudMetrics
from tests import manifests
from tests.shop_schema import SCHEMA

COUNTRIES = Codes(levels=("AT", "DE", "FR"), codes=(0.1, 0.2, 0.3), other=0.5, missing=0.5)
CHANNELS = Codes(levels=("app", "web"), codes=(0.1, 0.9), other=0.5, missing=0.5)
PATH = FeaturePath(SCHEMA, Encoding(columns={"country": COUNTRIES, "channel": CHANNELS}))


def rows_of(**columns):
    """Rows of the shop; what is not given is 0."""
    size = len(next(iter(columns.values())))
    given = [columns.get(name, np.zeros(size)) for name in SCHEMA.inputs]
    return np.column_stack(given).astype(np.float64)


def manifest_of(version="v1", **changes):
    """That of a model of the shop: half AT, a quarter DE, an eighth FR, an eighth what was too rare to learn."""
    rows = rows_of(country=[0, 0, 0, 0, 1, 1, 2, -1], returning=[0, 0, 0, 0, 0, 1, 1, np.nan])
    facts = {
        "model_version": version,
        "features": PATH.names,
        "transaction_schema": SCHEMA.document(),
        "profile": profile.reference(PATH, rows, np.zeros(8)).as_bins(),
    }
    return Manifest(**manifests.document(**facts | changes))


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return FraudMetrics(60, registry)


def observe(metrics, **columns):
    rows = rows_of(**columns)
    scores = np.zeros(len(rows))
    metrics.observe_scores(rows, PATH.transform(rows), scores, scores > 0.5, None)
    metrics.flush()


def bins(registry, feature, version="v1", name="fraud_feature_bin_total"):
    """Values of a metric by the label ``bin``."""
    found = [sample for metric in registry.collect() for sample in metric.samples if sample.name == name]
    wanted = {"model_version": version, "feature": feature}
    return {one.labels["bin"]: one.value for one in found if wanted.items() <= one.labels.items()}


def versions(registry):
    names = ("fraud_feature_bin_total", "fraud_feature_reference_ratio")
    return [
        {one.labels["model_version"] for metric in registry.collect() for one in metric.samples if one.name == name}
        for name in names
    ]


def unseen(registry):
    return {name: registry.get_sample_value("fraud_unseen_levels_total", {"feature": name}) for name in SCHEMA.features}


def test_the_bins_of_a_category_are_its_levels(registry, metrics):
    """All are there at 0, beside the share that each had in training."""
    metrics.describe_model(manifest_of())
    assert bins(registry, "country") == {"AT": 0, "DE": 0, "FR": 0, "(missing)": 0, "(unseen)": 0}
    shares = bins(registry, "country", name="fraud_feature_reference_ratio")
    assert shares == {"AT": 0.5, "DE": 0.25, "FR": 0.125, "(missing)": 0, "(unseen)": 0.125}


def test_rows_are_counted_by_level(registry, metrics):
    """Of categories, booleans and numbers, several batches together; two levels of one code are told apart."""
    metrics.describe_model(manifest_of())
    for _ in range(2):
        observe(metrics, country=[0, 2, 2, np.nan, -1], returning=[0, 1, 1, np.nan, 1], age=[np.nan] * 5)
    assert bins(registry, "country") == {"AT": 2, "DE": 0, "FR": 4, "(missing)": 2, "(unseen)": 2}
    assert bins(registry, "returning") == {"false": 2, "true": 6, "(missing)": 2}
    assert bins(registry, "age")["(missing)"] == 10
    assert sum(bins(registry, "total").values()) == 10


def test_unseen_levels_start_at_0(registry, metrics):
    """One for each category of the model, and for nothing else."""
    metrics.describe_model(manifest_of())
    expected = dict.fromkeys(SCHEMA.features) | {"country": 0, "channel": 0}
    assert unseen(registry) == expected


def test_texts_that_the_model_does_not_know_are_counted(registry, metrics):
    """By category; a missing value is none."""
    metrics.describe_model(manifest_of())
    observe(metrics, country=[-1, -1, 0, np.nan], channel=[0, 1, -1, 1])
    assert (unseen(registry)["country"], unseen(registry)["channel"]) == (2, 1)


def test_a_model_saved_before_there_were_levels_has_them_counted_too(registry, metrics):
    """Its categories are cut by their codes, as they were."""
    rows = rows_of(country=[0, 1, 2, -1], age=[1, 2, 3, 4], returning=[0, 1, 0, 1])
    old = profile.build(PATH.names, PATH.transform(rows), np.zeros(4)).as_bins()
    metrics.describe_model(manifest_of(profile=old))
    observe(metrics, country=[-1, 0])
    assert unseen(registry)["country"] == 1
    assert set(bins(registry, "country")) == {str(number) for number in range(10)}


def test_a_model_without_categories_counts_no_unseen_level(registry, metrics):
    """As that of the default schema."""
    metrics.describe_model(Manifest(**manifests.document()))
    assert not any(sample.name == "fraud_unseen_levels_total" for one in registry.collect() for sample in one.samples)


def test_bins_of_two_versions_are_kept(registry, metrics):
    """The one that serves and the one before it; counts and shares of older ones go together."""
    for version in ("v1", "v2", "v3"):
        metrics.describe_model(manifest_of(version))
        observe(metrics, country=[0])
    assert versions(registry) == [{"v2", "v3"}] * 2
    assert bins(registry, "country", "v2")["AT"] == 1


def test_a_model_that_comes_back_goes_on(registry, metrics):
    """What it counted before is still there, and it is now the newest."""
    for version in ("v1", "v2", "v1"):
        metrics.describe_model(manifest_of(version))
        observe(metrics, country=[0])
    assert bins(registry, "country", "v1")["AT"] == 2
    metrics.describe_model(manifest_of("v3"))
    assert versions(registry) == [{"v1", "v3"}] * 2


def test_a_model_of_another_schema_may_follow(registry, metrics):
    """Rows that wait go to the one that scored them."""
    metrics.describe_model(manifest_of())
    rows = rows_of(country=[0, -1])
    metrics.observe_scores(rows, PATH.transform(rows), np.zeros(2), np.zeros(2, dtype=bool), None)
    metrics.describe_model(Manifest(**manifests.document(model_version="v2")))
    metrics.flush()
    assert bins(registry, "country") == {"AT": 1, "DE": 0, "FR": 0, "(missing)": 0, "(unseen)": 1}
    assert unseen(registry)["country"] == 1
    assert sum(bins(registry, "V1", "v2").values()) == 0
