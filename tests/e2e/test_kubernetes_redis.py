"""The components ``history`` and ``redis``: the Redis of the manifests, run here with the users that the text makes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import redis
import yaml

from fraud.history.remote.store import RemoteStore
from fraud.settings import Settings
from tests.components import Process, free_port, require
from tests.e2e.conftest import REPOSITORY
from tests.e2e.test_kubernetes_components import README, files, overlay, pod, service
from tests.fraud.history.test_store import LAYOUTS, batch

pytestmark = pytest.mark.e2e

REDIS = "fraud-detector-redis"


@pytest.fixture(scope="module")
def resources(tmp_path_factory):
    return overlay(tmp_path_factory.mktemp("redis"), ["redis", "history", "network-policy"])


@pytest.fixture(scope="module")
def container(resources):
    [container] = resources[f"StatefulSet {REDIS}"]["spec"]["template"]["spec"]["containers"]
    return container


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A folder with the files of the Secret, as the commands of the text make them."""
    [text] = [one for one in re.findall(r"```sh\n(.*?)```", README, re.S) if "users.acl" in one]
    making, folder = text.partition("kubectl")[0], tmp_path_factory.mktemp("secret")
    done = subprocess.run(
        ["bash", "-euc", making.replace("../fraud-detector", str(REPOSITORY))],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "SHA256" not in (folder / "users").read_text()
    return folder


@pytest.fixture(scope="module")
def server(container, secret, tmp_path_factory):
    """The container's command, with its folders below one of ours; gives its port."""
    folder, port = tmp_path_factory.mktemp("data"), free_port()
    places = {"/data": str(folder), "/etc/redis/users.acl": str(secret / "users")}
    [program, *words] = [places.get(word, word) for word in container["command"]]
    process = Process("redis", [require(program), *words, "--port", str(port), "--bind", "127.0.0.1"], folder)
    process.start(lambda: probed(container, port) == "PONG", seconds=20)
    yield port
    process.stop()


def probed(container, port):
    """What the readiness probe says, nothing where it fails."""
    program, *words = container["readinessProbe"]["exec"]["command"]
    done = subprocess.run([require(program), "-p", str(port), *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def test_the_service_reaches_it_by_the_mounted_file(resources, secret, server, tmp_path):
    """By the name of the Service and its port, as the user that it has."""
    env = files(service(resources), resources, tmp_path)
    shutil.copy(secret / "url", env["FRAUD_HISTORY_URL_FILE"])
    url = Settings.from_env(env).history_url
    [port] = resources[f"Service {REDIS}"]["spec"]["ports"]
    assert f"@{REDIS}:{port['port']}/0" in url
    store = RemoteStore.open(url.replace(f"{REDIS}:{port['port']}", f"127.0.0.1:{server}"), LAYOUTS, "ours")
    assert store.add(batch(5)).shape == (5, store.width)
    assert store.said == [one for one in store.said if "history warm" in one]  # it is new, and nothing else is odd
    assert store.memory()[1] == 1024**3
    store.close()


def test_it_forgets_nothing(server, secret):
    """Each second is written; where memory is short it refuses."""
    [url] = re.findall(r"redis://fraud:(\w+)@", (secret / "url").read_text())
    client = redis.Redis(port=server, username="fraud", password=url, protocol=2)
    about = client.info()
    assert (about["aof_enabled"], about["maxmemory_policy"]) == (1, "noeviction")


def test_a_probe_fails_where_nobody_answers(container):
    assert probed(container, free_port()) == ""


def test_memory_fits(resources, container):
    """While the file is written anew as much again may be taken; so much of the volume, twice."""
    given = dict(zip(container["command"][1::2], container["command"][2::2], strict=True))
    assert (given["--maxmemory"], container["resources"]["limits"]["memory"]) == ("1gb", "2Gi")
    [claim] = resources[f"StatefulSet {REDIS}"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"


def test_the_parts_find_each_other(resources, container):
    """Service and policy select the pod; the service's own do not, and its pods alone are let in."""
    template = resources[f"StatefulSet {REDIS}"]["spec"]["template"]
    labels, policy = template["metadata"]["labels"], resources[f"NetworkPolicy {REDIS}"]["spec"]
    ours = resources["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels == resources[f"Service {REDIS}"]["spec"]["selector"] == policy["podSelector"]["matchLabels"]
    assert labels != ours == resources["Service"]["spec"]["selector"]
    [rule] = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": ours}}]
    [port] = container["ports"]
    assert rule["ports"] == [{"port": port["name"]}]
    assert resources[f"Service {REDIS}"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert "egress" not in policy
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_the_pod_passes_the_restricted_standard(resources, container):
    """And beyond: a read-only root; where it writes is a volume."""
    spec = resources[f"StatefulSet {REDIS}"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    hardened = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert container["securityContext"] == hardened
    writable = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
    assert writable == {"/data"}


def test_the_service_does_not_see_the_users_nor_redis_the_address(resources):
    """Each gets the keys of the Secret that it needs."""
    pods = [pod(resources), resources[f"StatefulSet {REDIS}"]["spec"]["template"]["spec"]]
    seen = [
        {item["key"] for volume in spec["volumes"] for item in volume.get("secret", {}).get("items", ())}
        for spec in pods
    ]
    assert seen == [{"url", "ca"}, {"users"}]


def test_a_redis_of_yours_takes_its_place(tmp_path):
    """``history`` alone adds no Redis, and waits for no CA."""
    resources = overlay(tmp_path, ["history"])
    assert not [name for name in resources if REDIS in name]
    optional = {volume["name"]: volume["secret"].get("optional", False) for volume in pod(resources)["volumes"][:-1]}
    assert optional == {"history": False, "history-ca": True}


def test_on_openshift_the_patch_of_the_text_names_no_user(tmp_path):
    """In whatever order the components stand."""
    [text] = re.findall(r"```yaml\n(  - target: \{kind: StatefulSet\}.*?)```", README, re.S)
    resources = overlay(tmp_path, ["openshift", "redis", "history"], patches=yaml.safe_load(text))
    context = resources[f"StatefulSet {REDIS}"]["spec"]["template"]["spec"]["securityContext"]
    elsewhere = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert context == {**elsewhere, "fsGroupChangePolicy": "OnRootMismatch"}


def test_the_stack_runs_it_with_the_same_words(container):
    """``monitoring/compose.redis.yaml``: image, options and probe."""
    own = yaml.safe_load((REPOSITORY / "monitoring" / "compose.redis.yaml").read_text())["services"]["redis"]
    assert own["image"] == container["image"]
    there = [
        "/run/secrets/redis-users.acl" if word == "/etc/redis/users.acl" else word for word in container["command"]
    ]
    assert own["entrypoint"] + own["command"] == there
    assert own["healthcheck"]["test"] == ["CMD", *container["readinessProbe"]["exec"]["command"]]
    assert Path(there[2]).name in own["secrets"]
