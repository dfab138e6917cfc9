"""A task's media reference -> an open file, whatever form the reference has.

| reference | how it is fetched |
|---|---|
| `/data/upload/...`, `/data/local-files/?d=...`, any path | from Label Studio, signed in |
| `http(s)://` of Label Studio | the same |
| `s3://`, `gs://`, `azure-blob://` | through Label Studio, which knows the storage and its keys |
| `http(s)://` elsewhere | directly, without any token, private addresses refused |
| `data:` | decoded |
| paths on this machine, `file:` | never |
"""

import base64
import binascii
import io
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, unquote_to_bytes

from backend.address import abridged, is_data, read_address, shown
from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudio
from backend.label_studio.connections import Connections
from backend.media.cache import DiskCache
from backend.media.fetch import Fetcher, MediaError
from backend.settings import MEGABYTE, Settings

CACHE_AGE = 3600.0  # seconds; local files and http media may change behind their address
# Larger videos are not fetched whole: one moment of them costs a few ranges.
RANGES_FROM = 32 * MEGABYTE
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".ts", ".avi", ".mpg", ".mpeg", ".ogv")
STORAGES = ("s3://", "gs://", "azure-blob://", "azure_spi://", "redis://")


def _looks_like_video(reference: str) -> bool:
    """Told by the name, which for local files is in the query."""
    return unquote(reference).lower().split("#")[0].endswith(VIDEO_SUFFIXES)


def _shown(reference: str, url: str) -> str:
    """What messages call it; else they would name the file of the cache."""
    is_stored = reference.startswith(STORAGES)
    return abridged(reference) if is_stored else read_address(url).shown


class Media:
    """Opens the media of tasks; fetched files are kept for a while."""

    def __init__(self, settings: Settings, connections: Connections) -> None:
        self._connections = connections
        self._fetcher = Fetcher(settings)
        self._max_bytes = int(settings.max_media_mb * MEGABYTE)
        self.cache = DiskCache(
            settings.data_dir / "media",
            max_bytes=int(settings.cache_mb * MEGABYTE),
            max_age=CACHE_AGE,
        )

    def open(self, reference: Any, *, project: ProjectKey | None, task: int | None) -> BinaryIO:
        """Open what a task field refers to, as a seekable file.

        Raises:
            MediaError: it cannot be had; says which step failed and what to set.
        """
        if not isinstance(reference, str) or not reference.strip():
            came = abridged(repr(reference))
            raise MediaError(f"The task's media field must hold an address, got {came}.")
        reference = reference.strip()
        if is_data(reference):
            return self._decode(reference)
        label_studio = self._connections.get(project)
        url = self._address(reference, label_studio, task)

        if _looks_like_video(reference):
            far = self._fetcher.open_ranges(url, label_studio, at_least=RANGES_FROM)
            if far is not None:
                return cast(BinaryIO, far)

        def write(file: BinaryIO) -> None:
            self._fetcher.fetch(url, file, label_studio)

        # One server's token must not show its files to projects of another.
        key = f"{label_studio.url if label_studio else ''} {url}"
        try:
            file = self.cache.open(key, write)
        except OSError as error:
            raise MediaError(
                f"{_shown(reference, url)} cannot be kept while it is read "
                f"({error.strerror or error}): free some space, or set VIDEOGEM_DATA_DIR to a "
                "folder that can be written."
            ) from None
        cast(Any, file).raw.name = _shown(reference, url)
        return file

    def _address(self, reference: str, label_studio: LabelStudio | None, task: int | None) -> str:
        if reference[:8].lower().startswith(("http://", "https://")):
            return reference
        if reference.startswith(STORAGES):
            server = self._need(label_studio, reference)
            if task is None:
                raise MediaError(
                    f"{abridged(reference)} needs a saved task: Label Studio signs it per task."
                )
            encoded = base64.urlsafe_b64encode(reference.encode()).decode()
            return server.absolute(f"/tasks/{task}/presign/?fileuri={encoded}")
        if reference.startswith("/") and not reference.startswith("//"):
            return self._need(label_studio, reference).absolute(reference)
        scheme = reference.split(":", 1)[0][:20] if ":" in reference else "a relative path"
        raise MediaError(
            f"The task's media is {shown(reference)!r} ({scheme}), which Label Studio itself could "
            "not show; upload the file, add a storage or use an http address."
        )

    @staticmethod
    def _need(label_studio: LabelStudio | None, reference: str) -> LabelStudio:
        if label_studio is None:
            raise MediaError(
                f"{abridged(reference)} lies in Label Studio, whose address is not known yet; set "
                "VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY."
            )
        return label_studio

    def _decode(self, reference: str) -> BinaryIO:
        head, comma, body = reference.partition(",")
        if not comma:
            raise MediaError("The task's data: address has no comma and so no data.")
        if len(body) > self._max_bytes * 4 / 3 + 4:
            raise MediaError(
                "The task's data: address is larger than VIDEOGEM_MAX_MEDIA_MB allows."
            )
        raw = unquote_to_bytes(body)
        if not head.endswith(";base64"):
            return io.BytesIO(raw)
        try:
            return io.BytesIO(base64.b64decode(raw, validate=True))
        except binascii.Error:
            raise MediaError("The task's data: address is not valid base64.") from None
