"""benchmarks.contestants: who takes part."""

from benchmarks.contestants import every, service
from benchmarks.environments import REQUIREMENTS

ALL = ("workers", "short_cut", "batching", "database_url")


def test_names_are_unique():
    """Records are kept by name."""
    names = [contestant.name for contestant in every()]
    assert len(set(names)) == len(names)


def test_every_environment_is_pinned():
    """Each has its requirements, and scikit-learn of the version that fitted the forest."""
    pins = {}
    for name in {contestant.environment for contestant in every()} - {""}:
        lines = (REQUIREMENTS / f"{name}.txt").read_text().splitlines()
        pins[name] = [line.split()[0] for line in lines if line.startswith("scikit-learn==")]
    dev = (REQUIREMENTS.parents[1] / "requirements" / "dev.txt").read_text().splitlines()
    ours = [line.split()[0] for line in dev if line.startswith("scikit-learn==")]
    assert pins == {"web": ours, "mlserver": ours, "mlflow": ours}


def test_the_service_is_shown_with_each_part_off():
    """With one and two workers: all on, and each part that has a setting off in turn."""
    names = [contestant.name for contestant in service.contestants(ALL)]
    variants = ["", "-without-short-cut", "-without-batching", "-without-log"]
    assert names == [f"service-{workers}{variant}" for workers in (1, 2) for variant in variants]


def test_only_settings_that_exist_are_given():
    """A version of the service without the settings is run as it is."""
    plain = service.contestants(("workers",))
    assert [contestant.name for contestant in plain] == ["service-1", "service-2"]
    assert set(plain[0].settings) == {"FRAUD_WORKERS", "FRAUD_MODEL"}


def test_the_log_is_on_unless_it_is_the_part_that_is_off():
    """An empty value means the default, which is no database."""
    urls = {c.name: c.settings["FRAUD_DATABASE_URL"] for c in service.contestants(ALL)}
    assert urls["service-2-without-short-cut"].startswith("sqlite:///")
    assert urls["service-2-without-log"] == ""
