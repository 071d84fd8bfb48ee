"""The tree of errors is drawn as it is, and each message is worded in one place."""

import ast
import importlib
import pkgutil
import re
from collections import defaultdict

import pytest

from fraud import errors, schema, store
from fraud.errors import DataError, FraudError, named, system_words
from fraud.replay import state_file
from fraud.scorer import file as forest_file
from fraud.tables import chunks, refusals
from monitoring.receiver import memory
from tests.test_architecture import FILES, PACKAGES, ROOT
from training.shipping import summary

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
        (FraudError.not_writable("a", OSError(28, "No space left")), "a: cannot be written (No space left on device)"),
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


@pytest.mark.parametrize(
    "read",
    [
        schema.read,
        state_file.read_facts,
        forest_file.load,
        summary.read,
        lambda path: next(chunks.read_chunks(path, schema.default(), {}, 10)),
        lambda path: next(state_file._groups(path)),
    ],
    ids=["schema", "states", "scorer", "summary", "table", "groups"],
)
@pytest.mark.parametrize("below", ["file/nosuch", "nosuch"])
def test_what_cannot_be_read_is_named_once(tmp_path, read, below):
    """The system repeats the name in its own words, which may say more of it than anybody asked."""
    (tmp_path / "file").write_text("")
    path = tmp_path / below
    with pytest.raises(FraudError) as told:
        read(path)
    assert str(told.value).count(str(path)) == 1
    assert "rrno" not in str(told.value)


def test_a_folder_to_remember_in_is_named_once(tmp_path):
    """It is made where it is not there, and cannot be below a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FraudError, match="Not a directory") as told:
        memory.Memory(tmp_path / "file/nosuch")
    assert str(told.value).count(str(tmp_path)) == 1


def test_hashes_of_rows_that_cannot_be_read_are_named_once(saved, monkeypatch):
    """They are there, and the system does not let us read them."""
    entry = store.get(f"fraud_detector:{saved.model_version}")
    path = store.rows_path(saved.model_version)

    def refuse(_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(store.np, "load", refuse)
    monkeypatch.setattr(store.Path, "is_file", lambda _: True)
    with pytest.raises(FraudError, match="Permission denied") as told:
        store.row_hashes(entry)
    assert str(told.value).count(str(path)) == 1


def test_only_what_the_system_said_is_shortened(tmp_path):
    """Libraries raise errors of the system without a number, and say what is wrong in their own words."""
    assert system_words(OSError(2, "Failed to open '/a'. Detail: [errno 2]")) == "No such file or directory"
    assert system_words(OSError("Not a gzipped file")) == "Not a gzipped file"
    assert system_words(ValueError("two\nlines")) == "two lines"
    assert "No space left" in str(FraudError.not_writable("a.csv", OSError(28, "No space left on device", "a.csv")))


def test_a_problem_names_its_file_once():
    """Whether it begins with the name, or not; a file of a longer name is another."""
    there = refusals.no_table("a.csv", "no such file")
    assert named("a.csv", there) == str(there)
    assert named("a.csv", DataError("V1 must be a number")) == "a.csv: V1 must be a number"
    assert named("a.csv", "a.csv.gz: damaged") == "a.csv: a.csv.gz: damaged"
