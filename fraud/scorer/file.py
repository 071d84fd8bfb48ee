"""The file of a scorer: the forest's arrays and rows to check it by, in the safetensors format.

The format (https://huggingface.co/docs/safetensors) runs no code when it is read. The arrays are mapped, not copied:
the workers of one machine share them, and loading reads only what is checked. So a file must not be written to while it
is in use; the model store writes each of its files once.

A file holds ``roots``, ``nodes``, ``value`` and ``cover`` of ``fraud.scorer.forest``, ``probe_rows`` and
``probe_scores``; its facts, in JSON, are format, version, number of features, and which of these may be missing.
"""

import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraud.errors import ModelError, one_line, system_words
from fraud.scorer.forest import Forest

FORMAT = "fraud-forest"
FORMAT_VERSION = 3  # 1 had thresholds and children in arrays of their own; 2 no covers and nothing missing: still read

_ARRAYS = ("roots", "nodes", "value", "cover")
_TYPES = {
    "roots": ("I32", "<i4"),
    "nodes": ("U64", "<u8"),
    "value": ("F64", "<f8"),
    "cover": ("F64", "<f8"),
    "probe_rows": ("F64", "<f8"),
    "probe_scores": ("F64", "<f8"),
}


@dataclass(frozen=True)
class Probes:
    """Rows with the scores scikit-learn gave them when the model was saved.

    ``rows``: float64 ``(n, inputs)`` raw transactions; ``scores``: float64 ``(n,)``. Made up, never customers' rows.
    """

    rows: NDArray[np.float64]
    scores: NDArray[np.float64]


def save(path: Path, forest: Forest, probes: Probes) -> None:
    """Write forest and probes to ``path`` in the format that ``load`` reads. A forest without covers is not written.

    Raises ModelError for that one, OSError where the system does not let us write.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    if forest.cover is None:
        raise ModelError(f"{path}: expected a forest with covers; lay the model out anew")
    tensors = {name: getattr(forest, name) for name in _ARRAYS}
    tensors |= {"probe_rows": probes.rows, "probe_scores": probes.scores}
    # safetensors writes memory as it lies and the C-order shape: anything but C order would come back scrambled
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    # one key: safetensors writes several in any order, and equal models should be equal files
    facts = {"format": FORMAT, "version": FORMAT_VERSION, "n_features": forest.n_features, "nullable": forest.nullable}
    try:
        save_file(tensors, path, metadata={"forest": json.dumps(facts)})
    except SafetensorError as error:  # its word for what the system says, too
        raise OSError(one_line(error)) from None


def load(path: Path) -> tuple[Forest, Probes]:
    """Map and check a scorer file, of this version or the one before.

    Raises ModelError when it is missing, damaged or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as opened:
            content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        with safe_open(path, framework="numpy") as file:  # refuses offsets that leave the file, overlap or leave holes
            facts = dict(json.loads((file.metadata() or {}).get("forest", "{}")))
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise ModelError.not_sound(path, f"the scorer file cannot be read ({system_words(error)})") from None
    if facts.get("format") != FORMAT or facts.get("version") not in (2, FORMAT_VERSION):
        hint = "" if facts.get("format") != FORMAT else "; for a higher version upgrade this code"
        raise ModelError(f"{path}: expected a {FORMAT} file of version 2 or {FORMAT_VERSION}, got {facts}{hint}")
    try:
        return _read(content, header, start, facts)
    except (ModelError, ValueError, KeyError, TypeError) as error:
        raise ModelError.not_sound(path, f"the scorer file is damaged ({error})") from None


def _read(content: mmap.mmap, header: dict[str, Any], start: int, facts: dict[str, Any]) -> tuple[Forest, Probes]:
    header.pop("__metadata__", None)
    old = facts["version"] == 2
    n_features, nullable = facts.get("n_features"), [] if old else facts.get("nullable")
    expected = {name: kind for name, (kind, _) in _TYPES.items() if not (old and name == "cover")}
    if {name: entry["dtype"] for name, entry in header.items()} != expected:
        raise ModelError(f"arrays {sorted(header)} are not {sorted(expected)} of the expected types")
    if type(n_features) is not int or type(nullable) is not list:
        raise ModelError(f"{n_features!r} features, missing {nullable!r}")
    arrays = {name: _mapped(content, start, name, entry) for name, entry in header.items()}
    rows, scores = arrays["probe_rows"], arrays["probe_scores"]
    if scores.ndim != 1 or rows.ndim != 2 or len(rows) != len(scores):
        raise ModelError(f"probe rows {rows.shape} and scores {scores.shape} do not fit")
    walked = (arrays["roots"], arrays["nodes"], arrays["value"], n_features)
    return Forest(*walked, tuple(nullable), arrays.get("cover")), Probes(rows, scores)


def _mapped(content: mmap.mmap, start: int, name: str, entry: dict[str, Any]) -> NDArray[Any]:
    first, last = entry["data_offsets"]
    dtype = np.dtype(_TYPES[name][1])
    if first == last:  # frombuffer takes no empty ones
        return np.empty(entry["shape"], dtype)
    return np.frombuffer(content, dtype, (last - first) // dtype.itemsize, start + first).reshape(entry["shape"])
