"""Missing values go where scikit-learn sends them, with both engines, in every bit of the score."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from fraud.errors import ModelError
from fraud.scorer import order
from fraud.scorer.from_sklearn import from_sklearn
from tests.fraud.scorer.test_cells import NANS
from tests.fraud.scorer.test_forest import Both, using

WIDTH = 6
ALL = tuple(range(WIDTH))
FORESTS = {
    "random": RandomForestClassifier(20, random_state=0),
    "random, no bootstrap": RandomForestClassifier(5, bootstrap=False, random_state=1),
    "random, balanced": RandomForestClassifier(9, class_weight="balanced", min_samples_leaf=3, random_state=2),
    "random, best first": RandomForestClassifier(9, criterion="entropy", max_leaf_nodes=20, random_state=4),
    "random, pruned": RandomForestClassifier(9, ccp_alpha=0.002, random_state=5),
    "random, single leaves": RandomForestClassifier(9, max_samples=3, random_state=6),
    "extra": ExtraTreesClassifier(20, random_state=7),
    "extra, bootstrap": ExtraTreesClassifier(9, bootstrap=True, class_weight="balanced", random_state=8),
    "both": Both(9, random_state=9),
}


def rows_of(seed, size=600):
    return np.random.default_rng(seed).normal(size=(size, WIDTH)).astype(np.float32)


def without(rows, seed, share=0.3):
    """The rows with values missing: here and there, all of column 4, all of some rows."""
    random = np.random.default_rng(seed)
    gone = random.random(rows.shape) < share
    gone[:, 4] = True
    gone[::50] = True
    return np.where(gone, random.choice(NANS, rows.shape), rows)


@pytest.fixture(scope="module", params=["kernel", "numpy"])
def engine(request):
    return request.param


@pytest.fixture(scope="module", params=["all there", "missing"])
def training(request):
    """Rows to fit, whole or not, and labels that follow from numbers and from what is missing."""
    rows = without(rows_of(0), seed=1)
    labels = (np.nan_to_num(rows[:, 0]) + np.isnan(rows[:, 1]) > 0.6).astype(np.int8)
    return (rows_of(0) if request.param == "all there" else rows), labels


@pytest.fixture(scope="module", params=FORESTS, ids=str)
def model(request, training):
    return fitted(FORESTS[request.param], *training)


@pytest.fixture(scope="module")
def forest(model, engine):
    return using(engine, from_sklearn(model, nullable=ALL))


def same(left, right):
    """Equal in every bit."""
    return left.dtype == right.dtype and left.tobytes() == right.tobytes()


def fitted(model, rows, labels):
    with np.errstate(all="ignore"):  # scikit-learn adds everything up to see whether anything is missing
        return model.set_params(n_jobs=1).fit(rows, labels)


def expected(model, rows):
    with np.errstate(all="ignore"):
        return model.predict_proba(rows)[:, 1]


@pytest.fixture(scope="module")
def served():
    """Rows of which nothing, something and everything is missing, and of which one value alone is, in every place."""
    shares = [rows_of(2, 200), *(without(rows_of(2, 300), seed=3, share=share) for share in (0.01, 0.3, 1))]
    alone = np.where(np.arange(WIDTH) == np.arange(300)[:, None] % WIDTH, np.float32(np.nan), rows_of(4, 300))
    return np.concatenate([*shares, alone])


def test_scores_equal_scikit_learn(model, forest, served):
    """Whatever is missing when scored, and whatever was in training, in company and alone."""
    wanted = expected(model, served)
    assert same(forest.score(served), wanted)
    assert same(np.concatenate([forest.score(row[None]) for row in served[::9]]), wanted[::9])


def test_rows_on_thresholds_equal_scikit_learn(model, forest):
    """A value on a threshold, or one float32 beside it, goes its way while others are missing."""
    nodes = forest.nodes[forest.nodes != order.LEAF][:500]
    if not len(nodes):
        pytest.skip("leaves alone have no thresholds")
    cuts = order.thresholds(nodes)
    for side in (None, -np.inf, np.inf):
        rows = np.resize(without(rows_of(5), seed=6), (len(nodes), WIDTH))
        put = cuts if side is None else np.nextafter(cuts, np.float32(side))
        rows[np.arange(len(nodes)), forest.features_of(nodes)] = np.where(np.isinf(put), np.nan, put)
        assert same(forest.score(rows), expected(model, rows))


@pytest.mark.parametrize("nullable", [(), (1, 4), (0, 2, 5)], ids=str)
def test_what_is_not_nullable_needs_one_cell(model, engine, nullable):
    """Where only some features may be missing, the others are as ever."""
    forest = using(engine, from_sklearn(model, nullable=nullable))
    rows = rows_of(7)
    rows[:, nullable] = without(rows_of(7), seed=8)[:, nullable]
    assert same(forest.score(rows), expected(model, rows))
    assert order.columns(forest.nodes).max() < WIDTH + len(nullable)


def test_nodes_without_missing_values_are_as_ever(model):
    """A forest in which nothing may be missing has the nodes that it had before there were second cells."""
    forest, other = from_sklearn(model), from_sklearn(model, nullable=ALL)
    assert (order.cuts(forest.nodes) == order.cuts(other.nodes)).all()
    assert (order.columns(forest.nodes) == other.features_of(other.nodes)).all()


def test_batches_threads_layouts_and_pickles(model, forest):
    """A row's score is the same in any batch, by any number of threads, from any memory order, and in a process."""
    rows = np.resize(without(rows_of(9), seed=10), (5_000, WIDTH)).copy()
    scores = forest.score(rows)
    assert same(scores[:600], expected(model, rows[:600]))
    assert same(forest.score(np.asfortranarray(rows)), scores)
    assert same(forest.score(rows[::-1])[::-1].copy(), scores)
    assert same(forest.score(rows, threads=3), scores)
    assert same(pickle.loads(pickle.dumps(forest)).score(rows), scores)  # noqa: S301 - our own
    for size in (0, 1, 63, 65, 2_049):
        assert same(forest.score(rows[:size]), scores[:size])


