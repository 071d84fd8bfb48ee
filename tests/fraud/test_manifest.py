"""The manifest is read back as written, and anything else is named as what it is."""

import hashlib
import json

import pytest
from pydantic import ValidationError

from fraud.errors import DamagedError, ModelError
from fraud.inputs import encoding
from fraud.manifest import BINS, Manifest, parse, sha256
from fraud.remote.champion import Champion, parse_document
from fraud.remote.registry import Published, Ruling
from fraud.schema import default
from tests.manifests import DOCUMENT, document


@pytest.fixture
def manifest(facts):
    return Manifest(model_version="v1", files={"a": "b"}, **facts)


def test_what_was_written_is_read(manifest):
    """JSON out and in again gives an equal manifest."""
    assert parse(manifest.model_dump_json(indent=2), "here") == manifest


def test_a_manifest_of_before_there_were_secrets_is_read(manifest):
    """It has no fingerprint, and says so."""
    old = manifest.model_dump(mode="json", exclude={"key_fingerprint"})
    assert parse(json.dumps(old), "here").key_fingerprint is None


def changed(manifest, **changes):
    return json.dumps(manifest.model_dump(mode="json") | changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"format": 2}, "format"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"features": "V1"}, "features"),
        ({"files": {"a": 1}}, "files.a"),
        ({"refit": "some"}, "refit"),
        ({"synthetic": "perhaps"}, "synthetic"),
        ({"profile": []}, "profile"),
        ({"profile": {"V1": {"edges": [], "ratios": ["many"]}}}, "profile.V1.ratios.0"),
        ({"metrics": DOCUMENT["metrics"] | {"recall": 0.4}}, "metrics.recall"),
        ({"data": DOCUMENT["data"] | {"rows": "all"}}, "data.rows"),
    ],
)
def test_a_bad_part_is_named(manifest, changes, named):
    """The error names the entry, the part, and that format 1 was expected."""
    with pytest.raises(ModelError, match=rf"^here: not a manifest of format 1 \({named}"):
        parse(changed(manifest, **changes), "here")


def test_a_stored_document_stays_as_it_is():
    """What was written is read and written again: the same text, byte for byte."""
    text = json.dumps(DOCUMENT, indent=2)
    manifest = parse(text, "here")
    assert json.dumps(manifest.model_dump(mode="json"), indent=2) == text
    assert manifest.model_dump_json() == json.dumps(DOCUMENT, separators=(",", ":"))


def test_a_document_of_before_schemas_is_read():
    """It names neither a schema nor an estimator, nor how its trees grow: they are the default ones."""
    before = document()
    del before["transaction_schema"]
    for later in _LATER:
        del before["settings"][later]
    manifest = parse(json.dumps(before), "here")
    assert manifest == parse(json.dumps(DOCUMENT), "here")
    assert manifest.schema_of() == default()


def places(part, path=()):
    """Paths of all objects in a document, itself first."""
    if isinstance(part, dict):
        yield path
        for name, value in part.items():
            yield from places(value, (*path, name))


def at(part, path):
    for name in path:
        part = part[name]
    return part


NAMED = {("versions",), ("files",), ("profile",)}
"""Objects whose names are free: packages, files and features."""


@pytest.mark.parametrize("path", [path for path in places(DOCUMENT) if path not in NAMED], ids=".".join)
def test_what_later_code_adds_is_ignored(path):
    """A field that is not known, at any depth, changes nothing: code can be rolled back."""
    newer = document()
    at(newer, path)["surprise"] = {"any": [1]}
    assert parse(json.dumps(newer), "here") == parse(json.dumps(DOCUMENT), "here")


PUBLISHED = {
    "manifest": DOCUMENT,
    "archive_sha256": "cc",
    "archive_bytes": 7,
    "rows_sha256": "dd",
    "history_sha256": "ee",
}
CHAMPION = {
    "model_version": "v2",
    "generation": 2,
    "event": "e2",
    "at": "2026-01-02T03:04:05+00:00",
    "reason": "passed the gate",
    "previous_version": "v1",
    "previous_event": None,
}


def test_what_later_code_adds_in_the_registry_is_ignored():
    """A published model's document in S3 is read likewise, and never written again."""
    assert Published.model_validate_json(json.dumps(PUBLISHED | {"surprise": 1})).model_dump(mode="json") == PUBLISHED


def test_what_later_code_adds_to_the_champion_is_kept():
    """Its document is the one that is written anew, from what was read."""
    stored = CHAMPION | {"surprise": {"any": [1]}}
    assert stored.items() <= Champion.model_validate_json(json.dumps(stored)).model_dump(mode="json").items()


LATER = "of a newer version of this code, upgrade it"


