"""The manifest is read back as written, and anything else is named as what it is."""

import hashlib
import json

import pytest
from pydantic import ValidationError

from fraud.errors import ModelError
from fraud.manifest import Manifest, parse, sha256


@pytest.fixture
def manifest(facts):
    return Manifest(model_version="v1", files={"a": "b"}, **facts)


def test_what_was_written_is_read(manifest):
    """JSON out and in again gives an equal manifest."""
    assert parse(manifest.model_dump_json(indent=2), "here") == manifest


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
        ({"surprise": 1}, "surprise"),
        ({"refit": "some"}, "refit"),
        ({"synthetic": "perhaps"}, "synthetic"),
        ({"profile": []}, "profile"),
    ],
)
def test_a_bad_part_is_named(manifest, changes, named):
    """The error names the entry, the part, and that format 1 was expected."""
    with pytest.raises(ModelError, match=rf"^here: not a manifest of format 1 \({named}"):
        parse(changed(manifest, **changes), "here")


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
