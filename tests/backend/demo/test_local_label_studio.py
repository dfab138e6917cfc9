"""What can be said of the Label Studio runner without starting one; tests/e2e starts it."""

import stat
import sys
from pathlib import Path

import pytest

from backend.demo.local_label_studio import DATABASE, LabelStudioServer, _works


@pytest.fixture
def server(tmp_path: Path) -> LabelStudioServer:
    return LabelStudioServer(
        tmp_path / "data", files_root=tmp_path / "files", venv=tmp_path / "venv"
    )


def test_credentials_are_secret_and_stay(server: LabelStudioServer) -> None:
    first = server.credentials
    path = server.data_dir / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.credentials == first
    assert len(bytes.fromhex(first.token)) == 20
    other = LabelStudioServer(server.data_dir / "other", files_root=server.files_root)
    assert other.credentials.token != first.token


def test_a_new_folder_gets_the_migrated_database_alone(server: LabelStudioServer) -> None:
    template = server.venv / "data-template"
    template.mkdir(parents=True)
    (template / DATABASE).write_text("migrated")
    (template / ".env").write_text("SECRET_KEY=shared")
    (template / "ready").touch()
    server.prepare()
    assert (server.data_dir / DATABASE).read_text() == "migrated"
    assert not (server.data_dir / ".env").exists()
    (server.data_dir / DATABASE).write_text("in use")
    server.prepare()
    assert (server.data_dir / DATABASE).read_text() == "in use"


def test_the_callers_variables_do_not_steer_it(
    server: LabelStudioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOST", "PORT", "LABEL_STUDIO_HOST", "DJANGO_DB", "PYTHONPATH"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("NO_PROXY", "example.com")
    environment = server._environment()
    assert "elsewhere" not in environment.values()
    assert environment["NO_PROXY"] == "example.com,localhost,127.0.0.1"
    assert environment["ML_BLOCK_LOCAL_IP"] == environment["SSRF_PROTECTION_ENABLED"] == "false"
    assert environment["LABEL_STUDIO_USER_TOKEN"] == server.credentials.token
    assert environment["LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK"] == "true"


def test_the_address_stays(server: LabelStudioServer) -> None:
    assert server.url == server.url
    assert server.url.startswith("http://localhost:")


def test_a_broken_environment_is_noticed(tmp_path: Path) -> None:
    assert _works(Path(sys.executable))
    assert not _works(tmp_path / "missing")
    broken = tmp_path / "python"
    broken.symlink_to("/nowhere/python3")
    assert not _works(broken)


def test_others_on_this_machine_cannot_read_the_token_in_the_database(
    server: LabelStudioServer,
) -> None:
    template = server.venv / "data-template"
    template.mkdir(parents=True)
    (template / DATABASE).touch()
    (template / "ready").touch()
    for _ in range(2):
        server.prepare()
        assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
        server.data_dir.chmod(0o755)  # as earlier demos left it
