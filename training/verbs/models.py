"""Verbs that make, judge and serve models: run, retrain, evaluate, serve."""

import argparse
import subprocess
import sys
from typing import Any

from fraud import command, store
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
        f"{PROGRAM} retrain --split stratified --increments 1",
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

    retrain.add_argument(
        "--increments", type=arguments.positive, metavar="K", help="use the base and the first K increments alone"
    )
    retrain.add_argument("--no-pull", action="store_true", help="leave a new champion out of the local store")

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
    serve.add_argument("--host", default="127.0.0.1", help="IP address to listen on")
    serve.add_argument("--port", type=arguments.port, default=3000)


def _run(given: argparse.Namespace) -> dict[str, Any]:
    from training.backend import fitting_on
    from training.console import Steps
    from training.run import TrainingPlan, run

    remote = arguments.registry() if given.publish else None  # before the long work, not after it
    store.check_writable()
    plan = TrainingPlan(given.data, given.split, arguments.recipe(given), given.refit, given.jobs)
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
    from training.run import TrainingPlan

    remote = arguments.registry()
    with retrain.staging(), fitting_on(given.backend, given.scheduler):
        recipe = arguments.recipe(given)
        sources = retrain.increments(remote, given.increments) if given.increments else given.data or []
        plan = TrainingPlan(sources, given.split, recipe, jobs=given.jobs, split_seed=given.split_seed)
        outcome = retrain.retrain(remote, plan, Policy(), Steps(), schema_change_declared=given.allow_schema_change)
    result = outcome.as_dict()
    if outcome.promoted and not given.no_pull:
        # in a process of its own: the bentoml of this one still knows the staging store
        fetch = [sys.executable, "-m", "training", "pull", "champion"]
        result["pulled"] = subprocess.run(fetch, stdout=subprocess.DEVNULL).returncode == 0
        if not result["pulled"]:
            return command.Answer(result, command.EXIT_ERROR)
    done = outcome.promoted or outcome.unchanged
    return command.Answer(result, 0 if done else command.EXIT_REFUSED)


def _evaluate(given: argparse.Namespace) -> dict[str, Any]:
    from training.run import evaluate_stored

    return evaluate_stored(given.model, given.data)


def _serve(given: argparse.Namespace) -> None:
    from training.shipping import serve

    serve.serve(given.host, given.port)
