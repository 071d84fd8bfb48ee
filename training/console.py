"""Progress on stderr, so that stdout holds nothing but the result."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LONGEST_QUOTED = 500


class Steps:
    """Tells a person, or a log, what a run is doing. A bar on a terminal, a line a step elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._started = time.perf_counter()

    def start(self, name: str, text: str) -> None:
        """Begin a step."""
        self._started = time.perf_counter()
        self.console.print(f"[bold]{name}[/bold] {text} ...")

    def done(self, text: str) -> None:
        """End the step, with what came of it."""
        self.console.print(f"  {text} [dim]({time.perf_counter() - self._started:.1f} s)[/dim]")

    def say(self, text: str) -> None:
        """One line of news."""
        self.console.print(text)

    def warn(self, text: str) -> None:
        """One line that a person should see."""
        self.console.print(f"[yellow]warning:[/yellow] {text}")

    def quote(self, lines: Iterable[str]) -> None:
        """What another program said, as it said it."""
        for line in lines:
            self.console.print(f"  {line[:LONGEST_QUOTED]}", markup=False)

    @contextmanager
    def trees(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A step that fits ``total`` trees; gives the function to call with each number of trees added."""
        self.start("fit", text)
        columns = (TextColumn(" "), BarColumn(), MofNCompleteColumn(), TextColumn("trees"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(text, total=total)
            yield lambda added: progress.advance(task, added)
        self.done(f"{total} trees")
