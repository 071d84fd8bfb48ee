"""What is written beside a model: everything needed to serve it, to judge it, and to make it again."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud.errors import ModelError

FILE = "manifest.json"


class Manifest(BaseModel):
    """The model's passport, stored as ``manifest.json`` in the model-store entry and in S3."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    model_version: str
    created_at: str = Field(description="UTC, ISO 8601.")
    synthetic: bool = Field(description="Trained on generated rows: for trying things out, not for production.")
    schema_hash: str
    features: tuple[str, ...]
    threshold: float = Field(ge=0, le=1, description="A score at or above it is called fraud.")
    metrics: dict[str, Any] = Field(description="Test figures, each with its 95 % interval.")
    validation: dict[str, Any] = Field(description="How the threshold was chosen, on which rows.")
    profile: dict[str, Any] = Field(description="Reference spread of each feature and of the score.")
    data: dict[str, Any] = Field(description="Sources, rows, frauds, fingerprint.")
    split: dict[str, Any]
    settings: dict[str, Any] = Field(description="Hyper-parameters and seed.")
    refit: Literal["none", "all"] = "none"
    git_revision: str | None
    versions: dict[str, str]
    files: dict[str, str] = Field(description="SHA-256 of each file of the entry but this one.")


def parse(text: str | bytes, where: str) -> Manifest:
    """Read a manifest. Raises ModelError naming ``where`` when it is damaged or of another format."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{where}: not a manifest of format 1 ({place}: {first['msg']})") from None


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
