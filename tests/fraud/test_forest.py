"""The scorer equals scikit-learn bit for bit, and nothing damaged is ever walked."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from fraud import forest as forests
from fraud.errors import ModelError
from fraud.features import FEATURES, transform
from fraud.forest import Probes, floor32, from_sklearn, load, save

SIZE = 500
WIDTH = 6
TINY, MAX = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
ODD = np.array([0.0, -0.0, TINY, -TINY, 1e-40, 1.1754944e-38, 1.0, -1.0, 16777217.0, MAX, -MAX], dtype=np.float32)

FORESTS = {
    "one tree": RandomForestClassifier(1, random_state=0),
    "default": RandomForestClassifier(20, random_state=1),
    "sixty trees": RandomForestClassifier(60, random_state=2),
    "depth 1": RandomForestClassifier(7, max_depth=1, random_state=3),
    "single leaves": RandomForestClassifier(5, min_samples_leaf=SIZE, random_state=4),
    "some single leaves": RandomForestClassifier(40, max_samples=3, random_state=5),
    "large leaves": RandomForestClassifier(13, min_samples_leaf=9, random_state=6),
    "fixed weights": RandomForestClassifier(13, class_weight={0: 1, 1: 17.3}, min_samples_leaf=4, random_state=7),
    "balanced": RandomForestClassifier(13, class_weight="balanced", min_samples_leaf=3, random_state=8),
    "balanced per tree": RandomForestClassifier(13, class_weight="balanced_subsample", max_depth=4, random_state=9),
    "entropy": RandomForestClassifier(13, criterion="entropy", max_depth=5, random_state=10),
    "log loss": RandomForestClassifier(13, criterion="log_loss", max_depth=5, random_state=11),
    "best first": RandomForestClassifier(13, max_leaf_nodes=11, random_state=12),
    "pruned": RandomForestClassifier(13, ccp_alpha=0.003, random_state=13),
    "monotonic": RandomForestClassifier(13, monotonic_cst=[1, -1, 0, 0, 0, 0], max_depth=5, random_state=14),
    "no bootstrap": RandomForestClassifier(3, bootstrap=False, random_state=15),
    "extra trees": ExtraTreesClassifier(20, random_state=16),
    "extra trees, weights": ExtraTreesClassifier(20, class_weight="balanced", min_samples_leaf=5, random_state=17),
}


def inputs(random, size):
    """Features of every scale: normal, huge, minute, whole numbers, and the odd values of float32."""
    columns = [
        random.normal(size=size),
        random.normal(size=size) * 1e30,
        random.normal(size=size) * 1e-42,
        random.integers(-3, 4, size),
        random.choice(ODD, size),
        random.lognormal(3, 2, size),
    ]
    with np.errstate(under="ignore"):
        return np.stack(columns, axis=1).astype(np.float32)


def on_thresholds(forest, features):
    """A row, then three a node: one feature on the node's threshold, and on the float32 below and above it."""
    nodes = np.flatnonzero(forest.children[:, 0] != np.arange(len(forest.feature)))[:1500]
    rows = features[np.arange(3 * len(nodes)) % len(features)].copy()
    for side, toward in enumerate((None, -np.inf, np.inf)):
        cut = forest.threshold[nodes]
        with np.errstate(all="ignore"):
            value = cut if toward is None else np.nextafter(cut, np.float32(toward))
        rows[side::3][np.arange(len(nodes)), forest.feature[nodes]] = np.clip(value, -MAX, MAX)
    return np.concatenate([features[:1], rows])


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    features = inputs(random, SIZE)
    return features, (features[:, 0] + random.normal(size=SIZE) > 0.8).astype(np.int8)


@pytest.fixture(scope="module", params=FORESTS, ids=str)
def pair(request, data):
    """A fitted scikit-learn forest and its scorer."""
    with np.errstate(all="ignore"):  # scikit-learn's check for infinities adds everything up
        model = FORESTS[request.param].set_params(n_jobs=1).fit(*data)
    return model, from_sklearn(model)


def reference(model, features):
    with np.errstate(all="ignore"):
        return model.predict_proba(features)[:, 1]


