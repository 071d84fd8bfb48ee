"""A month over HTTP beside the offline pass: ``python -m benchmarks.history FILE``, the Handbook's transactions.

Trains a small forest on the weeks before the month, begins the service's store with what keys did until then, and sends
the month, day by day: two workers, many callers, each key's transactions in their order and everything else in any
order, one in a hundred sent twice, one worker killed on the way and what it had in hand sent again. Before each day
``/feedback`` is told the frauds of the day seven days before. Then features and scores of every transaction are held
against those of the offline pass, which knows all labels, and the states of all keys at the end.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.history.callers import Callers
from benchmarks.history.days import Days
from benchmarks.history.redis_server import redis_server
from benchmarks.history.rows import IDS, begun, counted, differing_states, others_of, parts, trained
from benchmarks.history.service import (
    SECRET,
    free_port,
    kill_one_worker,
    labels_by_outcome,
    missing_by_reason,
    serving,
    wait_until_logged,
)
from benchmarks.replay.requests import requests
from fraud import keys, schema, store
from fraud.inputs.keys import KeyHasher
from fraud.replay.states import States
from fraud.schema import Schema
from monitoring.storage.sent import RowKind
from training import data, encode
from training.dataset import Dataset, keys_of

Serving = Callable[[], "subprocess.Popen[bytes]"]


def logged(path: Path, own: Schema) -> dict[str, set[bytes]]:
    """Of each transaction's id the features, float32, that the log holds: one, if all is well."""
    kind, found = RowKind(own), dict[str, set[bytes]]()
    with closing(sqlite3.connect(path)) as connection:
        for name, sent in connection.execute("SELECT transaction_id, sent FROM fraud_decisions"):
            found.setdefault(name, set()).add(kind.read(sent)[1])
    return found


def compared(
    dataset: Dataset, month: NDArray[np.int64], served: store.Served, expected: NDArray[np.float64], callers: Callers
) -> dict[str, Any]:
    """How many transactions there are, and how many answers differ from the offline pass in their score."""
    rows = np.hstack([encode.rows_of(served.features, dataset, month)[:, : len(dataset.schema.inputs)], expected])
    scores = served.score(rows)
    given = np.array([callers.answers[row]["fraud_probability"] for row in range(len(month))])
    again = {row: answer["fraud_probability"] for row, answer in callers.again.items()}
    return {
        "transactions": len(month),
        "scores_that_differ": int((given != scores).sum()),
        "asked_twice": len(again),
        "second_scores_that_differ": sum(bool(score != scores[row]) for row, score in again.items()),
        "frauds_among_them": int(dataset.labels[month].sum()),
        "distinct_scores": len(np.unique(scores)),
        "features": served.features.transform(rows),
    }