@pytest.mark.parametrize("written", [2, 99])
def test_a_later_format_asks_for_an_upgrade(written):
    """It is not damaged: its meaning is another. One line says what to do."""
    with pytest.raises(ModelError) as refused:
        parse(json.dumps(document(format=written)), "here")
    assert str(refused.value) == f"here: not a manifest of format 1 (format: {written} is {LATER})"


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (Published, PUBLISHED | {"format": 2}),
        (Published, PUBLISHED | {"manifest": document(format=2)}),
        (Champion, CHAMPION | {"format": 2}),
        (Ruling, {"passed": True, "format": 2}),
    ],
    ids=["published", "its manifest", "champion", "verdict"],
)
def test_a_later_format_in_the_registry_asks_for_an_upgrade(kind, stored):
    """Of every document in S3, though none of them says its format today."""
    with pytest.raises(DamagedError) as refused:
        parse_document(kind, json.dumps(stored).encode(), "s3://bucket/x.json", "put it back")
    assert str(refused.value) == f"s3://bucket/x.json: format: 2 is {LATER}"


def test_what_later_code_adds_to_a_verdict_is_kept():
    """The gate's reasons are read as they are, known or not."""
    stored = {"passed": False, "reasons": [{"rule": "new"}], "surprise": 1}
    assert Ruling.model_validate_json(json.dumps(stored)).model_dump() == stored


def test_an_encoding_of_a_later_format_is_not_to_be_deleted(tmp_path):
    """It asks for an upgrade alone."""
    path = tmp_path / "encoding.json"
    path.write_text('{"format": 2, "columns": 7}')
    with pytest.raises(ModelError) as refused:
        encoding.read(path)
    assert str(refused.value) == f"{path}: no encoding of categories (format: 2 is {LATER})"


_LATER = ("estimator", "missing_histories", "max_features", "min_samples_leaf", "max_depth", "summaries", "also")
NEWER = [("settings", name) for name in _LATER]
LEAVES = [
    (*path, name)
    for path in places(DOCUMENT)
    for name in at(DOCUMENT, path)
    if path and path not in NAMED and (*path, name) not in NEWER
]


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_every_leaf_is_needed(path):
    """A part that lacks one of its own is refused by the place."""
    short = document()
    del at(short, path[:-1])[path[-1]]
    with pytest.raises(ModelError, match=rf"\({'.'.join(path)}: Field required"):
        parse(json.dumps(short), "here")


@pytest.mark.parametrize("part", [name for name, field in Manifest.model_fields.items() if field.is_required()])
def test_every_part_is_needed(manifest, part):
    """A manifest that lacks one of its parts is refused by the part's name."""
    document = manifest.model_dump(mode="json")
    del document[part]
    with pytest.raises(ModelError, match=rf"\({part}: "):
        parse(json.dumps(document), "here")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"7"], ids=repr)
def test_what_is_no_manifest_is_refused(text):
    """Truncated, empty or foreign content is a ModelError."""
    with pytest.raises(ModelError, match=r"^here: not a manifest"):
        parse(text, "here")


def test_a_manifest_is_frozen(manifest):
    """A passport is not changed after it was written."""
    with pytest.raises(ValidationError):
        manifest.threshold = 0.1


@pytest.mark.parametrize("content", [b"", b"abc", b"x" * 1_000_003], ids=len)
def test_sha256_is_that_of_the_bytes(tmp_path, content):
    """Files of any size get the digest that sha256sum gives."""
    path = tmp_path / "file"
    path.write_bytes(content)
    assert sha256(path) == hashlib.sha256(content).hexdigest()


def _profile_of(**changes):
    return {"V1": {"edges": [0.0], "ratios": [0.1] * BINS} | changes}


ODD = {
    "NaN for a figure": ("metrics", lambda metrics: metrics | {"recall": {"value": float("nan"), "low": 0, "high": 1}}),
    "Infinity for a setting": ("settings", lambda settings: settings | {"fraud_weight": float("inf")}),
    "no profile": ("profile", lambda _: {}),
    "too few ratios": ("profile", lambda _: _profile_of(ratios=[0.5, 0.5])),
    "more ratios than levels": ("profile", lambda _: _profile_of(levels=["a", "b"], edges=[])),
    "places without unseen": ("profile", lambda _: _profile_of(levels=["a"], places=[0], ratios=[1.0], edges=[])),
    "a place before all": (
        "profile",
        lambda _: _profile_of(levels=["a"], places=[-1], ratios=[1.0], edges=[], unseen=0.0),
    ),
    "too many edges": ("profile", lambda _: _profile_of(edges=list(range(30)))),
}


@pytest.mark.parametrize(("part", "change"), ODD.values(), ids=ODD)
def test_what_could_not_be_served_is_refused(part, change):
    """In one line when it is read, not by a traceback when a worker starts or somebody asks for the model card."""
    odd = document() | {part: change(document()[part])}
    with pytest.raises(ModelError, match=f"not a manifest of format 1 .{part}"):
        parse(json.dumps(odd), "fraud_detector:odd")
