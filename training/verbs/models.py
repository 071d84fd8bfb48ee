"""Verbs that make, judge and serve models: run, retrain, evaluate, serve."""

import argparse
import subprocess
import sys
from typing import Any

from fraud import command
from fraud.errors import RegistryError
from fraud.settings import MODEL_NAME
from training.verbs import arguments, releases
from training.verbs.arguments import PROGRAM


def add_to(verbs: Any) -> None:  # noqa: ANN401 - argparse names its type privately
    """Register the verbs."""
    run = command.subcommand(
        verbs,
        "run",
        _run,
        "Train a model, judge it once on held-out rows, and save it to the BentoML model store.",
        f"{PROGRAM} run --data sample",
        f"{PROGRAM} run --data creditcard.csv --split stratified",
        f"{PROGRAM} run --data s3://bucket/dataset/ --publish",
    )
    arguments.add_data(run)
    arguments.add_recipe(run)
    run.add_argument(
        "--refit",
        choices=("none", "all"),
        default="none",
        help="fit once more on every row before saving; the figures stay those of the tested forest",
    )
    run.add_argument("--publish", action="store_true", help="upload to FRAUD_S3_URI; champion if there is none yet")

    retrain = command.subcommand(
        verbs,
        "retrain",
        _retrain,
        "Train a challenger on all data in S3, gate it against the champion; promote it, or exit 3.",
        f"{PROGRAM} retrain",
        f"{PROGRAM} retrain --split stratified --seed 7",
        f"{PROGRAM} retrain --backend dask --scheduler tcp://scheduler:8786",
    )
    arguments.add_data(retrain, required=False)
    arguments.add_recipe(retrain)
    retrain.add_argument(
        "--split-seed", type=arguments.seed, default=0, metavar="N", help="seed of the split: keep it (default 0)"
    )
    retrain.add_argument(
        "--allow-schema-change",
        action="store_true",
        help="let a model of another transaction schema replace the champion",
    )

    evaluate = command.subcommand(
        verbs,
        "evaluate",
        _evaluate,
        "Judge a saved model on labelled rows. Rows it was trained on flatter it.",
        f"{PROGRAM} evaluate --data last_week.csv",
        f"{PROGRAM} evaluate --model fraud_detector:abc --data s3://bucket/labelled.parquet",
    )
    evaluate.add_argument("--model", default=f"{MODEL_NAME}:latest", metavar="TAG", help="tag in the model store")
    arguments.add_data(evaluate)

    serve = command.subcommand(
        verbs,
        "serve",
        _serve,
        "Serve the champion, else the newest local model, else one trained on the sample.",
        f"{PROGRAM} serve --port 3000",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serve.add_argument("--port", type=arguments.positive, default=3000)


def _run(given: argparse.Namespace) -> dict[str, Any]:
    from training.backend import fitting_on
    from training.console import Steps
    from training.run import Plan, run

    remote = arguments.registry() if given.publish else None  # before the long work, not after it
    plan = Plan(given.data, given.split, arguments.recipe(given), given.refit, given.jobs)
    with fitting_on(given.backend, given.scheduler):
        manifest = run(plan, Steps())
    result = manifest.model_dump(mode="json", exclude={"profile"})
    if remote:
        result |= releases.upload(remote, manifest.model_version)
    return result


def _retrain(given: argparse.Namespace) -> command.Answer:
    from training import retrain
    from training.backend import fitting_on
    from training.console import Steps
    from training.gate import Policy
    from training.run import Plan

    remote = arguments.registry()
    with retrain.staging(), fitting_on(given.backend, given.scheduler):
        recipe = arguments.recipe(given)
        plan = Plan(given.data or [], given.split, recipe, jobs=given.jobs, split_seed=given.split_seed)
        outcome = retrain.retrain(remote, plan, Policy(), Steps(), schema_change_declared=given.allow_schema_change)
    if outcome.promoted:
        # in a process of its own: the bentoml of this one still knows the staging store
        fetch = [sys.executable, "-m", "training", "pull", outcome.challenger]
        if subprocess.run(fetch, stdout=subprocess.DEVNULL).returncode:
            raise RegistryError(f"{outcome.challenger} is champion, but could not be pulled into the local store")
    return command.Answer(outcome.as_dict(), 0 if outcome.promoted else command.EXIT_REFUSED)


def _evaluate(given: argparse.Namespace) -> dict[str, Any]:
    from training.run import evaluate_stored

    return evaluate_stored(given.model, given.data)


def _serve(given: argparse.Namespace) -> None:
    from training import serve

    serve.serve(given.host, given.port)
