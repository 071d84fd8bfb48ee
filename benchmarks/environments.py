"""Environments of the contestants that need other packages: made on demand from pinned, hashed requirements."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "benchmarks" / "requirements"
FOLDER = ROOT / ".venv-bench"


class NotRunError(Exception):
    """A contestant cannot run here; the message says why."""


def python(name: str) -> str:
    """Interpreter of the environment ``name`` (made when missing or outdated); of this one for the empty name.

    Raises NotRunError when the packages cannot be installed.
    """
    if not name:
        return sys.executable
    requirements = REQUIREMENTS / f"{name}.txt"
    folder = FOLDER / name
    ready, wanted = folder / ".ready", hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not ready.is_file() or ready.read_text() != wanted:
        print(f"making the environment {name}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(requirements)]
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", *options])
        ready.write_text(wanted)
    return str(folder / "bin" / "python")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise NotRunError(f"cannot be installed: {last}")
