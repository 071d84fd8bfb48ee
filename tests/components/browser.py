"""Chromium without a window, driven over its own protocol (DevTools), as a person at the first page would."""

import itertools
import json
from pathlib import Path
from typing import Any, Self

import httpx
from httpx_ws import WebSocketSession, connect_ws

from tests.components.process import Process, wait_until

FLAGS = (
    "--headless",
    "--no-sandbox",  # as root it refuses to start otherwise
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--window-size=1200,1600",
)


class Browser:
    """A browser with a profile of its own in ``folder``."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._port = folder / "profile" / "DevToolsActivePort"
        command = [binary, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self._process = Process("chromium", command, folder)

    def __enter__(self) -> Self:
        self._process.start(lambda: self._port.exists() and len(self._port.read_text().splitlines()) == 2, 60)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop(5)

    def page(self) -> "Page":
        """A new, empty one, in use as a context manager."""
        port = self._port.read_text().splitlines()[0]
        told = httpx.put(f"http://127.0.0.1:{port}/json/new?about:blank", trust_env=False).json()
        return Page(told["webSocketDebuggerUrl"])


class Page:
    """``requests``: each address that the page asked for. ``complaints``: errors in its console, CSP's among them."""

    def __init__(self, url: str) -> None:
        self._connecting = connect_ws(url, httpx.Client(trust_env=False), max_message_size_bytes=64 * 1_048_576)
        self._numbers = itertools.count(1)
        self._socket: WebSocketSession
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        self._socket = self._connecting.__enter__()
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.tell(f"{domain}.enable")
        return self

    def __exit__(self, *exception: Any) -> None:
        self._connecting.__exit__(*exception)

    def tell(self, method: str, **params: object) -> dict[str, Any]:
        """The result of a command of the protocol; what happens meanwhile is noted."""
        number = next(self._numbers)
        self._socket.send_text(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.receive_text(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message.get("method", ""), message.get("params", {}))

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        result = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def text(self, selector: str) -> str:
        """Of the first element; empty while there is none."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        """The first such element, once it is there."""
        wait_until(lambda: self.evaluate(f"!!document.querySelector({json.dumps(selector)})"), 30)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def write(self, selector: str, text: str) -> None:
        """Into an input, in the way that its framework notices."""
        self.evaluate(
            f"""(() => {{
              const input = document.querySelector({json.dumps(selector)});
              Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, {json.dumps(text)});
              input.dispatchEvent(new Event("input", {{bubbles: true}}));
            }})()"""
        )
