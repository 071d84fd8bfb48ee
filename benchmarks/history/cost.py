"""What histories cost: ``python -m benchmarks.history.cost FILE``, the Handbook's transactions.

Two services in turn, one of a schema with two histories and one of the same without, under the same load of random
customers: CPU of the whole process tree per ``POST /predict``, and latency. Servers are started anew each round, for
one start differs from the next.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks.history.redis_server import memory, redis_server
from benchmarks.history.rows import parts, trained
from benchmarks.history.service import SECRET, free_port, missing_by_reason, serving
from benchmarks.history.wire import Wire
from benchmarks.serving.load import wrk
from benchmarks.serving.measure import Tree
from fraud import schema
from fraud.history.keys import bytes_of
from fraud.history.layout import layouts
from fraud.history.stores import open_store
from fraud.inputs.keys import KeyHasher
from fraud.schema import Schema
from fraud.settings import Settings
from training import data
from training.dataset import Dataset, select

START = datetime(2018, 7, 1, tzinfo=UTC)
SIX = ["1h", "6h", "1d", "3d", "7d", "30d"]
_WITH, _WITHOUT = "with", "without"
IDS = 200_000


class Seen(NamedTuple):
    """What one load saw of one service; ``redis_us``: CPU of its store's server; ``missing``: transactions that were
    scored without their histories, of one hundred."""

    cpu_us: float
    p50_us: float
    p99_us: float
    redis_us: float
    missing: float


def schemas(windows: list[str] | None) -> dict[str, Schema]:
    """With histories of two keys, 12 features at three windows, and without."""
    text = (files("benchmarks.handbook") / "handbook.toml").read_text("utf-8")
    document = schema.parse(text, "handbook.toml").document()
    customer, terminal = document["history"]
    customer |= {"of": ["count", "mean:TX_AMOUNT"], "windows": windows or customer["windows"]}
    terminal |= {"windows": windows or terminal["windows"]}
    if windows:  # finer ones would need thousands of buckets, for the delay of labels
        terminal["windows"] = [one for one in windows if one not in ("1h", "6h")]
    plain = {name: value for name, value in document.items() if name != "history"}
    return {_WITH: schema.of_document(document, "with"), _WITHOUT: schema.of_document(plain, "without")}


def fill(url: str, own: Schema, customers: int, terminals: int) -> None:
    """Put a state of yesterday into the store for each key that the load names."""
    hasher, latest = KeyHasher(SECRET), int((time.time() - 86_400) * 1e6)
    read = Settings(history_url=url, history_max_keys=2_000_000, history_max_ids=IDS)
    store = open_store(layouts(own), hasher.fingerprint, read)
    for layout, mark, count in zip(layouts(own), "ct", (customers, terminals), strict=True):
        state = (1).to_bytes(8, "little") + latest.to_bytes(8, "little") + bytes(layout.size - 16)
        for first in range(1, count + 1, 256):
            keys = [bytes_of(hasher(f"{mark}{number}")) for number in range(first, min(first + 256, count + 1))]
            with store.gate.held(10):
                store.begin(layout, keys, [state] * len(keys), latest)
    store.sync()
    store.close()


class Started(NamedTuple):
    """A service, where it listens, its store's server if it has one, and the bytes that its store takes."""

    server: "subprocess.Popen[bytes]"
    port: int
    redis: "subprocess.Popen[bytes] | None"
    held: Callable[[], int]


