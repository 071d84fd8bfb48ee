"""What each folder of ``deploy/kubernetes/components`` adds to the manifests, alone and all together.

There is no cluster: kustomize renders, the schemas of Kubernetes judge its own kinds, and those of the Prometheus
operator are compared with the fields that its definitions document.
"""

import os
import re
from pathlib import Path

import pytest
import yaml

from fraud.settings import Settings
from tests.e2e.conftest import REPOSITORY
from tests.e2e.test_kubernetes import BASE, OLDEST, render

pytestmark = pytest.mark.e2e

COMPONENTS = sorted(path.name for path in (BASE / "components").iterdir())
README = (BASE / "README.md").read_text()
FORM = "a" * 64
VALUES = {
    ("fraud-detector", "api-keys"): f"shop:{FORM}",
    ("fraud-detector", "metrics-keys"): FORM,
    ("fraud-detector", "key-secret"): FORM,
    ("fraud-detector-database", "url"): "postgresql://service:secret@database/fraud\n",
    ("fraud-detector-database", "owner-url"): "postgresql://owner:secret@database/fraud\n",
    ("fraud-detector-history", "url"): "redis://fraud:secret@fraud-detector-redis:6379/0\n",
    ("fraud-detector-history", "ca"): "a certificate",
}
"""What the Secrets hold that the pods read as files."""
DOCUMENTED = {
    "PodMonitor": {
        "spec": {
            "selector": {"matchLabels": {"*": str}},
            "podMetricsEndpoints": [
                {
                    "port": str,
                    "path": str,
                    "interval": str,
                    "authorization": {"credentials": {"name": str, "key": str}},
                    "relabelings": [{"targetLabel": str, "replacement": str}],
                }
            ],
        },
    },
    "PrometheusRule": {
        "spec": {
            "groups": [
                {
                    "name": str,
                    "interval": str,
                    "rules": [
                        {
                            "record": str,
                            "alert": str,
                            "expr": str,
                            "for": str,
                            "labels": {"*": str},
                            "annotations": {"*": str},
                        }
                    ],
                }
            ]
        },
    },
}
"""Of the fields of https://prometheus-operator.dev/docs/api-reference/api/ those that we use, with their types."""
HEAD = {"apiVersion": str, "kind": str, "metadata": {"name": str, "namespace": str, "labels": {"*": str}}}


def overlay(folder, components, **more):
    """The resources of the base with some components, by kind."""
    base = Path(os.path.relpath(BASE, folder.resolve()))
    document = {"resources": [str(base)], "components": [str(base / "components" / name) for name in components]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document | more))
    return render(folder)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return overlay(tmp_path_factory.mktemp("all"), COMPONENTS)


def pod(resources):
    return resources["Deployment"]["spec"]["template"]["spec"]


def service(resources):
    [container] = pod(resources)["containers"]
    return container


def strange(value, known, path=""):
    """Fields of ``value`` that are not ``known``, or of another type."""
    if isinstance(known, type):
        return [] if isinstance(value, known) else [path]
    if isinstance(known, list):
        return [found for one in value for found in strange(one, known[0], path)]
    known_of = {name: known.get(name, known.get("*")) for name in value}
    return [
        found
        for name, one in value.items()
        for found in (strange(one, known_of[name], f"{path}.{name}") if known_of[name] else [f"{path}.{name}"])
    ]


def files(container, resources, folder):
    """What a container's volumes bring of Secrets, written below ``folder``; its environment, moved there too."""
    volumes = {volume["name"]: volume["secret"] for volume in pod(resources)["volumes"] if "secret" in volume}
    for mount in container["volumeMounts"]:
        if secret := volumes.get(mount["name"]):
            target = folder / mount["mountPath"].lstrip("/")
            target.mkdir(parents=True)
            for item in secret["items"]:
                (target / item["path"]).write_text(VALUES[secret["secretName"], item["key"]])
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    return {name: f"{folder}{value}" if name.endswith("_FILE") else value for name, value in given.items()}


@pytest.mark.parametrize("components", [*([name] for name in COMPONENTS), COMPONENTS, COMPONENTS[::-1]], ids="+".join)
def test_every_component_fits_the_schemas(components, tmp_path, validator):
    """Alone, and all in either order; nothing has a field that is not known."""
    resources = overlay(tmp_path, components)
    for kind, resource in resources.items():
        if kind in DOCUMENTED:
            assert resource["apiVersion"] == "monitoring.coreos.com/v1"
            assert strange(resource, HEAD | DOCUMENTED[kind]) == []
        else:
            for version in (OLDEST, validator.latest_version()):
                validator.validate(resource, version, strict=True)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_wrong_field_of_the_operator_is_found(name, everything):
    """The comparison above would fail if there were something to find: a field too many, a number for a text."""
    wrong = everything[name] | {"spec": everything[name]["spec"] | {"rule": []}}
    assert strange(wrong, HEAD | DOCUMENTED[name]) == [".spec.rule"]
    assert strange({"metadata": {"name": 1}}, HEAD) == [".metadata.name"]


def test_all_together_in_any_order_are_the_same(everything, tmp_path):
    """But for the order of lists: what one component takes away no other brings back."""

    def sorted_lists(value):
        if isinstance(value, dict):
            return {name: sorted_lists(one) for name, one in value.items()}
        return sorted(map(sorted_lists, value), key=str) if isinstance(value, list) else value

    assert sorted_lists(overlay(tmp_path, COMPONENTS[::-1])) == sorted_lists(everything)


