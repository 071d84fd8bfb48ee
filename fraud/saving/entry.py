"""A new entry ``fraud_detector:<version>`` of the BentoML model store: written whole or not at all."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud import checksums, store
from fraud import manifest as manifests
from fraud.atomic import replacing
from fraud.estimator.row_features import pipeline
from fraud.features import FeaturePath
from fraud.inputs import encoding, summaries
from fraud.manifest import Manifest
from fraud.saving.whole import whole
from fraud.scorer import file as forest_file
from fraud.scorer.file import Probes
from fraud.scorer.forest import Forest
from fraud.settings import MODEL_NAME


def save(
    model: Any,  # noqa: ANN401 - scikit-learn ships no types
    forest: Forest,
    features: FeaturePath,
    probes: Probes,
    describe: Callable[[str, dict[str, str]], Manifest],
    labels: dict[str, str],
    row_hashes: NDArray[np.uint64] | None = None,
    keep: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Save a fitted forest with its scorer and manifest as a new entry of the model store.

    What is pickled takes rows, not features: the forest is its last step (``fraud.estimator.row_features``).

    ``describe(version, files)`` gives the manifest once BentoML has chosen the version and the files are hashed. An
    exception on the way leaves nothing behind. ``labels`` are what ``bentoml models list`` shows.
    ``row_hashes`` of the rows it was fitted on, ``(n,)``, are kept beside the entry, so that they never ship with it,
    and so is what ``keep(version)`` writes. Raises ModelError where the system does not let us write.
    """
    import bentoml
    import joblib
    import sklearn
    from bentoml.models import ModelContext
    from bentoml.types import ModelSignature

    tag = bentoml.Tag(MODEL_NAME, None).make_new_version()
    context = ModelContext(framework_name="sklearn", framework_versions={"scikit-learn": sklearn.__version__})
    signatures = {"predict_proba": ModelSignature(batchable=True, batch_dim=(0, 0))}
    made = bentoml.models.create(tag, module="bentoml.sklearn", signatures=signatures, context=context, labels=labels)
    with whole(str(tag.version)), made as entry:
        folder = Path(entry.path)
        joblib.dump(pipeline(model, features), folder / store.PICKLE_FILE, compress=3)
        forest_file.save(folder / store.FOREST_FILE, forest, probes)
        if features.encoding.columns:
            (folder / encoding.FILE).write_text(features.encoding.model_dump_json() + "\n")
        if features.summaries:
            (folder / summaries.FILE).write_text(features.summaries.model_dump_json() + "\n")
        store.check_exact(*forest_file.load(folder / store.FOREST_FILE), features, str(entry.tag))
        files = {path.name: manifests.sha256(path) for path in sorted(folder.iterdir())}
        manifest = describe(str(entry.tag.version), files)
        (folder / manifests.FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
        entry.info.metadata[checksums.KEY] = checksums.of_folder(folder)  # BentoML writes it when this block ends
        if row_hashes is not None:  # before the entry is there: never one without them
            _keep_rows(store.rows_path(manifest.model_version), row_hashes)
        keep(manifest.model_version)
    return manifest


def _keep_rows(path: Path, row_hashes: NDArray[np.uint64]) -> None:
    content = io.BytesIO()  # to a file on a full disk numpy writes what fits, and does not say why no more
    np.save(content, np.sort(row_hashes))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(content.getbuffer())
