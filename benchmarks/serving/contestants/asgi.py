"""Applications under uvicorn with httptools and uvloop: the floor, and FastAPI with scikit-learn."""

import math

from benchmarks.serving.contestants.contestant import Contestant, Place
from benchmarks.serving.forests import Forests


def contestants() -> list[Contestant]:
    """The floor with one and two workers, FastAPI with two."""
    floors = [
        Contestant(
            name=f"floor-{workers}",
            title="the floor: uvicorn, the same validation, a constant answer",
            workers=workers,
            command=lambda _, place, workers=workers: _uvicorn("benchmarks.serving.apps.floor:app", place, workers),
            read_score=lambda _: math.nan,
            expected=lambda _: None,
        )
        for workers in (1, 2)
    ]
    fastapi = Contestant(
        name="fastapi",
        title="FastAPI and scikit-learn, NumPy row, uvicorn",
        workers=2,
        command=_fastapi,
        read_score=lambda answer: float(answer["fraud_probability"]),
        environment="web",
        settings={"BENCH_FOREST": "{pickle}"},
    )
    return [*floors, fastapi]


def _fastapi(_: Forests, place: Place) -> list[str]:
    return _uvicorn("benchmarks.serving.apps.with_fastapi:app", place, 2)


def _uvicorn(app: str, place: Place, workers: int) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(place.port), "--workers", str(workers)]
    return [place.python, "-m", "uvicorn", app, *where, "--http", "httptools", "--loop", "uvloop", "--no-access-log"]
