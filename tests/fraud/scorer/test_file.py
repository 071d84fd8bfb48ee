"""A scorer's file comes back as it was, and nothing damaged is ever walked."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from fraud.errors import ModelError
from fraud.features import transform
from fraud.scorer import file as forest_file
from fraud.scorer.file import Probes, load, save
from fraud.scorer.from_sklearn import from_sklearn
from fraud.scorer.order import LEAF
from tests.ulb import FEATURES


def same(left, right):
    """Equal in every bit, signs of zero and all."""
    return left.dtype == right.dtype and left.tobytes() == right.tobytes()


@pytest.fixture
def path(tmp_path, scorer, probes):
    """A saved scorer."""
    save(tmp_path / "forest.safetensors", scorer, probes)
    return tmp_path / "forest.safetensors"


def test_what_was_saved_is_loaded(path, scorer, probes):
    """Every array comes back in every bit, and so do the probes."""
    forest, read = load(path)
    for name in ("roots", "nodes", "value", "cover"):
        assert same(getattr(forest, name), getattr(scorer, name)), name
    assert (forest.n_features, forest.nullable) == (scorer.n_features, ())
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


def test_what_may_be_missing_is_kept(path, model, probes):
    """Places of features that may be NaN come back, and so does every score."""
    saved = from_sklearn(model, nullable=(0, 7, 29))
    save(path, saved, probes)
    forest = load(path)[0]
    assert forest.nullable == saved.nullable
    features = transform(probes.rows)
    features[:, ::7] = np.nan
    features[:, 29] = np.nan
    features[:, [14, 21, 28]] = 0
    assert same(forest.score(features), saved.score(features))
    assert not same(forest.score(features), saved.score(np.nan_to_num(features))), "NaN is no 0"


def test_a_forest_without_covers_is_not_saved(path, scorer, probes):
    """What is read from a file of version 2 is not written as one of version 3."""
    with pytest.raises(ModelError, match="expected a forest with covers"):
        save(path, replace(scorer, cover=None), probes)


def in_version_2(path, **facts):
    """Make the file what version 2 was: no covers, no word of what may be missing."""
    tensors = load_file(path)
    del tensors["cover"]
    facts = {"format": "fraud-forest", "version": 2, "n_features": len(FEATURES), **facts}
    save_file(tensors, path, {"forest": json.dumps(facts)})


def test_a_file_of_version_2_is_read(path, scorer, probes):
    """A model saved before covers were kept scores the same, and nothing may be missing."""
    in_version_2(path)
    forest, read = load(path)
    assert (forest.cover, forest.nullable) == (None, ())
    assert same(forest.score(transform(probes.rows)), scorer.score(transform(probes.rows)))
    assert same(read.scores, probes.scores)


@pytest.mark.parametrize("version", [1, 3, 4, "2", None, [2]], ids=repr)
def test_a_file_of_version_2_is_no_file_of_another(path, version):
    """Arrays of version 2 under another number are refused."""
    in_version_2(path, version=version)
    with pytest.raises(ModelError, match=r"version 2 or 3|is damaged"):
        load(path)


def test_covers_in_a_file_of_version_2_are_refused(path):
    """Arrays of version 3 under the number 2 are refused too."""
    rewrite(path, lambda _: None, version=2)
    with pytest.raises(ModelError, match="is damaged"):
        load(path)


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
    nodes = np.flatnonzero(tensors["nodes"] != LEAF)
    return nodes[len(nodes) // 2]


def leaf(tensors):
    return np.flatnonzero(tensors["nodes"] == LEAF)[-1]


def node(which, *, cut=None, distance=None, feature=None):
    """Change parts of a node; the node and the distance may be given from the tensors."""

    def apply(tensors):
        number = which(tensors) if callable(which) else which
        old = int(tensors["nodes"][number])
        far = distance(tensors) if callable(distance) else distance
        parts = zip((cut, far, feature), (old >> 32, old >> 8 & 0xFFFFFF, old & 0xFF), strict=True)
        new_cut, new_distance, new_feature = (int(old if new is None else new) for new, old in parts)
        tensors["nodes"][number] = new_cut << 32 | new_distance << 8 | new_feature

    return apply


ARRAYS = ("roots", "nodes", "value", "cover", "probe_rows", "probe_scores")

DAMAGE = {
    "child far outside": node(inner, distance=2**24 - 1),
    "child just outside": node(inner, distance=lambda t: len(t["value"]) - inner(t)),
    "right child just outside": node(inner, distance=lambda t: len(t["value"]) - inner(t) - 1),
    "child in the next tree": node(0, distance=lambda t: t["roots"][1]),
    "right child in the next tree": node(0, distance=lambda t: t["roots"][1] - 1),
    "no distance: a step to a neighbour": node(inner, distance=0),
    "no distance and no threshold, but a feature": node(inner, cut=0xFFFFFFFF, distance=0, feature=1),
    "no distance, the feature 0": node(inner, distance=0, feature=0),
    "a leaf with a threshold": node(leaf, cut=0x80000000),
    "a leaf with nearly the highest cut": node(leaf, cut=0xFFFFFFFE),
    "a leaf with a feature": node(leaf, feature=1),
    "a leaf with children": node(lambda t: leaf(t) - 100, distance=1),
    "feature too high": node(inner, feature=len(FEATURES)),
    "feature as high as can be": node(inner, feature=255),
    "threshold NaN": node(inner, cut=0xFFC00000),
    "threshold negative NaN": node(inner, cut=0),
    "threshold of a leaf": node(inner, cut=0xFFFFFFFF),
    "value NaN": change("value", 0, np.nan),
    "value above 1": change("value", 0, 1.5),
    "value negative": change("value", 0, -0.5),
    "value infinite": change("value", 0, np.inf),
    "cover NaN": change("cover", 0, np.nan),
    "cover infinite": change("cover", 0, np.inf),
    "cover huge": change("cover", slice(1, 3), 1.7e308),
    "cover of a leaf 0": change("cover", leaf, 0),
    "cover of a leaf negative": change("cover", leaf, -1),
    "cover of a leaf greater": change("cover", leaf, lambda t: 1.01 * t["cover"][leaf(t)]),
    "cover of a root less": change("cover", 0, lambda t: 0.99999 * t["cover"][0]),
    "fewer covers": lambda t: t.update(cover=t["cover"][:-1]),
    "a cover too many": lambda t: t.update(cover=np.append(t["cover"], 1.0)),
    "cover in two dimensions": reshape("cover", (-1, 1)),
    "cover in float32": cast("cover", np.float32),
    "first root not 0": change("roots", 0, 1),
    "first root negative": change("roots", 0, -1),
    "roots not ascending": change("roots", 2, lambda t: t["roots"][1]),
    "root outside": change("roots", -1, lambda t: len(t["value"])),
    "root inside a tree": change("roots", -1, lambda t: t["roots"][-1] + 1),
    "no roots": lambda t: t.update(roots=t["roots"][:0]),
    "no nodes": lambda t: t.update({name: t[name][:0] for name in ("nodes", "value", "cover")}),
    "fewer values": lambda t: t.update(value=t["value"][:-1]),
    "fewer nodes": lambda t: t.update(nodes=t["nodes"][:-1]),
    "nodes in two dimensions": reshape("nodes", (-1, 1)),
    "fewer probe scores": lambda t: t.update(probe_scores=t["probe_scores"][:-1]),
    "one probe score for all": lambda t: t.update(probe_scores=t["probe_scores"][:1]),
    "flat probes": reshape("probe_rows", -1),
    "roots without a dimension": lambda t: t.update(roots=np.array(0, dtype=np.int32)),
    "roots in two dimensions": reshape("roots", (-1, 1)),
    "value in two dimensions": reshape("value", (-1, 1)),
    "value in float32": cast("value", np.float32),
    "roots in int64": cast("roots", np.int64),
    "nodes in int64": cast("nodes", np.int64),
    "probes in float32": cast("probe_rows", np.float32),
    "an array too many": lambda t: t.update(extra=np.zeros(1)),
}


def rewrite(path, damage, **changed):
    tensors = load_file(path)
    damage(tensors)
    facts = {"format": forest_file.FORMAT, "version": forest_file.FORMAT_VERSION}
    facts |= {"n_features": len(FEATURES), "nullable": []} | changed
    save_file(
        {name: np.asarray(array, order="C") for name, array in tensors.items()}, path, {"forest": json.dumps(facts)}
    )


def test_a_later_version_asks_for_an_upgrade(path):
    """It is not damaged."""
    rewrite(path, lambda _: None, version=forest_file.FORMAT_VERSION + 1)
    with pytest.raises(ModelError, match="for a higher version upgrade this code"):
        load(path)


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


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_array_is_refused(path, name):
    """Each of the six arrays must be there."""
    rewrite(path, lambda tensors: tensors.pop(name))
    with pytest.raises(ModelError, match="is damaged"):
        load(path)


@pytest.mark.parametrize(
    "facts",
    [
        {"nullable": None},
        {"nullable": "0"},
        {"nullable": {}},
        {"nullable": [30]},
        {"nullable": [-1]},
        {"nullable": [1, 1]},
        {"nullable": [2, 1]},
        {"nullable": [1.0]},
        {"nullable": [True]},
        {"nullable": [[]]},
        {"nullable": list(range(240)), "n_features": 240},
        {"n_features": 29},
        {"n_features": 257},
        {"n_features": 0},
        {"n_features": -1, "nullable": [-1]},
        {"n_features": 30.0},
        {"n_features": None},
    ],
    ids=str,
)
def test_facts_that_fit_no_forest_are_refused(path, facts):
    """So many features, and places of those that may be missing, as there are cells for, or no forest."""
    rewrite(path, lambda _: None, **facts)
    with pytest.raises(ModelError, match="is damaged"):
        load(path)


def altered(path, content):
    """Scores of a file with this content, by both engines, or None when it is refused."""
    path.write_bytes(content)
    try:
        forest, _ = load(path)
    except ModelError:
        return None
    features = np.resize(np.array([0, 1, -1, 3e38, -3e38, 1e-40], dtype=np.float32), (21, forest.n_features))
    scores = forest.score(features)
    assert same(scores, replace(forest, prefer="numpy").score(features))
    assert ((scores >= 0) & (scores <= 1)).all()
    return scores


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_random_damage_is_refused_or_harmless(tmp_path_factory, scorer, probes, data):
    """After any one changed byte a file is refused, or both walks of it end with equal probabilities."""
    path = tmp_path_factory.getbasetemp() / "random.safetensors"
    if not path.exists():
        save(path, scorer, probes)
        path.with_suffix(".kept").write_bytes(path.read_bytes())
    content = bytearray(path.with_suffix(".kept").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    altered(path, bytes(content))


def test_damage_in_every_part_is_refused_or_harmless(path):
    """64 bytes of ones, zeros or noise anywhere in the file are refused, or both walks end with equal probabilities."""
    whole = path.read_bytes()
    noise = np.random.default_rng(0)
    for start in range(0, len(whole), max(64, len(whole) // 150)):
        for patch in (b"\xff" * 64, b"\0" * 64, noise.bytes(64)):
            altered(path, whole[:start] + patch[: len(whole) - start] + whole[start + 64 :])


def test_swapped_offsets_are_refused_or_harmless(path):
    """Headers that give an array the place of another are refused, or walk inside of the file."""
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    for one, other in itertools.permutations(ARRAYS, 2):
        swapped = {**header, one: {**header[one], "data_offsets": header[other]["data_offsets"]}}
        both = {**swapped, other: {**header[other], "data_offsets": header[one]["data_offsets"]}}
        for changed in (swapped, both):
            text = json.dumps(changed).encode()
            assert altered(path, len(text).to_bytes(8, "little") + text + whole[8 + size :]) is None


@pytest.mark.parametrize("offsets", [[-8, 0], [0, 2**62], [8, 0], [0.5, 8], ["0", "8"], [0], None], ids=str)
def test_wild_offsets_are_refused(path, offsets):
    """Offsets that are no place in the file are refused."""
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    header["roots"]["data_offsets"] = offsets
    text = json.dumps(header).encode()
    assert altered(path, len(text).to_bytes(8, "little") + text + whole[8 + size :]) is None


def test_an_array_off_its_alignment_is_refused(path):
    """Arrays that begin between the processor's words are refused: not every machine reads them."""
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    text = whole[8 : 8 + size] + b" "
    assert altered(path, len(text).to_bytes(8, "little") + text + whole[8 + size :]) is None


def test_a_loaded_forest_is_mapped_and_cannot_be_written(path):
    """The arrays lie in the file's pages, which workers share, and nobody writes to them."""
    forest, _ = load(path)
    for array in (forest.roots, forest.nodes, forest.value, forest.cover):
        assert not array.flags.writeable
        assert not array.flags.owndata


def test_a_loaded_forest_outlives_its_file(path, rows):
    """A model that is deleted while it serves goes on serving."""
    forest, _ = load(path)
    expected = forest.score(transform(rows))
    path.unlink()
    assert same(forest.score(transform(rows)), expected)
