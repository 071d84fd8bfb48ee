"""This product's service: metrics, drift counters, validation and prediction log on, and each part off in turn."""

from collections.abc import Collection

from benchmarks.serving.contestants.contestant import Contestant, Place
from benchmarks.serving.forests import Forests
from fraud.settings import Settings

_LOG = {"database_url": "sqlite:///{folder}/predictions.sqlite"}
_OFF = {
    "without short cut": {"short_cut": "false"},
    "without batching": {"batching": "false"},
    "without prediction log": {"database_url": ""},
}
"""What is switched off in turn, when this version of the service has the setting for it."""


def contestants(fields: Collection[str] = tuple(Settings.model_fields)) -> list[Contestant]:
    """With one and two workers, by the settings that there are."""
    variants = {"": dict[str, str]()} | {name: off for name, off in _OFF.items() if set(off) <= set(fields)}
    return [_contestant(workers, name, off, fields) for workers in (1, 2) for name, off in variants.items()]


def _contestant(workers: int, variant: str, off: dict[str, str], fields: Collection[str]) -> Contestant:
    chosen = {name: value for name, value in _LOG.items() if name in fields} | off
    settings = {f"FRAUD_{name.upper()}": value for name, value in chosen.items()}
    return Contestant(
        name="-".join(["service", str(workers), *variant.replace("prediction ", "").split()]),
        title=f"this service {variant}".strip(),
        workers=workers,
        command=_command,
        settings=settings | {"FRAUD_WORKERS": str(workers), "FRAUD_MODEL": "{tag}"},
        read_score=lambda answer: float(answer["fraud_probability"]),
        batches=True,
    )


def _command(_: Forests, place: Place) -> list[str]:
    serve = ["serve", "service:FraudDetector", "--host", "127.0.0.1", "--port", str(place.port)]
    return [place.python, "-m", "bentoml", *serve]