def test_the_service_reads_its_secrets_from_files(everything, tmp_path):
    """Each file that a variable names is mounted; no secret is left in the environment, and a start takes them."""
    settings = Settings.from_env(files(service(everything), everything, tmp_path))
    assert settings.require_keys
    assert (settings.api_keys, settings.metrics_keys, settings.key_secret) == (f"shop:{FORM}", FORM, FORM)
    assert settings.database_url == "postgresql://service:secret@database/fraud"
    assert settings.history_url == "redis://fraud:secret@fraud-detector-redis:6379/0"
    assert [one for one in service(everything)["env"] if "valueFrom" in one] == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_alone_starts_too(name, tmp_path):
    """No variable is set in both ways, and none names a file that is not there."""
    (tmp_path / "overlay").mkdir()
    resources = overlay(tmp_path / "overlay", [name])
    given = files(service(resources), resources, tmp_path)
    from_secrets = {one["name"]: FORM for one in service(resources)["env"] if "valueFrom" in one}
    assert Settings.from_env(given | from_secrets).api_keys


def test_no_secret_is_in_the_manifests_and_the_text_makes_each(everything):
    """Secrets are named, with keys that the README's commands make."""
    assert "Secret" not in everything
    made = {
        (name, key)
        for name, words in re.findall(r"kubectl create secret \w+ (\S+)((?:[^\n]*\\\n)*[^\n]*)", README)
        for key in re.findall(r"--from-\w+=([\w-]+)=", words) or ["tls.crt"]
    }
    pods = [one["spec"]["template"]["spec"] for one in everything.values() if "template" in one["spec"]]
    secrets = [volume["secret"] for pod in pods for volume in pod["volumes"] if "secret" in volume]
    used = {(secret["secretName"], item["key"]) for secret in secrets for item in secret["items"]}
    [endpoint] = everything["PodMonitor"]["spec"]["podMetricsEndpoints"]
    credentials = endpoint["authorization"]["credentials"]
    [tls] = everything["Ingress"]["spec"]["tls"]
    assert made == used | {(credentials["name"], credentials["key"]), (tls["secretName"], "tls.crt")}


def test_the_pods_still_pass_the_restricted_standard(everything):
    """Every container of them, the upgrade's too."""
    assert pod(everything)["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    hardened = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    containers = [*pod(everything)["initContainers"], *pod(everything)["containers"]]
    assert [container["securityContext"] for container in containers] == [hardened] * 2


def test_on_openshift_no_user_is_named(everything, tmp_path):
    """It gives each namespace its own and refuses others; elsewhere the image's own is named."""
    (tmp_path / "other").mkdir()
    elsewhere = overlay(tmp_path / "other", [name for name in COMPONENTS if name != "openshift"])
    assert pod(elsewhere)["securityContext"]["runAsUser"] == 1034
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod(everything)["securityContext"])


def test_the_operator_scrapes_what_the_rules_ask_for(everything):
    """By the pods' labels and port, as the job that the rules name, and nobody scrapes them twice."""
    template = everything["Deployment"]["spec"]["template"]
    monitor = everything["PodMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    [endpoint] = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in service(everything)["ports"]}
    jobs = set(re.findall(r'job="([^"]+)"', yaml.safe_dump(everything["PrometheusRule"])))
    assert jobs == {one["replacement"] for one in endpoint["relabelings"] if one["targetLabel"] == "job"}
    assert "prometheus.io/scrape" not in template["metadata"].get("annotations", {})


def test_the_network_policy_lets_calls_in_and_the_log_out(everything):
    """It is about the pods; callers reach the service's port, the pods reach Postgres and names."""
    spec = everything["NetworkPolicy"]["spec"]
    labels = everything["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"] == labels
    assert {port["port"] for rule in spec["ingress"] for port in rule["ports"]} == {"http"}
    assert {53, 5432, 6379} <= {port["port"] for rule in spec["egress"] for port in rule["ports"]}
    [label] = spec["ingress"][0]["from"][1]["namespaceSelector"]["matchLabels"].items()
    assert f"kubectl label namespace ingress-nginx monitoring {'='.join(label)}" in README


def test_the_ingress_publishes_no_metrics(everything):
    """Calls and their description go to the Service by the name of its port; metrics and probes stay inside."""
    [rule] = everything["Ingress"]["spec"]["rules"]
    paths = {one["path"] for one in rule["http"]["paths"]}
    assert paths == {"/predict", "/predict_batch", "/feedback", "/model", "/docs.json", "/schema.json"}
    assert {one["pathType"] for one in rule["http"]["paths"]} == {"Exact"}
    [port] = everything["Service"]["spec"]["ports"]
    target = {"service": {"name": everything["Service"]["metadata"]["name"], "port": {"name": port["name"]}}}
    assert all(one["backend"] == target for one in rule["http"]["paths"])


def test_the_overlay_of_the_text_renders(tmp_path, validator):
    """As it stands, for a folder beside the checkout; it has every component, and sets image, host and namespace."""
    [text] = re.findall(r"```yaml\n(apiVersion: kustomize.*?)```", README, re.S)
    (tmp_path / "kustomization.yaml").write_text(
        text.replace("../fraud-detector/", f"{os.path.relpath(REPOSITORY, tmp_path.resolve())}/")
    )
    assert set(re.findall(r"components/([\w-]+)", text)) == set(COMPONENTS)
    resources = render(tmp_path)
    assert {resource["metadata"]["namespace"] for resource in resources.values()} == {"fraud"}
    assert service(resources)["image"] == "REGISTRY/fraud_detector:MODEL_VERSION"
    assert {rule["host"] for rule in resources["Ingress"]["spec"]["rules"]} == {"fraud.mycompany.example"}
    assert resources["Ingress"]["spec"]["tls"][0]["hosts"] == ["fraud.mycompany.example"]
