"""Which model this service serves: said once, by the parent of the workers, which then all serve that one."""

import logging
import os
import sys
from functools import cache
from pathlib import Path

import bentoml

from fraud import store
from fraud.choice.local import Choice, choose, chosen
from fraud.errors import ModelError
from fraud.settings import MODEL_NAME, Settings

LOG = logging.getLogger("bentoml.fraud")

BUILT_IN = "built into this Bento"

_ROOT = Path(__file__).parents[2]


@cache
def tag(settings: Settings) -> str:
    """What ``bentoml build`` and ``bentoml serve`` are to take; said in the log unless ``FRAUD_MODEL`` names it.

    Ends the process with one line when the chosen model is gone. An empty store is no error yet: nothing is served.
    """
    try:
        choice = _choice(settings)
    except ModelError as error:
        if chosen() is None:
            return f"{MODEL_NAME}:latest"
        sys.exit(f"error: {error}")
    if settings.model is None and choice.why != BUILT_IN:
        guessed = chosen() is None and len(store.versions()) > 1
        LOG.log(logging.WARNING if guessed else logging.INFO, "%s: %s", choice.tag, choice.why)
        if settings.s3_uri:
            _say_no_champion(choice.tag)
    return choice.tag


def settle(settings: Settings) -> bentoml.Model:
    """The model, for the parent of the workers: one that is started later serves no newer one.

    Raises ModelError when the store does not have it.
    """
    model = store.get(_choice(settings).tag)
    os.environ["FRAUD_MODEL"] = str(model.tag)
    if settings.s3_uri:
        _say_no_champion(str(model.tag))
    return model


@cache
def _say_no_champion(tag: str) -> None:
    """Once in a process: it may be built in by ``bentoml build`` as well as served."""
    LOG.warning(
        "FRAUD_S3_URI is set, and the service does not use it: it serves %s, which is here. `make run` (`python -m "
        "training serve`) pulls the champion first; `python -m training image` builds it in",
        tag,
    )


def _choice(settings: Settings) -> Choice:
    built_in = None if settings.model else _built_in(_ROOT.parent / "bento.yaml")
    return Choice(built_in.removeprefix(f"{MODEL_NAME}:"), BUILT_IN) if built_in else choose(settings.model)


def _built_in(facts: Path) -> str | None:
    """Tag of the model that the Bento around this file was built with; None in a checkout."""
    if _ROOT.name != "src" or not facts.is_file():
        return None
    import yaml  # type: ignore[import-untyped] # BentoML brings it along

    services = yaml.safe_load(facts.read_text()).get("services") or []
    tags = [str(model["tag"]) for service in services for model in service.get("models") or []]
    return next((one for one in tags if one.startswith(f"{MODEL_NAME}:")), None)
