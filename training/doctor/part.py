"""A part that the doctor looks at: what it holds and what is wrong with it. None hides another, or takes for ever."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from fraud.errors import FraudError, one_line
from fraud.manifest import Manifest


@dataclass
class Part:
    """What was seen of one part."""

    name: str
    is_set: bool = True
    """Whether it is configured; what is not is not looked at."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What is there, for the document."""
    findings: list[str] = field(default_factory=list)
    """What is wrong: a line each, which says what to do."""
    manifests: dict[str, Manifest] = field(default_factory=dict)
    """Of the sound models that it holds, by version."""

    def find(self, finding: str) -> None:
        """Keep what is wrong."""
        self.findings.append(finding)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        state = "not set" if not self.is_set else "wrong" if self.findings else "well"
        return {"state": state, **self.facts, "findings": self.findings}


@contextmanager
def noting(part: Part) -> Iterator[None]:
    """Make a finding of whatever goes wrong inside, expected or not, and go on after it."""
    try:
        yield
    except FraudError as error:
        part.find(one_line(error))
    except Exception as error:  # noqa: BLE001 - what is broken in a way that nobody thought of is what is looked for
        part.find(f"could not be looked at: {type(error).__name__} ({one_line(error)})")


def bounded(part: Part, look: Callable[[Part], None], seconds: float) -> Part:
    """What ``look`` saw of ``part`` in this time. Where it needs longer, what it saw until then, and that it did."""

    def run() -> None:
        with noting(part):
            look(part)

    thread = Thread(target=run, daemon=True)  # which ends with the process, whatever it waits for
    thread.start()
    thread.join(seconds)
    if not thread.is_alive():
        return part
    late = f"was not looked at to its end within {seconds:g} s; --seconds gives it longer"
    return Part(part.name, part.is_set, dict(part.facts), [*part.findings, late], dict(part.manifests))