def test_the_callers_rows_are_left_alone(forest):
    """What stands in for missing values is put into a copy."""
    rows = without(rows_of(11), seed=12)
    before = rows.tobytes()
    forest.score(rows)
    assert rows.tobytes() == before


@pytest.mark.parametrize("fraud_is", ["missing", "there"])
def test_a_tree_that_splits_on_missing_values_alone(engine, fraud_is):
    """Its threshold is infinite; the largest number goes left of it, and what is missing right."""
    rows = np.array([[np.nan], [-1], [np.nan], [3e38], [np.nan], [0]], dtype=np.float32)
    labels = (np.isnan(rows[:, 0]) == (fraud_is == "missing")).astype(int)
    model = fitted(RandomForestClassifier(3, bootstrap=False, random_state=0), rows, labels)
    assert np.isinf(model.estimators_[0].tree_.threshold[0]), "scikit-learn has another way now"
    forest = using(engine, from_sklearn(model, nullable=(0,)))
    most = np.finfo(np.float32).max
    fresh = np.concatenate([np.array([[most], [-most], [0], [np.inf], [-np.inf]], np.float32), NANS[:, None]])
    assert same(forest.score(fresh[:3]), expected(model, fresh[:3]))
    assert same(forest.score(fresh[5:]), expected(model, fresh[5:]))
    assert (forest.score(fresh) == ([1] * 5 + [0] * 4 if fraud_is == "there" else [0] * 5 + [1] * 4)).all()


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
@pytest.mark.parametrize("width", [16, 17, 127, 128])
def test_any_number_of_features_may_be_missing(engine, kind, width):
    """The last of as many second cells as there can be counts like the first."""
    random = np.random.default_rng(width)
    rows = random.normal(size=(300, width)).astype(np.float32)
    rows[random.random(rows.shape) < 0.2] = np.nan
    labels = (np.isnan(rows[:, -1]) | (rows[:, -1] > 1)).astype(int)
    model = fitted(kind(15, max_features=None, random_state=0), rows[:200], labels[:200])
    forest = using(engine, from_sklearn(model, nullable=tuple(range(width))))
    assert same(forest.score(rows), expected(model, rows))


