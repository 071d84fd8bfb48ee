"""Progress on stderr, so that stdout holds nothing but the result."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from fraud import command

LONGEST_QUOTED = 500
SECONDS_BETWEEN_LINES = 15.0
"""Of a step that takes long, where there is no bar."""


class Steps:
    """Tells a person, or a log, what a run is doing. A bar on a terminal, lines elsewhere.

    What it is told is shown as it is: names of files may hold what rich takes for markup.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.console = console or command.console()
        self._clock = clock
        self._started = clock()

    def start(self, name: str, text: str) -> None:
        """Begin a step."""
        self._started = self._clock()
        self._print((name, "bold"), f" {text} ...")

    def done(self, text: str) -> None:
        """End the step, with what came of it."""
        self._print(f"  {text} ", (f"({self._clock() - self._started:.1f} s)", "dim"))

    def say(self, text: str) -> None:
        """One line of news."""
        self._print(text)

    def judge(self, text: str, *, passed: bool) -> None:
        """One rule of a verdict."""
        self._print("  ", ("ok", "green") if passed else ("REFUSED", "red"), f" {text}")

    def warn(self, text: str) -> None:
        """One line that a person should see."""
        self._print(("warning:", "yellow"), f" {text}")

    def quote(self, lines: Iterable[str]) -> None:
        """What another program said, as it said it."""
        for line in lines:
            self._print(f"  {line[:LONGEST_QUOTED]}")

    @contextmanager
    def trees(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A step that fits ``total`` trees; gives the function to call with each number of trees added."""
        self.start("fit", text)
        columns = (TextColumn(" "), BarColumn(), MofNCompleteColumn(), TextColumn("trees"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(text, total=total)
            told = self._told_now_and_then(total)

            def add(added: int) -> None:
                progress.advance(task, added)
                told(added)

            yield add
        self.done(f"{total} trees")

    def _told_now_and_then(self, total: int) -> Callable[[int], None]:
        """Told of trees added, prints a line at times where there is no bar; none of the last, which ``done`` tells."""
        done, next_line = 0, self._clock() + SECONDS_BETWEEN_LINES

        def add(added: int) -> None:
            nonlocal done, next_line
            done += added
            if self.console.is_terminal or done >= total or self._clock() < next_line:
                return
            next_line = self._clock() + SECONDS_BETWEEN_LINES
            self.say(f"  {done} of {total} trees ({self._clock() - self._started:.0f} s)")

        return add

    def _print(self, *parts: str | tuple[str, str]) -> None:
        self.console.print(Text.assemble(*parts))
