"""Environment -> Settings, read once at start.

Every setting is an environment variable with the prefix ``VIDEOGEM_``; its description here is the
text of the README's table, which a test compares with this file.
"""

import json
import logging
import os
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from videogem.backbones.numerics import CompileChoice, DtypeChoice
from videogem.errors import InputError
from videogem.method.settings import JpegDecoder

PREFIX = "VIDEOGEM_"
FILE_SUFFIX = "_FILE"
YEAR_DAYS = 365
MEGABYTE = 1024 * 1024
MOST_MB = 1e9  # more than any disk

_HOSTS = "must hold host names, addresses or networks like 10.0.0.0/8, got {!r}"

logger = logging.getLogger(__name__)


class Settings(BaseSettings):
    """What the operator decides. Per-project choices are attributes of the labeling config."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True
    )

    model: str = Field("demo", description="model name, see `videogem models`")
    method: str = Field("videogem", description="grounding method, see `videogem ground --help`")
    project_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated models that labeling configs may choose by `model_weights`"
    )
    device: str = Field("auto", description="`auto`, `cpu`, `cuda` or `cuda:N`")
    dtype: DtypeChoice = Field(
        "auto",
        description="precision of the image tower: `auto` (bfloat16 on a GPU, float32 on a CPU), "
        "`float32` or `bfloat16`; part of the model version",
    )
    compile: CompileChoice = Field(
        "auto",
        description="compile the image tower in the background: `auto` (on a GPU), `on` or `off`; "
        "part of the model version",
    )
    jpeg: JpegDecoder = Field(
        "cpu",
        description="who decodes JPEG: `cpu`, or `gpu` (NVIDIA, image models; several times as "
        "fast, pixels differ a little); part of the model version",
    )
    host: str = Field(
        "127.0.0.1",
        description="address the backend listens on; any other than this machine's own needs a "
        "password, or `VIDEOGEM_OPEN`",
    )
    open: bool = Field(
        False, description="listen on other addresses without a password: everybody there may ask"
    )
    public_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="comma-separated names this backend is reached by; without a password, other "
        "names than localhost and plain addresses are refused",
    )
    port: int = Field(9090, ge=1, le=65535, description="port the backend listens on")
    threads: int = Field(
        8, ge=4, le=256, description="threads for /predict; other requests have a few of their own"
    )
    trusted_proxy: str | None = Field(
        None,
        description="address of a reverse proxy before the backend, whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed; of others they are ignored",
    )
    data_dir: Path = Field(
        Path("~/.local/share/videogem"), description="folder for database, job list and media cache"
    )
    database_url: str | None = Field(
        None, description="SQLAlchemy URL of the quality store; default: SQLite in the data folder"
    )
    label_studio_url: str | None = Field(
        None,
        description="Label Studio as the backend reaches it, with its sub-path if it has one; "
        "default: the address Label Studio announces, which is often localhost",
    )
    label_studio_api_key: SecretStr | None = Field(
        None, description="legacy token or personal access token; needs the URL beside it"
    )
    more_label_studios: SecretStr | None = Field(
        None,
        description="further Label Studio servers as JSON, each address with its key: "
        '`{"http://second.example": "key"}`',
    )
    basic_auth_user: str | None = Field(None, description="user Label Studio must present")
    basic_auth_password: SecretStr | None = Field(None, description="password of that user")
    predict_budget: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="seconds one /predict may take before the rest of its tasks is queued; "
        "Label Studio waits 100",
    )
    prelabel_on_import: bool = Field(
        False, description="ground new tasks by themselves when Label Studio reports an import"
    )
    score_threshold: float = Field(
        0.0, ge=0, le=1, description="groundings scoring less are left out"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="comma-separated host names, addresses or networks that task media may come "
        "from although they are private",
    )
    media_proxy: str | None = Field(
        None,
        description="proxy that media from elsewhere are fetched through, like "
        "`http://proxy.example:3128`; names are still resolved and checked here, and Label Studio "
        "and allowed hosts are reached directly",
    )
    max_media_mb: float = Field(
        500.0, gt=0, le=MOST_MB, description="largest file fetched for one task"
    )
    media_timeout: float = Field(
        60.0, gt=0, le=86400, description="seconds one file may take to fetch"
    )
    max_redirects: int = Field(5, ge=0, le=20, description="redirects followed for one file")
    cache_mb: float = Field(
        2000.0, ge=0, le=MOST_MB, description="most disk space the media cache may take"
    )
    max_request_mb: float = Field(
        64.0, gt=0, le=MOST_MB, description="largest request body accepted"
    )
    qa_tolerance: float = Field(
        5.0,
        gt=0,
        le=100,
        description="quality page, projects without boxes: how far a point may be from the "
        "corrected one to count as a hit, in % of the image diagonal",
    )
    qa_sync_minutes: float = Field(
        15.0,
        ge=0,
        le=YEAR_DAYS * 24 * 60,
        description="how often the quality store and the webhooks are compared with Label Studio; "
        "0: only at start, and after an event that came without what it is about",
    )
    qa_keep_days: float = Field(
        30.0,
        ge=0,
        le=100 * YEAR_DAYS,
        description="days that events stay after they were counted; what they led to stays for "
        "good; 0: for ever",
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")

    @field_validator("allowed_hosts", "project_models", "public_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_network(host) if "/" in host else _host(host) for host in value)

    @field_validator("public_hosts")
    @classmethod
    def _check_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_name(host) for host in value)

    @field_validator("trusted_proxy")
    @classmethod
    def _check_trusted(cls, value: str | None) -> str | None:
        """As the socket names it; of a name, or of several, nobody or anybody would be believed."""
        try:
            return None if value is None else str(ip_address(value.strip("[]")))
        except ValueError:
            raise ValueError(
                f"must be the address of one proxy, such as 10.0.0.2, got {value!r}"
            ) from None

    @field_validator("media_proxy")
    @classmethod
    def _check_proxy(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if value is not None and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must be an address like http://proxy.example:3128")
        return value

    @field_validator("label_studio_url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        form = f"must be an address like http://label-studio.example, got {value!r}"
        try:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
                raise ValueError
        except ValueError:  # a port that is no number, half an IPv6 address
            raise ValueError(form) from None
        if parts.username is not None:
            raise ValueError("must be an address without a user; the key goes into a setting")
        if "\\" in value:
            raise ValueError(form)
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str | None) -> str | None:
        if value and not value.lower().startswith(("sqlite:", "postgresql:", "postgresql+")):
            raise ValueError(
                "must be a URL like sqlite:////path/qa.db or postgresql://user:password@host/name"
            )
        return value

    @field_validator("more_label_studios")
    @classmethod
    def _check_servers(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            servers = json.loads(value.get_secret_value()) if value else {}
        except ValueError:
            servers = None
        form = 'must be JSON such as {"http://second.example": "key"}'
        if not isinstance(servers, dict) or not all(isinstance(k, str) for k in servers.values()):
            raise ValueError(form)
        for address in servers:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{form}; {address!r} is no such address")
        return value

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, value: str) -> str:
        level = value.upper()
        if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError(f"must be DEBUG, INFO, WARNING or ERROR, got {value!r}")
        return level

    @field_validator("basic_auth_user", "basic_auth_password", "label_studio_api_key")
    @classmethod
    def _is_there(cls, value: Any) -> Any:
        """An empty one is none, as in the environment: others ask for ``is None``."""
        return value or None

    @field_validator("data_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()

    @model_validator(mode="after")
    def _check_pairs(self) -> "Settings":
        if self.label_studio_api_key and not self.label_studio_url:
            raise ValueError(
                f"{PREFIX}LABEL_STUDIO_API_KEY needs {PREFIX}LABEL_STUDIO_URL: "
                "the key is only ever sent to that address"
            )
        if bool(self.basic_auth_user) != bool(self.basic_auth_password):
            raise ValueError(
                f"{PREFIX}BASIC_AUTH_USER and {PREFIX}BASIC_AUTH_PASSWORD must be set together"
            )
        return self

    def further_servers(self) -> dict[str, SecretStr]:
        """Addresses and keys of the servers beside ``label_studio_url``."""
        if self.more_label_studios is None:
            return {}
        servers = json.loads(self.more_label_studios.get_secret_value())
        return {url.rstrip("/"): SecretStr(key) for url, key in servers.items()}

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'quality.sqlite3'}"


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError(_HOSTS.format(text)) from None


def _host(text: str) -> str:
    """A host in the form that addresses come to; all its ports are meant, so none is named."""
    from backend.address import AddressError, is_ip, plain_host  # which few starts need

    try:
        if ":" in text and not is_ip(text):
            raise AddressError("It has a port, or half an IPv6 address.")
        return plain_host(text)
    except AddressError:
        raise ValueError(_HOSTS.format(text)) from None


def _name(text: str) -> str:
    """A name as browsers send it; refusals show it with its port, so people write that, too."""
    from backend.address import AddressError, plain_host

    try:
        return plain_host(text)
    except AddressError:
        raise ValueError(f"must hold host names like videogem.example, got {text!r}") from None


def load_settings() -> Settings:
    """Read the environment; warn about ``VIDEOGEM_`` names that mean nothing (typing errors).

    ``VIDEOGEM_NAME_FILE`` names a file that holds the value of ``VIDEOGEM_NAME``, as secrets of
    containers are handed over.

    Raises:
        InputError: a value is wrong; names the variable and what came.
    """
    fields = {PREFIX + name.upper(): name for name in Settings.model_fields}
    given: dict[str, str] = {}
    for name in sorted(os.environ):
        variable = name.upper().removesuffix(FILE_SUFFIX)
        if not name.startswith(PREFIX) or name.upper() in fields:
            continue
        if variable not in fields:
            logger.warning("%s is not a setting of this version and is ignored", name)
        elif path := os.environ[name]:
            if os.environ.get(variable):
                raise InputError(f"{variable} and {name} are both set; keep one of them.")
            given[fields[variable]] = _value_in_file(name, Path(path))
    try:
        return Settings(**given)  # type: ignore[arg-type]  # text, as from the environment
    except ValidationError as error:
        raise InputError(" ".join(_sentence(problem) for problem in error.errors())) from None


def _value_in_file(name: str, path: Path) -> str:
    """What a file holds, without the end of line that editors add."""
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it holds no text"
        raise InputError(f"{name}: cannot read {path}: {reason}.") from None
    if not text.strip():  # a secret that was not filled in must not turn the password off
        raise InputError(f"{name}: {path} is empty.")
    return text


def _sentence(problem: Any) -> str:
    """One pydantic problem as a sentence that names the variable and shows what came."""
    reason = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return f"{reason}."
    field = str(problem["loc"][0])
    name = PREFIX + field.upper()
    if problem["type"] == "value_error":
        return f"{name} {reason}."
    secret = Settings.model_fields[field].annotation == SecretStr | None
    came = "" if secret else f", got {problem['input']!r}"
    return f"{name}: {reason[:1].lower()}{reason[1:]}{came}."
