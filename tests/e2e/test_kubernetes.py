"""What ``kubectl apply -k deploy/kubernetes`` would send, checked against the schemas of Kubernetes."""

import json
import subprocess

import pytest
import yaml

from fraud.errors import SettingsError
from fraud.settings import Settings
from tests.components import require
from tests.e2e.conftest import REPOSITORY

pytestmark = pytest.mark.e2e

BASE = REPOSITORY / "deploy" / "kubernetes"
OLDEST = "1.30"
OURS = "fraud-detector"


def render(folder):
    """The resources of a kustomization, by kind; those of other names than ours by kind and name."""
    done = subprocess.run([require("kubectl"), "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    resources = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    return {kind if name == OURS else f"{kind} {name}": one for (kind, name), one in resources.items()}


@pytest.fixture(scope="module")
def resources():
    return render(BASE)


def test_every_resource_fits_the_schemas(resources, validator):
    """Of the oldest Kubernetes we support and of the newest the validator knows; no field is unknown to it."""
    for resource in resources.values():
        for version in (OLDEST, validator.latest_version()):
            validator.validate(resource, version, strict=True)


def test_a_wrong_field_is_found(resources, validator):
    """The validation above would fail if there were something to find."""
    wrong = json.loads(json.dumps(resources["Deployment"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, OLDEST, strict=True)


def test_the_parts_find_each_other(resources):
    """Service and disruption budget select the pods, the ports are the container's, the autoscaler scales it."""
    template = resources["Deployment"]["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert labels == resources["Service"]["spec"]["selector"]
    assert labels == resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    target = resources["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", resources["Deployment"]["metadata"]["name"])
    [container] = template["spec"]["containers"]
    [port] = container["ports"]
    assert resources["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    assert {container[probe]["httpGet"]["port"] for probe in probes} == {port["name"]}
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])


def test_the_pods_pass_the_restricted_standard(resources):
    """As https://kubernetes.io/docs/concepts/security/pod-security-standards/ has it, and beyond: a read-only root."""
    pod = resources["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_settings_are_settings(resources):
    """Each variable is one that the service knows; the links of services, which it does not know, are off."""
    pod = resources["Deployment"]["spec"]["template"]["spec"]
    variables = pod["containers"][0]["env"]
    given = {variable["name"]: variable["value"] for variable in variables if "value" in variable}
    assert Settings.from_env(given).require_keys
    secret = {"secretKeyRef": {"name": "fraud-detector", "key": "api-keys"}}
    assert {"name": "FRAUD_API_KEYS", "valueFrom": secret} in variables
    optional = {"secretKeyRef": {"name": "fraud-detector", "key": "metrics-keys", "optional": True}}
    assert {"name": "FRAUD_METRICS_KEYS", "valueFrom": optional} in variables
    of_keys = {"secretKeyRef": {"name": "fraud-detector", "key": "key-secret", "optional": True}}
    assert {"name": "FRAUD_KEY_SECRET", "valueFrom": of_keys} in variables
    with pytest.raises(SettingsError, match="FRAUD_DETECTOR_PORT is not a setting"):
        Settings.from_env({"FRAUD_DETECTOR_PORT": "tcp://10.0.0.1:80"})
    assert pod["enableServiceLinks"] is False


def test_the_image_is_set_from_outside(resources, tmp_path):
    """An overlay's ``images:`` names what runs, without a patch."""
    overlay = {"resources": ["base"], "images": [{"name": "registry.example/fraud_detector", "newTag": "abcdef123456"}]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    (tmp_path / "base").mkdir()
    for path in BASE.glob("*.yaml"):
        (tmp_path / "base" / path.name).write_text(path.read_text())
    [container] = render(tmp_path)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/fraud_detector:abcdef123456"
