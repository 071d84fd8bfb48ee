"""Dead workers come back within seconds, in a container too.

BentoML looks after its workers every 10 seconds, and in a container not at all: it leaves that to the orchestrator.
But no orchestrator restarts a container in which one of two workers has died. Called from ``service.py`` in the
parent of the workers, before it starts them. Names of BentoML's own are touched here; ``tests/fraud/test_workers.py``
names each.
"""

import os
from typing import Any

LOOK_SECONDS = 2.0
"""How often the parent looks for dead workers. One that starts takes 2 to 4 seconds more."""

_NO_REVIVAL = "BENTOML_CONTAINERIZED"  # bentoml.serving.running_inside_container asks for it and nothing else does


def revive() -> None:
    """Make this process start a worker anew when one has died."""
    from bentoml._internal.utils import circus

    os.environ.pop(_NO_REVIVAL, None)

    class Arbiter(circus.Arbiter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on as they come
            super().__init__(*args, **{**kwargs, "check_delay": LOOK_SECONDS})

    circus.Arbiter = Arbiter  # type: ignore[misc] # create_standalone_arbiter looks the name up when it is called
