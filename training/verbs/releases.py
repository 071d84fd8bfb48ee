"""Verbs on published models: publish, list, pull, promote, rollback."""

import argparse
import hashlib
import logging
from typing import Any

from fraud import command, store
from fraud.argument_types import MODEL_NAMES
from fraud.choice import local
from fraud.choice.local import chosen
from fraud.command import Verbs
from fraud.errors import ModelError, RegistryError, UnsupportedError
from fraud.home import history_path
from fraud.manifest import Manifest
from fraud.remote.registry import BY_HAND, Registry
from fraud.remote.resolve import CHAMPION, registry, registry_if_set, resolve
from fraud.replay import state_file
from fraud.settings import MODEL_NAME
from training.console import Steps
from training.verbs import PROGRAM

LOG = logging.getLogger(__name__)

_OTHER_ROWS = "AP, P and R are of each model's own test rows: compare those where `tested on` is the same"


def add_to(verbs: Verbs) -> None:
    """Register the verbs."""
    publish = command.subcommand(
        verbs,
        "publish",
        _publish,
        "Upload a model of the local store to FRAUD_S3_URI; champion if there is none yet.",
        f"{PROGRAM} publish latest",
        f"{PROGRAM} publish abcdef123456",
    )
    publish.add_argument("version", help=MODEL_NAMES)

    command.subcommand(
        verbs,
        "list",
        _list,
        "List local and published models, newest first, and who was champion when and why.",
        f"{PROGRAM} list",
    )

    pull = command.subcommand(
        verbs,
        "pull",
        _pull,
        "Bring a published model into the local store, after checking every SHA-256.",
        f"{PROGRAM} pull champion",
        f"{PROGRAM} pull abcdef123456",
    )
    pull.add_argument("version", help=MODEL_NAMES)

    promote = command.subcommand(
        verbs,
        "promote",
        _promote,
        "Make a published version the champion.",
        f'{PROGRAM} promote abcdef123456 --reason "approved by risk on Monday"',
    )
    promote.add_argument("version", help=MODEL_NAMES)
    promote.add_argument("--reason", help=f"kept in the history (default: {BY_HAND})")
    promote.add_argument("--override", action="store_true", help="promote a version that the gate refused")

    rollback = command.subcommand(
        verbs,
        "rollback",
        _rollback,
        "Make the champion before this one champion again.",
        f'{PROGRAM} rollback --reason "precision fell since Tuesday"',
    )
    rollback.add_argument("--override", action="store_true", help="go back to a version that the gate refused")
    rollback.add_argument("--reason", default="rolled back by hand", help="kept in the history")


def upload(remote: Registry, version: str) -> dict[str, Any]:
    """Publish a local model, and make it champion if there is none and the server can keep two from being it."""
    try:
        published = remote.publish(version)
        champion = _first_champion(remote, version)
    except RegistryError as error:
        raise RegistryError(
            f"{error}; {MODEL_NAME}:{version} is safe in the local store: "
            f"mend this, then run `{PROGRAM} publish {version}`"
        ) from None
    return {
        "published": {"uri": f"{remote.uri}/models/{version}/", "archive_sha256": published.archive_sha256},
        "champion": champion,
    }


def _first_champion(remote: Registry, version: str) -> str | None:
    """Who serves: ``version`` if nobody did; None where it cannot be made the first, or the gate refused it."""
    if remote.refused(version) and remote.pointer.read() is None:
        LOG.warning("published, not promoted: the gate refused %s, and there is no champion", version)
        return None
    try:
        first = remote.crown_first(version)
    except UnsupportedError as error:
        LOG.warning("published, not promoted: %s", error)
        return None
    return first.model_version if first else resolve(CHAMPION, remote).version


def _publish(arguments: argparse.Namespace) -> dict[str, Any]:
    model = resolve(arguments.version, registry_if_set())
    version = str(store.get(model.tag).tag.version)
    return {"model_version": version, **upload(registry(), version)}


def _list(_: argparse.Namespace) -> dict[str, Any]:
    remote = registry_if_set()
    published = {item.manifest.model_version: item.manifest for item in remote.versions()} if remote else {}
    local = _local()
    history = remote.pointer.history() if remote else []
    champion = history[0].model_version if history else None
    models = [
        _row(manifest)
        | {
            "local": manifest.model_version in local,
            "published": manifest.model_version in published,
            "verdict": _word(remote, manifest.model_version) if manifest.model_version in published else None,
            "champion": manifest.model_version == champion,
            "chosen": manifest.model_version == chosen(),
            **_states(manifest),
        }
        for manifest in sorted((published | local).values(), key=lambda manifest: manifest.created_at, reverse=True)
    ]
    _show(models)
    if (choice := chosen()) is not None and choice not in local:
        LOG.warning("%s:%s is chosen and not here: nothing local is served until another is", MODEL_NAME, choice)
    return {
        "champion": champion,
        "chosen": chosen(),
        "models": models,
        "history": [event.model_dump() for event in history],
    }


