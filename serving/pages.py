"""What a person or a program may look at: the first page, which is Swagger UI, the model card, what is switched off.

Swagger UI comes from BentoML's own files, without the tracker that its page loads.
"""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from fraud.settings import MODEL_NAME
from fraud.store import Served
from serving import refuse
from serving.edge import refused

MODEL, FEEDBACK = "/model", "/feedback"
FACTS = ("model_version", "created_at", "synthetic", "threshold")
FIGURES = {"average_precision", "roc_auc", "precision", "recall"}
"""What a caller needs of the manifest; the rest tells of data, machines and code."""

DOCS_PAGE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Fraud detector</title>
    <link rel="stylesheet" href="static_content/swagger-ui.css">
    <link rel="icon" href="data:,">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="static_content/swagger-ui-bundle.js"></script>
    <script>SwaggerUIBundle({url: "docs.json", dom_id: "#swagger-ui", deepLinking: true});</script>
  </body>
</html>
"""


def pages(served: Callable[[], Served | None], *, keys_required: bool = False) -> Starlette:
    """The application of all; ``served`` gives the model that scores now.

    ``keys_required``: who reaches the model card has brought a key, and sees all of it.
    BentoML asks it last, so of ``/feedback`` only where the service takes no labels.
    """

    async def first_page(_: Request) -> Response:
        return HTMLResponse(DOCS_PAGE)

    async def model_card(request: Request) -> Response:
        if (model := served()) is None:
            return refused(request.scope, refuse.not_ready())
        return JSONResponse(card(model, whole=keys_required))

    async def no_labels(request: Request) -> Response:
        return refused(request.scope, refuse.takes_no_labels())

    no_feedback = Route(FEEDBACK, no_labels, methods=["POST"])
    return Starlette(routes=[Route("/", first_page), Route(MODEL, model_card), no_feedback])


def card(model: Served, *, whole: bool) -> dict[str, object]:
    """What ``GET /model`` tells: which model it is and how good; ``whole``: also of what it was made, and how.

    Where its data lay is told to nobody: a fingerprint says which they were.
    """
    manifest = model.manifest
    if not whole:
        facts = manifest.model_dump(mode="json", include={**dict.fromkeys(FACTS, True), "metrics": FIGURES})
        return {"name": MODEL_NAME, **facts}
    facts = manifest.model_dump(mode="json", exclude={"profile": True, "files": True, "data": {"sources"}})
    return {"name": MODEL_NAME, **facts, "engine": model.forest.engine}