def same(left, right):
    """Equal in every bit, signs of zero and all."""
    return left.dtype == right.dtype and left.tobytes() == right.tobytes()


def test_scores_equal_scikit_learn(pair, data):
    """Training rows and new ones get scikit-learn's scores in every bit."""
    model, forest = pair
    features = np.concatenate([data[0], inputs(np.random.default_rng(1), 3_000)])
    assert same(forest.score(features), reference(model, features))


def test_rows_on_thresholds_equal_scikit_learn(pair, data):
    """A value on a threshold, or one float32 beside it, goes the way scikit-learn sends it."""
    model, forest = pair
    features = on_thresholds(forest, data[0])
    assert same(forest.score(features), reference(model, features))


def test_odd_values_equal_scikit_learn(pair):
    """Signed zeros, subnormals and the largest float32 numbers in every column get scikit-learn's scores."""
    model, forest = pair
    features = np.stack([np.roll(ODD, shift) for shift in range(WIDTH)], axis=1)
    features = np.concatenate([features, np.repeat(ODD[:, None], WIDTH, axis=1)])
    assert same(forest.score(features), reference(model, features))


def test_trees_are_counted(pair):
    """n_trees is how many trees scikit-learn fitted."""
    assert pair[1].n_trees == len(pair[0].estimators_)


@pytest.mark.parametrize("value", ODD.tolist(), ids=repr)
def test_thresholds_between_neighbours(value):
    """A split between two neighbouring float32 values, which only float64 can hold, sends each to its own side."""
    low = np.float32(value)
    high = np.nextafter(low, np.float32(0 if low == MAX else np.inf))
    features = np.array([[low], [high]], dtype=np.float32)
    model = RandomForestClassifier(1, bootstrap=False, random_state=0).fit(features, [0, 1])
    assert same(from_sklearn(model).score(features), reference(model, features))


@pytest.mark.parametrize("size", [0, 1, 2, 63, 2_047, 2_048, 2_049, 5_000])
def test_any_batch_size_gives_the_same_scores(scorer, rows, size):
    """A row's score does not depend on how many rows are scored with it, nor on block limits."""
    features = np.resize(transform(rows), (5_000, len(FEATURES)))
    features[1_000:] += np.float32(0.01)
    assert same(scorer.score(features[:size]), scorer.score(features)[:size])


def test_a_row_alone_scores_as_in_company(scorer, rows):
    """Two hundred rows scored one by one score as together."""
    features = transform(rows[:200])
    alone = np.concatenate([scorer.score(features[[number]]) for number in range(200)])
    assert same(alone, scorer.score(features))


@pytest.mark.parametrize(
    "view",
    [np.asfortranarray, lambda array: np.repeat(array, 2, axis=0)[::2], lambda array: array[::-1].copy()[::-1]],
    ids=["Fortran order", "strided", "reversed"],
)
def test_memory_layout_does_not_matter(scorer, rows, view):
    """Features in another memory order give the same scores."""
    features = transform(rows)
    assert same(scorer.score(view(features)), scorer.score(features))


@pytest.mark.parametrize("lanes", [1, 5, 1_000])
def test_scores_do_not_depend_on_how_many_trees_walk_at_once(scorer, rows, monkeypatch, lanes):
    """Trees in groups of any size give the same sum, as they are added in order."""
    expected = scorer.score(transform(rows))
    monkeypatch.setattr(forests, "_LANES", lanes)
    assert same(scorer.score(transform(rows)), expected)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, len(FEATURES))),
        np.zeros((2, len(FEATURES)), dtype=np.float16),
        np.zeros((2, len(FEATURES)), dtype=np.int32),
        np.zeros((2, len(FEATURES) + 1), dtype=np.float32),
        np.zeros((2, len(FEATURES) - 1), dtype=np.float32),
        np.zeros(len(FEATURES), dtype=np.float32),
        np.zeros((1, 2, len(FEATURES)), dtype=np.float32),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_other_types_and_shapes_are_refused(scorer, wrong):
    """Only float32 of the right width is scored: a silent cast would change scores."""
    with pytest.raises(ValueError, match=r"expected float32 features of shape \(n, 30\)"):
        scorer.score(wrong)


