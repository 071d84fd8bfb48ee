"""What ships: the built Bento and the container image serve the sample request, and hold only what serving needs."""

import json
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path
from threading import Thread

import httpx
import pytest
import yaml

from fraud.settings import CERTIFICATE_VARIABLES
from tests.components import BentoServer, Collector, Container, free_port, require_engine, wait_until
from tests.components.mirror import Mirror, make_certificate
from tests.e2e.conftest import BUCKET, REPOSITORY, Image, engine_only, run

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())


KILL_A_WORKER = """
import psutil
workers = [one for one in psutil.process_iter() if "_bentoml_impl.worker.service" in one.cmdline()]
assert len(workers) == 2
workers[0].kill()
"""
SHIPPED = {
    "": {"bentofile.yaml", "service.py", "sample_transaction.json"},
    "serving": "__init__ access answer batcher bento counts decode edge few io openapi pages process refuse remembered "
    "shortcut",
    "serving/connection": "__init__ bounds closing door protocol turnable",
    "serving/contract": "__init__ contract models quick wire",
    "serving/history": "__init__ calls keeper labels online remote waiting",
    "serving/life": "__init__ parent worker",
    "serving/start": "__init__ introduction key_secret model transactions",
    "serving/telemetry": "__init__ log_lines printed refused_calls request_id tracing",
    "fraud": "__init__ __main__ argument_types atomic checksums command errors features home keys manifest profile "
    "rows schema settings store",
    "fraud/choice": "__init__ local",
    "fraud/environment": "__init__ history secret_files services",
    "fraud/history": "__init__ address amounts batch declared engine keys labels layout plain room store stores sweep",
    "fraud/history/files": "__init__ at_once filesystem folder gate ids index journal opened place rebuild slots",
    "fraud/history/remote": {
        *(
            "__init__.py",
            "client.py",
            "connected.py",
            "names.py",
            "no_gate.py",
            "scripts.py",
            "server.py",
            "store.py",
            "wire.py",
            "add.lua",
            "label.lua",
            "note.lua",
            "remember.lua",
            "states.lua",
        ),
    },
    "fraud/inputs": "__init__ cuts derived encoding example keys levels summaries times wording",
    "fraud/schemas": {"creditcard.toml"},
    "fraud/verbs": "__init__ key schema_option score",
    "fraud/scorer": "__init__ cells file forest from_sklearn kernel numpy_walk order summing",
    "fraud/scorer/kernels": {
        *("SHA256SUMS", "linux-x86_64.so", "linux-aarch64.so", "macos-x86_64.dylib", "macos-arm64.dylib"),
    },
    "monitoring": "__init__ __main__ access_metrics database history_metrics labels live log metrics multiprocess "
    "pending quality record_metrics ticker window workers",
    "monitoring/bins": "__init__ metrics series",
    "monitoring/receiver": "__init__ github memory webhook",
    "monitoring/storage": "__init__ address judged labelled moving origins revisions sent sqlite_engine sqlite_file "
    "sums tables turns writer",
    "monitoring/storage/migrations/versions": "0001_as_before 0002_decisions 0003_live 0004_labels_in_time",
    "monitoring/verbs": "__init__ database drift labels webhook",
}
"""By folder, every file; what ends in .py without its ending."""


def listed():
    """Paths of SHIPPED."""
    for folder, names in SHIPPED.items():
        files = names if isinstance(names, set) else {f"{name}.py" for name in names.split()}
        yield from (str(Path(folder) / name) for name in files)


def check_answers(url, version):
    """The sample request and /metrics, as a user tries them first."""
    answer = httpx.post(f"{url}/predict", json=SAMPLE, trust_env=False).raise_for_status().json()
    assert answer["model_version"] == version
    assert answer["is_fraud"] is False
    counted = 'fraud_predictions_total{decision="legitimate"} 1.0'
    wait_until(lambda: counted in httpx.get(f"{url}/metrics", trust_env=False).text)


@pytest.fixture(scope="module")
def built(store, tmp_path_factory):
    """Store, tag and what ``bentoml build`` said."""
    own = store.copy(tmp_path_factory.mktemp("bundle"))
    said = run([sys.executable, "-m", "bentoml", "build", "--output", "tag"], own.env)
    return own, said.strip().removeprefix("__tag__:")


