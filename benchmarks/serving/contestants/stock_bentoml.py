"""BentoML with scikit-learn as its documentation shows adaptive batching: an array in, an array out, all defaults."""

from benchmarks.serving.contestants.contestant import Contestant, Place
from benchmarks.serving.forests import Forests
from fraud.schema import default


def contestants() -> list[Contestant]:
    """With two workers."""
    return [
        Contestant(
            name="stock-bentoml",
            title="stock BentoML and scikit-learn, adaptive batching",
            workers=2,
            command=_command,
            body=lambda forests: {"rows": [[forests.transaction[column] for column in default().inputs]]},
            read_score=lambda answer: float(answer[0][1]),
            batches=True,
            settings={"BENCH_MODEL": "{tag}"},
            note="body is a list of lists, not validated",
        )
    ]


def _command(_: Forests, place: Place) -> list[str]:
    app = "benchmarks.serving.apps.stock_bentoml:StockDetector"
    return [place.python, "-m", "bentoml", "serve", app, "--host", "127.0.0.1", "--port", str(place.port)]
