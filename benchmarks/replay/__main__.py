"""Replay labelled rows through a running service: labels arrive late, live precision and recall reach the offline ones.

python -m benchmarks.replay --data creditcard.csv --seconds 60 --plot docs/replay.png
KEY=... python -m benchmarks.replay --data creditcard.csv --url http://localhost:3000

The test rows of a stored model (its split is redone) are sent in time order, over HTTP, to a service of the replay's
own, with a BENTOML_HOME of its own, or to one that runs. Each fraud, and each transaction called fraud, gets its label
through POST /feedback some seconds after its score. The live figures are read from /metrics. At the end they must have
grown to those of the same rows offline; else it exits 1.

A service at --url must serve the same model and get no other calls meanwhile. It needs FRAUD_DATABASE_URL, to which
the rows are written, FRAUD_API_KEYS, of which KEY is one, and an FRAUD_LABEL_DELAY_DAYS of some seconds more than
--delay: 0.00015 is 13 seconds.
"""

import argparse
import json
import os
import sys
import time
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.replay.figures import OUTCOMES, History, live, plot, summary
from benchmarks.replay.requests import requests
from benchmarks.replay.service import EXTRA_SECONDS, MOST_SECONDS, check_suits, service
from fraud import keys, store
from fraud.manifest import Manifest
from fraud.settings import Settings
from training import data, split
from training.dataset import Dataset

CALL_ROWS = 200


def main() -> int:
    """Start a service, replay, compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="what the model was trained on")
    parser.add_argument("--model", default="fraud_detector:latest", metavar="TAG")
    parser.add_argument("--seconds", type=float, default=60, help="how long the rows are sent (default 60)")
    parser.add_argument("--delay", type=float, default=10, help="seconds from a score to its label (default 10)")
    parser.add_argument("--rows", type=int, help="at most so many test rows")
    parser.add_argument("--url", help="a running service to replay into, with a key in $KEY (default: one of its own)")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    arguments = parser.parse_args()
    served = store.open_served(store.get(arguments.model))
    dataset = data.load(arguments.data, served.features.schema, hasher=Settings.from_env().key_hasher)
    test = test_rows(dataset, served.manifest)[: arguments.rows]
    rows, labels = dataset.rows[test], dataset.labels[test]
    flagged = served.score(rows, dataset.levels) >= served.manifest.threshold
    offline = dict(zip(OUTCOMES, outcomes(flagged, labels == 1), strict=True))
    print(f"{len(rows)} rows, {int(labels.sum())} frauds; offline: {offline} {shares(offline)}", file=sys.stderr)
    key, digest = keys.make()
    own = service(served.version, digest, arguments.delay + EXTRA_SECONDS)
    with nullcontext(arguments.url) if arguments.url else own as url:
        bearer = os.environ.get("KEY") if arguments.url else key
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
            if arguments.url:
                check_suits(client, served.version, arguments.delay)
            _, before = live(client, served.version)
            run = uuid.uuid4().hex[:8]  # ids of an earlier replay have their labels
            sent = requests(dataset, test.tolist(), run)
            history = replay(client, served.version, sent, labels == 1, flagged, arguments.seconds, arguments.delay)
            after = settle(client, history, served.version, sum(before.values()) + len(rows))
            grown = {outcome: after[outcome] - before[outcome] for outcome in OUTCOMES}
    if arguments.plot:
        plot(history, shares(offline), arguments.plot)
    equal = grown == offline
    print(json.dumps({"model_version": served.version, "offline": offline, "live": grown, "equal": equal}, indent=2))
    return int(not equal)


def test_rows(dataset: Dataset, manifest: Manifest) -> split.Indices:
    """The rows that the model was tested on, in time order."""
    if dataset.fingerprint != manifest.data.fingerprint:
        sys.exit(
            "error: this is not the data that the model was trained on; give the same --data, or train a model on it"
        )
    facts = manifest.split
    return split.split(dataset, facts.protocol, facts.test_share, facts.seed).test


def outcomes(flagged: np.ndarray, fraud: np.ndarray) -> list[int]:
    """Counts in the order of OUTCOMES."""
    pairs = [(True, True), (True, False), (False, True), (False, False)]
    return [int(((flagged == called) & (fraud == was)).sum()) for called, was in pairs]


def shares(counts: dict[str, int]) -> dict[str, float]:
    """Precision and recall."""
    caught, alarms, missed, _ = (counts[name] for name in OUTCOMES)
    return {"precision": caught / max(caught + alarms, 1), "recall": caught / max(caught + missed, 1)}


def replay(
    client: httpx.Client,
    version: str,
    rows: Sequence[dict[str, Any]],
    fraud: np.ndarray,
    flagged: np.ndarray,
    seconds: float,
    delay: float,
) -> History:
    """Send rows evenly over ``seconds``, and labels ``delay`` seconds after them; the live figures on the way."""
    waiting: deque[tuple[float, int, str]] = deque()
    history: History = []
    started = reported = time.monotonic()
    calls = -(-len(rows) // CALL_ROWS)
    sent = 0
    while sent < calls or waiting:
        now = time.monotonic()
        while sent < calls and sent * seconds / calls <= now - started:
            part = range(sent * CALL_ROWS, min((sent + 1) * CALL_ROWS, len(rows)))
            answers = client.post("/predict_batch", json={"transactions": rows[part.start : part.stop]})
            names = [one["transaction_id"] for one in answers.raise_for_status().json()["predictions"]]
            due = time.monotonic() + delay
            waiting.extend(
                (due, row, name) for row, name in zip(part, names, strict=True) if fraud[row] or flagged[row]
            )
            sent += 1
        while waiting and waiting[0][0] <= now:
            _, row, name = waiting.popleft()
            label = {"transaction_id": name, "is_fraud": bool(fraud[row])}
            client.post("/feedback", json=label).raise_for_status()
        if now - reported >= 2:
            reported = now
            figures, counts = live(client, version)
            history.append((now - started, figures))
            print(f"{now - started:5.0f} s  judged {sum(counts.values()):6d}  {summary(figures)}", file=sys.stderr)
        time.sleep(0.05)
    return history


def settle(client: httpx.Client, history: History, version: str, rows: int) -> dict[str, int]:
    """Wait until so many rows are judged; the live counts then."""
    started, first = time.monotonic(), history[-1][0] if history else 0.0
    while True:
        figures, counts = live(client, version)
        elapsed = time.monotonic() - started
        history.append((first + elapsed, figures))
        print(f"{first + elapsed:5.0f} s  judged {sum(counts.values()):6d}  {summary(figures)}", file=sys.stderr)
        if sum(counts.values()) >= rows or elapsed > 2 * MOST_SECONDS:
            return counts
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(main())
