"""Summaries of whole rows: the same bits alone and in a batch, compiled or not, and what they say."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from fraud import schema, store
from fraud.errors import DataError, ModelError, SchemaError
from fraud.features import FeaturePath
from fraud.inputs import summaries
from fraud.inputs.summaries import NAMES, Summaries
from fraud.scorer import kernel, summing
from training import encode

COUNT = 30


@pytest.fixture(scope="module")
def rows():
    """Correlated features, frauds off the middle, some values missing, some as far away as can be."""
    random = np.random.default_rng(1)
    labels = (random.random(3_000) < 0.05).astype(np.int8)
    mixed = random.normal(size=(3_000, COUNT)) @ random.normal(size=(COUNT, COUNT)) * random.lognormal(0, 2, COUNT)
    features = (mixed + labels[:, None] * mixed.std(axis=0)).astype(np.float32)
    features[random.random(features.shape) < 0.02] = np.nan
    return features, labels


@pytest.fixture(scope="module")
def learnt(rows):
    return encode.summaries_of(*rows)


def bound(by):
    return summing.bind(*map(np.array, (by.mean, by.scale, by.start, by.weights)))


def written(folder, text):
    path = folder / summaries.FILE
    path.write_text(text)
    return path


def odd(features):
    whole = np.zeros((len(features), COUNT + 3), np.float32)
    whole[:, :COUNT] = features
    whole[::7, 3] = np.finfo(np.float32).max
    whole[::11, 5] = -np.finfo(np.float32).max
    whole[::13, :COUNT] = np.nan
    return whole


def test_the_compiled_loop_gives_the_bits_of_numpy(rows, learnt, monkeypatch):
    """In a batch and alone, with missing and extreme values; all are finite."""
    compiled, plain, alone = odd(rows[0]), odd(rows[0]), odd(rows[0])
    assert kernel.load(kernel.FOLDER) is not None
    fill = bound(learnt)
    fill(compiled)
    for row in range(len(alone)):
        fill(alone[row : row + 1])
    monkeypatch.setattr(kernel, "load", lambda _: None)
    bound(learnt)(plain)
    assert compiled.tobytes() == plain.tobytes() == alone.tobytes()
    assert np.isfinite(compiled[:, COUNT:]).all()
    fill(compiled[:0])


def test_they_are_what_their_names_say(rows):
    """The distance is Mahalanobis' from the legitimate rows, and the two sums tell frauds from others."""
    features, labels = np.nan_to_num(rows[0]), rows[1]
    whole = np.zeros((len(features), COUNT + 3), np.float32)
    whole[:, :COUNT] = features
    bound(encode.summaries_of(features, labels))(whole)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    usual = LedoitWolf().fit(standard[labels == 0])
    expected = [mahalanobis(row, usual.location_, usual.precision_) ** 2 for row in standard[:50]]
    np.testing.assert_allclose(whole[:50, -1], expected, rtol=1e-3)
    for column in (COUNT, COUNT + 1):
        assert np.median(whole[labels == 1, column]) > np.quantile(whole[labels == 0, column], 0.9)


def test_a_column_that_never_changes_says_nothing():
    """Nor does one that is always missing: what is left can be summed up."""
    random = np.random.default_rng(2)
    features = random.normal(size=(500, 4)).astype(np.float32)
    features[:, 1], features[:, 2] = 7, np.nan
    whole = np.zeros((500, 7), np.float32)
    whole[:, :4] = features
    fill = bound(encode.summaries_of(features, (features[:, 0] > 1).astype(np.int8)))
    fill(whole)
    other = whole.copy()
    other[:, 1], other[:, 2] = -3e30, 12
    fill(other)
    assert np.isfinite(whole[:, 4:]).all()
    assert whole[:, 4:].tobytes() == other[:, 4:].tobytes()


