"""In place of ``fraud.history.files.gate``, where nobody has to be kept out."""

from collections.abc import Iterator
from contextlib import contextmanager


class NoGate:
    """Nobody excludes anybody: a script is one step."""

    def take(self) -> bool:
        """Always had."""
        return True

    def give(self) -> None:
        """Nothing to do."""

    @contextmanager
    def held(self, seconds: float) -> Iterator[None]:  # noqa: ARG002 - as the other has it
        """Always had."""
        yield
