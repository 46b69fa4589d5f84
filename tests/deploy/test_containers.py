"""The compose file, the image and the manifests: what their own tools say, and that every setting they name exists.

Not run here: an image is not built and nothing is started, for there is no container engine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.settings import HubSettings
from node.settings import NodeSettings
from runtime.files import others_reach
from runtime.settings import Settings, settings_of

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
TEXTS = [path for path in DEPLOY.rglob("*") if path.is_file()]

#: The hub may take its own grace (20 s) and 5 s for its services.
GRACE = 25


def documents(*paths: Path) -> list[dict[str, Any]]:
    return [document for path in paths for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def compose() -> dict[str, Any]:
    [document] = documents(COMPOSE / "docker-compose.yml")
    return document


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents(*MANIFESTS):
        if "template" in document.get("spec", {}):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def test_compose_takes_the_file(tmp_path: Path) -> None:
    """docker-compose reads it, with the secrets that the page makes, which nobody else may read."""
    shutil.copytree(COMPOSE, tmp_path / "deploy" / "compose")
    [block] = re.findall(r"```sh\n(# Secrets.*?)```", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    if os.geteuid() != 0:
        block = re.sub(r"^chown .*$", "", block, flags=re.MULTILINE)
    subprocess.run(["sh", "-euc", block], cwd=tmp_path, check=True, timeout=60)
    made = subprocess.run(
        ["docker-compose", "--file", "docker-compose.yml", "config"],
        cwd=tmp_path / "deploy" / "compose",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    read = yaml.safe_load(made.stdout)
    assert set(read["services"]) == set(compose()["services"])
    secrets = tmp_path / "deploy" / "compose" / "secrets"
    named = {(COMPOSE / secret["file"]).name for secret in compose()["secrets"].values()} | {"rabbitmq.conf"}
    assert {path.name for path in secrets.iterdir()} == named
    assert {path.stat().st_mode & 0o007 for path in secrets.iterdir()} == {0}
    keys = tomllib.loads((secrets / "s3_credentials.toml").read_text())
    assert set(keys) == {"access_key_id", "secret_access_key"}
    assert keys["secret_access_key"] in (secrets / "s3_identities.json").read_text()
    assert (secrets / "rabbitmq_password").read_text() in (secrets / "rabbitmq.conf").read_text()


def test_the_containers_have_few_rights() -> None:
    """A hub's container has no capability, writes nothing of its image, and may take its whole grace to stop."""
    services = compose()["services"]
    for name in ("hub1", "hub2", "migrate"):
        service = services[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert int(service["stop_grace_period"].removesuffix("s")) > GRACE
        assert any(mount.startswith("/srv/hub/data:") for mount in service["tmpfs"]), "each has a lock of its own"
    assert [name for name, service in services.items() if "healthcheck" not in service] == ["haproxy", "bucket"]


def test_compose_and_haproxy_know_the_same_addresses() -> None:
    """The hubs are where haproxy.cfg looks for them, and believe the address that HAProxy has."""
    services = compose()["services"]
    addresses = {name: services[name]["networks"]["default"]["ipv4_address"] for name in ("haproxy", "hub1", "hub2")}
    servers = re.findall(r"server (hub\d) (\S+):8443", (DEPLOY / "haproxy" / "haproxy.cfg").read_text())
    assert dict(servers) == {name: addresses[name] for name in ("hub1", "hub2")}
    assert services["hub1"]["environment"]["CONGVAN_HUB__HUB__PROXY__ADDRESSES"] == addresses["haproxy"]


def test_the_image_holds_what_the_locks_say_and_runs_as_nobody() -> None:
    """Packages come by hash, every copied path exists and is not ignored, and the program is not root."""
    text = (COMPOSE / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    installs = re.findall(r"pip install ([^&\n]*)", text)
    assert len(installs) == 3
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)
    user = re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1]
    assert user == "10001:10001"
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for name in line.split()]
    ignored = (COMPOSE / "Dockerfile.dockerignore").read_text().splitlines()
    assert [name for name in copied if not (ROOT / name).exists() or f"!{name}" not in ignored] == []
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(packages["packages"]) <= set(copied)


def test_kubernetes_takes_the_manifests() -> None:
    """kubernetes-validate, strict, knows every field."""
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", *map(str, MANIFESTS)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(MANIFESTS) >= 5


@pytest.mark.parametrize(("name", "pod"), list(pods()), ids=lambda value: value if isinstance(value, str) else "")
def test_pods_are_restricted(name: str, pod: dict[str, Any]) -> None:
    """Each pod is what the standard `restricted` asks for, has no token, and gets secrets as its group alone."""
    security = pod["securityContext"]
    assert security["runAsNonRoot"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    for container in pod["containers"]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
    modes = {volume["secret"]["defaultMode"] for volume in pod["volumes"] if "secret" in volume}
    assert modes == {0o400}, "Kubernetes adds the group's right to read, by fsGroup"
    assert security["fsGroup"] == security["runAsGroup"]


def test_kubernetes_waits_for_the_hubs_grace() -> None:
    """A pod is killed only after its hub has ended by itself."""
    pod = dict(pods())["congvan-hub"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + GRACE


def test_a_secret_as_kubernetes_mounts_it_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's, readable for the pod's group: the hub takes it as its own."""
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    assert not others_reach(os.stat_result((0o100440, 1, 1, 1, 0, 10001, 1, 0, 0, 0)))


def test_the_manifests_settings_are_settings() -> None:
    """The congvan.toml of the ConfigMap is read by the hub's own model; no secret stands in it."""
    [text] = [document["data"]["congvan.toml"] for document in documents(*MANIFESTS) if document["kind"] == "ConfigMap"]
    settings = settings_of(HubSettings, tomllib.loads(text), source="The ConfigMap")
    secrets = {settings.database.password_file, settings.broker.password_file, settings.blobs.credentials_file}
    assert {path.parent.name for path in secrets if path} == {"secrets"}


def exists(model: type[Settings], keys: list[str]) -> bool:
    table: Any = model
    for key in keys:
        fields = getattr(table, "model_fields", {})
        if key not in fields:
            return False
        table = fields[key].annotation
    return True


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_that_is_named_exists(path: Path) -> None:
    """Variables of the environment, and keys that a comment names with their table, are settings of today."""
    text = path.read_text(encoding="utf-8")
    models = {"HUB": (HubSettings,), "NODE": (NodeSettings,), "": (HubSettings, NodeSettings)}
    named = [
        (program, [key.lower() for key in keys.split("__")])
        for program, keys in re.findall(r"CONGVAN_(HUB|NODE)__([A-Z0-9_]+)", text)
    ] + [("", [*table.split("."), key]) for table, key in re.findall(r"\[([a-z_.]+)\] ([a-z]+_?[a-z_]+)", text)]
    assert [name for program, name in named if not any(exists(model, name) for model in models[program])] == []


def test_the_settings_test_sees_what_is_missing() -> None:
    """A name that is no setting is told from one that is."""
    assert exists(HubSettings, ["hub", "proxy", "addresses"])
    assert not exists(HubSettings, ["hub", "proxy", "adresses"])
    assert not exists(HubSettings, ["data", "url"])
