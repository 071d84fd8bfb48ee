"""What a person or a program may look at: the first page, which is Swagger UI, the API's document, the model card.

Swagger UI comes from BentoML's own files, without the tracker that its page loads. Its pages tell the browser to fetch
nothing from elsewhere.
"""

from base64 import b64encode
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any

from pydantic import Field, create_model
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from fraud.manifest import Document, Manifest
from fraud.store import Served
from serving import refuse
from serving.edge import refused

MODEL, FEEDBACK = "/model", "/feedback"
TITLE = "Fraud detector"
UNTOLD = frozenset({"profile", "files"})
"""Parts of a manifest that ``GET /model`` leaves out."""
ModelCard = create_model(
    "ModelCard",
    __base__=Document,
    __doc__="The model that scores: what it is made of, and how good it was on rows it had not seen.",
    **{name: (fact.annotation, fact) for name, fact in Manifest.model_fields.items() if name not in UNTOLD},  # type: ignore[call-overload]
    engine=(str, Field(description="What computes its scores.")),
)

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


def pages(served: Callable[[], Served | None], document: Callable[[], dict[str, Any]]) -> Starlette:
    """The application of all; ``served`` gives the model that scores now, ``document`` that of the API.

    BentoML asks it before its own pages, and after the service's methods: so of ``/feedback`` only where the service
    takes no labels.
    """
    api = cache(lambda: JSONResponse(document()).body)

    async def first_page(_: Request) -> Response:
        return HTMLResponse(DOCS_PAGE, headers=_GUARDED)

    async def api_document(_: Request) -> Response:
        return Response(api(), media_type="application/json")

    async def model_card(request: Request) -> Response:
        model = served()
        return refused(request.scope, refuse.not_ready()) if model is None else JSONResponse(card(model))

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


def card(model: Served) -> dict[str, object]:
    """What ``GET /model`` tells."""
    told = {**model.manifest.model_dump(), "engine": model.forest.engine}
    return ModelCard.model_validate(told).model_dump(mode="json")