def test_too_many_cells_are_refused():
    """A feature that may be missing counts twice, and a column number has eight bits."""
    rows = np.random.default_rng(0).normal(size=(20, 200))
    model = fitted(RandomForestClassifier(2), rows, np.arange(20) % 2)
    with pytest.raises(ModelError, match="at most 256 features, got 200, 57 of which may be missing and count twice"):
        from_sklearn(model, nullable=tuple(range(57)))
    assert from_sklearn(model, nullable=tuple(range(56))).n_features == 200


@pytest.mark.parametrize("nullable", [(6,), (-1,), (1, 0), (2, 2)], ids=str)
def test_places_that_are_none_are_refused(model, nullable):
    """When a forest is laid out, and when one is changed."""
    with pytest.raises(ModelError, match="places"):
        from_sklearn(model, nullable=nullable)
    with pytest.raises(ModelError, match="places"):
        replace(from_sklearn(model), nullable=nullable)


def branches(tree, forest, mine, theirs=0):
    """Pairs of our node and scikit-learn's, from the root down."""
    yield mine, theirs
    for ours, child in zip(order.children(forest.nodes)[mine], (tree.children_left, tree.children_right), strict=True):
        if tree.children_left[theirs] >= 0:
            yield from branches(tree, forest, ours, child[theirs])


def test_covers_and_directions_are_those_of_the_nodes(model):
    """Each node keeps the weight of the rows that came to it, its feature, and where it sends what is missing."""
    forest = from_sklearn(model, nullable=ALL)
    features, second = forest.features_of(forest.nodes), order.columns(forest.nodes) >= WIDTH
    for estimator, root in list(zip(model.estimators_, forest.roots, strict=True))[:4]:
        tree = estimator.tree_
        for mine, theirs in branches(tree, forest, root):
            assert forest.cover[mine] == tree.weighted_n_node_samples[theirs]
            assert forest.value[mine] == tree.value[theirs, 0, 1]
            if tree.children_left[theirs] >= 0:
                assert features[mine] == tree.feature[theirs]
                assert second[mine] == tree.missing_go_to_left[theirs]


def test_covers_of_other_nodes_are_refused(model):
    """Covers in another order do not fit the nodes."""
    forest = from_sklearn(model)
    if (forest.nodes == order.LEAF).all():
        pytest.skip("leaves alone fit any covers")
    with pytest.raises(ModelError, match="covers of children"):
        replace(forest, cover=forest.cover[::-1].copy())


CELL = st.one_of(
    st.just(np.float32(np.nan)), st.integers(-2, 2).map(np.float32), st.floats(-(2.0**99), 2.0**99, width=32)
)
TABLES = st.tuples(st.integers(4, 12), st.integers(1, 3)).flatmap(
    lambda shape: st.tuples(
        arrays.arrays(np.float32, shape, elements=CELL, fill=st.nothing()),
        arrays.arrays(np.float32, (8, shape[1]), elements=CELL, fill=st.nothing()),
        arrays.arrays(np.int8, shape[0], elements=st.integers(0, 1), fill=st.nothing()),
    )
)


@settings(max_examples=100, deadline=None)
@given(TABLES, st.sampled_from([RandomForestClassifier, ExtraTreesClassifier]), st.booleans())
def test_any_small_table(tables, kind, bootstrap):
    """Whatever is missing where, in a few rows of few features, both engines follow scikit-learn."""
    rows, fresh, labels = tables
    labels[:2] = 0, 1
    model = fitted(kind(3, bootstrap=bootstrap, max_features=None, random_state=0), rows, labels)
    forest = from_sklearn(model, nullable=tuple(range(rows.shape[1])))
    every = np.concatenate([rows, fresh])
    wanted = expected(model, every)
    assert same(forest.score(every), wanted)
    assert same(replace(forest, prefer="numpy").score(every), wanted)
