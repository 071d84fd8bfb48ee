"""MLServer's scikit-learn runtime, speaking the V2 inference protocol."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.serving.contestants.contestant import Contestant, Place
from benchmarks.serving.forests import Forests
from tests.components.process import free_ports

_BATCHING = {"max_batch_size": 64, "max_batch_time": 0.005}
_NOTE = "is given the forest's inputs, already computed"


def contestants() -> list[Contestant]:
    """With two inference processes, as it comes and with its adaptive batching."""
    return [_contestant("mlserver", "", {}), _contestant("mlserver-batching", ", its adaptive batching", _BATCHING)]


def _contestant(name: str, words: str, batching: dict[str, float]) -> Contestant:
    return Contestant(
        name=name,
        title=f"MLServer's scikit-learn runtime{words}",
        workers=2,
        command=partial(_command, batching),
        body=_body,
        read_score=lambda answer: float(answer["outputs"][0]["data"][1]),
        path="/v2/models/fraud/infer",
        environment="mlserver",
        note=_NOTE,
    )


def _body(forests: Forests) -> dict[str, Any]:
    values = list(forests.features.values())
    rows = {"name": "rows", "shape": [1, len(values)], "datatype": "FP32", "data": values}
    return {"inputs": [rows], "outputs": [{"name": "predict_proba"}]}


def _command(batching: dict[str, float], forests: Forests, place: Place) -> list[str]:
    grpc_port, metrics_port = free_ports(2)
    settings = {
        "host": "127.0.0.1",
        "http_port": place.port,
        "grpc_port": grpc_port,
        "metrics_port": metrics_port,
        "parallel_workers": 2,
        "debug": False,
    }
    shutil.copy(forests.pickle, place.folder / "model.joblib")
    model = {
        "name": "fraud",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib"},
    }
    (place.folder / "settings.json").write_text(json.dumps(settings))
    (place.folder / "model-settings.json").write_text(json.dumps(model | batching))
    return [str(Path(place.python).with_name("mlserver")), "start", str(place.folder)]
