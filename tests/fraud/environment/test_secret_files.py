"""Secrets in files: read whole, and never shown."""

import os

import pytest

from fraud.environment import secret_files
from fraud.errors import SettingsError

NAMES = ("SECRET", "OTHER")


def refused(variables):
    with pytest.raises(SettingsError) as caught:
        secret_files.read(variables, NAMES)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    """Writes a secret; the path."""

    def write(content):
        (tmp_path / "secret").write_bytes(content)
        return str(tmp_path / "secret")

    return write


@pytest.mark.parametrize("content", [b"a b", b"a b\n", b"\r\n a b\t\r\n", b"\xef\xbb\xbfa b\n"])
def test_what_stands_around_a_secret_is_none_of_it(file, content):
    """Line breaks of editors, blanks, the mark that Windows begins a file with."""
    assert secret_files.read({"SECRET_FILE": file(content)}, NAMES) == {"SECRET": "a b"}


def test_lines_inside_stay(file):
    """A list of keys has them."""
    assert secret_files.read({"SECRET_FILE": file(b"a\nb\n")}, NAMES) == {"SECRET": "a\nb"}


def test_other_variables_stay_as_they_are(file):
    """Those of no secret, and a secret that is given itself."""
    given = {"OTHER": "x", "WORKERS_FILE": "/y"}
    assert secret_files.read({**given, "SECRET_FILE": file(b"z")}, NAMES) == {**given, "SECRET": "z"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b" \r\n\t", "the file is empty"),
        (b"\xff\xfes\x00", "the file is not UTF-8 text"),
        (b"x" * (secret_files.MOST_BYTES + 1), "the file is larger than"),
    ],
    ids=["empty", "blank", "UTF-16", "large"],
)
def test_a_file_without_a_secret_is_refused(file, content, why):
    """In one line that says which variable and why."""
    assert refused({"SECRET_FILE": file(content)}).startswith(
        f"SECRET_FILE: expected the path of a file that holds the secret; {why}"
    )


def test_a_file_that_cannot_be_read_is_refused_and_its_name_not_shown(tmp_path):
    """The value may be the secret itself, by mistake; a folder and a pipe are no files."""
    os.mkfifo(tmp_path / "pipe")
    assert "no file" in refused({"SECRET_FILE": str(tmp_path)})
    assert "no file" in refused({"SECRET_FILE": str(tmp_path / "pipe")})
    said = refused({"SECRET_FILE": "postgresql://me:password@host/name"})
    assert "cannot be read (No such file or directory)" in said
    assert "password" not in said


def test_all_mistakes_are_told_at_once(file):
    """Each by its variable."""
    said = refused({"SECRET_FILE": "/nowhere", "OTHER": "x", "OTHER_FILE": file(b"y")})
    assert said.startswith("SECRET_FILE: expected ")
    assert said.endswith("; OTHER and OTHER_FILE are both set: leave one out")
