"""The stack's file: pinned, hardened, closed to other machines, and its parts find each other by name."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fraud.settings import PREFIX, Settings

MONITORING = Path(__file__).parents[2] / "monitoring"
TEXT = (MONITORING / "compose.yaml").read_text()
STACK = yaml.safe_load(TEXT)
SERVICES = STACK["services"]
OURS = ("volumes-init", "fraud-detector", "retrain-webhook")
PORTS = {"fraud-detector": 3000, "retrain-webhook": 9095, "alertmanager": 9093, "prometheus": 9090, "grafana": 3000}
SCRAPED_OR_TOLD = {"fraud-detector:3000", "alertmanager:9093"}


def mounts(service):
    """``(source, target, read-only)`` of each volume of a service."""
    for volume in SERVICES[service].get("volumes", ()):
        source, target, *mode = volume.split(":")
        yield source, target, mode == ["ro,z"]


def yaml_of(*parts):
    return yaml.safe_load((MONITORING / Path(*parts)).read_text())


def test_every_image_is_pinned():
    """Ours comes from outside and must be named; the others have a full version."""
    for name, service in SERVICES.items():
        if name in OURS:
            assert service["image"].startswith("${IMAGE:?")
        else:
            assert re.fullmatch(r"(prom|grafana)/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
    assert set(SERVICES) == {*OURS, "alertmanager", "prometheus", "grafana"}


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "volumes-init"])
def test_every_server_is_hardened_limited_and_watched(name):
    """Read-only, without rights, with a limit of memory, a health check, and a restart."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert {"mem_limit", "healthcheck"} <= set(service)
    assert f":{PORTS[name]}/" in service["healthcheck"]["test"][-1]


def test_the_volumes_are_handed_over_once():
    """Root gives the folders to the service's user, with that right alone and no network; those who wait know it."""
    init = SERVICES["volumes-init"]
    assert (init["user"], init["cap_drop"], init["cap_add"]) == ("root", ["ALL"], ["CHOWN"])
    assert init["network_mode"] == "none"
    assert "restart" not in init
    handed = {target: source for source, target, _ in mounts("volumes-init")}
    assert init["entrypoint"] == ["chown", "1034:1034", *handed]
    for name in ("fraud-detector", "retrain-webhook"):
        assert SERVICES[name]["depends_on"]["volumes-init"] == {"condition": "service_completed_successfully"}
        for source, target, read_only in mounts(name):
            assert handed[target] == source
            assert not read_only


def test_ports_are_open_to_this_machine_only():
    """Each is on 127.0.0.1, all differ, and each leads to the port that the service listens on."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"fraud-detector", "alertmanager", "prometheus", "grafana"}
    outer = []
    for name, [port] in published.items():
        found = re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}:(\d+)", port)
        assert int(found[2]) == PORTS[name]
        outer.append(found[1])
    assert len(set(outer)) == len(outer)
    assert not any(service.get("network_mode") == "host" for service in SERVICES.values())


def test_nothing_names_the_host():
    """host.docker.internal is there in Docker Desktop only."""
    for path in MONITORING.rglob("*"):
        if path.suffix in {".yaml", ".yml", ".json", ".py"}:
            assert "host.docker.internal" not in path.read_text(), path


def test_what_is_mounted_is_there_and_cannot_be_changed():
    """Every file or folder beside the compose file exists and is mounted read-only, with the label by which SELinux
    lets containers read it; every other name is a volume."""
    seen = 0
    for name in SERVICES:
        for source, _, read_only in mounts(name):
            if source.startswith("."):
                assert (MONITORING / source).exists(), source
                assert read_only
                seen += 1
            else:
                assert source in STACK["volumes"]
    assert seen == 5
    assert {source for name in SERVICES for source, _, _ in mounts(name)} >= set(STACK["volumes"])


def test_the_targets_are_services_of_the_stack():
    """What Prometheus scrapes and whom it tells, at the ports they listen on."""
    folder = MONITORING / "prometheus" / "targets-compose"
    targets = {
        target for path in folder.glob("*.yml") for one in yaml.safe_load(path.read_text()) for target in one["targets"]
    }
    assert targets == SCRAPED_OR_TOLD
    assert {f"{name}:{PORTS[name]}" for name in SERVICES if name in PORTS} >= targets
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in (MONITORING / "prometheus" / "targets").iterdir()}


def test_the_configuration_is_read_from_where_it_is_mounted():
    """The files named on the command lines are those of the mounted folders, also Prometheus' own relative paths."""
    assert "--config.file=/etc/prometheus/prometheus.yml" in SERVICES["prometheus"]["command"]
    assert ("./prometheus", "/etc/prometheus", True) in mounts("prometheus")
    assert ("./prometheus/targets-compose", "/etc/prometheus/targets", True) in mounts("prometheus")
    config = yaml_of("prometheus", "prometheus.yml")
    named = [
        file
        for one in (*config["alerting"]["alertmanagers"], *config["scrape_configs"])
        for found in one["file_sd_configs"]
        for file in found["files"]
    ]
    assert named
    assert all((MONITORING / "prometheus" / file).exists() for file in named)
    assert all(file.startswith("targets/") for file in named)
    assert "--config.file=/etc/alertmanager/alertmanager.yml" in SERVICES["alertmanager"]["command"]
    assert ("./alertmanager", "/etc/alertmanager", True) in mounts("alertmanager")
    assert (MONITORING / "alertmanager" / "alertmanager.yml").exists()


