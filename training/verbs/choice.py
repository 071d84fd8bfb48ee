"""The verb that chooses which local model is served, and what others say of that: use."""

import argparse
from typing import Any

from fraud import command
from fraud.argument_types import MODEL_NAMES
from fraud.choice import local
from fraud.command import Verbs
from fraud.errors import ModelError
from fraud.remote.resolve import registry_if_set, resolve
from fraud.settings import MODEL_NAME, Settings
from training.console import Steps
from training.verbs import PROGRAM


def add_to(verbs: Verbs) -> None:
    """Register the verb."""
    use = command.subcommand(
        verbs,
        "use",
        _use,
        "Choose the local model that `make run`, `bentoml serve`, `bentoml build`, `make image`, `score` and "
        "`evaluate` take from now on. It is kept in BENTOML_HOME; FRAUD_MODEL comes first, and so does the champion "
        "where `make run` and `make image` have FRAUD_S3_URI.",
        f"{PROGRAM} use abcdef123456",
        f"{PROGRAM} use champion",
        f"{PROGRAM} use --newest",
    )
    use.add_argument("version", nargs="?", metavar="VERSION", help=f"{MODEL_NAMES}; it must be in the local store")
    use.add_argument("--newest", action="store_true", help="choose none: take the newest local model again")


def _use(arguments: argparse.Namespace) -> dict[str, Any]:
    if bool(arguments.version) == arguments.newest or arguments.version == "":
        arguments.wrong_usage("give a VERSION, or --newest")
    before = local.chosen()
    local.use(None if arguments.newest else resolve(arguments.version, registry_if_set()).version)
    steps, settings = Steps(), Settings.from_env()
    steps.say("a service that runs serves on what it has until it is started anew")
    if settings.model:
        steps.warn(f"FRAUD_MODEL={settings.model} is set and comes before the choice")
    elif settings.s3_uri:
        steps.warn("FRAUD_S3_URI is set: `make run` and `make image` take the champion there")
    return {"chosen": local.chosen(), "before": before}


def tell_served(version: str, steps: Steps, champion: str | None = None) -> None:
    """Whether a model that was just made is what the next start serves; ``champion`` is that of S3, if known."""
    settings = Settings.from_env()
    try:
        choice = local.choose(settings.model)
    except ModelError as error:
        steps.warn(str(error))
        return
    if choice.version not in (version, local.LATEST):
        steps.say(
            f"what is served has not changed: {choice.tag}, {choice.why}; `{PROGRAM} use {version}` chooses this one"
        )
    elif settings.s3_uri and not settings.model and champion != version:
        steps.say("what `make run` serves has not changed: the champion; `bentoml serve` takes this model, the newest")
    else:
        steps.say(f"the next start serves {MODEL_NAME}:{version}, {choice.why}")


def tell_champion(champion: str | None, steps: Steps, *, moved: bool) -> None:
    """Who serves after a retrain, and who does not ask for the champion."""
    if moved:
        steps.say(f"the champion is {champion} now; a service that runs serves on what it has until it is started anew")
    else:
        steps.say(f"what is served has not changed: the champion is {champion or 'nobody'}")
    if version := local.chosen():
        steps.say(f"`bentoml serve` serves {MODEL_NAME}:{version}, chosen with `{PROGRAM} use`, whoever is champion")
