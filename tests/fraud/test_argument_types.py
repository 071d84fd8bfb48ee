"""What each type of argument takes, and the one form of words for what it does not."""

import argparse
import re
from pathlib import Path

import pytest

from fraud import argument_types as types


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (types.positive, "1", 1),
        (types.positive, "1000000", 1_000_000),
        (types.limit, "1", 1),
        (types.limit, "2147483647", 2**31 - 1),
        (types.seed, "0", 0),
        (types.seed, "4294967295", 2**32 - 1),
        (types.cores, "-1", -1),
        (types.cores, "2", 2),
        (types.port, "1", 1),
        (types.port, "65535", 65535),
        (types.share, "0.5", 0.5),
        (types.share, "1", 1.0),
        (types.weight, "0.1", 0.1),
        (types.weight, "999999", 999_999.0),
        (types.psi, "1e-9", 1e-9),
        (types.psi, "25", 25.0),
        (types.days, "0", 0.0),
        (types.days, "0.5", 0.5),
        (types.local_file, "mine.toml", Path("mine.toml")),
        (types.local_file, "../a/.mine", Path("../a/.mine")),
        (types.duration, "90s", 90.0),
        (types.duration, "30m", 1800.0),
        (types.duration, "6h", 21_600.0),
        (types.duration, "1d", 86_400.0),
    ],
)
def test_what_a_type_takes(kind, text, value):
    """The ends of the range are in it; a whole number stays whole."""
    assert kind(text) == value
    assert type(kind(text)) is type(value)


@pytest.mark.parametrize(
    ("kind", "expected", "texts"),
    [
        (types.positive, "a whole number from 1 on", ["0", "-1", "1.5", "abc", "", "nan"]),
        (types.limit, "a whole number from 1 to 2147483647", ["0", "-1", "2147483648", "1.5", "inf", "none", ""]),
        (types.seed, "a whole number from 0 to 4294967295", ["-1", "4294967296", "x"]),
        (types.cores, "a whole number from 1 on, or -1 for all cores", ["0", "-2", "all"]),
        (types.port, "a port from 1 to 65535", ["0", "65536", "http"]),  # 0 would be another at each start
        (types.share, "a share above 0 and at most 1", ["0", "1.01", "-0.5", "nan", "half"]),
        (types.weight, "a weight above 0 and below 1000000", ["0", "1e6", "inf", "nan", "-1", "heavy"]),
        (types.psi, "a number above 0", ["0", "-1", "inf", "nan", "x"]),
        (types.days, "a number of days from 0 on, below 1000000", ["-1", "1e6", "inf", "nan", "x"]),
        (types.local_file, "the name of a file", ["", ".", "..", "/", "x.csv/", "x.csv//", "x.csv/.", "x/.."]),
        (types.duration, "a time such as 30m, 6h or 1d", ["", "6", "h", "0h", "-1h", "1.5h", "6 h", "6w", "٣h"]),
    ],
)
def test_what_a_type_refuses(kind, expected, texts):
    """A number out of range and what is no number at all are told in the same words."""
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match=f"^{re.escape(f'expected {expected}, got {text!r}')}$"):
            kind(text)


@pytest.mark.parametrize("text", ["0", "abc"])
def test_argparse_shows_the_words(capsys, text):
    """With the option's name, on stderr, and exit code 2."""
    parser = argparse.ArgumentParser(prog="thing")
    parser.add_argument("--trees", type=types.positive)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--trees", text])
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.err.endswith(f"thing: error: argument --trees: expected a whole number from 1 on, got '{text}'\n")
    assert said.out == ""
