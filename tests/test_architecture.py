"""The import arrows, the rooms, what ships, what the serving process loads, and the size of files."""

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGES = ("fraud", "serving", "training", "monitoring")
OURS = (*PACKAGES, "service", "benchmarks", "tests")
FILES = sorted([ROOT / "service.py", *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))])
NAMES = [str(path.relative_to(ROOT)) for path in FILES]

CORE = tuple(f"fraud.{path.stem}" for path in (ROOT / "fraud").glob("*.py") if not path.stem.startswith("__"))
SHIPS = (
    *("monitoring.metrics", "monitoring.log", "monitoring.pending", "monitoring.multiprocess", "monitoring.workers"),
    "monitoring.storage.address",
    "monitoring.history_metrics",
    "monitoring.storage.labelled",
)
MAY_IMPORT = {
    "fraud": ("fraud.scorer", "fraud.history", "fraud.inputs", "fraud.environment", *CORE),
    "fraud.__main__": ("fraud.verbs", *CORE),
    "fraud.verbs": ("fraud",),
    "fraud.inputs": ("fraud.inputs", *CORE),
    "fraud.environment": CORE,
    "fraud.history": ("fraud.history", "fraud.scorer", *CORE),
    "fraud.scorer": ("fraud.scorer", *CORE),
    "fraud.tables": ("fraud.tables", "fraud.inputs", *CORE),
    "fraud.estimator": ("fraud.tables", "fraud.inputs", *CORE),
    "fraud.saving": ("fraud.saving", "fraud.estimator", "fraud.scorer", "fraud.inputs", *CORE),
    "fraud.choice": ("fraud.choice", *CORE),
    "fraud.remote": ("fraud.remote", "fraud.saving", "fraud.choice", "fraud.tables", "fraud.inputs", *CORE),
    "fraud.bulk": ("fraud.bulk", "fraud.replay", "fraud.tables", "fraud.remote", "fraud.inputs", *CORE),
    "fraud.replay": ("fraud.replay", "fraud.history", "fraud.tables", "fraud.remote", "fraud.inputs", *CORE),
    "serving": ("serving", "fraud.choice", "fraud.history", "fraud.inputs", *CORE, *SHIPS),
    "training": ("training", "fraud"),
    "monitoring": ("monitoring", "fraud"),
    "service": ("serving", *CORE),
}
"""What a room may import of ours; the longest name that fits counts."""
MAX_MODULES = 15
OFFLINE = (
    "fraud.estimator",
    "fraud.saving",
    "fraud.tables",
    "fraud.remote",
    "fraud.bulk",
    "fraud.replay",
    "monitoring.offline",
)
"""What shipped code leads to when asked for something that works outside of the image only."""

NOT_WHEN_SERVING = (
    "sklearn",
    "pandas",
    "boto3",
    "pyarrow",
    "training",
    "scipy",
    "joblib",
    *OFFLINE,
    "sqlalchemy",
    "psycopg",
    "monitoring.database",
    "fraud.history.store",
    "fraud.history.files",
    "fraud.history.batch",
    "serving.history.online",
    "serving.history.keeper",
    "serving.history.labels",
)
MAX_LINES = 250
LONGER = {
    "serving/bento.py": "every private name of BentoML and uvicorn: the checklist of an upgrade",
}


@cache
def imported(source, inside="here"):
    """Full names of what a module imports, at any depth of nesting; ``inside`` is its package."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(part for part in ("." * node.level and inside, node.module) if part)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(names)


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
    """Nothing else of ours is imported than what MAY_IMPORT says of the room."""
    module = module_of(path)
    room = max((name for name in MAY_IMPORT if is_in(module, name)), key=len)
    for name in imported(path.read_text(), module):
        if any(is_in(name, ours) for ours in OURS):
            assert any(is_in(name, other) for other in MAY_IMPORT[room]), f"{path} imports {name}"


def module_of(path):
    """Its dotted name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def graph(roots):
    """Module -> modules of ours that it imports, functions included."""
    paths = {module_of(path): path for root in roots for path in sorted((ROOT / root).rglob("*.py"))}
    paths["service"] = ROOT / "service.py"
    found = {}
    for module, path in paths.items():
        names = imported(path.read_text(), module)
        found[module] = {name if name in paths else name.rpartition(".")[0] for name in names} & set(paths)
    return {module: names - {module} for module, names in found.items()}


