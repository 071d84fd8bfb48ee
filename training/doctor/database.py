"""Of the database: what ``python -m monitoring database status`` says, in a process that can be ended when it hangs."""

import json
import subprocess
import sys
from collections.abc import Mapping

from training.doctor.part import Part


def look(part: Part, environ: Mapping[str, str], seconds: float) -> None:
    """The fact ``key_fingerprints`` is for who compares."""
    command = [sys.executable, "-m", "monitoring", "database", "status"]
    try:
        done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        part.find(f"did not answer within {seconds:g} s; look whether it runs and can be reached, or who locks it")
        return
    if not done.stdout:
        said = done.stderr.strip().splitlines() or [f"`database status` ended with exit code {done.returncode}"]
        part.find(said[-1].removeprefix("error: "))
        return
    part.facts |= json.loads(done.stdout)
    if problem := part.facts.pop("problem"):
        part.find(problem)
    if waiting := part.facts["predictions_to_move"]:
        part.find(f"{waiting} rows of `predictions` are not moved yet: run `python -m monitoring database upgrade`")
