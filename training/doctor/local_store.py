"""Of the local model store: whether each entry is whole and exact, and whether the one to be served is there."""

from pathlib import Path

from fraud import home, store
from fraud.choice import local
from fraud.errors import one_line
from fraud.replay.state_file import StateFile
from fraud.settings import MODEL_NAME, Settings
from training.doctor.part import Part, noting
from training.verbs import PROGRAM


def look(part: Part, settings: Settings) -> None:
    """Open every entry as a server would; the facts ``entries``, ``chosen`` and ``served`` are for who compares."""
    folder = home.folder() / "models" / MODEL_NAME
    entries = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    part.facts |= {
        "home": str(home.folder()),
        "entries": [path.name for path in entries],
        "chosen": local.chosen(),
        "served": None,
    }
    broken = {path: why for path in entries if (why := _unreadable(path))}
    for path, why in broken.items():
        part.find(
            f"{MODEL_NAME}:{path.name}: is not whole ({why}), and no local model can be chosen beside it; "
            f"`rm -r {path}`, then pull or train the model again"
        )
    for path in entries:
        if path not in broken:
            with noting(part):
                _look_at(part, path)
    newest = folder / local.LATEST
    if is_empty := newest.is_file() and not newest.read_bytes().strip():
        part.find(f"{newest}: is empty, as after a full disk, and hides every model; `rm {newest}`: it is made anew")
    if not broken and not is_empty and (entries or local.chosen() or settings.model):
        with noting(part):
            choice = local.choose(settings.model)
            part.facts["served"] = str(store.get(choice.tag).tag.version)


def _unreadable(path: Path) -> str | None:
    """Why BentoML finds no model there; its own command to delete one does not find it either."""
    import bentoml

    try:
        bentoml.Model.from_path(path)
    except Exception as error:  # noqa: BLE001 - whatever makes BentoML stumble over a file
        return one_line(error)
    return None


def _look_at(part: Part, path: Path) -> None:
    version, tag = path.name, f"{MODEL_NAME}:{path.name}"
    entry = store.get(tag)
    served = store.open_served(entry)
    if names := {served.version, served.manifest.model_version} - {version}:
        part.find(f"{tag}: says of itself that it is {', '.join(names)}; `rm -r {path}`, then pull it again")
        return
    part.manifests[version] = served.manifest
    if store.row_hashes(entry) is None:
        part.find(
            f"{tag}: the hashes of its training rows are not at {store.rows_path(version)}, so it cannot be published, "
            f"nor told from which rows it learnt; where it is published, `{PROGRAM} pull {version}` brings them"
        )
    _look_at_states(part, served)


def _look_at_states(part: Part, served: store.Served) -> None:
    """Whether a model that looks at histories has a state to go on from, and one that is its own."""
    version, schema = served.version, served.features.schema
    path = home.history_path(version)
    if not schema.history:
        return
    if not path.is_file():
        part.find(
            f"{MODEL_NAME}:{version}: looks at histories, and no state is saved at {path}: what it scores in files "
            f"begins with nothing; `{PROGRAM} history build --model {version} DATA` makes one"
        )
        return
    StateFile(path, schema, served.manifest.key_fingerprint)