@contextmanager
def started(version: str, own: Schema, keys: int, kind: str, delay: float) -> Iterator[Started]:
    """A service of its own folder and port, whose store knows the keys."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        url, redis, held = f"file://{folder}/history", None, lambda: _disk(folder / "history")
        if kind == "redis" and own.history:
            redis, direct = stack.enter_context(redis_server(folder))
            fill(f"redis://127.0.0.1:{direct}/0", own, keys, max(keys // 5, 1))
            wire = stack.enter_context(Wire(direct)) if delay else None
            if wire:
                wire.seconds = delay / 2
            url, held = f"redis://127.0.0.1:{wire.port if wire else direct}/0", partial(memory, direct)
        elif own.history:
            fill(url, own, keys, max(keys // 5, 1))
        env = {"FRAUD_WORKERS": "1", "FRAUD_HISTORY_MAX_IDS": str(IDS), "FRAUD_HISTORY_MAX_KEYS": "2000000"}
        env |= {"FRAUD_HISTORY_URL": url}
        yield Started(stack.enter_context(serving(version, folder, port, env)), port, redis, held)


def _disk(folder: Path) -> int:
    return sum(512 * one.stat().st_blocks for one in folder.rglob("*") if one.is_file())


def load(one: Started, callers: int, seconds: int, keys: int) -> Seen:
    """One load; raises RuntimeError where a call was not answered."""
    tree, name = Tree(one.server.pid), f"r{random.getrandbits(40):x}"
    missing = _missing(one.port)
    before, before_redis = tree.settle(), _cpu(one.redis)
    options = ["-t1", f"-c{callers}", f"-d{seconds}s", "-s", str(Path(__file__).with_name("pay.lua"))]
    arguments = ["--", str(keys), str(max(keys // 5, 1)), name]
    url = f"http://127.0.0.1:{one.port}/predict"
    done = subprocess.run([wrk(), *options, url, *arguments], capture_output=True, text=True, check=True)
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))[7:])
    if found["errors"]:
        raise RuntimeError(f"{found['errors']} of {found['requests']} calls were not answered")
    spent, spent_redis = tree.settle() - before, _cpu(one.redis) - before_redis
    calls = found["requests"] / 1e6
    missing = 100 * (_missing(one.port) - missing) / found["requests"]
    return Seen(spent / calls, found["p50"], found["p99"], spent_redis / calls, missing)


def _missing(port: int) -> float:
    return sum(missing_by_reason(port).values())


def _cpu(process: "subprocess.Popen[bytes] | None") -> float:
    return sum(psutil.Process(process.pid).cpu_times()[:2]) if process else 0.0


def one_round(
    versions: dict[str, str], own: dict[str, Schema], asked: argparse.Namespace, keys: int
) -> list[dict[str, Any]]:
    """Both services side by side, under each load in turn."""
    found = []
    with ExitStack() as stack:
        there = {
            name: stack.enter_context(started(version, own[name], keys, asked.store, asked.delay_ms / 1e3))
            for name, version in versions.items()
        }
        for one in there.values():
            load(one, 64, 3, keys)
        for count in asked.callers:
            for pair in range(asked.pairs):
                order = list(there) if pair % 2 else list(there)[::-1]
                seen = {name: load(there[name], count, asked.seconds, keys) for name in order}
                found.append({"callers": count, **{name: one._asdict() for name, one in seen.items()}})
                print(found[-1], file=sys.stderr, flush=True)
        held = there[_WITH].held()
    return [one | {"store_bytes": held} for one in found]


def told(rounds: list[list[dict[str, Any]]], callers: list[int]) -> list[dict[str, Any]]:
    """The mean over rounds of the medians of their pairs, and the least and most of these."""
    result = []
    for count in callers:
        of_round = [[one for one in found if one["callers"] == count] for found in rounds]
        ratios = [median(one[_WITH]["cpu_us"] / one[_WITHOUT]["cpu_us"] for one in found) for found in of_round]
        every = [one for found in of_round for one in found]
        figures = {
            f"{name}_{what}": round(median(one[name][what] for one in every), 1)
            for name in (_WITH, _WITHOUT)
            for what in Seen._fields
        }
        bounds = {"least": round(min(ratios), 3), "most": round(max(ratios), 3)}
        result.append({"callers": count, "cpu_ratio": round(mean(ratios), 3), **bounds, **figures})
    return result


def models(dataset: Dataset, own: dict[str, Schema], file: str, hasher: KeyHasher) -> dict[str, str]:
    """A forest of each schema, of the same weeks."""
    found = {}
    for name, one in own.items():
        rows = dataset if name == _WITH else data.load([file], one, hasher)
        before, _ = parts(rows, START, 1)
        kept = np.zeros(rows.size, dtype=bool)
        kept[before] = np.asarray(rows.times)[before] > START.timestamp() - 28 * 86_400
        found[name] = trained(select(rows, kept), START, hasher).version
    return found


def main() -> None:
    """Print one JSON document; progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the Handbook's transactions, as one Parquet file")
    parser.add_argument("--callers", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--keys", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--store", choices=["files", "redis"], default="files")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="how far away Redis is, there and back")
    parser.add_argument("--six-windows", action="store_true")
    arguments = parser.parse_args()
    hasher = KeyHasher(SECRET)
    own = schemas(SIX if arguments.six_windows else None)
    dataset = data.load([arguments.data], own[_WITH], hasher)
    versions = models(dataset, own, arguments.data, hasher)
    result = []
    for keys in arguments.keys:
        rounds = [one_round(versions, own, arguments, keys) for _ in range(arguments.rounds)]
        figures = told(rounds, arguments.callers)
        result.append({"customers": keys, "store_bytes": rounds[-1][0]["store_bytes"], "loads": figures})
    print(json.dumps({"features": len(own[_WITH].histories), "keys": result}, indent=2))


if __name__ == "__main__":
    main()
