"""The tree of errors is drawn as it is, and each message is worded in one place."""

import ast
import importlib
import pkgutil
import re
from collections import defaultdict

import pytest

from fraud import errors
from fraud.errors import FraudError
from tests.test_architecture import FILES, PACKAGES, ROOT

LEAST_WORDS, LEAST_LETTERS = 5, 25


def drawn(text):
    """``(name, parent)`` of each error in the tree of a docstring."""
    above, pairs = [], set()
    for branch, name in re.findall(r"^([│├└─ ]*)([A-Z]\w+Error) {2,}\S", text, re.MULTILINE):
        depth = len(branch) // 4
        pairs.add((name, above[depth - 1] if depth else None))
        above[depth:] = [name]
    return pairs


def real():
    """``(name, parent)`` of each error that a module of the product defines."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    pairs, waiting = {(FraudError.__name__, None)}, [FraudError]
    while waiting:
        parent = waiting.pop()
        children = [one for one in parent.__subclasses__() if one.__module__.split(".")[0] in PACKAGES]
        pairs |= {(child.__name__, parent.__name__) for child in children}
        waiting += children
    return pairs


def test_the_tree_is_drawn_as_it_is():
    """The docstring of ``fraud.errors`` shows every error of the product below its parent, and no other."""
    assert drawn(errors.__doc__) == real()


def clauses(tree):
    """Line and words of the errors that a module makes: what stands between two braces, and each clause of it."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and makes_an_error(call.func):
            for part in ast.walk(call):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    said = {part.value, *re.split(r"[;:()]", part.value)}
                    yield from {(part.lineno, clause.strip(" ,.:;()")) for clause in said}


def makes_an_error(function):
    """``XError(...)``, ``XError.of_some_kind(...)``, or ``cls(...)`` in such a method."""
    name = ast.unparse(function).split(".")
    return name == ["cls"] or any(part.endswith("Error") for part in name)


def is_long(clause):
    """Whether it says enough to be a message."""
    return len(clause) >= LEAST_LETTERS or len(clause.split()) >= LEAST_WORDS


def repeated(sources):
    """What is long and stands in more than one place, with the places; ``sources`` maps a name to a module's text."""
    places = defaultdict(list)
    for name, text in sources.items():
        for line, clause in clauses(ast.parse(text)):
            if is_long(clause):
                places[clause].append(f"{name}:{line}")
    return {clause: where for clause, where in places.items() if len(where) > 1}


def test_no_message_is_worded_twice():
    """A clause of five words or 25 letters stands in one error only: the others build it by the same function."""
    assert repeated({str(path.relative_to(ROOT)): path.read_text() for path in FILES}) == {}


@pytest.mark.parametrize(
    ("first", "second", "clause"),
    [
        ('DataError(f"{a}: it is not what was expected")', 'XError("it is not what was expected; run it again")', 1),
        ('DataError(f"{a}: no such folder; make it first")', 'DataError(f"{b}: no such folder; make it first")', 1),
        ('DataError("it is not " "what was expected")', 'DataError(f"it is not what was expected: {a}")', 1),
        ('DataError.no_folder(f"{a} is no place to write to")', 'x.DatabaseError(f"{b} is no place to write to")', 1),
        ('cls(f"{a} is no place to write to")', 'DataError(f"{b} is no place to write to")', 1),
        ('DataError(f"{a}: run it again")', 'DataError(f"{b}: run it again")', 0),
        ('DataError("it is not what was expected")', 'log("it is not what was expected")', 0),
    ],
)
def test_what_is_worded_twice_is_seen(first, second, clause):
    """In either form of an error, around other words; short remedies and other calls do not count."""
    assert len(repeated({"a": first, "b": second})) == clause


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FraudError.not_writable("a", OSError(28, "No space left")), "a: cannot be written (No space left)"),
        (FraudError.not_writable("a.csv", OSError("odd")), "a.csv: cannot be written (odd)"),
        (errors.DataError.wrong_suffix("a", ".csv", ".parquet"), "a: expected a name that ends in .csv or .parquet"),
        (errors.DataError.too_little("no fraud"), "no fraud; give more data"),
        (errors.DataError.too_little("no fraud", "more trees"), "no fraud; give more data or more trees"),
    ],
)
def test_a_message_is_built_from_its_facts(error, words):
    """What the system said, which formats there are, what else would help."""
    assert str(error) == words


@pytest.mark.parametrize("kind", [errors.DataError, errors.ModelError])
def test_a_shared_message_is_an_error_of_the_class_it_was_asked_of(kind):
    """So a caller catches it as one of the others."""
    assert type(kind.not_writable("a", OSError("b"))) is kind
