"""The floor: a bare ASGI application that validates the body as the service does and answers a constant."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fraud.schema import default
from serving.contract.contract import Contract
from serving.decode import Decoder

Message = MutableMapping[str, Any]

_decode_one = Decoder(Contract(default(), {})).decode_one
_ANSWER = b'{"fraud_probability":0.0,"is_fraud":false,"model_version":"aaaaaaaaaaaaaaaa"}'
_HEADERS = [(b"content-length", str(len(_ANSWER)).encode()), (b"content-type", b"application/json")]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Serve HTTP; an invalid body ends in uvicorn's 500."""
    if scope["type"] != "http":
        await _lifespan(receive, send)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message.get("more_body", False)
    if _decode_one(body) is None:
        raise ValueError("not a valid transaction")
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _ANSWER})


async def _lifespan(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
