"""What a search is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.run import TrainingPlan


@dataclass(frozen=True)
class TuningPlan:
    """What a search is asked to do."""

    training: TrainingPlan
    """Data, split, and the recipe to begin with."""
    name: str
    """Of the study."""
    trials: int
    """In all, of each family."""
    minutes: float
    """In all, of each family: its trials and its judgement, without folds and bootstrap."""
    memory_gb: float | None = None
    most_cost: float = 3.0
    """Of scoring a row, as a multiple of the defaults."""
    folds: int | None = None
    """By default as many as the recipe says."""
    also: Sequence[str] = ()
    use: Path | None = None
    """Where to write the recipe."""
    command: str = ""
    """Kept with the recipe: how it was found."""
