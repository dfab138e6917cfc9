"""Weights on the Hugging Face hub: found in its cache, or fetched once.

A file in the cache is used without asking the hub, so that a machine that has the weights needs no
network and loses no time waiting for one. Everything goes through the hub's own client, which knows
proxies, tokens and mirrors, and takes a tenth of a second to import: who needs no weights of the
hub does not import this module.
"""

from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

import httpx2  # what the hub's client is built on, and comes with it
from huggingface_hub import (
    HfApi,
    constants,
    get_session,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from videogem.backbones.manifest import hub_weights
from videogem.backbones.names import ModelName
from videogem.errors import InputError, first_line

PROXY_PASSWORD = (
    "The network's proxy asks for a user and a password (407): write them into HTTPS_PROXY, like "
    "http://user:password@proxy.example:3128, or give a local file of weights."
)

CONNECT_TIMEOUT = 5.0  # seconds
# What the hub's client says of a proxy of an unknown kind, or that it has no package for.
UNUSABLE = (ImportError, ValueError, httpx2.InvalidURL)
CONFIG_FILE = "open_clip_config.json"

# What open_clip calls its weights in a hub repository, best first.
OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def cached(repository: str, files: Sequence[str]) -> Path | None:
    """The first of the files that is in the hub's cache."""
    for file in files if repository else ():
        found = try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found)
    return None


def revision(repository: str, files: Sequence[str]) -> str | None:
    """Commit of the files in the cache, else the one the hub would send; None if it says nothing.

    The cache keeps a file as ``snapshots/COMMIT/FILE``.
    """
    if (path := cached(repository, files)) is not None:
        return path.parents[len(Path(files[0]).parts) - 1].name
    return None if constants.HF_HUB_OFFLINE else _asked_revision(repository)


@lru_cache(maxsize=64)
def _asked_revision(repository: str) -> str | None:
    try:
        return HfApi().model_info(repository, timeout=CONNECT_TIMEOUT).sha
    except (OSError, *UNUSABLE, httpx2.HTTPError, HfHubHTTPError):
        return None  # fetching says why


def fetch(repository: str, files: Sequence[str]) -> Path:
    """The first of the files that the repository has, from the cache or the hub.

    Raises:
        InputError: the hub cannot be reached, does not have them, or wants terms accepted.
    """
    if (path := cached(repository, files)) is not None:
        return path
    what = f"'{files[-1]}' of '{repository}'"
    _check_reachable(what)
    for file in files:
        try:
            return Path(hf_hub_download(repository, file))
        except LocalEntryNotFoundError as error:  # neither here nor told by the hub
            raise _refused(repository, what, error) from error
        except EntryNotFoundError:
            continue
        except (OSError, ValueError, HfHubHTTPError) as error:
            raise _refused(repository, what, error) from error
    raise InputError(f"The hub has no {what}; the repository may have changed.")


def fetch_weights(name: ModelName) -> Path:
    """Weights of an architecture and tag, from the hub or its cache.

    Raises:
        InputError: none are known under this name; or see `fetch`.
    """
    known = hub_weights()
    if (found := known.get(name.text)) is not None:
        return fetch(found.repository, found.files)
    tags = [text.partition("/")[2] for text in known if text.startswith(f"{name.architecture}/")]
    raise InputError(
        f"There are no weights '{name.tag}' for '{name.architecture}' on the hub; "
        f"there are: {', '.join(tags) or 'none'}. For others give a local file: "
        f"'{name.architecture}:/path/to/weights.safetensors'."
    )


def fetch_repository(name: str) -> Path:
    """Folder of a whole open_clip model repository, ``hf-hub:org/name``.

    Raises:
        InputError: the hub cannot be reached, does not have it, or wants terms accepted.
    """
    repository = name.removeprefix("hf-hub:")
    patterns = ["*.json", "*.txt", "*.model", *OPEN_CLIP_FILES]
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=True))
    except LocalEntryNotFoundError:
        _check_reachable(name)
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise _refused(repository, name, error) from error


def _check_reachable(what: str) -> None:
    """Fail at once where there is no network; the hub's own client tries for minutes."""
    if constants.HF_HUB_OFFLINE:
        raise _not_fetched(what, OSError("HF_HUB_OFFLINE is set"))
    try:
        answer = get_session().head(constants.ENDPOINT, timeout=CONNECT_TIMEOUT)
    except (OSError, httpx2.HTTPError) as error:
        raise _not_fetched(what, error) from error
    except UNUSABLE as error:
        raise InputError(
            f"The network's proxy (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) cannot be used "
            f"({first_line(error)}); write it like http://proxy.example:3128, or give a local file "
            f"of weights."
        ) from error
    if answer.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        raise InputError(PROXY_PASSWORD)
    # Whatever else it answers, it is there.


def _refused(repository: str, what: str, error: Exception) -> InputError:
    """What to do about an error of the hub's: a refusal is not a missing network."""
    page = f"{constants.ENDPOINT}/{repository}"
    if isinstance(error, RepositoryNotFoundError) and not isinstance(error, GatedRepoError):
        return InputError(
            f"The hub shows no repository '{repository}': check the name; if it is private, set "
            f"HF_TOKEN to an access token of an account that may see it."
        )
    status = _status(error)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return InputError(
            f"The hub ({constants.ENDPOINT}) was asked for {what} and answered {status}: it is "
            f"busy or out of order. Try again later, or give a local file."
        )
    if isinstance(error, GatedRepoError) or status in (401, 403):
        return InputError(
            f"The weights {what} are given to those who accepted their terms ({status}): "
            f"sign in at {page}, accept the terms on that page, and set HF_TOKEN to an access "
            f"token of that account."
        )
    return _not_fetched(what, error)


def _status(error: BaseException | None) -> int | None:
    """HTTP status of the answer an error was raised for, or of the error it was raised from."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None:
            return int(status)
        error = error.__cause__
    return None


def _not_fetched(what: str, error: Exception) -> InputError:
    refused = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
    if _status(error) == refused or (
        isinstance(error, httpx2.ProxyError) and str(error).startswith(str(refused.value))
    ):
        return InputError(PROXY_PASSWORD)
    return InputError(
        f"The weights {what} are not on this machine and could not be fetched from the hub "
        f"({first_line(error)}); connect to the internet once, or give a local file, for example "
        f"'ViT-B-16:/path/to/weights.safetensors'."
    )