def test_the_bento_holds_only_what_serving_needs(built):
    """No tests, training, registry or data are in the bundle's sources."""
    own, tag = built
    source = own.home / "bentos" / tag.replace(":", "/") / "src"
    assert {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()} == set(listed())


def test_the_bento_pins_the_model_it_was_built_with(built):
    """``latest`` is a version once it is built in, so a later model does not slip into it."""
    own, tag = built
    facts = yaml.safe_load((own.home / "bentos" / tag.replace(":", "/") / "bento.yaml").read_text())
    assert [model["tag"] for service in facts["services"] for model in service["models"]] == [
        f"fraud_detector:{own.version}"
    ]


def test_building_gives_no_warning(built):
    """bentofile.yaml is accepted as it is."""
    own, _ = built
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "build"], cwd=REPOSITORY, env=own.env, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert not re.search("warn|deprecat", done.stdout + done.stderr, re.IGNORECASE)


def test_the_built_bundle_serves(built, tmp_path):
    """bentoml serve TAG answers the sample request from the bundle alone, started in another folder."""
    own, tag = built
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    with BentoServer(command, own.env, tmp_path, port, tmp_path) as server:
        check_answers(server.url, own.version)


@pytest.mark.parametrize(
    "call",
    [
        "fraud score in.csv out.csv",
        "monitoring drift --reference-data a.csv --data b.csv",
        "monitoring labels import labels.csv",
        "monitoring labels export rows.parquet",
    ],
)
def test_a_verb_that_works_in_a_checkout_only_says_so(built, call, tmp_path):
    """One line and exit code 1 in what ships, where the help names it too."""
    own, tag = built
    source = own.home / "bentos" / tag.replace(":", "/") / "src"
    env = {**own.env, "PYTHONPATH": "", "FRAUD_DATABASE_URL": f"sqlite:///{tmp_path}/fraud.sqlite"}
    done = subprocess.run([sys.executable, "-m", *call.split()], cwd=source, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    program = "python -m " + call.split()[0]
    assert re.fullmatch(
        f"error: {program}: this needs [a-z._]+, which does not ship with the service; call it in a checkout\n",
        done.stderr,
    )


@pytest.fixture(scope="module")
def crowded(store, tmp_path_factory):
    """The store with a newer model in it, which is not the one to ship."""
    own = store.copy(tmp_path_factory.mktemp("crowded"))
    run([sys.executable, "-m", "training", "run", "--data", "sample:8000", "--trees", "5"], own.env)
    return own


def make_image(env, engine, *arguments):
    """What ``make image`` prints."""
    command = [sys.executable, "-m", "training", "image", "--backend", engine.name, *arguments]
    return json.loads(run(command, {**env, **engine_only(engine)}, timeout=900))


@pytest.fixture(scope="module")
def image(crowded, s3):
    """Built where S3 has a champion and the local store has a newer model."""
    engine = require_engine()
    env = {**crowded.env, **s3.env, "FRAUD_S3_URI": f"s3://{BUCKET}/image"}
    run([sys.executable, "-m", "training", "publish", crowded.version], env)
    tag = f"fraud-e2e:{uuid.uuid4().hex[:12]}"
    made = make_image(env, engine, "--tag", tag)
    assert made == {
        "image": tag,
        "model_version": crowded.version,
        "bento": f"fraud_detector:{crowded.version}",
        "registry_tag": f"synthetic-{crowded.version}",
    }
    yield Image(tag, engine, made["bento"])
    engine.run("rmi", "--force", tag)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "with a certificate of its own"])
def test_the_image_is_built_from_the_callers_index(crowded, tmp_path, secure):
    """pip in the build asks the mirror that the environment names, trusts its certificate, and the build fails where
    that has nothing."""
    certificate = make_certificate(tmp_path) if secure else None
    with Mirror(certificate=certificate) as mirror, pytest.raises(AssertionError) as failed:
        env = crowded.env | dict.fromkeys(CERTIFICATE_VARIABLES, "")
        env |= {"PIP_INDEX_URL": f"{mirror.url}/simple"} | ({"SSL_CERT_FILE": str(certificate)} if secure else {})
        make_image(env, require_engine(), "--tag", "fraud-e2e:mirror")
    said = failed.value.args[0]
    assert "bentoml containerize failed" in said, said
    assert "Could not find a version that satisfies the requirement" in said, said
    assert "CERTIFICATE_VERIFY_FAILED" not in said, said
    assert set(mirror.asked) <= {"/simple/uv/"}  # an engine whose builds have a network of their own asks in vain


