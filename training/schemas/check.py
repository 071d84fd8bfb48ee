"""What of files breaks a schema: all of it at once, as training and scoring would say it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fraud.errors import DataError
from fraud.remote import sources
from fraud.remote.sources import Source
from fraud.schema import Schema
from fraud.tables import refusals, table
from fraud.tables.faults import Gathered
from training.schemas import reading


def check(files: Sequence[Path | str], schema: Schema) -> dict[str, Any]:
    """Hold every row of ``files`` against ``schema``, in constant memory.

    Returns rows and frauds (None where no file has the label), columns of the schema that no file has, and of each file
    the problems in words.
    """
    checks = [_FileCheck(source, schema) for source in sources.find([str(file) for file in files])]
    for file in checks:
        file.run()
    labelled = [file.frauds for file in checks if file.frauds is not None]
    return {
        "schema": schema.name,
        "schema_hash": schema.hash,
        "rows": sum(file.rows for file in checks),
        "frauds": sum(labelled) if labelled else None,
        "unseen_columns": [
            name for name in table.known_columns(schema) if not any(name in file.columns for file in checks)
        ],
        "passed": not any(file.problems for file in checks),
        "files": [file.document() for file in checks],
    }


class _FileCheck:
    """What is wrong with one file, as its chunks pass by."""

    def __init__(self, source: Source, schema: Schema) -> None:
        self.source, self.schema = source, schema
        self.rows = 0
        self.frauds: int | None = None
        self.columns: list[str] = []
        self.words = ""
        self.problems: list[str] = []
        self._faults = Gathered()

    def run(self) -> None:
        """Read the whole file; a file that cannot be read on is one problem more."""
        try:
            with self.source.local() as path:
                for chunk in reading.chunks(path, table.reading(self.schema)):
                    self._add(chunk)
            if not self.rows:
                self.problems.append(refusals.NO_ROWS)
        except DataError as error:
            self.problems.append(str(error))
        self.problems += self._faults.words()

    def _add(self, chunk: reading.Chunk) -> None:
        self.columns = [str(name) for name in chunk.frame.columns]
        self.words = chunk.words
        label = self.schema.roles.label
        is_labelled = label is not None and label in self.columns
        checked = table.look(chunk.frame, self.schema, labelled=is_labelled)
        self.problems = checked.problems  # of the columns: the same in each chunk
        self._faults.add(checked.faults, self.rows)
        if is_labelled:
            self.frauds = (self.frauds or 0) + int(checked.frame[str(label)].sum())
        self.rows += len(chunk.frame)

    def document(self) -> dict[str, Any]:
        """As the command prints it."""
        return {
            "file": self.source.name,
            "found": self.words or None,
            "rows": self.rows,
            "frauds": self.frauds,
            "problems": self.problems,
        }
