"""A recipe as a TOML file: ``training/recipes/NAME.toml`` holds that of the schema NAME, kept with the code.

``run`` and ``retrain`` take it, ``tune --use`` writes it. What a file leaves out is as in the defaults.
"""

import json
import os
import stat
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from fraud import atomic
from fraud.errors import DataError, FraudError, one_line, system_words
from fraud.manifest import Recipe, Trees
from training.train import DEFAULTS

FOLDER = Path(__file__).parents[1] / "recipes"

_MOST_BYTES = 16_000
"""Of a file: what is longer is no recipe, and is not read to its end (keys of many dots would take minutes)."""
_MOST_COMMENT = 800
"""Letters of a line of comment: a command that names many files is longer, and the recipe is to be read again."""
_SHOWN = 80
"""Letters of a wrong key or value that are told."""
_Share = Annotated[float, Field(gt=0, le=1)]
_Count = Annotated[int, Field(ge=1, lt=2**31)]
_MOST_KINDS = 8
_EXPECTED = "expected a TOML file of settings"
_STRICT = ConfigDict(extra="forbid", strict=True)


class _StrictTrees(Trees):
    """What a person writes is checked; what an older or newer version has stored in a manifest is read as it is."""

    model_config = _STRICT

    estimator: Literal["random-forest", "extra-trees"]
    trees: Annotated[int, Field(ge=1, le=10_000)]
    criterion: Literal["entropy", "gini"]
    max_samples: _Share
    max_features: Literal["sqrt"] | _Share
    min_samples_leaf: _Count
    max_depth: _Count | None
    fraud_weight: Annotated[float, Field(gt=0, lt=1e6)]


class _Strict(_StrictTrees, Recipe):
    """A whole recipe, checked alike."""

    model_config = _STRICT

    folds: Annotated[int, Field(ge=2, le=20)]
    target_precision: _Share
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    missing_histories: Annotated[float, Field(ge=0, lt=1)]
    summaries: bool
    also: Annotated[tuple[_StrictTrees, ...], Field(strict=False, max_length=_MOST_KINDS - 1)]


def of(schema: str, file: Path | None = None) -> Recipe:
    """The recipe in ``file``; without one that of the schema of this name, and the defaults where there is none.

    Raises FraudError.
    """
    path = file or path_of(schema)
    return DEFAULTS if file is None and not path.exists() else read(path)


def path_of(schema: str) -> Path:
    """Where the recipe of the schema of this name is kept."""
    return FOLDER / f"{schema}.toml"


def read(path: Path) -> Recipe:
    """Raises FraudError when there is no such file, or when it holds anything but settings within their bounds."""
    try:
        stated = tomllib.loads(_text(path))
    except (OSError, UnicodeDecodeError) as error:
        raise FraudError(f"{path}: cannot be read: {system_words(error)}; {_EXPECTED}") from None
    except (ValueError, RecursionError) as error:  # a number of too many digits is no TOMLDecodeError
        raise FraudError(f"{path}: not TOML: {_cut(one_line(error))}") from None
    try:
        checked = _Strict(**_filled(stated))
    except ValidationError as error:
        raise FraudError(f"{path}: {_worded(error, stated)}") from None
    return Recipe(**checked.model_dump())


def _text(path: Path) -> str:
    """Raises OSError, UnicodeDecodeError, or FraudError when there is more than any recipe has."""
    with path.open("rb") as file:
        written = file.read(_MOST_BYTES + 1)
    if len(written) > _MOST_BYTES:
        raise FraudError(f"{path}: longer than {_MOST_BYTES} bytes; {_EXPECTED}")
    return written.decode("utf-8-sig")


def _filled(stated: dict[str, Any]) -> dict[str, Any]:
    """With the defaults for what is left out, of further kinds of trees too."""
    usual = DEFAULTS.model_dump()
    of_trees = {name: usual[name] for name in Trees.model_fields}
    also = stated.get("also", [])
    kinds = [of_trees | kind if isinstance(kind, dict) else kind for kind in also] if isinstance(also, list) else also
    return usual | stated | {"also": kinds}


def _worded(error: ValidationError, stated: dict[str, Any]) -> str:
    first = error.errors()[0]["loc"]
    if first[0] == "also" and len(first) > 2:
        return f"[[also]] {int(first[1]) + 1}: " + _setting(error, first[:3], stated["also"][first[1]], Trees)
    if first[0] == "also":
        tables = f"at most {_MOST_KINDS - 1} tables, each headed [[also]] in two pairs of brackets"
        return f"also should be {tables}, got {_shown(stated['also'])}"
    return _setting(error, first[:1], stated, Recipe)


def _setting(error: ValidationError, place: tuple[int | str, ...], stated: dict[str, Any], of: type[Trees]) -> str:
    key = str(place[-1])
    if key not in of.model_fields:
        named = key if key.isprintable() and 0 < len(key) <= _SHOWN else _shown(key)
        where = "a setting of the whole, which stands before the first [[also]]" if key in Recipe.model_fields else ""
        return f"{named}: {where or 'no such setting; there are ' + ', '.join(of.model_fields)}"
    problems = (problem for problem in error.errors() if problem["loc"][: len(place)] == place)
    expected = [problem["msg"].removeprefix("Input ") for problem in problems]
    without = "; leave it out for any depth" if key == "max_depth" else ""
    return f"{key} {', or '.join(expected)}, got {_shown(stated[key])}{without}"


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a hexadecimal number of too many digits
        return "a number of too many digits"
    except RecursionError:
        return "tables within tables"
    return _cut(text)


def _cut(text: str, most: int = _SHOWN) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def check_writable(path: Path) -> None:
    """Raise FraudError unless ``write`` may write there: before long work, not after it.

    A recipe is written over, and nothing else: a schema or rows of somebody's lie where they lay.
    """
    if path.parent == FOLDER:
        try:
            FOLDER.mkdir(exist_ok=True)
        except OSError as error:
            raise FraudError.not_writable(path, error) from None
    if not path.parent.is_dir():
        raise DataError.no_folder(path.parent)
    if not os.access(path.parent, os.W_OK):
        raise FraudError(f"{path}: cannot be written: its folder is not ours to write to")
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:  # a name that is too long
        raise FraudError.not_writable(path, error) from None
    if not stat.S_ISREG(kind):
        raise FraudError(f"{path}: not written over, as it is no file but a link, a device or a folder; name another")
    try:
        read(path)
    except FraudError as error:
        raise FraudError(f"not written over, as it is no recipe: {error}; remove it, or name another") from None


def write(path: Path, recipe: Recipe, comment: Iterable[str]) -> None:
    """Write a recipe, whole or not at all, with lines of comment before it. Raises FraudError."""
    check_writable(path)
    settings = recipe.model_dump(exclude_none=True)
    also = settings.pop("also")
    words = (
        "".join(letter if letter.isprintable() else " " for letter in _cut(line, _MOST_COMMENT)) for line in comment
    )
    lines = [*(f"# {line}" for line in words), *_lines(settings)]
    for kind in also:
        lines += ["", "[[also]]", *_lines(kind)]
    with atomic.new(path, replace=True) as part:
        part.write_text("\n".join(lines) + "\n", "utf-8")


def _lines(settings: dict[str, Any]) -> list[str]:
    return [f"{name} = {json.dumps(setting)}" for name, setting in settings.items()]
