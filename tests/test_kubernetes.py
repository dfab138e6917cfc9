"""The Kubernetes manifests: right by Kubernetes' own schemas, and in step with the backend."""

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from backend.settings import PREFIX, Settings

FOLDER = Path(__file__).resolve().parents[1] / "docker" / "kubernetes"
MANIFESTS = list(yaml.safe_load_all((FOLDER / "backend.yaml").read_text()))
SCHEMAS = "1.33"


def workload() -> dict[str, Any]:
    [found] = [manifest for manifest in MANIFESTS if manifest["kind"] == "StatefulSet"]
    return found["spec"]["template"]["spec"]


def container() -> dict[str, Any]:
    [found] = workload()["containers"]
    return found


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda found: found["kind"])
def test_the_schemas_agree(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, SCHEMAS, strict=True)


def test_a_misspelled_key_is_found() -> None:
    [service, *_] = MANIFESTS
    wrong = {**service, "spec": {**service["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, SCHEMAS, strict=True)


def test_variables_are_settings() -> None:
    named = {entry["name"] for entry in container()["env"]}
    assert named <= {PREFIX + name.upper() for name in Settings.model_fields}
    assert f"{PREFIX}OPEN" not in named and f"{PREFIX}BASIC_AUTH_PASSWORD" in named


def test_secrets_are_no_part_of_the_files() -> None:
    for entry in container()["env"]:
        if any(word in entry["name"] for word in ("KEY", "PASSWORD", "DATABASE_URL")):
            assert "secretKeyRef" in entry["valueFrom"] and "value" not in entry


def test_the_root_is_read_only_and_the_user_ordinary() -> None:
    assert workload()["securityContext"]["runAsNonRoot"]
    rights = container()["securityContext"]
    assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
    text = (FOLDER.parent / "Dockerfile").read_text()
    assert f"USER {workload()['securityContext']['runAsUser']}\n" in text
    written = {mount["mountPath"] for mount in container()["volumeMounts"]}
    assert written == {"/data", "/models", "/tmp"}


def test_a_gpu_is_one_patch_away() -> None:
    patch = json.loads((FOLDER / "gpu.patch.json").read_text())
    [changed] = patch["spec"]["template"]["spec"]["containers"]
    assert changed["name"] == container()["name"]
    assert changed["resources"]["limits"]["nvidia.com/gpu"] == "1"
