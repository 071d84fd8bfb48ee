"""MLflow's scoring server: ``mlflow models serve`` in its own environment."""

import subprocess
from pathlib import Path
from typing import Any

from benchmarks.serving.contestants.contestant import Contestant, Place
from benchmarks.serving.environments import ROOT, NotRunError
from benchmarks.serving.forests import Forests, clean_environment


def contestants() -> list[Contestant]:
    """With two workers."""
    return [
        Contestant(
            name="mlflow",
            title="MLflow's scoring server",
            workers=2,
            command=_command,
            body=_body,
            read_score=lambda answer: float(answer["predictions"][0][1]),
            path="/invocations",
            environment="mlflow",
            settings={"MLFLOW_TRACKING_URI": "sqlite:///{folder}/mlflow.sqlite"},
            note="is given the forest's inputs, already computed",
        )
    ]


def _body(forests: Forests) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(forests.features), "data": [list(forests.features.values())]}}


def _command(forests: Forests, place: Place) -> list[str]:
    model = place.folder / "model"
    save = [place.python, "-m", "benchmarks.serving.apps.save_mlflow", str(forests.pickle), str(model)]
    done = subprocess.run(save, cwd=ROOT, env=clean_environment(), capture_output=True, text=True)
    if done.returncode:
        raise NotRunError(f"the model cannot be saved: {done.stderr.strip().splitlines()[-1]}")
    serve = ["models", "serve", "-m", str(model), "--env-manager", "local", "-h", "127.0.0.1", "-p", str(place.port)]
    return [str(Path(place.python).with_name("mlflow")), *serve, "-w", "2"]