FLOATS32 = st.floats(width=32, allow_nan=False)
FLOATS64 = st.floats(allow_nan=False)


@settings(max_examples=500, deadline=None)
@given(FLOATS32, FLOATS64)
def test_floor32_keeps_every_comparison(x, threshold):
    """For each float32 x, x <= t in float64 exactly when x <= floor32(t) in float32."""
    rounded = floor32(np.array([threshold]))[0]
    assert rounded.dtype == np.float32
    assert (x <= threshold) == (np.float32(x) <= rounded)


@settings(max_examples=500, deadline=None)
@given(FLOATS32, st.integers(-3, 3))
def test_floor32_keeps_comparisons_beside_float32_values(x, steps):
    """So it does for thresholds that are a few float64 steps from x."""
    threshold = np.float64(x)
    with np.errstate(all="ignore"):
        for _ in range(abs(steps)):
            threshold = np.nextafter(threshold, np.inf if steps > 0 else -np.inf)
    assert (x <= threshold) == (np.float32(x) <= floor32(np.array([threshold]))[0])


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (1e300, MAX),
        (-1e300, -np.inf),
        (float(MAX), MAX),
        (-float(MAX), -MAX),
        (5e-324, 0.0),
        (-5e-324, -TINY),
        (0.1, np.nextafter(np.float32(0.1), np.float32(0))),
        (0.5, 0.5),
    ],
)
def test_floor32_rounds_down(threshold, expected):
    """It is the largest float32 not above the threshold, beyond float32's range too, without a warning."""
    assert floor32(np.array([threshold]))[0] == np.float32(expected)


@pytest.fixture
def path(tmp_path, scorer, probes):
    """A saved scorer."""
    save(tmp_path / "forest.safetensors", scorer, probes)
    return tmp_path / "forest.safetensors"


def test_what_was_saved_is_loaded(path, scorer, probes):
    """Every array comes back in every bit, and so do the probes."""
    forest, read = load(path)
    for name in [field.name for field in fields(scorer) if field.name != "n_features"]:
        assert same(getattr(forest, name), getattr(scorer, name)), name
    assert forest.n_features == scorer.n_features
    assert same(read.rows, probes.rows)
    assert same(read.scores, probes.scores)


@pytest.mark.parametrize(
    "view", [np.asfortranarray, lambda array: np.repeat(array, 2, axis=0)[::2]], ids=["Fortran order", "strided"]
)
def test_probes_of_any_memory_layout_are_saved_whole(path, scorer, probes, view):
    """safetensors writes memory as it lies; rows in another order come back as the same rows."""
    save(path, scorer, Probes(view(probes.rows), view(probes.scores)))
    assert same(load(path)[1].rows, probes.rows)


def test_equal_forests_are_equal_files(path, scorer, probes):
    """Saving twice gives the same bytes."""
    first = path.read_bytes()
    save(path, scorer, probes)
    assert path.read_bytes() == first


