"""Scoring a file, stopped in the middle and started again, each run its own process."""

import json
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from tests.e2e.conftest import REPOSITORY, run
from training import sample

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two million rows."""
    path = tmp_path_factory.mktemp("rows") / "in.parquet"
    pd.concat([sample.generate(20_000, seed=1)] * 100).to_parquet(path, row_group_size=131_072)
    return path


def command(source, target):
    return [sys.executable, "-m", "fraud", "score", str(source), str(target), "--jobs", "1"]


@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)], ids=["TERM", "INT", "KILL"]
)
def test_a_stopped_run_goes_on(source, tmp_path, store, stop, code):
    """No output while it is not whole; then the bytes of a run in one go, without scoring the first rows again."""
    target, pieces = tmp_path / "out.parquet", tmp_path / ".out.parquet.part.d"
    child = subprocess.Popen(command(source, target), cwd=REPOSITORY, env=store.env, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list(pieces.glob("*.parquet"))) < 3:
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    child.send_signal(stop)
    said = child.communicate(timeout=30)[1]
    assert child.returncode == code, said
    assert "Traceback" not in said
    assert not target.exists()
    answer = json.loads(run(command(source, target), store.env))
    assert answer["rows"] == 2_000_000
    assert 3 * 65_536 <= answer["resumed_at_row"] < 2_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    run(command(source, tmp_path / "fresh.parquet"), store.env)
    assert target.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()
