"""What Redis runs: the files beside this one."""

from importlib.resources import files

SCRIPTS = ("add.lua", "remember.lua", "label.lua")
"""Of a batch."""
_BEGINNING, _OF_STATES = "states.lua", ("add.lua", "label.lua")


def text(script: str) -> str:
    """Of a script of this folder, with what those of states have in common."""
    parts = [_BEGINNING, script] if script in _OF_STATES else [script]
    return "".join((files(__package__) / part).read_text("utf-8") for part in parts)