@pytest.mark.parametrize("share", [0, 0.00001, 0.001, 0.3, 0.999])
def test_a_truncated_file_is_refused(path, share):
    """A file cut short at any place is not read."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="cannot be read"):
        load(path)


@pytest.mark.parametrize("content", [b"garbage", b"\xff" * 64, b"\x80\x04K\x01.", b"PK\x03\x04" + b"\0" * 60], ids=repr)
def test_garbage_is_refused(path, content):
    """What is not safetensors is a ModelError that says what to do."""
    path.write_bytes(content)
    with pytest.raises(ModelError, match="pull or train the model again"):
        load(path)


def test_a_missing_file_is_refused(tmp_path):
    """No file is a ModelError too."""
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"forest": "{}"},
        {"forest": "no JSON"},
        {"forest": "[1, 2]"},
        {"forest": "7"},
        {"forest": json.dumps({"format": "fraud-forest", "version": "2", "n_features": 30})},
        {"forest": json.dumps({"format": "other", "version": "1", "n_features": 30})},
        {"forest": json.dumps({"format": "fraud-forest", "version": "1"})},
        {"forest": json.dumps({"format": "fraud-forest", "version": "1", "n_features": "30"})},
        {"forest": json.dumps({"format": "fraud-forest", "version": "1", "n_features": 3})},
        {"forest": json.dumps({"format": "fraud-forest", "version": "1", "n_features": -1})},
    ],
    ids=str,
)
def test_another_format_or_version_is_refused(path, metadata):
    """Only the format and version that this code writes is read, with a number of features that fits."""
    save_file(load_file(path), path, metadata=metadata)
    with pytest.raises(ModelError, match=r"forest\.safetensors: "):
        load(path)


def change(name, index, value):
    """Put ``value`` into an array; an index may be given from the tensors."""

    def apply(tensors):
        tensors[name][index(tensors) if callable(index) else index] = value(tensors) if callable(value) else value

    return apply


def cast(name, dtype):
    return lambda tensors: tensors.update({name: tensors[name].astype(dtype)})


def reshape(name, shape):
    return lambda tensors: tensors.update({name: tensors[name].reshape(shape)})


def inner(tensors):
    """A node in the middle that is no leaf."""
    nodes = np.flatnonzero(tensors["children"][:, 0] != np.arange(len(tensors["feature"])))
    return nodes[len(nodes) // 2]


def last_tree(tensors):
    return tensors["roots"][-1]


DAMAGE = {
    "child far outside": change("children", lambda t: (inner(t), 0), 2**30),
    "child just outside": change("children", lambda t: (inner(t), 1), lambda t: len(t["feature"])),
    "child negative": change("children", lambda t: (inner(t), 0), -1),
    "child points back: an endless walk": change("children", lambda t: (inner(t), 0), lambda t: inner(t) - 1),
    "child points at its root": change("children", lambda t: (inner(t), 1), 0),
    "one child is the node itself": change("children", lambda t: (inner(t), 1), inner),
    "child in the next tree": change("children", (0, 1), lambda t: t["roots"][1]),
    "feature too high": change("feature", inner, len(FEATURES)),
    "feature negative": change("feature", inner, -1),
    "threshold NaN": change("threshold", inner, np.nan),
    "value NaN": change("value", 0, np.nan),
    "value above 1": change("value", 0, 1.5),
    "value negative": change("value", 0, -0.5),
    "value infinite": change("value", 0, np.inf),
    "first root not 0": change("roots", 0, 1),
    "roots not ascending": change("roots", 2, lambda t: t["roots"][1]),
    "root outside": change("roots", -1, lambda t: len(t["feature"])),
    "root inside a tree": change("roots", -1, lambda t: last_tree(t) + 1),
    "no roots": lambda t: t.update(roots=t["roots"][:0]),
    "no nodes": lambda t: t.update({name: t[name][:0] for name in ("feature", "threshold", "children", "value")}),
    "fewer values": lambda t: t.update(value=t["value"][:-1]),
    "fewer children": lambda t: t.update(children=t["children"][:-1]),
    "three children": lambda t: t.update(children=np.repeat(t["children"], 2, axis=1)[:, :3].copy()),
    "fewer probe scores": lambda t: t.update(probe_scores=t["probe_scores"][:-1]),
    "one probe score for all": lambda t: t.update(probe_scores=t["probe_scores"][:1]),
    "narrow probes": lambda t: t.update(probe_rows=t["probe_rows"][:, :-1].copy()),
    "flat probes": reshape("probe_rows", -1),
    "flat children": reshape("children", -1),
    "roots without a dimension": lambda t: t.update(roots=np.array(0, dtype=np.int32)),
    "feature in two dimensions": reshape("feature", (-1, 1)),
    "threshold in two dimensions": reshape("threshold", (1, -1)),
    "value in two dimensions": reshape("value", (-1, 1)),
    "threshold in float64": cast("threshold", np.float64),
    "value in float32": cast("value", np.float32),
    "children in int64": cast("children", np.int64),
    "feature in uint32": cast("feature", np.uint32),
    "probes in float32": cast("probe_rows", np.float32),
    "an array too many": lambda t: t.update(extra=np.zeros(1)),
}


def rewrite(path, damage):
    tensors = load_file(path)
    damage(tensors)
    facts = {"format": forests.FORMAT, "version": forests.FORMAT_VERSION, "n_features": len(FEATURES)}
    save_file(
        {name: np.asarray(array, order="C") for name, array in tensors.items()}, path, {"forest": json.dumps(facts)}
    )


def test_rewriting_alone_is_no_damage(path):
    """The way these tests rewrite a file is itself sound: without damage it loads."""
    rewrite(path, lambda _: None)
    load(path)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_refused(path, damage):
    """What would leave the arrays, walk for ever, or give no probability is refused before it is walked."""
    rewrite(path, damage)
    with pytest.raises(ModelError, match="is damaged"):
        load(path)


@pytest.mark.parametrize("name", ["roots", "feature", "threshold", "children", "value", "probe_rows", "probe_scores"])
def test_a_missing_array_is_refused(path, name):
    """Each of the seven arrays must be there."""
    rewrite(path, lambda tensors: tensors.pop(name))
    with pytest.raises(ModelError, match="is damaged"):
        load(path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_damage_is_refused_or_harmless(tmp_path_factory, scorer, probes, rows, data):
    """After any one changed byte a file is refused, or its walk ends with probabilities."""
    path = tmp_path_factory.getbasetemp() / "random.safetensors"
    if not path.exists():
        save(path, scorer, probes)
        path.with_suffix(".kept").write_bytes(path.read_bytes())
    content = bytearray(path.with_suffix(".kept").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        forest, _ = load(path)
    except ModelError:
        return
    scores = forest.score(np.resize(transform(rows[:5]), (5, forest.n_features)))
    assert ((scores >= 0) & (scores <= 1)).all()


def fitted(model, labels):
    features = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    return model.fit(features, labels)


HALF = np.arange(60) % 2

WRONG = {
    "a regressor": lambda: fitted(RandomForestRegressor(2), HALF),
    "not fitted": lambda: RandomForestClassifier(2),
    "three classes": lambda: fitted(RandomForestClassifier(2), np.arange(60) % 3),
    "one class": lambda: fitted(RandomForestClassifier(2), np.zeros(60)),
    "two outputs": lambda: fitted(RandomForestClassifier(2), np.stack([HALF, 1 - HALF], axis=1)),
    "labels 1 and 2": lambda: fitted(RandomForestClassifier(2), HALF + 1),
    "labels -1 and 1": lambda: fitted(RandomForestClassifier(2), 2 * HALF - 1),
    "text labels": lambda: fitted(RandomForestClassifier(2), np.where(HALF, "1", "0")),
    "one tree": lambda: fitted(DecisionTreeClassifier(), HALF),
    "boosting": lambda: fitted(GradientBoostingClassifier(n_estimators=2), HALF),
    "bagging": lambda: fitted(BaggingClassifier(n_estimators=2), HALF),
    "isolation": lambda: fitted(IsolationForest(n_estimators=2), HALF),
    "no trees at all": lambda: fitted(LogisticRegression(), HALF),
    "no model": lambda: None,
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_other_models_are_refused(make):
    """Only a fitted forest over the classes 0 and 1 is laid out; anything else is a ModelError."""
    with pytest.raises(ModelError, match="expected a"):
        from_sklearn(make())


def test_too_many_nodes_are_refused(model, monkeypatch):
    """More nodes than int32 can double are refused instead of wrapping around."""

    class Huge:
        node_count = 2**29

    class Tree:
        tree_ = Huge()

    changed = RandomForestClassifier(2)
    changed.__dict__.update(model.__dict__ | {"estimators_": [Tree(), Tree()]})
    with pytest.raises(ModelError, match="nodes are more than"):
        from_sklearn(changed)


def test_a_forest_is_frozen(scorer):
    """A scorer is replaced, never changed."""
    with pytest.raises(AttributeError):
        scorer.n_features = 3
    assert replace(scorer, n_features=3).n_features == 3
