"""Verbs that make, judge and serve models: run, retrain, evaluate, serve."""

import argparse
import subprocess
import sys
from functools import partial
from typing import Any

from fraud import command
from fraud.argument_types import MODEL_NAMES, port, positive, seed
from fraud.command import CommandResult, Verbs
from fraud.remote.resolve import CHAMPION, registry, registry_if_set, resolve
from fraud.saving import whole
from fraud.settings import Settings
from fraud.verbs import schema_option
from training.console import Steps
from training.verbs import PROGRAM, choice, options, releases


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    _add_run(verbs)
    _add_retrain(verbs)
    _add_evaluate(verbs)
    _add_serve(verbs)


def _add_run(verbs: Verbs) -> None:
    run = command.subcommand(
        verbs,
        "run",
        _run,
        "Train a model, judge it once on held-out rows, and save it to the BentoML model store.",
        f"{PROGRAM} run --data sample",
        f"{PROGRAM} run --data creditcard.csv --split stratified",
        f"{PROGRAM} run --data s3://bucket/dataset/ --publish",
    )
    options.add_data(run)
    schema_option.add_schema(run)
    options.add_recipe(run)
    run.add_argument(
        "--refit",
        choices=("none", "all"),
        default="none",
        help="fit once more on every row before saving; the figures stay those of the tested forest",
    )
    run.add_argument("--publish", action="store_true", help="upload to FRAUD_S3_URI; champion if there is none yet")


def _add_retrain(verbs: Verbs) -> None:
    retrain = command.subcommand(
        verbs,
        "retrain",
        _retrain,
        "Train a challenger on all data in S3, gate it against the champion; promote it, or exit 3.",
        f"{PROGRAM} retrain",
        f"{PROGRAM} retrain --split stratified --increments 1",
        f"{PROGRAM} retrain --backend dask --scheduler tcp://scheduler:8786",
    )
    options.add_data(retrain, required=False)
    schema_option.add_schema(retrain)
    options.add_recipe(retrain)
    retrain.add_argument(
        "--split-seed", type=seed, metavar="N", help="seed of the split: keep it (default: the champion's, else 0)"
    )
    retrain.add_argument(
        "--allow-schema-change",
        action="store_true",
        help="let a model of another transaction schema replace the champion",
    )
    retrain.add_argument(
        "--allow-key-change",
        action="store_true",
        help="let a model of another FRAUD_KEY_SECRET replace the champion",
    )
    retrain.add_argument(
        "--increments", type=positive, metavar="K", help="use the base and the first K increments alone"
    )
    retrain.add_argument("--no-pull", action="store_true", help="leave a new champion out of the local store")


def _add_evaluate(verbs: Verbs) -> None:
    evaluate = command.subcommand(
        verbs,
        "evaluate",
        _evaluate,
        "Judge a saved model on labelled rows. Rows it was trained on flatter it: they are counted.",
        f"{PROGRAM} evaluate --data last_week.csv",
        f"{PROGRAM} evaluate --data creditcard.csv --skip-trained",
        f"{PROGRAM} evaluate --model champion --data s3://bucket/labelled.parquet",
    )
    evaluate.add_argument(
        "--model",
        metavar="MODEL",
        help=f"{MODEL_NAMES}; pulled from FRAUD_S3_URI when it is not here "
        "(default: FRAUD_MODEL, else the chosen one, else the newest)",
    )
    options.add_data(evaluate)
    schema_option.add_schema(evaluate)
    evaluate.add_argument("--by", metavar="COLUMN", help="the figures of each value of a category or boolean as well")
    evaluate.add_argument(
        "--skip-trained", action="store_true", help="leave out the rows that the model was trained on"
    )


def _add_serve(verbs: Verbs) -> None:
    serve = command.subcommand(
        verbs,
        "serve",
        _serve,
        "Serve the champion of FRAUD_S3_URI; without it the local model that was chosen, else the newest, else one "
        "trained on the sample.",
        f"{PROGRAM} serve --port 3000",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address, or name of this machine, to listen on")
    serve.add_argument("--port", type=port, default=3000)


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    options.check_backend(arguments)
    from training.backend import fitting_on
    from training.run import TrainingPlan, run

    remote = registry() if arguments.publish else None  # before the long work, not after it
    whole.check_writable()
    schema = schema_option.schema(arguments)
    plan = TrainingPlan(
        arguments.data,
        schema,
        arguments.split,
        options.periods(arguments),
        options.recipe(arguments, schema),
        arguments.refit,
        arguments.jobs,
        hasher=options.hasher(),
    )
    with fitting_on(arguments.backend, arguments.scheduler):
        manifest = run(plan, Steps())
    result = manifest.model_dump(mode="json", exclude={"profile"})
    if remote:
        result |= releases.upload(remote, manifest.model_version)
    choice.tell_served(manifest.model_version, Steps(), result.get("champion"))
    return result


def _retrain(arguments: argparse.Namespace) -> CommandResult:
    options.check_backend(arguments)
    from fraud.schema import default
    from training import retrain
    from training.backend import fitting_on
    from training.judging.gate import Policy
    from training.run import TrainingPlan

    remote = registry()
    with retrain.staging(), fitting_on(arguments.backend, arguments.scheduler):
        sources = retrain.increments(remote, arguments.increments) if arguments.increments else arguments.data or []
        given = schema_option.schema_given(arguments)
        plan = TrainingPlan(
            sources,
            given or default(),
            arguments.split,
            options.periods(arguments),
            jobs=arguments.jobs,
            split_seed=arguments.split_seed,
            hasher=options.hasher(),
        )
        result = retrain.retrain(
            remote,
            plan,
            Policy(),
            Steps(),
            recipe_of=partial(options.recipe, arguments),
            schema_given=given is not None,
            schema_change_declared=arguments.allow_schema_change,
            key_change_declared=arguments.allow_key_change,
            approval=Settings.from_env().retrain_approval,
        )
    document = result.as_dict()
    choice.tell_champion(result.champion, Steps(), moved=result.promoted)
    if result.waits:
        Steps().say(f"{result.challenger} passed and waits ({result.waits}): {document['waits']['approve']}")
    if result.promoted and not arguments.no_pull:
        # in a process of its own: the bentoml of this one still knows the staging store
        fetch = [sys.executable, "-m", "training", "pull", CHAMPION]
        document["pulled"] = subprocess.run(fetch, stdout=subprocess.DEVNULL).returncode == 0
        if not document["pulled"]:
            return CommandResult(document, command.EXIT_ERROR)
    return CommandResult(document, 0 if result.verdict.passed else command.EXIT_REFUSED)


def _evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    from training.stored import evaluate_stored

    remote = registry_if_set()
    model = resolve(arguments.model, remote, pull=True)
    return evaluate_stored(
        model.tag,
        arguments.data,
        Steps(),
        remote,
        skip_trained=arguments.skip_trained,
        schema=schema_option.schema_given(arguments),
        by=arguments.by,
        hasher=options.hasher(),
    )


def _serve(arguments: argparse.Namespace) -> None:
    from training.shipping import serve

    serve.serve(arguments.host, arguments.port)
