"""Progress of bulk scoring on stderr: a bar on a terminal, a line for each file elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fraud.bulk.one_file import Observer


@contextmanager
def bar(name: str, shown: Console) -> Iterator[Observer]:
    """A bar of one file; gives the function that ``score_file`` tells."""
    told = TextColumn("{task.description}", markup=False)
    columns = (told, BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rows]}"))
    with Progress(
        *columns, TimeRemainingColumn(), console=shown, transient=True, disable=not shown.is_terminal
    ) as progress:
        task = progress.add_task(name, total=1.0, rows="")
        yield lambda share, rows: progress.update(task, completed=share, rows=f"{rows:,} rows")
