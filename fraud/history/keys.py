"""Keys as states are kept under: the 16 bytes of their hash, which is written ``h1:`` and 32 digits elsewhere."""

KEY_BYTES = 16
_PREFIX = "h1:"


def bytes_of(hashed: str) -> bytes:
    """Those of a hash (``fraud.inputs.keys``); it is not looked at whether it is one."""
    return bytes.fromhex(hashed[len(_PREFIX) :])


def text_of(key: bytes) -> str:
    """The hash as it is written."""
    return _PREFIX + key.hex()
