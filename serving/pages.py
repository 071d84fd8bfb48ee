"""What a person or a program may look at: the first page, which is Swagger UI, the API's document, the model card.

Swagger UI comes from BentoML's own files, without the tracker that its page loads. Its pages tell the browser to fetch
nothing from elsewhere.
"""

from base64 import b64encode
from collections.abc import Callable, Collection
from functools import cache
from hashlib import sha256
from typing import Any

from pydantic import Field, create_model
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from fraud.manifest import DataFacts, Document, Manifest, Metrics
from fraud.settings import MODEL_NAME
from fraud.store import Served
from serving import refuse
from serving.edge import refused

MODEL, FEEDBACK = "/model", "/feedback"
TITLE = "Fraud detector"
FACTS = {"model_version", "created_at", "synthetic", "threshold"}
FIGURES = {"average_precision", "roc_auc", "precision", "recall"}
"""What a caller needs of the manifest; the rest tells of data, machines and code."""


def _part(model: type[Document], title: str, left_out: Collection[str], /, **instead: Any) -> type[Document]:  # noqa: ANN401
    """A model of some fields of another's, and of others."""
    kept = {field: (fact.annotation, fact) for field, fact in model.model_fields.items() if field not in left_out}
    made: type[Document] = create_model(title, __base__=Document, __doc__=model.__doc__, **{**kept, **instead})
    return made


_name = (str, Field(description="That of all versions."))
_metrics = (_part(Metrics, "Metrics", Metrics.model_fields.keys() - FIGURES), Manifest.model_fields["metrics"])
_data = (_part(DataFacts, "DataFacts", {"sources"}), ...)
_engine = (str, Field(description="What computes its scores."))
ShortCard = _part(Manifest, "ModelCard", Manifest.model_fields.keys() - FACTS, name=_name, metrics=_metrics)
"""Which model it is and how good."""
WholeCard = _part(
    Manifest, "ModelCard", {"profile", "files", "key_fingerprint"}, name=_name, data=_data, engine=_engine
)
"""Also of what it was made, and how. Where its data lay is told to nobody: a fingerprint says which they were. Nor is
the fingerprint of the secret of keys: with it a weak secret could be guessed."""

# without a validatorUrl of its own Swagger UI sends the address of this page to one on the web
_SCRIPT = 'SwaggerUIBundle({url: "docs.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});'

DOCS_PAGE = f"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>{TITLE}</title>
    <link rel="stylesheet" href="static_content/swagger-ui.css">
    <link rel="icon" href="data:,">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="static_content/swagger-ui-bundle.js"></script>
    <script>{_SCRIPT}</script>
  </body>
</html>
"""

POLICY = "; ".join(
    [
        "default-src 'self'",
        f"script-src 'self' 'sha256-{b64encode(sha256(_SCRIPT.encode()).digest()).decode()}'",
        "img-src 'self' data:",  # Swagger UI's own arrows and locks
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    ]
)
"""What a browser may load for the first page, and from where."""
_GUARDED = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def pages(
    served: Callable[[], Served | None], document: Callable[[], dict[str, Any]], *, keys_required: bool = False
) -> Starlette:
    """The application of all; ``served`` gives the model that scores now, ``document`` that of the API.

    ``keys_required``: who reaches the model card has brought a key, and sees all of it.
    BentoML asks it before its own pages, and after the service's methods: so of ``/feedback`` only where the service
    takes no labels.
    """
    api = cache(lambda: JSONResponse(document()).body)

    async def first_page(_: Request) -> Response:
        return HTMLResponse(DOCS_PAGE, headers=_GUARDED)

    async def api_document(_: Request) -> Response:
        return Response(api(), media_type="application/json")

    async def model_card(request: Request) -> Response:
        if (model := served()) is None:
            return refused(request.scope, refuse.not_ready())
        return JSONResponse(card(model, whole=keys_required))

    async def no_labels(request: Request) -> Response:
        return refused(request.scope, refuse.takes_no_labels())

    return Starlette(
        routes=[
            Route("/", first_page),
            Route("/docs.json", api_document),
            Route(MODEL, model_card),
            Route(FEEDBACK, no_labels, methods=["POST"]),
        ]
    )


def card(model: Served, *, whole: bool) -> dict[str, object]:
    """What ``GET /model`` tells."""
    told = {**model.manifest.model_dump(), "name": MODEL_NAME, "engine": model.forest.engine}
    return (WholeCard if whole else ShortCard).model_validate(told).model_dump(mode="json")
