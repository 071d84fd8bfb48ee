"""What is written beside a model: everything needed to serve it, to judge it, and to make it again."""

import hashlib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fraud.errors import ModelError
from fraud.schema import Schema, default, of_document

FILE = "manifest.json"
FORMAT = 1
"""Of every document that is stored; it grows when the meaning of one changes, and not when fields are added."""
BINS = 10
"""Of each feature in the profile."""
_NEWER = "newer_format"


class Document(BaseModel):
    """A part of a stored document. Fields that this code does not know are ignored, so that code can be rolled back."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class StoredDocument(Document):
    """A whole one. What says that it is of a later ``format`` is refused: what it means is not known here."""

    @model_validator(mode="before")
    @classmethod
    def _is_known(cls, document: Any) -> Any:  # noqa: ANN401 - anything that JSON may hold
        written = document.get("format") if isinstance(document, dict) else None
        if isinstance(written, int) and written > FORMAT:
            raise PydanticCustomError(
                _NEWER, "format: {written} is of a newer version of this code, upgrade it", {"written": written}
            )
        return document


class Figure(Document):
    """A figure of merit with its 95 % interval; None where it is not defined (precision without an alert, say)."""

    value: float | None
    low: float | None
    high: float | None


class Metrics(Document):
    """Figures of merit on rows that the model was not fitted on; ``training/judging/evaluate.py`` makes them."""

    average_precision: Figure
    roc_auc: Figure
    precision_at_50: Figure
    precision_at_100: Figure
    precision_at_200: Figure
    precision: Figure
    recall: Figure
    true_positives: Figure
    false_positives: Figure
    false_negatives: Figure
    true_negatives: Figure
    amount_caught: Figure
    amount_caught_share: Figure


class ThresholdChoice(Document):
    """A threshold with what it gives on the validation rows, and the rule that chose it."""

    threshold: float
    rule: str
    precision: float
    recall: float
    rows: int
    frauds: int


class Bins(Document):
    """How the reference values of one feature, or of the score, spread: finite upper edges, share of rows per bin.

    A number has ten bins. A boolean and a category have one for each of ``levels``; ``places`` are those of a
    category's in the encoding. What stands beside these is None where there is no such bin, and left out of a document.
    """

    edges: tuple[float, ...] = Field(max_length=BINS - 1)
    ratios: tuple[float, ...] = Field(max_length=BINS)
    levels: tuple[str, ...] | None = None
    places: tuple[int, ...] | None = None
    rest: float | None = Field(None, description="Share of rows of the other levels.")
    missing: float | None = Field(None, description="Share of rows without a value.")
    unseen: float | None = Field(None, description="Share of rows of texts that the model has not learnt.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        expected = BINS if self.levels is None else len(self.levels)
        if len(self.ratios) != expected or len(self.places or self.ratios) != expected:
            raise ValueError(f"expected {expected} bins")
        if min(self.places or (0,)) < 0 or (self.places is None) != (self.unseen is None):
            raise ValueError("places of levels come with a share of unseen texts, and are not negative")
        return self

    @model_serializer(mode="wrap")
    def _short(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in whole(self).items() if value is not None}


class DataFacts(Document):
    """The rows that a model was made of."""

    sources: tuple[str, ...]
    rows: int
    frauds: int
    duplicates_dropped: int
    fingerprint: str = Field(description="SHA-256 over rows and labels, in order.")


class SplitFacts(Document):
    """How these rows were divided, so that the same ones can be held out again."""

    protocol: str
    seed: int
    test_share: float
    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int


class Trees(Document):
    """Trees of one kind, and how they grow.

    ``estimator`` is one of ``training.train.ESTIMATORS``. ``max_samples`` is the share of rows each tree draws;
    legitimate rows are plenty, so fewer cost little and save time. ``fraud_weight`` is how much likelier a fraud is
    drawn than a legitimate row. ``max_features``: the share of the features that a split is chosen from, or ``sqrt``;
    ``min_samples_leaf``: fewest rows of a leaf; ``max_depth``: of a tree, None for any.
    """

    estimator: str = "random-forest"
    trees: int
    criterion: str
    max_samples: float
    fraud_weight: float
    max_features: float | str = "sqrt"
    min_samples_leaf: int = 1
    max_depth: int | None = None


class Recipe(Trees):
    """Hyper-parameters and seed.

    ``also``: trees of further kinds that the forest holds beside its first. ``missing_histories`` is the share of the
    fitting rows whose histories are taken away, so that a forest knows what to do when there is none. ``summaries``:
    whether the forest also takes what sums up a row (``fraud.inputs.summaries``).
    """

    folds: int
    target_precision: float
    seed: int
    missing_histories: float = 0.0
    summaries: bool = False
    also: tuple[Trees, ...] = ()

    @property
    def kinds(self) -> tuple[Trees, ...]:
        """All that the forest consists of."""
        return self, *self.also

    @property
    def size(self) -> int:
        """Trees of all kinds."""
        return sum(kind.trees for kind in self.kinds)


class Manifest(StoredDocument):
    """The model's passport, stored as ``manifest.json`` in the model-store entry and in S3."""

    format: Literal[1] = 1
    model_version: str
    created_at: str = Field(description="UTC, ISO 8601.")
    synthetic: bool = Field(description="Trained on generated rows: for trying things out, not for production.")
    schema_hash: str
    transaction_schema: dict[str, Any] | None = Field(None, description="As it was declared; None: the default one.")
    key_fingerprint: str | None = Field(None, description="Of the secret that keys of the data were hashed with.")
    features: tuple[str, ...]
    threshold: float = Field(ge=0, le=1, description="A score at or above it is called fraud.")
    metrics: Metrics = Field(description="Test figures, each with its 95 % interval.")
    validation: ThresholdChoice = Field(description="How the threshold was chosen, on which rows.")
    profile: dict[str, Bins] = Field(min_length=1, description="Reference spread of each feature and of the score.")
    data: DataFacts
    split: SplitFacts
    settings: Recipe
    refit: Literal["none", "all"] = "none"
    git_revision: str | None
    versions: dict[str, str]
    files: dict[str, str] = Field(description="SHA-256 of each file of the entry but this one.")

    def schema_of(self) -> Schema:
        """The schema that the model was made for. Raises SchemaError when this code does not know it."""
        if self.transaction_schema is None:
            return default()
        return of_document(self.transaction_schema, f"the schema of {self.model_version}")


def parse(text: str | bytes, where: str) -> Manifest:
    """Read a manifest. Raises ModelError naming ``where`` when it is damaged or of another format."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(f"{where}: not a manifest of format {FORMAT} ({first_problem(error)})") from None


def first_problem(error: ValidationError) -> str:
    """What is wrong with a document, and in which part of it."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return first["msg"] if first["type"] == _NEWER else f"{place}: {first['msg']}"


def is_newer(error: ValidationError) -> bool:
    """Whether a document is not wrong, but of a format that only later code reads."""
    return error.errors()[0]["type"] == _NEWER


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
