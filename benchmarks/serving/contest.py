"""One contestant's turn: start it, check its score, put every load on it, stop it."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.serving import load
from benchmarks.serving.contestants.contestant import Contestant, Place
from benchmarks.serving.environments import ROOT, NotRunError, python
from benchmarks.serving.forests import Forests, clean_environment
from benchmarks.serving.measure import PeakMemory, Tree
from tests.components.process import ComponentError, Process, free_port

_BATCHES = "bentoml_service_adaptive_batch_size"
_START_SECONDS = 120
_SAME = 1e-12  # several jobs add up in another order


@dataclass(frozen=True)
class Loads:
    """What is put on each contestant."""

    concurrency: Sequence[int]
    seconds: int
    warm_up_seconds: int


class Turn:
    """A contestant that runs."""

    def __init__(self, contestant: Contestant, process: Process, place: Place, body: Path) -> None:
        self._contestant, self._body = contestant, body
        self._root = f"http://127.0.0.1:{place.port}"
        self._tree = Tree(process.pid)

    def records(self, loads: Loads) -> Iterator[dict[str, Any]]:
        """The figures of each closed loop, then those of half the best of their rates."""
        load.closed(self._url, self._body, 8, loads.warm_up_seconds)
        best = 0.0
        for concurrency in loads.concurrency:
            record = self._measure(str(concurrency), concurrency, loads.seconds, None)
            best = max(best, record["requests_per_second"])
            yield record
        if best:
            yield self._measure(load.STEADY, 0, loads.seconds, min(best / 2, load.MOST_RATE))

    @property
    def _url(self) -> str:
        return self._root + self._contestant.path

    def _measure(self, name: str, concurrency: int, seconds: int, rate: float | None) -> dict[str, Any]:
        """One load. wrk leaves a call of each caller unanswered at the end; they are worked off and counted too."""
        batches = self._batches()
        before = self._tree.settle()
        with PeakMemory(self._tree) as memory:
            if rate is None:
                figures = load.closed(self._url, self._body, concurrency, seconds)
            else:
                figures = load.steady(self._url, self._body, rate, seconds)
        cpu_seconds = self._tree.settle() - before
        calls = figures.requests + concurrency
        return {
            "load": name,
            "rate": rate,
            "requests_per_second": figures.requests / figures.seconds,
            "cpu_ms": cpu_seconds / calls * 1e3 if calls else math.nan,
            "memory_mib": memory.mib,
            "batch": _mean_batch(batches, self._batches()),
            **{f"load_{key}": value for key, value in asdict(figures).items()},
        }

    def _batches(self) -> tuple[float, float]:
        """Rows and batches so far."""
        if not self._contestant.batches:
            return 0.0, 0.0
        text = httpx.get(f"{self._root}/metrics", timeout=10, trust_env=False).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        rows, count = (sum(s.value for s in samples if s.name == f"{_BATCHES}_{end}") for end in ("sum", "count"))
        return rows, count


def _mean_batch(before: tuple[float, float], after: tuple[float, float]) -> float | None:
    rows, count = after[0] - before[0], after[1] - before[1]
    return rows / count if count else None


@contextmanager
def turn(contestant: Contestant, forests: Forests, folder: Path) -> Iterator[Turn]:
    """Start ``contestant`` in ``folder``; stop it at the end.

    Raises NotRunError when it cannot be started or does not give the right score.
    """
    place = Place(python(contestant.environment), free_port(), folder)
    body = folder / "body.json"
    body.write_text(json.dumps(contestant.body(forests)))
    process = Process(
        contestant.name, contestant.command(forests, place), folder, _environment(contestant, forests, place), ROOT
    )
    url = f"http://127.0.0.1:{place.port}{contestant.path}"
    try:
        process.start(lambda: _answer(url, body) is not None, _START_SECONDS)
    except ComponentError as error:
        print(error, file=sys.stderr, flush=True)
        raise NotRunError(str(error).splitlines()[0].split(";")[0]) from None
    try:
        _check_score(contestant, forests, _answer(url, body))
        yield Turn(contestant, process, place, body)
    except (httpx.TransportError, psutil.Error, subprocess.CalledProcessError) as error:
        raise NotRunError(f"ended under load: {error!r}") from None
    finally:
        process.stop()


def _environment(contestant: Contestant, forests: Forests, place: Place) -> dict[str, str]:
    facts = vars(forests) | {"folder": place.folder}
    chosen = {name: value.format(**facts) for name, value in contestant.settings.items()}
    path = f"{Path(place.python).parent}:{clean_environment()['PATH']}"
    return clean_environment(BENTOML_HOME=str(forests.home), PATH=path, **chosen)


def _answer(url: str, body: Path) -> Any:  # noqa: ANN401 - JSON
    """The JSON of a 200, else None."""
    headers = {"Content-Type": "application/json"}
    try:
        answer = httpx.post(url, content=body.read_bytes(), headers=headers, timeout=10, trust_env=False)
    except httpx.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None


def _check_score(contestant: Contestant, forests: Forests, answer: Any) -> None:  # noqa: ANN401 - JSON
    expected = contestant.expected(forests)
    if answer is None:
        raise NotRunError("answered once, and then no more")
    if expected is not None and not abs(contestant.read_score(answer) - expected) <= _SAME:
        raise NotRunError(f"gives the score {contestant.read_score(answer)}, not {expected}")
