"""The two loads: a closed loop (wrk) and a constant rate (``serving.steady``), each in a process of its own."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.serving.environments import ROOT, NotRunError

STEADY = "steady"
"""Name of the constant-rate load; those of closed loops are their numbers of callers."""

MOST_RATE = 5000.0
"""Calls a second that the constant-rate generator keeps up with beside a busy server on two cores."""

_TIMEOUT_SECONDS = 30  # for one answer


@dataclass(frozen=True)
class Load:
    """What a load generator saw. Latencies in milliseconds; of a constant rate, from the time a call was due."""

    requests: int
    """Answered, with whatever status."""
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int
    """Answers other than 2xx, and calls without an answer."""
    lag_p99_ms: float = 0.0
    """How late the constant-rate generator itself was to send: the resolution of its latencies."""


def wrk() -> str:
    """Path of the closed loop's generator. Raises NotRunError when it is not installed."""
    path = shutil.which("wrk")
    if path is None:
        raise NotRunError("wrk is not installed; on Debian: apt-get install wrk")
    return path


def closed(url: str, body: Path, concurrency: int, seconds: int) -> Load:
    """``concurrency`` callers on a kept-alive connection each, who call again as soon as they are answered.

    Raises NotRunError without wrk.
    """
    options = ["-t1", f"-c{concurrency}", f"-d{seconds}s", "--timeout", f"{_TIMEOUT_SECONDS}s"]
    script = ["-s", str(Path(__file__).with_name("post.lua")), local(url), "--", str(body)]
    done = subprocess.run([wrk(), *options, *script], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    figures = json.loads(line.removeprefix("RESULT "))
    return Load(
        requests=figures["requests"],
        seconds=figures["microseconds"] / 1e6,
        p50_ms=figures["p50"] / 1e3,
        p99_ms=figures["p99"] / 1e3,
        max_ms=figures["max"] / 1e3,
        errors=figures["errors"],
    )


def steady(url: str, body: Path, rate: float, seconds: int) -> Load:
    """``rate`` calls a second, sent when due whether or not earlier ones were answered."""
    command = [sys.executable, "-m", "benchmarks.serving.steady", local(url), str(body), f"{rate:.3f}", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return Load(**json.loads(done.stdout))


def local(url: str) -> str:
    """``url`` itself. Raises ValueError for another machine's."""
    if urlsplit(url).hostname != "127.0.0.1":
        raise ValueError(f"{url}: loads go to 127.0.0.1 only")
    return url
