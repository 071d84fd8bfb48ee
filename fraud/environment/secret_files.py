"""Secrets that stand in files: ``NAME_FILE`` names the file that holds what ``NAME`` would.

As Docker, Kubernetes and systemd hand secrets on. A variable is seen by whoever lists the processes of a container, and
is handed to every child; a file is not.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fraud.errors import SettingsError

SUFFIX = "_FILE"
MOST_BYTES = 1024 * 1024
"""Of a file; a list of ten thousand keys is below it."""


def read(variables: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """``variables`` with the content of its file, without white space around it, for each of ``secrets`` that has one.

    Raises SettingsError where a file cannot be read or is empty, and where a secret is set in both ways. The message
    shows neither what a variable holds, which may be the secret itself, nor what the file does.
    """
    found, problems = dict(variables), list[str]()
    for name in secrets:
        if (path := found.pop(name + SUFFIX, None)) is None:
            continue
        if name in found:
            problems.append(f"{name} and {name}{SUFFIX} are both set: leave one out")
            continue
        try:
            found[name] = _content(Path(path))
        except (OSError, ValueError) as error:
            problems.append(f"{name}{SUFFIX}: expected the path of a file that holds the secret; {_words(error)}")
    if problems:
        raise SettingsError("; ".join(problems))
    return found


def _content(path: Path) -> str:
    """Raises OSError, or ValueError that says what is wrong with the file."""
    if path.exists() and not path.is_file():
        raise ValueError("what it names is no file")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"the file is larger than {MOST_BYTES} bytes")
    text = content.decode("utf-8-sig").strip()  # which leaves the mark out that Windows begins files with
    if not text:
        raise ValueError("the file is empty")
    return text


def _words(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "the file is not UTF-8 text"
    if isinstance(error, OSError):
        return f"it cannot be read ({error.strerror or type(error).__name__})"
    return str(error)
