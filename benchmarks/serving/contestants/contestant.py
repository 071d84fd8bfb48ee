"""What the benchmark knows of a contestant: how to start it, what to ask it, and where its answer holds the score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.forests import Forests


@dataclass(frozen=True)
class Place:
    """Where a contestant is started: its interpreter, its port on 127.0.0.1, and a folder for its files."""

    python: str
    port: int
    folder: Path


@dataclass(frozen=True)
class Contestant:
    """One server in one setting."""

    name: str
    title: str
    """What the tables call it."""
    workers: int
    command: Callable[[Forests, Place], list[str]]
    """Writes what it needs to the place's folder and returns the command that serves on the place's port."""
    read_score: Callable[[Any], float]
    """The score in a JSON answer."""
    expected: Callable[[Forests], float | None] = lambda forests: forests.score
    """The right score; None for one that scores nothing."""
    body: Callable[[Forests], Any] = lambda forests: forests.transaction
    path: str = "/predict"
    environment: str = ""
    """Name of a file in ``benchmarks/requirements``; empty for the service's own environment."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables; ``{folder}`` (of the place) and the names of the forests' fields are filled in."""
    note: str = ""
    batches: bool = False
    """Whether ``/metrics`` tells the sizes of its batches, as BentoML does."""
