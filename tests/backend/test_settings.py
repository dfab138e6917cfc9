"""Environment -> Settings: every value checked, every message names its variable."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from backend.settings import Settings, load_settings
from videogem.errors import InputError


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("VIDEOGEM_"):
            monkeypatch.delenv(name)


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.model, settings.method, settings.port) == ("demo", "videogem", 9090)
    assert settings.database.startswith("sqlite:///")


def test_values_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOGEM_PORT", "8000")
    monkeypatch.setenv("VIDEOGEM_PRELABEL_ON_IMPORT", "true")
    monkeypatch.setenv("VIDEOGEM_ALLOWED_HOSTS", "media.example, 10.0.0.0/8,")
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", "http://ls.example/sub/")
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY", "s3cret")
    settings = load_settings()
    assert (settings.port, settings.prelabel_on_import) == (8000, True)
    assert settings.allowed_hosts == ("media.example", "10.0.0.0/8")
    assert settings.label_studio_url == "http://ls.example/sub"
    assert "s3cret" not in repr(settings)


def test_empty_values_count_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOGEM_PORT", "")  # as compose files write it
    assert load_settings().port == 9090


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "high"),
        ("PORT", "70000"),
        ("THREADS", "1"),
        ("PREDICT_BUDGET", "0"),
        ("PREDICT_BUDGET", "nan"),
        ("SCORE_THRESHOLD", "1.5"),
        ("QA_SYNC_MINUTES", "inf"),
        ("QA_KEEP_DAYS", "1e9"),
        ("MEDIA_TIMEOUT", "inf"),
        ("MAX_MEDIA_MB", "inf"),
        ("MAX_REQUEST_MB", "inf"),
        ("CACHE_MB", "inf"),
        ("ALLOWED_HOSTS", "10.0.0.0/99"),
        ("LABEL_STUDIO_URL", "ls.example"),
        ("LOG_LEVEL", "LOUD"),
        ("PRELABEL_ON_IMPORT", "perhaps"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"VIDEOGEM_{name}", value)
    with pytest.raises(InputError, match=f"VIDEOGEM_{name}.*{value}"):
        load_settings()


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"LABEL_STUDIO_API_KEY": "k3y"}, "VIDEOGEM_LABEL_STUDIO_URL"),
        ({"BASIC_AUTH_USER": "u"}, "VIDEOGEM_BASIC_AUTH_PASSWORD"),
        ({"BASIC_AUTH_PASSWORD": "p4ss"}, "VIDEOGEM_BASIC_AUTH_USER"),
    ],
)
def test_settings_that_need_each_other(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"VIDEOGEM_{name}", value)
    with pytest.raises(InputError, match=missing) as error:
        load_settings()
    assert "k3y" not in str(error.value)
    assert "p4ss" not in str(error.value)


def test_a_misspelt_name_is_warned_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VIDEOGEM_PROT", "8000")
    load_settings()
    assert "VIDEOGEM_PROT" in caplog.text


def test_a_value_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in {"KEY": "s3cret\n", "HOSTS": "media.example,10.0.0.0/8\n"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", "http://ls.example")
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY_FILE", str(tmp_path / "KEY"))
    monkeypatch.setenv("VIDEOGEM_ALLOWED_HOSTS_FILE", str(tmp_path / "HOSTS"))
    monkeypatch.setenv("VIDEOGEM_PORT_FILE", "")
    settings = load_settings()
    assert settings.label_studio_api_key is not None
    assert settings.label_studio_api_key.get_secret_value() == "s3cret"
    assert settings.allowed_hosts == ("media.example", "10.0.0.0/8")
    assert settings.port == 9090


def test_a_value_file_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "password"
    monkeypatch.setenv("VIDEOGEM_BASIC_AUTH_USER", "team")
    monkeypatch.setenv("VIDEOGEM_BASIC_AUTH_PASSWORD_FILE", str(place))
    with pytest.raises(InputError, match=r"PASSWORD_FILE: cannot read .*password: No such file"):
        load_settings()
    place.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="holds no text"):
        load_settings()
    place.write_text("s3cret")
    monkeypatch.setenv("VIDEOGEM_BASIC_AUTH_PASSWORD", "other")
    with pytest.raises(InputError, match="both set") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value) and "other" not in str(refused.value)


def test_a_wrong_value_in_a_file_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "port").write_text("high")
    monkeypatch.setenv("VIDEOGEM_PORT_FILE", str(tmp_path / "port"))
    with pytest.raises(InputError, match="VIDEOGEM_PORT"):
        load_settings()


@pytest.mark.parametrize("text", ["", "\n", "  \r\n"])
def test_a_secret_that_was_never_filled_in_does_not_open_the_backend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    (tmp_path / "secret").write_text(text)
    monkeypatch.setenv("VIDEOGEM_HOST", "0.0.0.0")
    monkeypatch.setenv("VIDEOGEM_BASIC_AUTH_PASSWORD_FILE", str(tmp_path / "secret"))
    with pytest.raises(InputError, match=r"PASSWORD_FILE: .*secret is empty"):
        load_settings()
    monkeypatch.setenv("VIDEOGEM_BASIC_AUTH_USER_FILE", str(tmp_path / "secret"))
    with pytest.raises(InputError, match="is empty"):
        load_settings()


def test_an_empty_password_is_none_wherever_it_comes_from() -> None:
    empty = Settings(basic_auth_user="", basic_auth_password=SecretStr(""))
    assert (empty.basic_auth_user, empty.basic_auth_password) == (None, None)


@pytest.mark.parametrize("host", ["minio:9000", "cafe:9000", "*.example", "a b", "[::x]", "u@h"])
def test_a_host_that_no_address_has_is_told(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("VIDEOGEM_ALLOWED_HOSTS", f"media.example,{host}")
    with pytest.raises(InputError, match="ALLOWED_HOSTS must hold host names") as refused:
        load_settings()
    assert repr(host) in str(refused.value)


def test_hosts_of_all_kinds_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = "Media_1.example.,k\u00fcche.example,10.0.0.7,fd00:0::1,[FD00::2],fc00::/7"
    monkeypatch.setenv("VIDEOGEM_ALLOWED_HOSTS", hosts)
    assert load_settings().allowed_hosts == (
        "media_1.example", "xn--kche-0ra.example", "10.0.0.7", "[fd00::1]", "[fd00::2]", "fc00::/7",
    )  # fmt: skip


@pytest.mark.parametrize("host", ["http://videogem.example", "*.example", "a b", "u@h", "h:x"])
def test_a_public_name_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("VIDEOGEM_PUBLIC_HOSTS", f"videogem.example,{host}")
    with pytest.raises(InputError, match="PUBLIC_HOSTS must hold host names") as refused:
        load_settings()
    assert repr(host) in str(refused.value)


@pytest.mark.parametrize("proxy", ["proxy.internal", "10.0.0.2:8080", "10.0.0.0/8", "*"])
def test_a_proxy_that_would_never_be_believed_or_anybody_is_told(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("VIDEOGEM_TRUSTED_PROXY", proxy)
    with pytest.raises(InputError, match="TRUSTED_PROXY must be the address of one proxy"):
        load_settings()


@pytest.mark.parametrize(
    ("proxy", "peer"), [("10.0.0.2", "10.0.0.2"), ("0:0::1", "::1"), ("[::1]", "::1")]
)
def test_a_proxy_is_known_by_the_address_that_connects(
    monkeypatch: pytest.MonkeyPatch, proxy: str, peer: str
) -> None:
    monkeypatch.setenv("VIDEOGEM_TRUSTED_PROXY", proxy)
    assert load_settings().trusted_proxy == peer
