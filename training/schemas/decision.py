"""What is decided of one column, and why: rules make it, the draft writes it down."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fraud.schema import Kind
from training.schemas.column_facts import ColumnFacts


@dataclass(frozen=True)
class Decision:
    """What a draft says of a column; an ignored one may be brought back as ``instead``."""

    kind: Kind
    why: str
    settings: dict[str, Any] = field(default_factory=dict)
    """What stands below the kind, as TOML has it."""
    look: tuple[str, ...] = ()
    """What a person should look at."""
    instead: Kind | None = None
    is_id: bool = False
    """Whether it could have the role of the id."""

    def left_out(self, why: str) -> "Decision":
        """The same column as one that is not used."""
        return replace(self, kind="ignored", look=(why,), instead=self.instead or self.kind)


Rule = Callable[[ColumnFacts], Decision | None]
"""A rule says nothing of columns that it is not about."""


def plain_kind(facts: ColumnFacts) -> Kind:
    """What a column would be if it were used as it stands."""
    return "number" if facts.is_all_numbers else "category"