def test_there_are_no_circles():
    """No module imports, over whichever others, itself: what stands below can be read by itself."""
    order = TopologicalSorter(graph([*PACKAGES, "benchmarks"]))
    try:
        order.prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@pytest.mark.parametrize("package", [*PACKAGES, "benchmarks"])
def test_no_folder_is_crowded(package):
    """At most 15 modules in one folder: a reader of ``ls`` draws the flow."""
    for folder in [ROOT / package, *(ROOT / package).rglob("*/")]:
        modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MAX_MODULES, f"{folder}: {len(modules)}"


def shipped():
    """Modules that bentofile.yaml takes."""
    facts = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    assert "exclude" not in facts, "what must not ship has a folder of its own"
    paths = {path for pattern in facts["include"] for path in ROOT.glob(pattern.removeprefix("/"))}
    return {module_of(path) for path in paths if path.suffix == ".py"}


def test_what_ships_is_needed():
    """A new file in a shipped folder that neither the service nor a shipped command leads to has no place there."""
    arrows, ships = graph(PACKAGES), shipped()
    waiting, reached = ["service", *(name for name in ships if name.endswith("__main__"))], set()
    while waiting:
        module = waiting.pop()
        if module not in reached and module in ships:
            reached.add(module)
            waiting += arrows[module]
    left = {name for name in ships - reached if (ROOT / f"{name.replace('.', '/')}.py").exists()}
    left -= {name for name in left if name.startswith("monitoring.storage.migrations.")}  # alembic goes by the folder
    assert left == {"fraud.scorer.from_sklearn"}, "what makes a scorer stands beside what one is"


def test_what_is_needed_ships():
    """Shipped code leads to nothing that stays behind, but for what is said to be offline."""
    arrows, ships = graph(PACKAGES), shipped()
    left = {name for module in ships for name in arrows[module] - ships}
    assert {name for name in left if not any(is_in(name, room) for room in OFFLINE)} == set()


def test_packages_of_shipped_code_stand_in_its_requirements():
    """What a shipped module imports at once is named in serving.in, not only brought along by another package."""
    lines = (ROOT / "requirements" / "serving.in").read_text().splitlines()
    named = {re.split(r"[=\[ ]", line)[0].replace("-", "_") for line in lines if line and not line.startswith("#")}
    for module in shipped():
        path = ROOT / f"{module.replace('.', '/')}.py"
        tree = ast.parse(path.read_text() if path.exists() else "")
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        packages = {name.split(".")[0] for name in imported(ast.unparse(top))} - set(sys.stdlib_module_names)
        assert packages - {*OURS} - named <= {"_bentoml_impl", "_bentoml_sdk"}, module


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
import bentoml, boto3, optuna, pandas, prometheus_client, pyarrow.parquet, rich.progress, sklearn.ensemble
def hook(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(("socket.", "subprocess.", "os.mkdir", "os.rename", "os.remove")):
        print(event, *arguments)
class Watched(type(os.environ)):
    def __getitem__(self, name):
        if name.startswith(("FRAUD_", "GITHUB_", "PROMETHEUS_")):
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


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_consoles_are_made_in_one_place(path):
    """``command.console`` takes nothing for markup; rich's own would, and names of files may hold anything."""
    assert path == ROOT / "fraud" / "command.py" or not re.search(r"\bConsole\((?!file)", path.read_text())


def test_listed_files_exist():
    """A reason outlives no file."""
    assert set(LONGER) <= set(NAMES)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_module_says_its_place(path):
    """Each module that holds anything begins with a docstring."""
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree)
