"""Environments of the contestants that need other packages, made on demand.

What they share with the product comes from its own pinned, hashed requirements. Of what is theirs, the packages that
are compared have exact versions; what those bring along is whatever fits them on the day.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "benchmarks" / "requirements"
TRAINING = ROOT / "requirements" / "training.txt"
FOLDER = ROOT / ".venv-bench"
_ON_TOP_OF_OURS = ("web",)
"""Those that run code of the product; the others bring versions of their own that do not fit ours."""


class NotRunError(Exception):
    """A contestant cannot run here; the message says why."""


def requirements(name: str) -> list[Path]:
    """Files that the environment ``name`` is made of, in the order in which they are installed."""
    return [*([TRAINING] if name in _ON_TOP_OF_OURS else []), REQUIREMENTS / f"{name}.in"]


def python(name: str) -> str:
    """Interpreter of the environment ``name`` (made when missing or outdated); of this one for the empty name.

    Raises NotRunError when the packages cannot be installed.
    """
    if not name:
        return sys.executable
    files, folder = requirements(name), FOLDER / name
    ready, digest = folder / ".ready", hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    if not ready.is_file() or ready.read_text() != digest:
        print(f"making the environment {name}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        for file in files:
            hashed = ["--require-hashes"] if file == TRAINING else []
            options = ["--quiet", "--disable-pip-version-check", *hashed, "-r", str(file)]
            _run([str(folder / "bin" / "python"), "-m", "pip", "install", *options])
        ready.write_text(digest)
    return str(folder / "bin" / "python")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise NotRunError(f"cannot be installed: {last}")
