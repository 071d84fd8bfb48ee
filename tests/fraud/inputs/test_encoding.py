"""What a model has learnt of categories, kept as JSON: read back as it was, and refused when damaged."""

import json

import numpy as np
import pytest

from fraud.errors import ModelError
from fraud.inputs.encoding import EMPTY, FILE, Codes, Encoding, read

CODES = Codes(levels=("AT", "DE"), codes=(0.25, float(np.float32(0.1))), other=0.5, missing=0.75)
ENCODING = Encoding(columns={"country": CODES})


def written(folder, text):
    path = folder / FILE
    path.write_text(text)
    return path


def test_what_was_written_is_read(tmp_path):
    """To the bit, so that scores are equal wherever the model is."""
    again = read(written(tmp_path, ENCODING.model_dump_json()))
    assert again == ENCODING
    assert again.levels == {"country": ("AT", "DE")}
    assert EMPTY.levels == {}


def test_what_later_code_adds_is_ignored(tmp_path):
    """Code can be rolled back."""
    document = ENCODING.model_dump(mode="json") | {"surprise": 1}
    assert read(written(tmp_path, json.dumps(document))) == ENCODING


def changed(**changes):
    document = ENCODING.model_dump(mode="json")
    document["columns"]["country"] |= changes
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no encoding of categories (: Invalid JSON"),
        ("[]", "no encoding of categories (: Input should be an object"),
        ('{"format": 2}', "no encoding of categories (format: "),
        (changed(codes=[0.5]), "no encoding of categories (levels and codes are not as many)"),
        (changed(codes=[0.5, 1.5]), "(columns.country.codes.1: "),
        (changed(other=-0.1), "(columns.country.other: "),
        (changed(missing=None), "(columns.country.missing: "),
        (changed(levels=["AT", 7]), "(columns.country.levels.1: "),
        (changed(other=float("nan")), "no encoding of categories ("),
    ],
)
def test_what_is_damaged_is_refused(text, said, tmp_path):
    """By its place in the file."""
    with pytest.raises(ModelError) as caught:
        read(written(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path / FILE}: ")
    assert said in str(caught.value)
