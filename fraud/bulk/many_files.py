"""Score many files: one output for each input, here one after another or on a Dask cluster, and what failed by name."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet

from fraud import store
from fraud.bulk import cluster, histories
from fraud.bulk.histories import Choice
from fraud.bulk.one_file import check_target, score_file
from fraud.errors import DataError, FraudError, one_line
from fraud.remote.sources import Source
from fraud.schema import Schema
from fraud.settings import MODEL_NAME
from fraud.tables import packing, table
from fraud.tables.extras import NO_EXTRAS, Extras

ScoreFile = Callable[[Path, Path, str], dict[str, Any]]
"""Takes input, output and the model's tag; gives what ``score_file`` gives."""


@dataclass(frozen=True)
class FileResult:
    """What came of one file: ``summary`` of ``score_file``, or the ``error``."""

    input: str
    summary: dict[str, Any] | None = None
    error: str | None = None


def score_files(
    sources: Sequence[Source],
    folder: Path,
    tag: str,
    score: ScoreFile,
    *,
    scheduler: str | None = None,
    threads: int | None = None,
    observer: Callable[[FileResult], object] = str,
    extras: Extras = NO_EXTRAS,
    history: Choice = "model",
) -> dict[str, Any]:
    """Score each file into ``folder`` under its own name; outputs that are there and up to date are left alone.

    Here by ``score``; with ``scheduler`` each file is one task of the Dask cluster there, which needs this code,
    the model in its workers' store, and the same folders. ``observer`` hears of each file. Raises FraudError before
    anything is scored; the errors of files are in the answer.
    """
    targets = _targets(sources, folder)
    served = store.open_served(store.get(tag))
    version = served.version
    tag = f"{MODEL_NAME}:{version}"  # not "latest", which may be another one on a worker
    schema = served.features.schema
    stamp = histories.stamp_of(schema, version, history)
    done = [one for one, target in targets.items() if _is_done(one, target, version, extras, schema, stamp)]
    todo = {source: target for source, target in targets.items() if source not in done}
    results = []
    for result in (
        _on_cluster(todo, tag, scheduler, threads, extras, history) if scheduler and todo else _here(todo, tag, score)
    ):
        observer(result)
        results.append(result)
    summaries = [result.summary for result in results if result.summary]
    told = sorted({summary[histories.COLUMN] for summary in summaries if histories.COLUMN in summary})
    return {
        "output": str(folder),
        "files": len(summaries),
        "skipped": len(done),
        "failed": [{"input": one.input, "error": one.error} for one in results if one.error],
        "rows": sum(summary["rows"] for summary in summaries),
        "flagged": sum(summary["flagged"] for summary in summaries),
        "model_version": version,
        **({histories.COLUMN: " or ".join(told)} if told else {}),
        **{name: rows for name in histories.ODD if (rows := sum(one.get(name, 0) for one in summaries))},
    }


def score_on_worker(
    name: str, target: Path, tag: str, threads: int | None, extras: Extras, history: Choice = "model"
) -> dict[str, Any]:
    """What one task does. The threads of a worker share its cores."""
    from distributed import get_worker

    def score(source: Path, target: Path, tag: str) -> dict[str, Any]:
        share = threads or _share(get_worker())
        return score_file(source, target, tag, threads=share, extras=extras, history=history)

    return asdict(_result(Source(name), target, tag, score))


