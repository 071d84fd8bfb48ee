"""Make the notebook of its source and run it.

python -m notebooks.build --data creditcard.csv
python -m notebooks.build --data shop.csv --schema shop.toml --output shop.ipynb

``fraud-detection.py`` is what is edited and reviewed; the notebook beside it adds what its cells show. Progress (all of
stderr), times and random ids are left out, so that two runs on the same data differ where their results do.
"""

import argparse
import os
import re
import sys
from hashlib import blake2b
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
SOURCE, NOTEBOOK = FOLDER / "fraud-detection.py", FOLDER / "fraud-detection.ipynb"
LONGEST_SECONDS = 3600
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def main() -> None:
    """Read, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sample", help="as of python -m training run (default %(default)s)")
    parser.add_argument("--schema", metavar="TOML", help="of that data (default: the columns of the ULB data)")
    parser.add_argument("--output", type=Path, default=NOTEBOOK, metavar="FILE.ipynb")
    arguments = parser.parse_args()
    environment = {**os.environ, "DATA": arguments.data}
    if arguments.schema:
        environment["FRAUD_SCHEMA"] = arguments.schema
    notebook = made()
    of = len(notebook.cells)
    NotebookClient(
        notebook,
        timeout=LONGEST_SECONDS,
        record_timing=False,
        on_cell_start=lambda cell, cell_index: print(f"cell {cell_index + 1} of {of}", file=sys.stderr),  # noqa: ARG005
    ).execute(env=environment)
    arguments.output.write_text(nbformat.writes(cleaned(notebook)) + "\n", "utf-8")


def made() -> NotebookNode:
    """The notebook of the source, without outputs."""
    notebook = jupytext.read(SOURCE)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.id = blake2b(cell.source.encode(), digest_size=4).hexdigest()
    return notebook


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """Without what a run adds besides results."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for data in [output.data for output in cell.get("outputs", ()) if "data" in output]:
            if "text/html" in data:  # a table of pandas: its id is random, and its plain text an address in memory
                data.pop("text/plain", None)
                data["text/html"] = re.sub(r"\bT_[0-9a-f]{5}", f"T_{cell.id}", data["text/html"])
    return notebook


if __name__ == "__main__":
    main()
