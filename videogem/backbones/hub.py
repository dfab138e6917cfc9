"""Weights on the Hugging Face hub: found in its cache, or fetched once.

A file in the cache is used without asking the hub, so that a machine that has the weights needs no
network and loses no time waiting for one.
"""

from collections.abc import Sequence
from pathlib import Path

import httpx2  # what the hub's client is built on, and comes with it
from huggingface_hub import (
    constants,
    get_session,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

from videogem.errors import InputError

CONNECT_TIMEOUT = 5.0  # seconds

# What open_clip calls its weights in a hub repository, best first.
_OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def open_clip_files(architecture: str, tag: str) -> tuple[str, list[str]]:
    """Hub repository and candidate file names of one of open_clip's pretrained tags."""
    import open_clip

    hub = str((open_clip.get_pretrained_cfg(architecture, tag) or {}).get("hf_hub", ""))
    repository, _, file = hub.rpartition("/")
    if file.endswith((".bin", ".pt")):
        return repository, [f"{Path(file).stem}.safetensors", file]
    return repository, [file] if file else list(_OPEN_CLIP_FILES)


def cached(repository: str, files: Sequence[str]) -> Path | None:
    """The first of the files that is in the hub's cache."""
    for file in files if repository else ():
        found = try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found)
    return None


def fetch(repository: str, files: Sequence[str]) -> Path:
    """The first of the files that the repository has, from the cache or the hub.

    Raises:
        InputError: the hub cannot be reached or does not have them.
    """
    if (path := cached(repository, files)) is not None:
        return path
    what = f"'{files[-1]}' of '{repository}'"
    _check_reachable(what)
    for file in files:
        try:
            return Path(hf_hub_download(repository, file))
        except EntryNotFoundError:
            continue
        except (OSError, ValueError, HfHubHTTPError) as error:
            raise _not_fetched(what, error) from error
    raise InputError(f"The hub has no {what}; the repository may have changed.")


def fetch_repository(name: str) -> Path:
    """Folder of a whole open_clip model repository, ``hf-hub:org/name``.

    Raises:
        InputError: the hub cannot be reached or does not have it.
    """
    repository = name.removeprefix("hf-hub:")
    patterns = ["*.json", "*.txt", "*.model", *_OPEN_CLIP_FILES]
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=True))
    except LocalEntryNotFoundError:
        _check_reachable(name)
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise _not_fetched(name, error) from error


def first_line(error: Exception) -> str:
    """What an error says, cut to its first line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _check_reachable(what: str) -> None:
    """Fail at once where there is no network; the hub's own client tries for minutes."""
    if constants.HF_HUB_OFFLINE:
        raise _not_fetched(what, OSError("HF_HUB_OFFLINE is set"))
    try:
        # By the hub's own client, which knows the proxies; whatever it answers, it is there.
        get_session().head(constants.ENDPOINT, timeout=CONNECT_TIMEOUT)
    except (OSError, httpx2.HTTPError) as error:
        raise _not_fetched(what, error) from error


def _not_fetched(what: str, error: Exception) -> InputError:
    return InputError(
        f"The weights {what} are not on this machine and could not be fetched from the hub "
        f"({first_line(error)}); connect to the internet once, or give a local file, for example "
        f"'ViT-B-16:/path/to/weights.safetensors'."
    )
