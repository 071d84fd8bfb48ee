"""The import arrows, what the serving process loads, and the size of files."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("fraud", "training", "monitoring", "service", "benchmarks", "tests")
FILES = sorted([ROOT / "service.py", *(path for name in OURS[:3] for path in (ROOT / name).rglob("*.py"))])
NAMES = [str(path.relative_to(ROOT)) for path in FILES]

MAY_IMPORT = {
    "fraud": ("fraud",),
    "training": ("training", "fraud"),
    "monitoring": ("monitoring", "fraud"),
    "service": ("fraud", "monitoring.metrics", "monitoring.log", "monitoring.builtin"),
}
NOT_WHEN_SERVING = (
    "sklearn",
    "pandas",
    "boto3",
    "pyarrow",
    "training",
    "scipy",
    "joblib",
    "pandera",
    "fraud.table",
    "sqlalchemy",
    "psycopg",
    "monitoring.database",
)
MAX_LINES = 250
LONGER = {
    "monitoring/metrics.py": "all fraud_* objects are in one file (DESIGN, section 3)",
    "service.py": "it reads from top to bottom as a request travels",
}


def imported(source, inside="here"):
    """Full names of what a module imports, at any depth of nesting; ``inside`` is its package."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(part for part in ("." * node.level and inside, node.module) if part)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def is_in(name, package):
    return name == package or name.startswith(f"{package}.")


def clean(**more):
    """An environment without settings, keys or stores."""
    return {"PATH": os.environ["PATH"], "BENTOML_DO_NOT_TRACK": "True", **more}


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=ROOT,
        env=clean(**environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b, c", {"a.b", "c"}),
        ("import a.b as x", {"a.b"}),
        ("from a.b import c, d", {"a.b.c", "a.b.d"}),
        ("from . import c", {"here.c"}),
        ("from .b import c", {"here.b.c"}),
        ("def f():\n    from a import b", {"a.b"}),
        ("if TYPE_CHECKING:\n    import a", {"a"}),
    ],
)
def test_imports_are_found(source, names):
    """Every form of import is seen, also inside functions."""
    assert imported(source) == names


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_follow_the_arrows(path):
    """fraud imports nothing else of ours; training and monitoring import fraud; service imports what may ship."""
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name in imported(path.read_text(), package):
        if any(is_in(name, ours) for ours in OURS):
            assert any(is_in(name, allowed) for allowed in MAY_IMPORT[package]), f"{path} imports {name}"


def test_nobody_imports_the_service():
    """The service is an end of the arrows: no module of the product or the benchmarks imports it."""
    paths = [*(path for path in FILES if path.name != "service.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert [path for path in paths for name in imported(path.read_text()) if is_in(name, "service")] == []


def test_no_top_level_module_shadows_a_library():
    """BentoML imports the library ``schema``, and would get ours."""
    assert not (ROOT / "schema.py").exists()
    assert not (ROOT / "schema").exists()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Names of all modules in a fresh process that has imported the service."""
    code = "import json, sys; import service; print(json.dumps(sorted(sys.modules)))"
    home = tmp_path_factory.mktemp("home")
    return json.loads(python(code, BENTOML_HOME=str(home)).splitlines()[-1])


@pytest.mark.parametrize("package", NOT_WHEN_SERVING)
def test_the_service_loads_nothing_heavy(loaded, package):
    """Importing the service loads neither scikit-learn nor pandas nor anything else that only training needs."""
    assert "service" in loaded
    assert [name for name in loaded if is_in(name, package)] == []


def test_importing_does_nothing(tmp_path):
    """Importing a module of ours, but for the service and the commands, writes no file, opens no socket, starts no
    process and reads no setting."""
    modules = [
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name in NAMES
        if not name.endswith(("service.py", "__main__.py"))
    ]
    code = f"""
import importlib, os, sys
# libraries of others may do what they like
import _bentoml_impl.server.app, bentoml._internal.server.http.instruments
import bentoml, boto3, pandas, pandera.pandas, prometheus_client, pyarrow.parquet, rich.progress, sklearn.ensemble
def hook(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(("socket.", "subprocess.", "os.mkdir", "os.rename", "os.remove")):
        print(event, *arguments)
class Watched(type(os.environ)):
    def __getitem__(self, name):
        if name.startswith("FRAUD_"):
            print("reads", name)
        return super().__getitem__(name)
os.environ.__class__ = Watched
sys.addaudithook(hook)
for name in {modules}:
    importlib.import_module(name)
"""
    assert python(code, BENTOML_HOME=str(tmp_path), FRAUD_NOPE="1") == ""


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_files_fit_a_few_screens(path):
    """No file is longer than 250 lines but those listed above with a reason."""
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_LINES or str(path.relative_to(ROOT)) in LONGER, f"{lines} lines"


def test_listed_files_exist():
    """A reason outlives no file."""
    assert set(LONGER) <= set(NAMES)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_module_says_its_place(path):
    """Each module that holds anything begins with a docstring."""
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree)
