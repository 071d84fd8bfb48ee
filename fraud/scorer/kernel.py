"""The compiled walk (kernel.c): which binary fits this machine, whether it is the one that was built, how to call it.

The binary holds ``fraud/history/windows.c`` and ``batch.c`` too, which ``fraud.history`` calls, and
``summing.c``.

Where none fits, or one was changed, ``fraud.scorer.numpy_walk`` gives the same scores, slower. A changed binary is
never loaded; going on without it is safe, because the fallback is exact too, and ``Forest.engine`` shows which scores.
"""

import ctypes
import hashlib
import logging
import platform
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).with_name("kernels")
SUMS = "SHA256SUMS"
Walk = Callable[[NDArray[np.float32], NDArray[np.float64]], None]
"""Takes C-ordered float32 rows ``(n, n_features)``, writes their scores ``(n,)``."""

_SMALL = 8_192  # bytes
_SCORE = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p)
_ADVANCE = (*(ctypes.c_void_p,) * 7, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64)
_SUMMARIZE = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)
_ADD = (ctypes.c_void_p, ctypes.c_void_p)
_SYSTEMS = {"linux": ("linux", "so"), "darwin": ("macos", "dylib")}
_MACHINES = {"amd64": "x86_64", "x64": "x86_64"}
_LINUX_MACHINES = {"arm64": "aarch64"}

log = logging.getLogger("fraud")


class _Forest(ctypes.Structure):
    _fields_ = (
        ("nodes", ctypes.c_void_p),
        ("value", ctypes.c_void_p),
        ("roots", ctypes.c_void_p),
        ("trees", ctypes.c_uint32),
        ("features", ctypes.c_uint32),
    )


def bind(
    roots: NDArray[np.int32], nodes: NDArray[np.uint64], value: NDArray[np.float64], n_features: int
) -> Walk | None:
    """A function that scores rows by the compiled walk, or None where there is none for this machine.

    The arrays are used where they lie; the caller keeps them alive and has checked them.
    """
    binary = load(FOLDER)
    if binary is None:
        return None
    function = binary.fraud_score
    forest = _Forest(nodes.ctypes.data, value.ctypes.data, roots.ctypes.data, len(roots), n_features)
    reference, byref, place = ctypes.byref(forest), ctypes.byref, ctypes.c_char.from_buffer

    def score(rows: NDArray[np.float32], scores: NDArray[np.float64]) -> None:
        if len(rows):  # a small copy and a buffer's place are quicker to come by than NumPy's `ctypes.data`
            where = rows.tobytes() if rows.nbytes <= _SMALL else rows.ctypes.data
            function(reference, where, len(rows), byref(place(scores)))  # type: ignore[arg-type] # an array is a buffer

    return score


def file_name() -> str | None:
    """Name of this machine's binary, or None on a platform that none is built for."""
    machine = platform.machine().lower()
    machine = _MACHINES.get(machine, machine)
    if sys.platform not in _SYSTEMS or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    system, suffix = _SYSTEMS[sys.platform]
    if system == "linux":
        machine = _LINUX_MACHINES.get(machine, machine)
    return f"{system}-{machine}.{suffix}"


def read_sums(folder: Path) -> dict[str, str]:
    """SHA-256 by file name, as noted when the binaries were built. Raises OSError when the list is missing."""
    lines = (line.split() for line in (folder / SUMS).read_text().splitlines())
    return {words[1]: words[0] for words in lines if len(words) == 2}


@cache
def load(folder: Path) -> ctypes.CDLL | None:
    """The binary that fits this machine, if it is there and the one that was built."""
    name = file_name()
    try:
        expected = read_sums(folder).get(name or "")
        if name is None or expected is None:
            return None  # a platform without a binary is no fault
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
            raise OSError("it is not the file that was built")
        binary = ctypes.CDLL(str(folder / name))
        functions = (
            (binary.fraud_score, _SCORE),
            (binary.fraud_advance, _ADVANCE),
            (binary.fraud_add, _ADD),
            (binary.fraud_summarize, _SUMMARIZE),
        )
    except (OSError, AttributeError) as error:
        log.warning(
            "%s: the compiled scorer is not used (%s); scores are the same, slower", folder / (name or ""), error
        )
        return None
    for function, takes in functions:
        function.argtypes, function.restype = takes, ctypes.c_int32 if takes is _ADD else None
    return binary
