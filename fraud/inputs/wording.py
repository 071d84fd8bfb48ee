"""What pydantic says of a schema file, in the words of TOML."""

import json
from typing import Any


def worded(problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """One of its problems: the table, what is in it, and what was expected."""
    place, message = [str(part) for part in problem["loc"]], problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{_table(place)} {message}" if place else message
    message = {"missing": "is required", "extra_forbidden": "is not known here"}.get(problem["type"], message)
    message = message.replace("Input should", "should").replace("String should", "should")
    message = message.replace("be a valid string", "be text, in quotes")
    return f"{_table(place[:-1])} {place[-1]} {message}" if place[:-1] else f"{place[-1]} {message}"


def key(name: str) -> str:
    """A name as TOML writes it."""
    bare = name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()
    return name if bare else json.dumps(name, ensure_ascii=False)


def _table(place: list[str]) -> str:
    if place[0] == "history":
        number = f" (number {int(place[1]) + 1})" if place[1:] else ""
        return " ".join([f"[[history]]{number}", *place[2:]])
    return f"[{'.'.join(map(key, place))}]"
