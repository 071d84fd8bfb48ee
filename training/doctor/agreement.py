"""What is sound by itself and does not fit together: the local store, S3, the log, histories, and what is set."""

from collections.abc import Iterator

from fraud.history.address import shown
from fraud.history.files.folder import url_of
from fraud.history.layout import layouts
from fraud.manifest import Manifest
from fraud.settings import MODEL_NAME, Settings
from training.doctor.part import Part
from training.verbs import PROGRAM


def look(part: Part, settings: Settings, seen: dict[str, Part]) -> None:
    """Compare what was ``seen`` of the other parts, by name; of what nobody could see nothing is said."""
    store, remote, log, histories = seen["store"], seen["s3"], seen["database"], seen["histories"]
    part.findings += _other_copies(store, remote)
    champion = remote.facts.get("champion")
    if champion is not None:
        part.findings += _not_the_champion(store, champion, settings)
    model = remote.manifests.get(champion or "") or store.manifests.get(store.facts.get("served") or "")
    if model is not None:
        if not any("FRAUD_KEY_SECRET" in finding for finding in seen["settings"].findings):
            part.findings += _other_secret(model, settings)
        part.findings += _other_schema(model, seen["settings"].facts.get("schema_hash"))
    part.findings += _secret_unknown_to_log(settings, log.facts.get("key_fingerprints", []))
    part.findings += _secret_of_other_histories(settings, histories)
    if model is not None:
        part.findings += _no_histories(model, histories, settings)


def _other_copies(store: Part, remote: Part) -> Iterator[str]:
    for version in sorted(store.manifests.keys() & remote.manifests.keys()):
        if store.manifests[version] != remote.manifests[version]:
            yield (
                f"{MODEL_NAME}:{version}: the local one is not the one that is published; "
                f"`bentoml models delete {MODEL_NAME}:{version}`, then `{PROGRAM} pull {version}`"
            )


def _not_the_champion(store: Part, champion: str, settings: Settings) -> Iterator[str]:
    served = store.facts.get("served")
    if champion not in store.facts.get("entries", []):
        yield f"the champion {champion} is not in the local store; `{PROGRAM} pull champion` brings it"
    if served in (None, champion):
        return
    if settings.model:
        yield f"FRAUD_MODEL={settings.model} serves {served}, and the champion is {champion}; leave it out, or promote"
    else:
        why = "chosen with `use`" if store.facts["chosen"] else "the newest"
        yield (
            f"`bentoml serve` takes the local {served}, {why}, and the champion is {champion}; "
            f"`{PROGRAM} use champion` takes that one"
        )


def _other_secret(model: Manifest, settings: Settings) -> Iterator[str]:
    theirs, hasher = model.key_fingerprint, settings.key_hasher
    ours = hasher.fingerprint if hasher else None
    if theirs is not None and theirs != ours:
        at_hand = f"is the one of fingerprint {ours}" if ours else "is not set"
        yield (
            f"FRAUD_KEY_SECRET {at_hand}, and the model {model.model_version} was trained with the one of {theirs}, "
            "without which it is not served: set that one"
        )


def _secret_unknown_to_log(settings: Settings, known: list[str]) -> Iterator[str]:
    ours = settings.key_hasher
    if ours and known and ours.fingerprint not in known:
        yield (
            f"FRAUD_KEY_SECRET is the one of fingerprint {ours.fingerprint}, and the keys in the log are hashed with "
            f"that of {', '.join(known)}: set that one, or each key is a new one from now on"
        )


def _other_schema(model: Manifest, declared: str | None) -> Iterator[str]:
    if declared not in (None, model.schema_hash):
        yield (
            f"FRAUD_SCHEMA names another schema than that of the model {model.model_version}; leave it out, or "
            f"`{PROGRAM} retrain --allow-schema-change`"
        )


def _secret_of_other_histories(settings: Settings, histories: Part) -> Iterator[str]:
    ours, theirs = settings.key_hasher, histories.facts.get("key_fingerprint")
    if ours and theirs and ours.fingerprint != theirs:
        yield (
            f"FRAUD_KEY_SECRET is the one of fingerprint {ours.fingerprint}, and keys in {histories.facts['store']} "
            f"are hashed with that of {theirs}: set that one, or name another store in FRAUD_HISTORY_URL"
        )


def _no_histories(model: Manifest, histories: Part, settings: Settings) -> Iterator[str]:
    wanted, there = layouts(model.schema_of()), histories.facts.get("layouts", [])
    if histories.is_set and "layouts" not in histories.facts:  # nobody could see
        return
    if missing := [one.declared.key for one in wanted if one.fingerprint not in there]:
        yield (
            f"{shown(url_of(settings))} has no histories of {', '.join(missing)} for the model {model.model_version}, "
            f"to which every key looks new: `{PROGRAM} history warm`"
        )
