"""Build the product's C for every platform and note what was built: ``make kernels``.

zig's compiler, from PyPI, builds for all of them on any of them, and gives the same bytes each time.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
_HISTORY = FOLDER.parents[1] / "history"
SOURCES = (
    *(FOLDER.parent / name for name in ("kernel.c", "summing.c")),
    *(_HISTORY / name for name in ("windows.c", "windows.h", "batch.c", "bytes.h")),
)
SUMS = FOLDER / "SHA256SUMS"

TARGETS = {  # the Linux ones use no libc, so they run with glibc and with musl
    "linux-x86_64.so": "x86_64-linux-musl",
    "linux-aarch64.so": "aarch64-linux-musl",
    "macos-x86_64.dylib": "x86_64-macos.11.0",
    "macos-arm64.dylib": "aarch64-macos.11.0",
}
FLAGS = (
    *("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror"),
    *("-ffreestanding", "-fno-builtin", "-nostdlib", "-fno-stack-protector"),
    "-ffp-contract=off",  # no multiply-and-add in one rounding: scores would differ
    *("-fno-vectorize", "-fno-slp-vectorize"),  # gathers were measured to be slower, see docs/speed.md
    *("-shared", "-s", "-g0", "-fvisibility=hidden"),
)


def main() -> None:
    """Replace the binaries and their sums."""
    with tempfile.TemporaryDirectory() as scratch:
        built = build(Path(scratch))
        for name, content in built.items():
            (FOLDER / name).write_bytes(content)
    SUMS.write_text(sums({**sources(), **built}))


def build(scratch: Path) -> dict[str, bytes]:
    """Contents of each binary, built in ``scratch``."""
    for source in SOURCES:
        (scratch / source.name).write_bytes(source.read_bytes())
    for name, target in TARGETS.items():  # no path but names: a path would go into the binary
        compiler = [sys.executable, "-m", "ziglang", "cc", "-target", target]
        subprocess.run(
            [*compiler, *FLAGS, *(source.name for source in SOURCES if source.suffix == ".c"), "-o", name],
            cwd=scratch,
            check=True,
        )
    return {name: (scratch / name).read_bytes() for name in TARGETS}


def sources() -> dict[str, bytes]:
    """Contents of each source, by its place as seen from this folder."""
    return {os.path.relpath(source, FOLDER): source.read_bytes() for source in SOURCES}


def sums(contents: dict[str, bytes]) -> str:
    """SHA-256 of each, as ``sha256sum --check`` in this folder reads them."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())


if __name__ == "__main__":
    main()