@pytest.fixture(scope="module")
def container(image, tmp_path_factory):
    """One that may write to /tmp and nowhere else, and has no capabilities."""
    options = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    folder = tmp_path_factory.mktemp("container")
    with Container(image.engine, image.tag, free_port(), folder, options=options) as container:
        yield container


def test_the_container_serves_with_a_read_only_root(container, crowded):
    """It answers the sample request and counts it, with the champion."""
    check_answers(container.url, crowded.version)
    with pytest.raises(subprocess.CalledProcessError):
        container.exec("touch", "/home/bentoml/file")


def test_the_container_holds_only_what_serving_needs(container, crowded):
    """One model; no scikit-learn, pandas or boto3; no compilers and no git."""
    models = container.exec("ls", "/home/bentoml/bento/models/fraud_detector").split()
    assert set(models) - {"latest"} == {crowded.version}
    look = (
        "import importlib.util as util, shutil;"
        "print(*filter(util.find_spec, ('sklearn', 'pandas', 'boto3')), *filter(shutil.which, ('gcc', 'git')))"
    )
    assert container.exec("python", "-c", look).strip() == ""


def test_the_manifests_fit_the_image(container):
    """Kubernetes names the image's own user; the health check of compose passes, and fails where nothing is ready."""
    deployment = yaml.safe_load((REPOSITORY / "deploy/kubernetes/deployment.yaml").read_text())
    user = deployment["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert container.exec("id", "-u").strip() == str(user)
    compose = yaml.safe_load((REPOSITORY / "deploy/compose.yaml").read_text())
    check = compose["services"]["fraud-detector"]["healthcheck"]["test"][1:]
    container.exec(*(word.replace(":3000/", f":{container.port}/") for word in check))
    with pytest.raises(subprocess.CalledProcessError):
        container.exec(*(word.replace(":3000/", f":{free_port()}/") for word in check))


def test_the_container_serves_as_a_user_that_it_does_not_know(image, crowded, tmp_path):
    """As OpenShift runs it, with a number of its own in group 0; it may read everything and write to /tmp alone."""
    options = ["--user=1000660000:0", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
    with Container(image.engine, image.tag, free_port(), tmp_path, options=options) as container:
        check_answers(container.url, crowded.version)
        assert (container.exec("id", "-u").strip(), container.exec("id", "-g").strip()) == ("1000660000", "0")


def test_the_upgrade_of_the_tables_runs_from_the_image(image, tmp_path):
    """With what is in it, in the folder that the manifest names, also as a user that it does not know."""
    component = REPOSITORY / "deploy/kubernetes/components/postgres/deployment.yaml"
    [upgrade] = yaml.safe_load(component.read_text())["spec"]["template"]["spec"]["initContainers"]
    options = ["--user=1000660000:0", "--read-only", "--tmpfs=/tmp", "--env=FRAUD_DATABASE_URL=sqlite:////tmp/f.sqlite"]
    program, *words = upgrade["command"]
    command = ["run", "--rm", *options, f"--workdir={upgrade['workingDir']}", f"--entrypoint={program}", image.tag]
    assert json.loads(image.engine.run(*command, *words))["before"] is None


def test_a_killed_worker_is_back_within_ten_seconds(image, tmp_path):
    """Both serve again, no count is lost, and the container still ends on SIGTERM with exit code 0."""
    with Container(image.engine, image.tag, free_port(), tmp_path) as container:

        def say(line):
            return f"\n{line}\n" in httpx.get(f"{container.url}/metrics", trust_env=False, timeout=10).text

        def predict(count):
            for _ in range(count):
                httpx.post(f"{container.url}/predict", json=SAMPLE, trust_env=False, timeout=10).raise_for_status()

        wait_until(lambda: say("fraud_workers_ready 2.0"))
        predict(20)
        wait_until(lambda: say('fraud_predictions_total{decision="legitimate"} 20.0'))
        killing = Thread(target=container.exec, args=("python", "-c", KILL_A_WORKER))
        killing.start()  # an engine may say that it is done when the worker is back already
        wait_until(lambda: say("fraud_workers_ready 1.0"), every_seconds=0.05)
        killed = time.monotonic()
        killing.join()
        wait_until(lambda: say("fraud_workers_ready 2.0"), seconds=10 - (time.monotonic() - killed))
        predict(20)
        wait_until(lambda: say('fraud_predictions_total{decision="legitimate"} 40.0'))
        assert container.terminate() == 0


def test_the_container_sends_spans_and_logs_as_json(image, crowded, tmp_path):
    """With the configuration that ships: a caller's trace goes on, and every line of the log is an object."""
    (tmp_path / "tracing.yaml").write_text((REPOSITORY / "deploy/tracing.yaml").read_text())
    tmp_path.chmod(0o755)
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with Collector() as collector:
        env = {
            "FRAUD_LOG_FORMAT": "json",
            "BENTOML_CONFIG": "/config/tracing.yaml",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        options = [f"--volume={tmp_path}:/config:ro", "--network=host", "--read-only", "--tmpfs=/tmp"]
        with Container(image.engine, image.tag, free_port(), tmp_path, env=env, options=options) as container:
            headers = {"traceparent": f"00-{trace}-{span}-01", "x-request-id": "in-the-image"}
            url = f"{container.url}/predict"
            httpx.post(url, json=SAMPLE, headers=headers, trust_env=False).raise_for_status()
            [call] = wait_until(collector.calls, seconds=30)
            assert container.terminate() == 0
            said = [
                json.loads(line) for line in container.log().splitlines() if "discarded" not in line
            ]  # the engine's
    assert (call["trace"], call["parent"], call["fraud.request_id"]) == (trace, span, "in-the-image")
    assert call["fraud.model_version"] == crowded.version
    assert {one["process"] for one in said} == {"parent", "worker 1", "worker 2"}


def test_a_bad_setting_ends_the_container(image):
    """It says why and exits with 1, so that whoever runs it sees it; no worker is revived for ever."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        image.engine.run("run", "--rm", "--env=FRAUD_WORKERS=many", image.tag)
    assert failed.value.returncode == 1
    assert "FRAUD_WORKERS='many'" in failed.value.stderr + failed.value.stdout


def test_a_model_that_the_image_does_not_hold_ends_the_container(image, store):
    """One line says what it holds: no worker is started again and again."""
    command = [image.engine.name, "run", "--rm", "--env=FRAUD_MODEL=fraud_detector:nowhere", image.tag]
    done = subprocess.run(command, env=image.engine.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"error: the model store has no fraud_detector:nowhere; it holds fraud_detector:{store.version}: name" in (
        done.stderr
    )
    assert "Traceback" not in done.stderr
    assert "entry_service" not in done.stdout + done.stderr


def test_the_image_is_small(image):
    """At most 280 MB over its base; 44 of them are SQLAlchemy and psycopg, for the log, 7 redis and hiredis."""
    size, base = (
        int(image.engine.run("image", "inspect", "--format", "{{.Size}}", name).strip())
        for name in (image.tag, "python:3.11-slim")
    )
    assert (size - base) / 1e6 < 280


def test_another_model_costs_only_the_last_layers(image, crowded):
    """Without S3 the newest local model is taken, under its own tag; all layers up to the dependencies are the same."""
    made = make_image(crowded.env, image.engine)
    try:
        assert made["model_version"] != crowded.version
        assert made["image"] == f"fraud_detector:{made['model_version']}"
        mine, theirs = (
            json.loads(image.engine.run("image", "inspect", "--format", "{{json .RootFS.Layers}}", name))
            for name in (image.tag, made["image"])
        )
        assert len(mine) == len(theirs)
        assert mine[:-2] == theirs[:-2]  # what differs: the copied bento, and its entry point made executable
    finally:
        image.engine.run("rmi", "--force", made["image"])


def test_every_included_file_exists():
    """A pattern that matches nothing is a name that was changed elsewhere."""
    patterns = yaml.safe_load(Path(REPOSITORY / "bentofile.yaml").read_text())
    for pattern in patterns["include"]:
        assert list(REPOSITORY.glob(pattern.removeprefix("/"))), pattern