@pytest.mark.parametrize("middle", [0, 5e6, -5e6, 1.7e9])
def test_a_column_far_from_zero_tells_as_much_as_one_about_it(middle):
    """Amounts in small money, and counts of seconds, are such; a thousandth of the middle is one deviation."""
    random = np.random.default_rng(4)
    labels = (np.arange(2_000) % 20 == 0).astype(np.int8)
    about = random.normal(size=(2_000, 3)) + labels[:, None]
    learnt = [np.zeros((2_000, 6), np.float32) for _ in range(2)]
    for whole, to in zip(learnt, (0, middle), strict=True):
        whole[:, :3] = about
        whole[:, 0] = about[:, 0] * max(1, abs(to) / 1e3) + to
        bound(encode.summaries_of(whole[:, :3], labels))(whole)
    np.testing.assert_allclose(learnt[1][:, 3:], learnt[0][:, 3:], rtol=0.01, atol=0.01)


def test_a_path_has_them_behind_all_others(learnt):
    """Their names come last, none may be missing, the log leaves them out, and a pickled path gives the same."""
    path = FeaturePath(schema.default(), summaries=learnt)
    assert path.names == (*schema.default().features, *NAMES)
    given = np.random.default_rng(3).normal(size=(9, len(schema.default().inputs))) * 100 + 1e5
    features = path.transform(given)
    assert path.summed_up(FeaturePath(schema.default()).transform(given)).tobytes() == features.tobytes()
    assert path.logged(features).tobytes() == FeaturePath(schema.default()).transform(given).tobytes()
    assert pickle.loads(pickle.dumps(path)).transform(given).tobytes() == features.tobytes()  # noqa: S301
    assert path.nullable == FeaturePath(schema.default()).nullable


def test_those_of_other_features_are_refused(learnt, tmp_path):
    """By the number of features, and where numbers are not as many as they should be."""
    fewer = learnt.model_copy(update={"mean": learnt.mean[1:]})
    with pytest.raises(SchemaError, match="summaries are of 29 features, the schema has 30"):
        FeaturePath(schema.default(), summaries=fewer)
    for broken in (fewer, learnt.model_copy(update={"weights": (*learnt.weights[1:], learnt.weights[0][1:])})):
        with pytest.raises(ModelError, match="no summaries of rows"):
            summaries.read(written(tmp_path, broken.model_dump_json()))
    document = learnt.model_dump()
    for name, value in (("start", "Infinity"), ("scale", "1e7")):
        text = Summaries.model_construct(**document).model_dump_json().replace(f'"{name}":[', f'"{name}":[{value},', 1)
        with pytest.raises(ModelError, match="no summaries of rows"):
            summaries.read(written(tmp_path, text))
    assert summaries.read(written(tmp_path, learnt.model_dump_json())) == learnt


def test_more_features_than_can_be_summed_up_are_refused():
    """In words, before anything is learnt; as many as may be are summed up."""
    labels = np.arange(600) % 2
    values = np.random.default_rng(0).normal(size=(600, summaries.MOST + 1)).astype(np.float32)
    with pytest.raises(DataError, match="254 features, and summaries are of at most 253"):
        encode.summaries_of(values, labels.astype(np.int8))
    assert len(encode.summaries_of(values[:, 1:], labels.astype(np.int8)).mean) == summaries.MOST


def test_a_model_with_summaries_of_another_count_is_named(monkeypatch, learnt):
    """Its file is whole, and of fewer features than its schema has: the entry is said, not the counts alone."""
    fewer = learnt.model_copy(update={"mean": learnt.mean[1:]})
    entry = SimpleNamespace(tag="fraud_detector:abc")
    manifest = SimpleNamespace(files={summaries.FILE: ""}, schema_of=schema.default)
    monkeypatch.setattr(store, "_file", lambda *_: None)
    monkeypatch.setattr(store.summaries, "read", lambda _: fewer)
    with pytest.raises(SchemaError, match=r"^fraud_detector:abc: the summaries are of 29 .* train it again$"):
        store._features(entry, manifest)