def _states(manifest: Manifest) -> dict[str, str | None]:
    """Of a model that looks at histories: as of when its local state is; None for none."""
    if not manifest.schema_of().history:
        return {}
    path = history_path(manifest.model_version)
    return {"history_as_of": state_file.read_facts(path).as_of if path.is_file() else None}


def _local() -> dict[str, Manifest]:
    """Manifests of the local models; an entry that is not ours is named and left out."""
    manifests = {}
    for version in store.versions():
        try:
            manifests[version] = store.read_manifest(store.get(f"{MODEL_NAME}:{version}"))
        except ModelError as error:
            LOG.warning("left out: %s", error)
    return manifests


def _show(models: list[dict[str, Any]]) -> None:
    """The same as a table for people, on stderr."""
    from rich.box import SIMPLE
    from rich.table import Column, Table

    figures = ("average_precision", "precision", "recall")
    headers = ("version", "trained at", "rows", "frauds", "split", "tested on", "AP", "P", "R", "verdict", "where", "")
    table = Table(*(Column(name, no_wrap=True) for name in headers), box=SIMPLE)
    for model in models:
        where = ", ".join(place for place in ("local", "published") if model[place])
        shown = (f"{model[name]:.3f}" if model[name] is not None else "-" for name in figures)
        rows = str(model["rows"]) + (" synthetic" if model["synthetic"] else "")
        data = (rows, str(model["frauds"]), model["split"], model["tested_on"])
        mark = ", ".join(word for word in ("champion", "chosen") if model[word])
        table.add_row(model["model_version"], model["created_at"], *data, *shown, model["verdict"] or "-", where, mark)
    if len({model["tested_on"] for model in models}) > 1:
        table.caption = _OTHER_ROWS
    command.show(table)


def _row(manifest: Manifest) -> dict[str, Any]:
    return {
        "model_version": manifest.model_version,
        "created_at": manifest.created_at,
        "synthetic": manifest.synthetic,
        "rows": manifest.data.rows,
        "frauds": manifest.data.frauds,
        "split": manifest.split.protocol,
        "tested_on": _test_rows(manifest),
        "average_precision": manifest.metrics.average_precision.value,
        "precision": manifest.metrics.precision.value,
        "recall": manifest.metrics.recall.value,
        "threshold": manifest.threshold,
    }


def _test_rows(manifest: Manifest) -> str:
    """The same for two models whose figures are of the same rows; by time no seed matters, of days none is kept."""
    protocol, share = manifest.split.protocol, manifest.split.test_share
    drawn = {"stratified": str(manifest.split.seed), "dates": manifest.model_version}.get(protocol, "")
    facts = f"{manifest.schema_hash} {manifest.data.fingerprint} {protocol} {share} {drawn}"
    return hashlib.sha256(facts.encode()).hexdigest()[:8]


def _word(remote: Registry | None, version: str) -> str:
    word = remote.word(version) if remote else "none"
    return "not gated" if word == "none" else word


def _pull(arguments: argparse.Namespace) -> dict[str, Any]:
    remote = registry()
    model = resolve(arguments.version, remote)
    manifest = remote.pull(model.version)
    if model.source == "registry":
        local.remember_champion(model.version)
    elif remote.refused(model.version):
        LOG.warning("the gate refused %s: here it would serve as the newest, unless you choose another", model.version)
    return {"tag": model.tag, "created_at": manifest.created_at, "synthetic": manifest.synthetic}


def _promote(arguments: argparse.Namespace) -> dict[str, Any]:
    remote = registry()
    version = resolve(arguments.version, remote).version
    _tell_other_champion(remote, version)
    champion = remote.promote(version, arguments.reason, override=arguments.override)
    local.remember_champion(champion.model_version)
    Steps().say(f"{version} is champion; what runs serves on what it has, `make run` and `make image` take this one")
    return champion.model_dump()


def _tell_other_champion(remote: Registry, version: str) -> None:
    """Whether the gate compared a version with somebody else than it will replace."""
    figures = (remote.verdict(version) or {}).get("figures", {})
    judged_beside, current = figures.get("champion_version"), remote.pointer.read()
    if judged_beside and current and current[0].model_version not in (judged_beside, version):
        LOG.warning(
            "the gate judged %s beside %s; %s is champion now", version, judged_beside, current[0].model_version
        )


def _rollback(arguments: argparse.Namespace) -> dict[str, Any]:
    champion = registry().rollback(arguments.reason, override=arguments.override)
    local.remember_champion(champion.model_version)
    return champion.model_dump()
