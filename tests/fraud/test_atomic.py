"""Whoever reads a file never sees a half of it."""

import pytest

from fraud.atomic import replacing


def test_the_file_is_there_at_the_end_and_not_before(tmp_path):
    """Until then readers have what was there; afterwards nothing is left beside it."""
    target = tmp_path / "a.json"
    target.write_text("old")
    with replacing(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("written", [True, False])
def test_an_error_leaves_what_was_there(tmp_path, written):
    """Whether or not anything was written before it."""
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(ArithmeticError), replacing(target) as part:
        if written:
            part.write_text("half")
        raise ArithmeticError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
