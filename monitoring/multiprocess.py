"""Every private name of prometheus_client that we lean on, and nothing else: the checklist of an upgrade.

A histogram takes one value at a time, and no worker is told of the gauges of the others. Both are had from the inside:
from the parts of a histogram, and from the files, one per process and kind of gauge, that prometheus_client keeps in
``PROMETHEUS_MULTIPROC_DIR`` where there are several workers. What is gone is a problem in words, found once at the
start: ``monitoring.pending`` and ``monitoring.window`` then do without, and ``monitoring.metrics`` says so in the log.

prometheus_client removes no series from its files. What belongs to one model version is in files of its own, which are
removed as a whole: ``OwnFiles``, for ``monitoring.bins``.
"""

import math
import os
import re
import struct
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psutil
from prometheus_client import Counter, Gauge, Histogram

from fraud.atomic import replacing

_LIVE_SUMS_FILE = "gauge_livesum_{}.db"
"""The file of one process, by its id, with its gauges of the mode ``livesum``."""
_COUNTERS_FILE = "counter_{}.db"
"""Likewise, with its counters; it stays when the process is gone."""
HEART_FILE = "fraud_heart_{}"
"""Ours, of one process: ``monitoring.workers``."""
_VERSION_FILE = re.compile(r"(?:counter|gauge_max)_(\d+)_(.+)\.db")
"""Of one process, with the series of one model version."""
_NOTHING = struct.pack("<i", 8)
"""How a file begins that holds no series: the bytes that are used of it."""
_SCRAPED_SECONDS = 60.0
"""A file that was emptied so long ago is not being read any more by whoever found it before."""
_KEPT_FILE = re.compile(r"(counter|histogram|summary|gauge_max|gauge_all)_(\d+)((?:_.+)?\.db)")
"""Of one process, with what stays when it is gone; 0: of all that are gone. ``all`` is the time of the last call."""
_LIVE_FILE = re.compile(r"(?:gauge_live[a-z]+_(\d+)\.db)|" + HEART_FILE.format(r"(\d+)"))


class Value(Protocol):
    """One number of a metric."""

    def inc(self, amount: float) -> None:
        """Add to it."""


class HistogramParts(NamedTuple):
    """Inside of a histogram: how many values each bucket holds, by its inclusive upper edge; the last has none."""

    edges: list[float]
    buckets: Sequence[Value]
    sum: Value


def parts_of(histogram: Histogram) -> HistogramParts:
    """Those of ``histogram``, or of one with its labels. Raises LookupError when they are not where they were."""
    try:
        edges = [float(edge) for edge in histogram._upper_bounds]
        parts = HistogramParts(edges[:-1], histogram._buckets, histogram._sum)
        values = [value.inc for value in (*parts.buckets, parts.sum)]
        if edges != sorted(edges) or edges[-1:] != [math.inf] or len(values) != len(edges) + 1:
            raise ValueError("its buckets are not one for each edge")
    except (AttributeError, TypeError, ValueError) as error:
        raise LookupError(f"a histogram of prometheus_client is another inside: {error}") from None
    return parts


def check_labels(metric: Any, names: set[str]) -> None:  # noqa: ANN401 - any kind of metric
    """Raise LookupError unless ``metric`` takes labels of just these names; asked before the first series is made."""
    if set(getattr(metric, "_labelnames", ())) != names:
        raise LookupError(f"{metric} has not the labels {', '.join(sorted(names))}")


def folder() -> Path | None:
    """Where the workers keep their metrics; None in a single process."""
    name = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(name) if name else None


def lost() -> Path | None:
    """The folder, when the files of this process, which it writes on into, are no longer in it; None when they are."""
    place = folder()
    return place if place and not (place / _COUNTERS_FILE.format(os.getpid())).exists() else None


def sums_of_others() -> dict[str, float]:
    """What the ``livesum`` gauges of the other worker processes add up to, by name."""
    place = folder()
    if place is None:
        return {}
    own = _LIVE_SUMS_FILE.format(os.getpid())
    return _sums(path for path in place.glob(_LIVE_SUMS_FILE.format("*")) if path.name != own)


def _sums(paths: Iterable[Path]) -> dict[str, float]:
    collector: Any = import_module("prometheus_client.multiprocess").MultiProcessCollector
    return {
        metric.name: sum(sample.value for sample in metric.samples) for metric in collector.merge(list(map(str, paths)))
    }


def problem_of_files(gauge: str) -> str | None:
    """Why ``sums_of_others`` would fail or be wrong; None when it can be trusted.

    Found by reading the file of this process, which has its ``gauge``. No file is no problem: BentoML empties the
    folder whenever a server starts on the same BENTOML_HOME.
    """
    place = folder()
    if place is None:
        return None
    own = place / _LIVE_SUMS_FILE.format(os.getpid())
    try:
        sums = _sums([own] if own.exists() else [])
    except (ImportError, AttributeError, TypeError, ValueError, LookupError) as error:
        return f"prometheus_client reads its files in another way: {error}"
    if own.exists() and gauge not in sums:
        return f"prometheus_client writes its files in another way: there is no {gauge} in {own.name}"
    if any(place.glob("*.db")) and not any(place.glob(_LIVE_SUMS_FILE.format("*"))):
        return f"prometheus_client names its files in another way, so workers that died stay counted: no {own.name}"
    return None


