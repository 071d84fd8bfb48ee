"""The demo's design: Flask, a DataFrame per request, ``predict_proba`` of the pickled forest on one job."""

from benchmarks.serving.contestants.contestant import Contestant, Place
from benchmarks.serving.forests import DEMO_TREES, Forests

APP = "benchmarks.serving.apps.demo:app"


def contestants() -> list[Contestant]:
    """Under Flask's development server and under gunicorn, with its own forest and with the common one."""
    return [_contestant(server, forest) for forest in ("own", "common") for server in ("flask", "gunicorn")]


def _contestant(server: str, forest: str) -> Contestant:
    own = forest == "own"
    return Contestant(
        name=f"demo-{server}" + ("-500-trees" if own else ""),
        title=f"the demo's design, {'Flask development server' if server == 'flask' else 'gunicorn'}"
        + (f", its own {DEMO_TREES} trees" if own else ""),
        workers=1 if server == "flask" else 2,
        command=_flask if server == "flask" else _gunicorn,
        read_score=lambda answer: float(answer["fraud_probability"]),
        expected=(lambda forests: forests.demo_score) if own else (lambda forests: forests.score),
        environment="web",
        settings={"BENCH_FOREST": "{demo_pickle}" if own else "{pickle}", "BENCH_TRANSFORM": "" if own else "1"},
    )


def _flask(_: Forests, place: Place) -> list[str]:
    return [place.python, "-m", "flask", "--app", APP, "run", "--host", "127.0.0.1", "--port", str(place.port)]


def _gunicorn(_: Forests, place: Place) -> list[str]:
    return [place.python, "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{place.port}", APP]
