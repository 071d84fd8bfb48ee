"""Codes of categories: what is learnt, of whom, and that no row tells its own label."""

import numpy as np
import pandas as pd
import pytest

from fraud import schema
from fraud.features import FeaturePath
from fraud.inputs.encoding import Encoding
from tests.two_columns import SCHEMA
from training import encode, split
from training.dataset import combine
from training.run import out_of_fold
from training.train import DEFAULTS


def made(shops, bad, size=None):
    """A data set of these columns; each row is another, by its size."""
    sizes = np.arange(len(shops), dtype=np.float64) if size is None else size
    frame = pd.DataFrame({"shop": np.array(shops, dtype=object), "size": sizes, "bad": np.array(bad, dtype=np.int8)})
    return combine([frame], ["test"], SCHEMA, synthetic=False)


def everything(dataset):
    return np.arange(dataset.size)


@pytest.fixture(scope="module")
def ids():
    """2,000 ids, each of 10 rows, which tell nothing; a size that tells something."""
    random = np.random.default_rng(3)
    shops = [f"id-{number:04d}" for number in random.integers(0, 2_000, 20_000)]
    bad = random.random(20_000) < 0.05
    return made(shops, bad, random.normal(size=20_000) + 1.5 * bad)


def test_a_levels_code_is_its_smoothed_share():
    """(frauds + 20 x the mean) / (rows + 20), as float32; of the missing ones likewise."""
    dataset = made(["a"] * 60 + ["b"] * 30 + [None] * 10, [1] * 30 + [0] * 60 + [1] * 10)
    path, _ = encode.fit(dataset, everything(dataset), DEFAULTS)
    codes, mean = path.encoding.columns["shop"], 0.4
    assert codes.levels == ("a", "b")
    expected = [(30 + 20 * mean) / 80, (0 + 20 * mean) / 50]
    assert codes.codes == tuple(np.float32(expected).astype(float))
    assert codes.missing == np.float32((10 + 20 * mean) / 30)
    assert codes.other == np.float32(mean)  # nobody is rare


def test_rare_levels_share_a_code():
    """Fewer than ten rows each: they are as what was never seen."""
    dataset = made(["a"] * 50 + [f"rare-{number}" for number in range(30)], [0, 1] * 25 + [1] * 30)
    path, _ = encode.fit(dataset, everything(dataset), DEFAULTS)
    codes = path.encoding.columns["shop"]
    assert codes.levels == ("a",)
    assert codes.other > codes.codes[0]
    later = made(["rare-3", "never seen", "a"], [1, 0, 1])
    features = encode.features_of(path, later, everything(later))[:, 0]
    assert features.tolist() == [np.float32(codes.other)] * 2 + [np.float32(codes.codes[0])]


def test_no_row_tells_its_own_label(ids):
    """Ids that mean nothing have codes that do not follow the labels of the rows that are fitted on."""
    path, features = encode.fit(ids, everything(ids), DEFAULTS)
    leaking = encode.features_of(path, ids, everything(ids))
    assert np.corrcoef(leaking[:, 0], ids.labels)[0, 1] > 0.2
    assert np.corrcoef(features[:, 0], ids.labels)[0, 1] < 0.02


@pytest.mark.parametrize(("levels", "is_one"), [(10, True), (11, False)])
def test_a_level_of_many_frauds_is_one_number(levels, is_one):
    """With 20 frauds a level there is no cross-fitting; with fewer, a level is another number in each fold."""
    random = np.random.default_rng(1)
    dataset = made(random.permutation(np.arange(10_000) % levels).astype(str), random.permutation(10_000) < 200)
    path, features = encode.fit(dataset, everything(dataset), DEFAULTS)
    assert np.array_equal(features, encode.features_of(path, dataset, everything(dataset))) == is_one


def test_codes_are_learnt_anew_in_every_fold(ids, monkeypatch):
    """Never on a row that is scored with them."""
    seen = []
    real = encode.fit
    monkeypatch.setattr(encode, "fit", lambda dataset, part, *how: seen.append(part) or real(dataset, part, *how))
    fold_of = split.folds(ids, everything(ids), 3)
    out_of_fold(ids, everything(ids), fold_of, DEFAULTS.model_copy(update={"trees": 1}))
    assert [set(part) for part in seen] == [set(np.flatnonzero(fold_of != fold)) for fold in range(3)]


def test_without_categories_nothing_is_learnt():
    """The features are those of the rows, whoever is fitted on."""
    plain = schema.parse('name = "one"\n[roles]\nlabel = "bad"\n[columns.size]\nkind = "number"', "one.toml")
    frame = pd.DataFrame({"size": np.arange(40.0), "bad": np.int8([0, 1] * 20)})
    dataset = combine([frame], ["test"], plain, synthetic=False)
    path, features = encode.fit(dataset, np.arange(10, 20), DEFAULTS)
    assert (path, features.ravel().tolist()) == (FeaturePath(plain), list(range(10, 20)))


def test_what_is_written_is_read_as_the_same_codes(ids):
    """Through JSON, to the bit."""
    path, _ = encode.fit(ids, everything(ids), DEFAULTS)
    again = Encoding.model_validate_json(path.encoding.model_dump_json())
    assert again == path.encoding