def remove_stale_workers() -> None:
    """Remove the live gauges, and the heart, of worker processes that are gone, so that they no longer count."""
    place = folder()
    for path in place.iterdir() if place and place.is_dir() else ():
        name = _LIVE_FILE.fullmatch(path.name)
        if name and not _alive(int(name[1] or name[2])):
            path.unlink(missing_ok=True)  # another worker may be quicker


def ended_files() -> dict[Path, list[Path]]:
    """Files with what processes that are gone have left for good, by the name of the one that they may become."""
    place, ended = folder(), defaultdict[Path, list[Path]](list)
    for path in sorted(place.iterdir()) if place and place.is_dir() else ():
        name = _KEPT_FILE.fullmatch(path.name)
        if name and not _alive(int(name[2])) and not _is_empty(path):
            ended[path.with_name(f"{name[1]}_0{name[3]}")].append(path)
    return ended


def merge(paths: Iterable[Path], into: Path) -> None:
    """Write the file ``into``, whole, with what counters and histograms in ``paths`` add up to; of gauges the most."""
    file: Any = import_module("prometheus_client.mmap_dict").MmapedDict
    values = defaultdict[str, list[float]](list)
    for path in paths:
        for key, value, *_ in file.read_all_values_from_file(str(path)):
            values[key].append(value)
    with replacing(into) as part:
        merged = file(str(part))
        for key, counted in values.items():
            merged.write_value(key, max(counted) if into.name.startswith("gauge") else sum(counted), 0.0)
        merged.close()


class OwnFiles:
    """Series of one model version, in this process' files for them."""

    def __init__(self, version: str) -> None:
        self._value: Any = import_module("prometheus_client.values").MultiProcessValue(
            lambda: f"{os.getpid()}_{version}"
        )

    def series(self, metric: Counter | Gauge, labels: Sequence[str]) -> Any:  # noqa: ANN401 - of a counter or a gauge
        """That of these values of the metric's labels, from 0 on. A gauge is to be of the mode ``max``."""
        if isinstance(metric, Counter):
            name, mode = f"{metric._name}_total", {}
        else:
            name, mode = metric._name, {"multiprocess_mode": metric._multiprocess_mode}
        facts = (metric._type, metric._name, name, metric._labelnames, labels, metric._documentation)
        return self._value(*facts, **mode)

    def close(self) -> None:
        """Write no more; what was written stays until ``retire``."""
        self._value.close_all_files()


def own_files(version: str) -> OwnFiles | None:
    """Files for the series of a model version; None in a single process."""
    return OwnFiles(version) if folder() else None


def problem_of_series(counter: Counter, gauge: Gauge) -> str | None:
    """Why series of these cannot be kept in ``OwnFiles``; None when they can."""
    names = ("_type", "_name", "_labelnames", "_documentation")
    try:
        gone = [name for one in (counter, gauge) for name in names if not hasattr(one, name)]
        value = import_module("prometheus_client.values").MultiProcessValue()
        if gone or gauge._multiprocess_mode != "max" or not callable(value.close_all_files):
            raise ValueError(f"there is no {gone[0]}" if gone else "its gauges are of other modes")
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        return f"prometheus_client keeps its series in another way: {error}"
    return None


def versions() -> list[str]:
    """Model versions that have series here, of whichever process; the one that was written to last comes last."""
    written = dict[str, float]()
    for path, _, version in _version_files():
        with suppress(FileNotFoundError):  # another worker may be quicker
            if not _is_empty(path):
                written[version] = max(path.stat().st_mtime, written.get(version, 0.0))
    return sorted(written, key=written.__getitem__)


def retire(kept: Collection[str]) -> None:
    """Take all model versions but those of this process, and of ones that are gone, off the page.

    A file is emptied at once and removed later: whoever has found it and opens it now would fail without it.
    """
    for path, pid, version in _version_files():
        if version not in kept and (pid == os.getpid() or not _alive(pid)):
            with suppress(FileNotFoundError):  # another worker may be quicker
                _retire(path)


def _retire(path: Path) -> None:
    if not _is_empty(path):
        with path.open("r+b") as file:
            file.write(_NOTHING)
    elif time.time() - path.stat().st_mtime > _SCRAPED_SECONDS:
        path.unlink()


def _is_empty(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_NOTHING)) in (b"", bytes(len(_NOTHING)), _NOTHING)


def _version_files() -> Iterator[tuple[Path, int, str]]:
    """Each with its process and its model version."""
    place = folder()
    for path in place.iterdir() if place and place.is_dir() else ():
        if name := _VERSION_FILE.fullmatch(path.name):
            yield path, int(name[1]), name[2]


def _alive(pid: int) -> bool:
    try:
        return pid != 0 and bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)  # 0 is the system's on some
    except psutil.NoSuchProcess:
        return False
