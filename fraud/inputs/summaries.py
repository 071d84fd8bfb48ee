"""What a model has learnt of whole rows: three features that are made of all others, for trees that see one at a time.

``row.discriminant``: the decision value of a linear discriminant (Fisher 1936), ``row.logit``: that of a logistic
regression, ``row.distance``: the squared Mahalanobis distance from the legitimate rows. ``training.encode`` learns
them, here they are kept, and ``fraud.scorer.summing`` works them out. A missing feature counts as the mean.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from fraud.errors import ModelError
from fraud.manifest import StoredDocument, first_problem, is_newer

FILE = "summaries.json"
NAMES = ("row.discriminant", "row.logit", "row.distance")
MOST = 253
"""Features that may be summed up: with the summaries as many as a forest takes."""
_Number = Annotated[float, Field(ge=-1e6, le=1e6)]


class Summaries(StoredDocument):
    """Features are standardised, (value - mean) x scale, and added up: ``start`` plus the sum of ``weights`` x value.

    The first sum is the discriminant, the second the logit; the squares of the others, one for each feature, are added.
    ``weights``: of each feature those of all sums.
    """

    format: Literal[1] = 1
    mean: tuple[float, ...] = Field(min_length=1, max_length=MOST)
    scale: tuple[_Number, ...]
    start: tuple[_Number, ...]
    weights: tuple[tuple[_Number, ...], ...]

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        count = len(self.mean)
        shapes = len(self.scale), len(self.weights), len(self.start), *map(len, self.weights)
        if shapes != (count, count, *(count + 2,) * (count + 1)):
            raise ValueError(f"expected scale and weights of {count} features and {count + 2} sums")
        return self


def read(path: Path) -> Summaries:
    """Read summaries. Raises ModelError."""
    try:
        return Summaries.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = f"no summaries of rows ({first_problem(error)})"
        raise (ModelError(f"{path}: {problem}") if is_newer(error) else ModelError.not_sound(path, problem)) from None
