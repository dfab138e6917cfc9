"""Fetches media over HTTP: no private addresses, no tokens for strangers, limits on everything."""

import io
import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.exceptions import HTTPError

from backend.guard import open_session
from backend.label_studio.client import LabelStudio, Origin
from backend.media.range_file import RangeFile
from backend.settings import MEGABYTE, Settings
from videogem.errors import InputError

CONNECT_TIMEOUT = 5.0  # seconds
CHUNK = 256 * 1024
REDIRECTS = (301, 302, 303, 307, 308)


class MediaError(InputError):
    """A task's media cannot be had; the message says which step failed and what to set."""


class Fetcher:
    """Streams one address into a file. Redirects are followed by hand: every hop is checked anew,
    and the token goes to Label Studio's own origin alone.
    """

    def __init__(self, settings: Settings) -> None:
        self._max_bytes = int(settings.max_media_mb * MEGABYTE)
        self._max_mb = settings.max_media_mb
        self._timeout = settings.media_timeout
        self._max_redirects = settings.max_redirects
        self._hosts = {host for host in settings.allowed_hosts if "/" not in host}
        self._networks = tuple(
            ipaddress.ip_network(host) for host in settings.allowed_hosts if "/" in host
        )

    def fetch(self, url: str, into: BinaryIO, label_studio: LabelStudio | None) -> None:
        """Write the bytes behind ``url`` into a file.

        Raises:
            MediaError: refused, not found, too large, too slow, too many redirects.
        """
        deadline = time.monotonic() + self._timeout
        with self._follow(url, label_studio, deadline) as (final, response):
            self._check_status(final, response, label_studio)
            self._copy(final, response, into, deadline)

    def open_ranges(
        self, url: str, label_studio: LabelStudio | None, *, at_least: int
    ) -> RangeFile | None:
        """A large file that its server gives in parts, as one that fetches only what is read.

        None where the server gives whole files only, or the file is smaller than ``at_least``
        bytes: then ``fetch`` is as good, and what it fetched can be kept.

        Raises:
            MediaError: refused or out of reach; later reads raise it too.
        """
        deadline = time.monotonic() + self._timeout
        with self._follow(url, label_studio, deadline, (0, 1)) as (_, response):
            if response.status_code != 206:
                return None
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
            if not total.isdigit() or int(total) < at_least:
                return None

        def fetch(start: int, stop: int) -> bytes:
            part = io.BytesIO()
            deadline = time.monotonic() + self._timeout
            with self._follow(url, label_studio, deadline, (start, stop)) as (final, response):
                if response.status_code != 206:
                    raise MediaError(f"{_shown(final)} no longer gives parts of the file.")
                self._copy(final, response, part, deadline)
            return part.getvalue()

        return RangeFile(int(total), fetch, name=_shown(url))

    @contextmanager
    def _follow(
        self,
        url: str,
        label_studio: LabelStudio | None,
        deadline: float,
        part: tuple[int, int] | None = None,
    ) -> Iterator[tuple[str, requests.Response]]:
        """The answer at the end of all redirects, and whose it is; ``part`` asks for a range."""
        for _ in range(self._max_redirects + 1):
            with self._open(url, label_studio, deadline, part) as response:
                if response.status_code in REDIRECTS and "Location" in response.headers:
                    url = urljoin(url, response.headers["Location"])
                    continue
                yield url, response
                return
        raise MediaError(
            f"{_shown(url)}: more than {self._max_redirects} redirects "
            "(VIDEOGEM_MAX_REDIRECTS); is somebody signed out?"
        )

    @contextmanager
    def _open(
        self,
        url: str,
        label_studio: LabelStudio | None,
        deadline: float,
        part: tuple[int, int] | None = None,
    ) -> Iterator[requests.Response]:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise MediaError(f"{_shown(url)} is no http or https address.")
        own = label_studio is not None and Origin.of(url) == label_studio.origin
        headers = dict(label_studio.authorization()) if own and label_studio is not None else {}
        if part is not None:
            # Compressed, a range would count other bytes than the file's.
            headers |= {"Range": f"bytes={part[0]}-{part[1] - 1}", "Accept-Encoding": "identity"}
        if own and label_studio is not None:
            session = label_studio.open_session()
        else:
            trusted = parts.hostname.lower() in self._hosts
            session = open_session(None if trusted else self._networks)
        left = max(0.1, deadline - time.monotonic())
        try:
            response = session.get(
                url,
                headers=headers,
                timeout=(min(CONNECT_TIMEOUT, left), left),
                allow_redirects=False,
                stream=True,
            )
        except InvalidIPAddress as error:
            raise MediaError(
                f"{_shown(url)} leads to the private address {error.args[0]}, which is not "
                f"fetched; if it is meant, add {parts.hostname} to VIDEOGEM_ALLOWED_HOSTS."
            ) from None
        except requests.RequestException as error:
            hint = "check VIDEOGEM_LABEL_STUDIO_URL" if own else "check the address"
            raise MediaError(
                f"{_shown(url)} cannot be reached ({type(error).__name__}); {hint}."
            ) from None
        try:
            yield response
        finally:
            response.close()
            session.close()

    def _check_status(
        self, url: str, response: requests.Response, label_studio: LabelStudio | None
    ) -> None:
        if response.status_code == 200:
            return
        own = label_studio is not None and Origin.of(url) == label_studio.origin
        if own and response.status_code in (401, 403):
            raise MediaError(
                f"{_shown(url)}: Label Studio refused the token ({response.status_code}); set "
                "VIDEOGEM_LABEL_STUDIO_API_KEY to a legacy or personal access token of a user who "
                "may see the project."
            )
        if own and response.status_code == 404 and "/data/local-files" in url:
            raise MediaError(
                f"{_shown(url)}: Label Studio has no such local file (404); it needs "
                "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true, "
                "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT and a Local Files storage of the project "
                "that covers the folder."
            )
        raise MediaError(f"{_shown(url)} answered {response.status_code} instead of the file.")

    def _copy(self, url: str, response: requests.Response, into: BinaryIO, deadline: float) -> None:
        too_large = (
            f"{_shown(url)} is larger than {self._max_mb:g} MB (VIDEOGEM_MAX_MEDIA_MB allows)."
        )
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) > self._max_bytes:
            raise MediaError(too_large)
        size = 0
        try:
            # read1 returns what has come, so that a server that drips cannot hold us up.
            while chunk := response.raw.read1(CHUNK, decode_content=True):
                size += len(chunk)
                if size > self._max_bytes:
                    raise MediaError(too_large)
                if time.monotonic() > deadline:
                    raise MediaError(
                        f"{_shown(url)} took longer than {self._timeout:g} s "
                        "(VIDEOGEM_MEDIA_TIMEOUT)."
                    )
                into.write(chunk)
        except (requests.RequestException, HTTPError) as error:
            raise MediaError(f"{_shown(url)} broke off ({type(error).__name__}).") from None


def _shown(url: str) -> str:
    """The address without its query and credentials: presigned links carry secrets there."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    query = f"?{parts.query}" if parts.path.rstrip("/").endswith("/data/local-files") else ""
    return f"{parts.scheme}://{host}{port}{parts.path}{query}"
