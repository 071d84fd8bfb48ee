"""The Bento service: what it is made of, its image, and its methods.

A call travels ``serving.edge`` -> ``serving.shortcut``, or BentoML's own path and ``serving.io`` -> ``serving.batcher``
-> ``FraudDetector.score`` -> ``serving.answer``, and back; ``serving.process`` ties these together.

Neither scikit-learn nor pandas nor boto3 is imported, and SQLAlchemy only where there is a database: the forest is flat
arrays, the model comes from the store.
"""

import gc
import logging
import sys
from itertools import repeat

import bentoml
import numpy as np
from bentoml.models import BentoModel
from numpy.typing import NDArray

from fraud import store
from fraud.errors import ModelError
from fraud.rows import Model, Rows, ScoredRow, each, maker
from fraud.settings import CERTIFICATE_VARIABLES, INDEX_VARIABLES
from serving import process, refuse
from serving.bento import tracer_provider
from serving.contract.models import Label
from serving.history.calls import scored_soon
from serving.io import (
    LabelStored,
    ManyPredictions,
    OneLabel,
    OnePrediction,
    in_slices,
    in_steps,
    many_transactions,
    one_transaction,
)
from serving.life import parent
from serving.life.worker import life
from serving.openapi import document
from serving.pages import pages
from serving.start.model import tag
from serving.telemetry import log_lines, request_id, tracing

LOG = logging.getLogger("bentoml.fraud")
log_lines.take_over()
SETTINGS = process.settings()
process.guard_start()
DECODER = process.decoder()

# Python's own 5 ms would let the threads that count and log hold up a call for tens of milliseconds.
_SWITCH_SECONDS = 0.0005

_scored = maker(ScoredRow)

# Each of thousands of connections holds dozens of objects: Python's own 700 would go through them without end.
_GC_THRESHOLDS = (20_000, 20, 50)

# Without a distro BentoML installs no compilers and no git; requirements are in bentofile.yaml, pinned and hashed.
IMAGE = bentoml.images.Image(
    base_image="python:3.11-slim",
    python_version="3.11",
    distro="none",
    lock_python_packages=False,
    commands=[
        # what BentoML would make at start, which a read-only root refuses; metrics then go to /tmp. Any user may enter
        # the home, as OpenShift's must. An argument of the build is there while it lasts, and unlike one of
        # bentofile.yaml's envs not in the image's environment
        "cd $BENTOML_HOME && chmod 755 . && mkdir bentos models envs tmp"
        " && chown bentoml:bentoml bentos models envs tmp"
        + "".join(f"\nARG {name}" for name in (*INDEX_VARIABLES, *CERTIFICATE_VARIABLES)),
        # a base image whose environment names certificates keeps its own before an argument: the caller's join them
        "for file in $PIP_CERT $REQUESTS_CA_BUNDLE $SSL_CERT_FILE; do "
        "test ! -f env/docker/ca.pem || test env/docker/ca.pem -ef $file || cat env/docker/ca.pem >> $file; done",
    ],
)


@bentoml.service(
    name="fraud_detector",
    image=IMAGE,
    workers=SETTINGS.workers,
    traffic={"timeout": SETTINGS.request_timeout_seconds},
    logging={"access": {"enabled": False}},
    **process.wrapping(),
)
class FraudDetector:
    """Scores transactions with a Random Forest."""

    model = BentoModel(tag(SETTINGS))

    @bentoml.on_deployment
    @staticmethod
    def supervise() -> None:
        """In the parent of the workers, before it starts them."""
        parent.supervise()

    def __init__(self) -> None:
        """Load the model. One that is damaged or not exact is not served: the worker stays not ready and says why."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self.served: store.Served | None = None
        try:
            self.served = store.open_served(self.model)
            DECODER.contract.load(self.served)
        except ModelError as error:
            LOG.error("not ready: %s", error)

    @bentoml.on_startup
    def start(self) -> None:
        """Start to publish metrics, and to log where there is a database."""
        process.check_guarded()
        if self.served is not None:
            process.metrics().describe_model(self.served.manifest)
        else:
            process.metrics().refuse_model()
        process.metrics().start(SETTINGS.workers)
        life().begin()
        tracing.start(tracer_provider(), self.served.version if self.served else None)
        if records := process.records():
            records.start()
        if self.served is not None and (history := process.history()):
            history.start()
        # what was made until now stays: going through it again at each full collection would take 60 ms
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)

    @bentoml.on_shutdown
    def stop(self) -> None:
        """Write and publish what is left."""
        if self.served is not None and (history := process.history()):
            history.close()
        if records := process.records():
            records.close()
        tracing.close(tracer_provider())
        process.metrics().close()

    async def __is_ready__(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        return self.served is not None and not life().leaving

    @bentoml.api(
        input_spec=one_transaction(DECODER, process.example()),
        output_spec=OnePrediction,
        batchable=SETTINGS.batching,
        max_batch_size=SETTINGS.max_batch_size,
        max_latency_ms=SETTINGS.max_latency_ms,
    )
    async def predict(self, decoded: NDArray[np.object_], /) -> list[ScoredRow]:
        """Score one transaction; calls that arrive together are scored together."""
        return list(await scored_soon(process.history(), list(decoded), self.score))

    @bentoml.api(
        input_spec=many_transactions(DECODER, process.example(), SETTINGS.max_batch_rows, SETTINGS.max_body_bytes),
        output_spec=ManyPredictions,
    )
    async def predict_batch(self, rows: Rows, /) -> list[ScoredRow]:
        """Score many transactions in one call; one that is not valid refuses the call."""
        return await in_steps(in_slices(rows, self.score))

    if SETTINGS.takes_feedback:  # labels train the next model: nobody without a key may write them

        @bentoml.api(input_spec=OneLabel, output_spec=LabelStored)
        def feedback(self, label: Label, /) -> Label:
            """Take what a transaction turned out to be; a later label replaces an earlier one."""
            records, (_, key) = process.records(), request_id.of_call()
            if records is None or not records.put_label(label.transaction_id, is_fraud=label.is_fraud, key_name=key):
                raise refuse.no_database()
            return label

    def score(self, model: Model, rows: NDArray[np.float64]) -> list[ScoredRow]:
        """What the model says of rows, counted, histories behind inputs. Raises RefusedError when it is not there."""
        served: store.Served | None = model.served
        if served is None:
            raise refuse.not_ready()
        features = served.features.transform(rows)
        scores = served.forest.score(features)
        flagged = scores >= served.manifest.threshold
        amounts = None if model.amount is None else rows[:, model.amount]
        process.metrics().observe_scores(rows, features, scores, flagged, amounts)
        kept = each(served.features.logged(features)) if SETTINGS.logs_features else repeat(None)
        return list(map(_scored, zip(scores.tolist(), flagged.tolist(), repeat(served.version), kept, strict=False)))


FraudDetector.mount_asgi_app(
    pages(
        lambda: bentoml.get_current_service().served,
        lambda: document(SETTINGS, DECODER.contract, process.example()),
        keys_required=SETTINGS.api_keys is not None,
    ),
    path="/",
)
