"""What a model has learnt of categories: a float32 code for each level, so that a forest can split on their order.

The code of a level is its smoothed share of frauds (Micci-Barreca 2001). For two classes, splits on that order are as
good as splits on any subset of the levels (Breiman et al. 1984, section 4.2.2) where the shares are the node's own; one
order for the whole forest comes close. ``training.encode`` learns the codes; here they are kept and applied.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from fraud.errors import ModelError
from fraud.manifest import Document, StoredDocument, first_problem, is_newer

FILE = "encoding.json"
FEWEST = 10
"""Rows of a level that is learnt; rarer ones share the code of all others, and count as unseen texts."""
_Code = Annotated[float, Field(ge=0, le=1)]


class Codes(Document):
    """Of one category: a code for each level, for every other text, and for a missing value."""

    levels: tuple[str, ...]
    codes: tuple[_Code, ...]
    other: _Code
    missing: _Code


class Encoding(StoredDocument):
    """Of every category of a schema; empty where there is none."""

    format: Literal[1] = 1
    columns: dict[str, Codes] = Field(default_factory=dict)

    @property
    def levels(self) -> Mapping[str, tuple[str, ...]]:
        """The levels that have a code of their own, by column."""
        return {name: codes.levels for name, codes in self.columns.items()}


EMPTY = Encoding()


def read(path: Path) -> Encoding:
    """Read an encoding. Raises ModelError."""
    try:
        found = Encoding.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = f"no encoding of categories ({first_problem(error)})"
        raise (ModelError(f"{path}: {problem}") if is_newer(error) else ModelError.not_sound(path, problem)) from None
    if any(len(codes.levels) != len(codes.codes) for codes in found.columns.values()):
        raise ModelError.not_sound(path, "no encoding of categories (levels and codes are not as many)")
    return found
