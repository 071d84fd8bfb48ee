"""What a process prints, as records of a logger: one a line."""

import logging
import threading
from typing import Any, TextIO


class PrintedLines:
    """Stands in place of ``stream``: each whole line that is written becomes a record; all else is the stream's."""

    def __init__(self, stream: TextIO, logger: logging.Logger, level: int) -> None:
        self._stream, self._logger, self._level = stream, logger, level
        self._begun = ""
        self._inside = threading.local()
        logger.setLevel(level)

    def write(self, text: str) -> int:
        """Print ``text``; what logging itself prints when it fails is dropped, it would come back for ever."""
        if getattr(self._inside, "here", False):
            return len(text)
        *lines, self._begun = (self._begun + text).split("\n")
        self._inside.here = True
        try:
            for line in filter(str.strip, lines):
                self._logger.log(self._level, "%s", line)
        finally:
            self._inside.here = False
        return len(text)

    def writelines(self, lines: Any) -> None:  # noqa: ANN401 - as a stream's
        """Print one after another."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)