def test_alertmanager_tells_the_receiver_of_the_stack():
    """Its webhook is the service's name and port, and the receiver answers other containers."""
    receivers = yaml_of("alertmanager", "alertmanager.yml")["receivers"]
    urls = [hook["url"] for receiver in receivers for hook in receiver.get("webhook_configs", ())]
    assert urls == ["http://retrain-webhook:9095/alerts"]
    command = SERVICES["retrain-webhook"]["entrypoint"]
    assert command[:4] == ["python", "-m", "monitoring", "webhook"]
    given = dict(zip(command[4::2], command[5::2], strict=True))
    assert given == {"--host": "0.0.0.0", "--port": "9095", "--state": "/retrain"}  # noqa: S104 - inside the container


def test_grafana_opens_the_dashboard_from_files():
    """Its first page is ours, the data source is the stack's Prometheus, and visitors may only look."""
    given = SERVICES["grafana"]["environment"]
    home = given["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    folders = {target: source for source, target, _ in mounts("grafana")}
    assert (MONITORING / folders[str(Path(home).parent)] / Path(home).name).exists()
    [provider] = yaml_of("grafana", "provisioning", "dashboards", "fraud.yml")["providers"]
    assert provider["options"]["path"] == str(Path(home).parent)
    assert folders["/etc/grafana/provisioning"] == "./grafana/provisioning"
    [source] = yaml_of("grafana", "provisioning", "datasources", "prometheus.yml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert source["jsonData"]["timeInterval"] == yaml_of("prometheus", "prometheus.yml")["global"]["scrape_interval"]
    assert given["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert "GF_SECURITY_ADMIN_PASSWORD" not in given


def test_the_services_settings_are_settings():
    """Each FRAUD_* variable is one that the service knows; secrets come from outside."""
    given = SERVICES["fraud-detector"]["environment"]
    names = {name.removeprefix(PREFIX).lower() for name in given}
    assert names <= set(Settings.model_fields)
    [place] = [target for source, target, _ in mounts("fraud-detector") if source == "data"]
    assert given["FRAUD_HISTORY_URL"].startswith(f"file://{place}/")
    settings = Settings.from_env({name: value for name, value in given.items() if value is not None})
    assert settings.database_url == "sqlite:////data/fraud.sqlite"
    assert given["FRAUD_API_KEYS"] is given["FRAUD_KEY_SECRET"] is None
    assert "FRAUD_METRICS_KEYS" not in given  # Prometheus would be shut out: compose.metrics-key.yaml sets both
    assert SERVICES["retrain-webhook"]["environment"]["GITHUB_TOKEN"] == "${GITHUB_TOKEN:-}"  # noqa: S105 - the shell's


def test_the_token_may_stay_in_a_file():
    """The overlay gives the receiver the file alone, asks for what it needs, and lets no variable take its place."""
    overlay = yaml_of("compose.token.yaml")
    assert set(overlay["services"]) == {"retrain-webhook"}
    added = overlay["services"]["retrain-webhook"]
    [secret] = added["secrets"]
    assert added["environment"]["GITHUB_TOKEN_FILE"] == f"/run/secrets/{secret}"
    assert added["environment"]["GITHUB_TOKEN"] == ""
    assert added["environment"]["GITHUB_REPOSITORY"].startswith("${GITHUB_REPOSITORY:?")
    assert overlay["secrets"][secret]["file"].startswith("${GITHUB_TOKEN_FILE:?")


def test_prometheus_may_have_a_key_in_a_file():
    """The overlay brings it where the configuration's comment looks for it, and asks for both halves."""
    overlay = yaml_of("compose.metrics-key.yaml")
    [secret] = overlay["services"]["prometheus"]["secrets"]
    [named] = re.findall(
        r"# authorization: \{credentials_file: (\S+)\}", (MONITORING / "prometheus/prometheus.yml").read_text()
    )
    assert named == f"/run/secrets/{secret}"
    assert overlay["secrets"][secret]["file"].startswith("${METRICS_KEY_FILE:?")
    service = overlay["services"]["fraud-detector"]["environment"]
    assert service["FRAUD_METRICS_KEYS"].startswith("${FRAUD_METRICS_KEYS:?")
    assert set(overlay["services"]) == {"fraud-detector", "prometheus"}


def stack(folder, mode):
    """What ``make stack`` says in a checkout whose ``monitoring/`` has this mode; COMPOSE starts nothing."""
    shutil.copy(MONITORING.with_name("Makefile"), folder)
    shutil.copytree(MONITORING / "prometheus", folder / "monitoring" / "prometheus")
    for path in [folder / "monitoring", *(folder / "monitoring").rglob("*")]:
        path.chmod(mode | 0o111 if path.is_dir() and mode & 0o4 else mode | 0o700)
    command = ["make", "stack", "IMAGE=fraud_detector:x", "COMPOSE=echo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_a_checkout_that_others_cannot_read_is_said(tmp_path):
    """Before anything is started: Prometheus would end without its configuration."""
    done = stack(tmp_path, 0o600)
    assert done.returncode != 0
    assert "error: monitoring/ cannot be read by others" in done.stderr
    assert "up --wait" not in done.stdout


def test_a_checkout_that_others_can_read_is_started(tmp_path):
    """As git makes it."""
    done = stack(tmp_path, 0o644)
    assert done.returncode == 0, done.stderr
    assert "up --wait" in done.stdout


def test_histories_may_be_in_a_redis():
    """The overlay brings it as hardened as the others, to no port of this machine; what each reads is in a file."""
    overlay = yaml_of("compose.redis.yaml")
    service, redis = overlay["services"]["fraud-detector"], overlay["services"]["redis"]
    assert service["environment"]["FRAUD_HISTORY_URL"] == ""
    [secret] = service["secrets"]
    assert service["environment"]["FRAUD_HISTORY_URL_FILE"] == f"/run/secrets/{secret}"
    assert all(re.match(r"\$\{[A-Z]\w+_FILE:\?set ", one["file"]) for one in overlay["secrets"].values())
    assert redis["secrets"] == [one for one in overlay["secrets"] if one != secret]
    assert re.fullmatch(r"redis:7\.\d+\.\d+", redis["image"])
    assert redis["read_only"] is True
    assert redis["cap_drop"] == ["ALL"]
    assert redis["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in redis
    assert {source.partition(":")[0] for source in redis["volumes"]} == set(overlay["volumes"])
