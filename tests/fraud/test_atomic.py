"""Whoever reads a file never sees a half of it."""

import pytest

from fraud.atomic import new, replacing
from fraud.errors import DataError, FraudError


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


def test_a_file_that_a_person_asked_for_replaces_none(tmp_path):
    """Unless it is said so; nothing is left beside it."""
    target = tmp_path / "a.toml"
    target.write_text("mine")
    with pytest.raises(FraudError, match=r"a\.toml is there already; say --replace"), new(target):
        pytest.fail("it began to write")
    assert target.read_text() == "mine"
    with new(target, replace=True) as part:
        part.write_text("new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_where_it_cannot_be_written_is_said(tmp_path):
    """A folder that is not there, and what the system refuses."""
    with pytest.raises(DataError, match="no such folder"), new(tmp_path / "no" / "a.toml"):
        pytest.fail("it began to write")
    with pytest.raises(FraudError, match="cannot be written"), new(tmp_path / "a.toml") as part:
        part.mkdir()
        part.write_text("x")
