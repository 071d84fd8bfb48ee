"""benchmarks.serving.contestants: who takes part."""

import re

import pytest

from benchmarks.serving import machine
from benchmarks.serving.contestants import every, service
from benchmarks.serving.environments import REQUIREMENTS, ROOT, requirements

ALL = ("workers", "short_cut", "batching", "database_url")


def test_names_are_unique():
    """Records are kept by name."""
    names = [contestant.name for contestant in every()]
    assert len(set(names)) == len(names)


def test_every_environment_is_pinned():
    """Each has its requirements, and scikit-learn of the version that fitted the forest."""
    pins = {}
    for name in {contestant.environment for contestant in every()} - {""}:
        lines = [line for file in requirements(name) for line in file.read_text().splitlines()]
        pins[name] = [line.split()[0] for line in lines if line.startswith("scikit-learn==")]
    dev = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    ours = [line.split()[0] for line in dev if line.startswith("scikit-learn==")]
    assert pins == {"web": ours, "mlserver": ours, "mlflow": ours}


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.iterdir()), ids=lambda path: path.name)
def test_what_is_compared_has_exact_versions(path):
    """A figure can be measured again with the same contestant."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.match(r"[\w-]+==[\d.]+(  #|$)", line)] == []


def test_versions_are_read_where_they_are_pinned():
    """The page names the contestants' versions without making their environments."""
    versions = [machine.pinned(file, name) for file, names in machine.THERE.items() for name in names]
    assert len(versions) == 5
    assert all(re.fullmatch(r"[\d.]+", version) for version in versions)


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
