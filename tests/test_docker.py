"""The compose file and the Dockerfile avoid the traps of Label Studio's network checks."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from backend.demo.local_label_studio import LABEL_STUDIO_VERSION, SCORES_SHOWN
from backend.settings import PREFIX, Settings
from tests.http_server import Answer, http_server

DOCKER = Path(__file__).resolve().parents[1] / "docker"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]


def aliases(service: dict[str, Any]) -> list[str]:
    return service["networks"]["default"]["aliases"]


def test_host_names_have_a_dot(services: dict[str, Any]) -> None:
    """Label Studio silently makes no webhook for http://backend:9090."""
    for service in services.values():
        assert all("." in name for name in aliases(service))


def test_label_studio_may_call_private_addresses(services: dict[str, Any]) -> None:
    environment = services["label-studio"]["environment"]
    assert environment["ML_BLOCK_LOCAL_IP"] == "false"
    assert environment["SSRF_PROTECTION_ENABLED"] == "false"
    assert environment[SCORES_SHOWN] == "true"


def test_nobody_makes_an_account_without_an_invitation(services: dict[str, Any]) -> None:
    environment = services["label-studio"]["environment"]
    assert environment["LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK"] == "true"


def test_the_backend_knows_where_label_studio_is(services: dict[str, Any]) -> None:
    environment = services["backend"]["environment"]
    url = urlsplit(environment[f"{PREFIX}LABEL_STUDIO_URL"])
    assert url.hostname in aliases(services["label-studio"])
    token = services["label-studio"]["environment"]["LABEL_STUDIO_USER_TOKEN"]
    assert environment[f"{PREFIX}LABEL_STUDIO_API_KEY"] == token


def test_variables_are_settings(services: dict[str, Any]) -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    named = set(services["backend"]["environment"]) | set(re.findall(r"VIDEOGEM_\w+", dockerfile))
    assert named <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_variables_have_an_example(services: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text()))
    example = (DOCKER / "example.env").read_text()
    assert used == set(re.findall(r"^(\w+)=", example, flags=re.MULTILINE))


def test_ports_are_open_on_this_machine_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 2 and all(port.startswith("127.0.0.1:") for port in ports)


def test_the_database_is_the_service_beside_it(services: dict[str, Any]) -> None:
    url = urlsplit(services["backend"]["environment"][f"{PREFIX}DATABASE_URL"])
    assert url.scheme == "postgresql+psycopg" and url.hostname in aliases(services["postgres"])
    assert "ports" not in services["postgres"]
    assert services["backend"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_the_backend_may_write_its_volumes_and_no_more(services: dict[str, Any]) -> None:
    backend = services["backend"]
    assert backend["read_only"] and backend["cap_drop"] == ["ALL"]
    targets = {volume.split(":")[1] for volume in backend["volumes"]}
    assert targets | set(backend["tmpfs"]) == {"/data", "/models", "/tmp"}


def test_label_studio_is_the_version_that_is_tested(services: dict[str, Any]) -> None:
    assert services["label-studio"]["image"].endswith(f":{LABEL_STUDIO_VERSION}")


def test_the_image_has_an_ordinary_user_and_a_healthcheck() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users and int(users[-1]) > 0
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    first = next(line for line in lines if not line.startswith("#"))
    assert first.startswith("ARG BASE_IMAGE=")


def test_the_healthcheck_asks_at_the_port_that_is_set() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    [program] = re.findall(r'^    CMD \["python", "-c", (".+")\]$', text, flags=re.MULTILINE)
    with http_server() as server:
        server.routes["/health"] = lambda request: Answer({"status": "UP"})
        environment = {"PATH": "/usr/bin:/bin", "VIDEOGEM_PORT": str(server.port)}
        command = [sys.executable, "-c", json.loads(program)]
        subprocess.run(command, env=environment, check=True)
    assert [request.path for request in server.requests] == ["/health"]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, flags=re.MULTILINE)
    assert copied
    kept = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    for name in " ".join(copied).split():
        assert (DOCKER.parent / name).exists()
        assert f"!{name}" in kept


def test_every_package_of_the_wheel_is_copied() -> None:
    pyproject = tomllib.loads((DOCKER.parent / "pyproject.toml").read_text())
    packages = pyproject["tool"]["setuptools"]["packages"]["find"]["include"]
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    for package in (name.removesuffix("*") for name in packages):
        assert f"COPY {package} ./{package}" in lines


@pytest.mark.parametrize("index", ["", "https://wheels.example/cpu"])
def test_cpu_wheels_replace_the_gpu_libraries_and_nothing_else(index: str, tmp_path: Path) -> None:
    """The step that installs, run with a pip that only keeps what it is asked for."""
    text = (DOCKER / "Dockerfile").read_text()
    [step] = re.findall(r"^RUN (if .*?[^\\])\n", text, flags=re.MULTILINE | re.DOTALL)
    for source in (DOCKER.parent / "requirements.lock", DOCKER / "cpu.sed"):
        shutil.copy(source, tmp_path)
    pip = tmp_path / "pip"
    pip.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    pip.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TORCH_INDEX": index}
    subprocess.run(["sh", "-c", step], cwd=tmp_path, env=environment, check=True)

    def packages(name: str) -> set[str]:
        return set(re.findall(r"^([\w.-]+==\S+)", (tmp_path / name).read_text(), re.MULTILINE))

    asked = (tmp_path / "asked").read_text().splitlines()
    assert "--require-hashes" in asked[-1] and "-r other.lock" in asked[-1]
    left_out = packages("requirements.lock") - packages("other.lock")
    if index:
        assert index in asked[0] and "-r torch.txt" in asked[0]
        assert {name.split("==")[0] for name in packages("torch.txt")} == {"torch", "torchvision"}
        assert packages("torch.txt") < left_out
        gpu = re.compile("torch=|torchvision=|triton=|nvidia-|cuda-")
        assert all(gpu.match(name) for name in left_out)
    else:
        assert not left_out
