"""An HTTP server of a test's own, in a thread for as long as a ``with`` block lasts."""

import threading
from http.server import ThreadingHTTPServer
from typing import Self


class Background:
    """What answers until the block ends is ``_server``, which a subclass makes."""

    _server: ThreadingHTTPServer

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