def _share(worker: Any) -> int:  # noqa: ANN401 - distributed ships no types
    return max(1, (os.cpu_count() or 1) // int(worker.state.nthreads))


def _here(todo: dict[Source, Path], tag: str, score: ScoreFile) -> Iterator[FileResult]:
    for source, target in todo.items():
        yield _result(source, target, tag, score)


def _on_cluster(
    todo: dict[Source, Path], tag: str, scheduler: str, threads: int | None, extras: Extras, history: Choice
) -> Iterator[FileResult]:
    """Results as they come. What a worker could not do at all is an error of the file."""
    with cluster.connected(scheduler) as client:
        from distributed import as_completed

        _check_code(client, scheduler)
        futures = client.map(
            score_on_worker,
            [source.name if source.is_remote else str(Path(source.name).resolve()) for source in todo],
            [target.resolve() for target in todo.values()],
            tag=tag,
            threads=threads,
            extras=extras,
            history=history,
            pure=False,
        )
        inputs = dict(zip(futures, todo, strict=True))
        for future in as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
            if future.status == "finished":
                yield FileResult(**{**future.result(), "input": inputs[future].name})
            else:
                yield FileResult(inputs[future].name, error=f"the worker failed: {_reason(future)}")


def _check_code(client: Any, scheduler: str) -> None:  # noqa: ANN401
    """Raise FraudError unless the scheduler, which reads the tasks too, and every worker can import this package."""
    packages = {"the scheduler": client.run_on_scheduler(find_spec, "fraud"), **client.run(find_spec, "fraud")}
    without = [name for name, spec in packages.items() if spec is None]
    if without:
        raise FraudError(f"{scheduler}: {without[0]} has no package `fraud`; start it with this code on PYTHONPATH")


def _reason(future: Any) -> str:  # noqa: ANN401
    error = future.exception()
    return f"{type(error).__name__}: {one_line(error)}"


def _result(source: Source, target: Path, tag: str, score: ScoreFile) -> FileResult:
    try:
        with source.local() as path:
            return FileResult(source.name, summary=score(path, target, tag))
    except FraudError as error:
        return FileResult(source.name, error=one_line(error))


def _targets(sources: Iterable[Source], folder: Path) -> dict[Source, Path]:
    """Where each input goes: its own name, as ``.parquet`` or ``.csv``."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; several inputs need a folder")
    if not folder.parent.is_dir():
        raise DataError.no_folder(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise DataError.not_writable(folder, error) from None
    targets: dict[Source, Path] = {}
    for source in sources:
        target = folder / _output_name(source)
        if target in targets.values():
            raise DataError(f"{source.name}: two inputs would be written to {target}; score them apart")
        check_target(source, target)
        targets[source] = target
    return targets


def _output_name(source: Source) -> str:
    name = source.file_name
    if (inner := Path(name)).suffix.lower() in packing.SUFFIXES and inner.stem.lower().endswith((".csv", ".tsv")):
        name = inner.stem
    is_parquet = name.lower().endswith(table.PARQUET_SUFFIXES)
    if not source.is_remote:
        with suppress(OSError):  # why it cannot be read is said where it is scored
            is_parquet = table.is_parquet(Path(source.name))
    return f"{Path(name).stem}{'.parquet' if is_parquet else '.csv'}"


def _is_done(source: Source, target: Path, version: str, extras: Extras, schema: Schema, stamp: str | None) -> bool:
    """Whether ``target`` is newer than ``source`` and of this model and, where it looks at histories, of this state. An
    output is whole whenever it is there."""
    is_there = source.is_remote or Path(source.name).is_file()
    if not is_there or not target.is_file() or target.stat().st_mtime <= source.modified():
        return False
    try:
        if target.suffix == ".csv":
            first = pd.read_csv(target, nrows=1, dtype=str)
        else:
            with pyarrow.parquet.ParquetFile(target) as file:
                first = next(file.iter_batches(1)).to_pandas()
        with source.local() if extras.keep else nullcontext() as path:
            kept = extras.of(path, schema, ()).kept if path else ()
        alike = first["model_version"].tolist() == [version] and set(kept) <= set(first.columns)
        return alike and (stamp is None or first[histories.COLUMN].tolist() == [stamp])
    except (
        DataError,
        ValueError,
        KeyError,
        OSError,
        StopIteration,
        pyarrow.ArrowException,
    ):  # something else is in its place
        return False
