"""The scorer equals scikit-learn bit for bit, with both engines."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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

from fraud.errors import ModelError
from fraud.features import transform
from fraud.scorer import kernel, numpy_walk, order
from fraud.scorer.from_sklearn import from_sklearn
from fraud.scorer.order import LEAF, floor32
from tests.ulb import FEATURES

SIZE = 500
WIDTH = 6
TINY, MAX = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
ODD = np.array([0.0, -0.0, TINY, -TINY, 1e-40, 1.1754944e-38, 1.0, -1.0, 16777217.0, MAX, -MAX], dtype=np.float32)


class Both(RandomForestClassifier):
    """A random forest that holds extremely randomized trees too, as a recipe of both makes it."""

    def fit(self, *data):
        extra = ExtraTreesClassifier(self.n_estimators, bootstrap=True, random_state=self.random_state, n_jobs=1)
        super().fit(*data)
        self.estimators_ += extra.fit(*data).estimators_
        return self


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
    "both": Both(11, random_state=18),
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
    nodes = forest.nodes[forest.nodes != LEAF][:1500]
    rows = features[np.arange(3 * len(nodes)) % len(features)].copy()
    for side, toward in enumerate((None, -np.inf, np.inf)):
        cut = order.thresholds(nodes)
        with np.errstate(all="ignore"):
            value = cut if toward is None else np.nextafter(cut, np.float32(toward))
        rows[side::3][np.arange(len(nodes)), order.columns(nodes)] = np.clip(value, -MAX, MAX)
    return np.concatenate([features[:1], rows])


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    features = inputs(random, SIZE)
    return features, (features[:, 0] + random.normal(size=SIZE) > 0.8).astype(np.int8)


@pytest.fixture(scope="module", params=["kernel", "numpy"])
def engine(request):
    return request.param


@pytest.fixture(scope="module", params=FORESTS, ids=str)
def fitted_pair(request, data):
    with np.errstate(all="ignore"):  # scikit-learn's check for infinities adds everything up
        model = FORESTS[request.param].set_params(n_jobs=1).fit(*data)
    return model, from_sklearn(model)


@pytest.fixture(scope="module")
def pair(fitted_pair, engine):
    """A fitted scikit-learn forest and its scorer with each engine."""
    model, forest = fitted_pair
    return model, using(engine, forest)


@pytest.fixture(scope="module")
def scorer(scorer, engine):
    """The scorer of the shared small model with each engine."""
    return using(engine, scorer)


def using(engine, forest):
    """The same forest with an engine, if that can run here."""
    forest = replace(forest, prefer=engine)
    if forest.engine != engine:
        pytest.skip(f"no {engine} for this machine: {kernel.file_name()}")
    return forest


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
def test_thresholds_between_neighbours(value, engine):
    """A split between two neighbouring float32 values, which only float64 can hold, sends each to its own side."""
    low = np.float32(value)
    high = np.nextafter(low, np.float32(0 if low == MAX else np.inf))
    features = np.array([[low], [high]], dtype=np.float32)
    model = RandomForestClassifier(1, bootstrap=False, random_state=0).fit(features, [0, 1])
    assert same(using(engine, from_sklearn(model)).score(features), reference(model, features))


@pytest.mark.parametrize("size", [*range(18), 63, 127, 128, 129, 1_023, 1_024, 1_025, 2_047, 2_048, 2_049, 5_000])
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
    monkeypatch.setattr(numpy_walk, "_LANES", lanes)
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
    assert replace(scorer, n_features=31).n_features == 31


def test_a_forest_survives_pickling(scorer, rows):
    """A worker process that gets it scores the same with the same engine."""
    features = transform(rows)
    scores = scorer.score(features)  # what was derived here does not travel
    copy = pickle.loads(pickle.dumps(scorer))  # noqa: S301 - our own
    assert copy.engine == scorer.engine
    assert same(copy.score(features), scores)


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads_do_not_change_scores(scorer, rows, threads):
    """However many threads share the rows, each score is the same."""
    features = np.resize(transform(rows), (20_001, len(FEATURES)))
    assert same(scorer.score(features, threads=threads), scorer.score(features))


@pytest.mark.parametrize("width", [1, 31, 32, 33, 64, 65, 128, 129, 255, 256])
def test_any_number_of_features_equals_scikit_learn(width, engine):
    """The last of as many features as can be counts like the first."""
    random = np.random.default_rng(width)
    features = random.normal(size=(200, width)).astype(np.float32)
    model = RandomForestClassifier(11, random_state=0, n_jobs=1).fit(features, features[:, -1] > 0.3)
    fresh = random.normal(size=(300, width)).astype(np.float32)
    assert same(using(engine, from_sklearn(as_numbers(model))).score(fresh), reference(model, fresh))


def as_numbers(model):
    model.classes_ = model.classes_.astype(int)
    return model


def test_too_many_features_are_refused():
    """A column number has eight bits."""
    features = np.random.default_rng(0).normal(size=(50, 257))
    with pytest.raises(ModelError, match="at most 256 features"):
        from_sklearn(RandomForestClassifier(2).fit(features, np.arange(50) % 2))


@pytest.mark.parametrize("odd", [np.nan, -np.nan, np.inf, -np.inf])
def test_what_is_no_number_ends_too(scorer, odd):
    """Values that validation never lets through do not lead a walk astray: it ends, with either engine alike."""
    features = np.full((9, len(FEATURES)), odd, dtype=np.float32)
    scores = scorer.score(features)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert same(scores, replace(scorer, prefer="numpy").score(features))


def test_an_unsound_forest_cannot_be_made(scorer):
    """Whoever changes a forest gets a sound one or none: a walk off the arrays would end the process."""
    nodes = scorer.nodes.copy()
    nodes[0] |= np.uint64(0xFFFFFF00)
    with pytest.raises(ModelError, match="node 0 points outside its tree"):
        replace(scorer, nodes=nodes)
    with pytest.raises(ModelError, match="feature that is not there"):
        replace(scorer, n_features=3)


def test_keys_are_in_the_order_of_the_floats():
    """Comparing keys is comparing floats; zeros are equal, and all lie below a leaf's cut."""
    numbers = np.concatenate([ODD, np.array([np.inf, -np.inf, 3, -3], dtype=np.float32)])
    found = order.keys(numbers)
    assert ((found[:, None] <= found) == (numbers[:, None] <= numbers)).all()
    assert (found < LEAF >> 32).all()


def test_thresholds_are_read_back_from_their_keys(pair):
    """What training and probes read of a tree is what scikit-learn split on, rounded down."""
    model, forest = pair
    ours = order.thresholds(forest.nodes[forest.nodes != LEAF])
    theirs = np.concatenate([tree.tree_.threshold[tree.tree_.children_left >= 0] for tree in model.estimators_])
    assert sorted(ours) == sorted(floor32(theirs))
