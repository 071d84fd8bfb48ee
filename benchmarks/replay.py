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
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from fraud import keys, store
from fraud.features import transform
from fraud.manifest import Manifest
from fraud.schema import COLUMNS
from fraud.settings import MODEL_NAME
from training import data, split
from training.data import Dataset

CALL_ROWS = 200
FIGURES = ("precision", "recall")
OUTCOMES = ("true_positive", "false_positive", "false_negative", "true_negative")
EXTRA_SECONDS = 3.0
"""A prediction is judged this long after its label came."""
MOST_SECONDS = 60.0
"""A service that judges so much later is not waited for."""

History = list[tuple[float, dict[str, dict[str, float]]]]


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
    dataset = data.load(arguments.data)
    test = test_rows(dataset, served.manifest)[: arguments.rows]
    rows, labels = dataset.rows[test], dataset.labels[test]
    flagged = served.forest.score(transform(rows)) >= served.manifest.threshold
    offline = dict(zip(OUTCOMES, outcomes(flagged, labels == 1), strict=True))
    print(f"{len(rows)} rows, {int(labels.sum())} frauds; offline: {offline} {shares(offline)}", file=sys.stderr)
    key, digest = keys.make()
    own = service(served.version, digest, arguments.delay + EXTRA_SECONDS)
    with nullcontext(arguments.url) if arguments.url else own as url:
        headers = {"Authorization": f"Bearer {os.environ.get('KEY', '') if arguments.url else key}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
            if arguments.url:
                check_suits(client, served.version, arguments.delay)
            _, before = live(client, served.version)
            history = replay(client, served.version, rows, labels == 1, flagged, arguments.seconds, arguments.delay)
            after = settle(client, history, served.version, sum(before.values()) + len(rows))
            grown = {outcome: after[outcome] - before[outcome] for outcome in OUTCOMES}
    if arguments.plot:
        plot(history, shares(offline), arguments.plot)
    equal = grown == offline
    print(json.dumps({"model_version": served.version, "offline": offline, "live": grown, "equal": equal}, indent=2))
    return int(not equal)


def check_suits(client: httpx.Client, version: str, delay: float) -> None:
    """End with a message when live figures of this service cannot become those of the rows."""
    answer = client.get("/model")
    if answer.status_code == 401:
        sys.exit("error: the service does not take the key; put one of its keys in KEY")
    if (serves := answer.raise_for_status().json()["model_version"]) != version:
        sys.exit(f"error: the service serves {serves}, not {version}; give --model fraud_detector:{serves}")
    deadline = time.monotonic() + 5  # one that just started says it after a second or two
    while not (judged := label_delay(client)) and time.monotonic() < deadline:
        time.sleep(0.5)
    if not delay < judged <= delay + MOST_SECONDS:
        days = (delay + EXTRA_SECONDS) / 86_400
        sys.exit(
            f"error: the service judges a prediction after {judged:g} s (0: it has no database), and labels come after "
            f"{delay:g} s; start it with FRAUD_DATABASE_URL, FRAUD_API_KEYS and FRAUD_LABEL_DELAY_DAYS={days:.6f}"
        )


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


@contextmanager
def service(version: str, digest: str, delay_seconds: float) -> Iterator[str]:
    """A service with two workers, a SQLite file and a model store of its own: one beside it is left alone; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "bentoml"
        shutil.copytree(store.get(f"{MODEL_NAME}:{version}").path, home / "models" / MODEL_NAME / version)
        env = {
            **os.environ,
            "BENTOML_HOME": str(home),
            "FRAUD_MODEL": f"{MODEL_NAME}:{version}",
            "FRAUD_API_KEYS": digest,
            "FRAUD_DATABASE_URL": f"sqlite:///{folder}/fraud.sqlite",
            "FRAUD_LABEL_DELAY_DAYS": str(delay_seconds / 86_400),
        }
        command = [sys.executable, "-m", "bentoml", "serve", "service:FraudDetector", "--host", "127.0.0.1"]
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen([*command, "--port", str(port)], env=env, stdout=log, stderr=log)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def wait_until_ready(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Return when /readyz answers; end with a message when it does not within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    sys.exit("error: the service did not become ready")


def replay(
    client: httpx.Client,
    version: str,
    rows: np.ndarray,
    fraud: np.ndarray,
    flagged: np.ndarray,
    seconds: float,
    delay: float,
) -> History:
    """Send rows evenly over ``seconds``, and labels ``delay`` seconds after them; the live figures on the way."""
    run = uuid.uuid4().hex[:8]  # ids of an earlier replay have their labels
    waiting: deque[tuple[float, int]] = deque()
    history: History = []
    started = reported = time.monotonic()
    calls = -(-len(rows) // CALL_ROWS)
    sent = 0
    while sent < calls or waiting:
        now = time.monotonic()
        while sent < calls and sent * seconds / calls <= now - started:
            part = range(sent * CALL_ROWS, min((sent + 1) * CALL_ROWS, len(rows)))
            body = [
                {**dict(zip(COLUMNS, rows[row].tolist(), strict=True)), "transaction_id": f"{run}-{row}"}
                for row in part
            ]
            client.post("/predict_batch", json={"transactions": body}).raise_for_status()
            waiting.extend((time.monotonic() + delay, row) for row in part if fraud[row] or flagged[row])
            sent += 1
        while waiting and waiting[0][0] <= now:
            _, row = waiting.popleft()
            label = {"transaction_id": f"{run}-{row}", "is_fraud": bool(fraud[row])}
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


def live(client: httpx.Client, version: str) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Figures and counts of the model as /metrics has them."""
    figures: dict[str, dict[str, float]] = {figure: {} for figure in FIGURES}
    counts = dict.fromkeys(OUTCOMES, 0)
    for sample in samples(client):
        if sample.labels.get("model_version") != version:
            continue
        if sample.name == "fraud_live_quality":
            figures[sample.labels["figure"]][sample.labels["bound"]] = sample.value
        elif sample.name == "fraud_live_transactions":
            counts[sample.labels["outcome"]] = int(sample.value)
    return figures, counts


def label_delay(client: httpx.Client) -> float:
    """Seconds after which the service judges a prediction; 0 while it does not say."""
    return max((one.value for one in samples(client) if one.name == "fraud_label_delay_seconds"), default=0.0)


def samples(client: httpx.Client) -> Iterator[Sample]:
    """All that /metrics has."""
    for family in text_string_to_metric_families(client.get("/metrics").raise_for_status().text):
        yield from family.samples


def summary(figures: dict[str, dict[str, float]]) -> str:
    """One line for people."""
    shown = (
        f"{name} {bounds['value']:.3f} [{bounds['low']:.3f}, {bounds['high']:.3f}]"
        for name, bounds in figures.items()
        if bounds
    )
    return "  ".join(shown) or "nothing is old enough yet"


def plot(history: History, offline: dict[str, float], target: Path) -> None:
    """Live figures over time with their intervals, and the offline ones as lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.5), sharey=True, layout="constrained")
    for axis, name in zip(axes, FIGURES, strict=True):
        points: list[tuple[float, dict[str, Any]]] = [(at, figures[name]) for at, figures in history if figures[name]]
        times = [at for at, _ in points]
        low, value, high = ([bounds[bound] for _, bounds in points] for bound in ("low", "value", "high"))
        axis.fill_between(times, low, high, alpha=0.2, label="95 % interval")
        axis.plot(times, value, label="live")
        axis.axhline(offline[name], color="black", linestyle="--", linewidth=1, label="offline")
        axis.set(title=name, xlabel="seconds of replay", ylim=(0, 1.02))
        axis.grid(alpha=0.3)
    axes[1].legend(loc="lower right")
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