@contextmanager
def services(version: str, folder: Path, kind: str, digest: str) -> Iterator[tuple[str, list[int], Serving]]:
    """Where histories are, on which ports they are served, and what starts that: one service of two workers that share
    files, or two of one worker each that share Redis."""
    with ExitStack() as stack:
        url, ports = f"file://{folder}/history", [free_port()]
        if kind == "redis":
            url = f"redis://127.0.0.1:{stack.enter_context(redis_server(folder))[1]}/0"
            ports.append(free_port())
        env = {
            "FRAUD_HISTORY_URL": url,
            "FRAUD_HISTORY_DEADLINE_MS": "10000",
            "FRAUD_HISTORY_MAX_IDS": str(IDS),
            "FRAUD_DATABASE_URL": f"sqlite:///{folder}/fraud.sqlite",
            "FRAUD_API_KEYS": digest,
            "FRAUD_WORKERS": str(2 // len(ports)),
        }

        def start() -> "subprocess.Popen[bytes]":
            servers = [stack.enter_context(serving(version, folder, port, env)) for port in ports]
            return servers[0]

        yield url, ports, start


def replayed(
    dataset: Dataset, start: datetime, days: int, callers: int, seed: int, hasher: KeyHasher, kind: str
) -> dict[str, Any]:
    """The whole: train, begin, send, compare."""
    own = dataset.schema
    before, month = parts(dataset, start, days)
    served = trained(dataset, start, hasher)
    states, without = States(own), States(own)
    for one in (states, without):
        counted(one, dataset, before, labelled=True)
    key, digest = keys.make()
    with tempfile.TemporaryDirectory() as made, services(served.version, Path(made), kind, digest) as (url, ports, go):
        folder = Path(made)
        path = folder / "fraud.sqlite"
        begun(url, own, hasher, states, int(start.timestamp() * 1e6))
        expected = counted(states, dataset, month, labelled=True)
        unlabelled = counted(without, dataset, month, labelled=False)
        bodies = [json.dumps(one).encode() for one in requests(dataset, month.tolist(), "t")]
        columns = [pd.factorize(column[month])[0] for column in keys_of(others_of(dataset), own).values()]
        twice = frozenset(random.Random(seed).sample(range(len(month)), len(month) // 100))  # noqa: S311
        server = go()
        killed: list[int] = []

        def progress(answered: int) -> None:
            if answered >= 0.4 * len(month) and not killed:
                killed.append(kill_one_worker(server))
            if answered % 20_000 == 0:
                print(f"{answered:,} of {len(month):,} answered", file=sys.stderr, flush=True)

        sender = Callers(ports, key, bodies, twice, progress)
        names = [f"t-{row}" for row in month.tolist()]
        sent = Days(np.asarray(dataset.times)[month], dataset.labels[month] > 0, columns, names)
        began = time.perf_counter()
        sent.send(sender, callers, seed, ports, path)
        seconds = time.perf_counter() - began
        wait_until_logged(*ports)
        held = logged(path, own)
        lost = [place for place, row in enumerate(month.tolist()) if f"t-{row}" not in held]
        asyncio.run(sender.ask_again(lost))
        missing, labels = missing_by_reason(*ports), labels_by_outcome(*ports)
        found = compared(dataset, month, served, expected, sender)
        features = found.pop("features")
        held = logged(path, own)
        own_bytes = [row.tobytes() for row in features.astype("<f4")]
        differ = {place for place, name in enumerate(names) if name in held and held[name] != {own_bytes[place]}}
        return {
            **found,
            "in_the_log": sum(name in held for name in names),
            "features_that_differ": len(differ.difference(lost)),
            "labels_sent": sent.labels,
            "labels": labels,
            "with_other_features_without_labels": int(
                (np.nan_to_num(expected) != np.nan_to_num(unlabelled)).any(axis=1).sum()
            ),
            "lost_from_the_log_and_asked_again": len(lost),
            "features_that_differ_where_asked_again": len(differ.intersection(lost)),
            "calls_cut_off_and_sent_again": sender.resent,
            "worker_killed": bool(killed),
            "seconds": round(seconds, 1),
            "states": differing_states(url, own, hasher, states),
            "scored_with_histories_missing": missing,
        }


def main() -> None:
    """Print one JSON document; progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the Handbook's transactions, as one Parquet file")
    parser.add_argument("--from", dest="start", type=datetime.fromisoformat, default=datetime(2018, 7, 1))
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--store", choices=["files", "redis"], default="files", help="redis: two replicas share one")
    parser.add_argument("--seed", type=int, default=0, help="of the order, and of what is sent twice")
    arguments = parser.parse_args()
    text = (files("benchmarks.handbook") / "handbook.toml").read_text("utf-8")
    hasher = KeyHasher(SECRET)
    dataset = data.load([arguments.data], schema.parse(text, "handbook.toml"), hasher)
    start = arguments.start.replace(tzinfo=UTC)
    how = arguments.days, arguments.callers, arguments.seed
    print(json.dumps(replayed(dataset, start, *how, hasher, arguments.store), indent=2))


if __name__ == "__main__":
    main()
