"""Facts about the machine, the versions and the command, to stand beside every figure."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.environments import REQUIREMENTS, ROOT
from benchmarks.serving.load import wrk

_HERE = ("bentoml", "numpy", "scikit-learn", "pydantic", "uvicorn", "uvloop", "httptools")
THERE = {"web": ("flask", "gunicorn", "fastapi"), "mlserver": ("mlserver",), "mlflow": ("mlflow",)}


def describe(command: str) -> dict[str, Any]:
    """What a reader needs to repeat the run. Raises NotRunError without wrk."""
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "git_revision": _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain") else ""),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in _HERE}
        | {name: pinned(file, name) for file, names in THERE.items() for name in names}
        | {"wrk": _wrk_version()},
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
    }


def command_line(module: str) -> str:
    """As it was typed, nearly."""
    return " ".join(["python", "-m", module, *sys.argv[1:]])


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def pinned(file: str, name: str) -> str:
    """Version of a contestant's package."""
    lines = (REQUIREMENTS / f"{file}.in").read_text().splitlines()
    return next(line.split("==")[1].split()[0] for line in lines if line.startswith(f"{name}=="))


def _wrk_version() -> str:
    words = subprocess.run([wrk(), "-v"], capture_output=True, text=True).stdout.split()
    return words[1] if len(words) > 1 else "of no known version"
