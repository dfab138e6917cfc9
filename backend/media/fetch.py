"""Fetches media over HTTP: no private addresses, no tokens for strangers, limits on everything."""

import io
import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import requests
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.exceptions import HTTPError

from backend.address import Address, AddressError, follow, read_address
from backend.guard import Session, open_session
from backend.label_studio.client import LabelStudio
from backend.media.range_file import RangeFile
from backend.media.turns import Turns, end_of_fetching
from backend.settings import MEGABYTE, Settings
from videogem.errors import InputError

CONNECT_TIMEOUT = 5.0  # seconds
CHUNK = 256 * 1024
REDIRECTS = (301, 302, 303, 307, 308)
PROXY_PASSWORD = (
    "The proxy asks for a user and a password (407); write them into VIDEOGEM_MEDIA_PROXY, like "
    "http://user:password@proxy.example:3128."
)


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
        proxy = settings.media_proxy
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._turns = Turns()

    def fetch(self, url: str, into: BinaryIO, label_studio: LabelStudio | None) -> None:
        """Write the bytes behind ``url`` into a file.

        Raises:
            MediaError: refused, not found, too large, too slow, too many redirects.
        """
        deadline = self._deadline()
        with self._follow(_read(url), label_studio, deadline) as (final, response):
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
        address = _read(url)
        deadline = self._deadline()
        with self._follow(address, label_studio, deadline, (0, 1)) as (_, response):
            if response.status_code != 206:
                return None
            total = _length(response.headers.get("Content-Range", "").rpartition("/")[2])
            if total is None or total < at_least:
                return None

        spent_s, spent_bytes = 0.0, 0  # by all parts together: the limits are those of a file

        def fetch(start: int, stop: int) -> bytes:
            nonlocal spent_s, spent_bytes
            part = io.BytesIO()
            begun = time.monotonic()
            deadline = min(begun + self._timeout - spent_s, end_of_fetching())
            if deadline <= begun:
                raise self._too_slow(address)
            try:
                with self._follow(address, label_studio, deadline, (start, stop)) as (
                    final,
                    response,
                ):
                    if response.status_code != 206:
                        raise MediaError(f"{final.shown} no longer gives parts of the file.")
                    self._copy(final, response, part, deadline, already=spent_bytes)
                    if part.tell() != stop - start:
                        raise MediaError(
                            f"{final.shown} sent {part.tell()} bytes of a part of {stop - start}."
                        )
            finally:
                spent_s += time.monotonic() - begun
                spent_bytes += part.tell()
            return part.getvalue()

        return RangeFile(total, fetch, name=address.shown)

    @contextmanager
    def _follow(
        self,
        address: Address,
        label_studio: LabelStudio | None,
        deadline: float,
        part: tuple[int, int] | None = None,
    ) -> Iterator[tuple[Address, requests.Response]]:
        """The answer at the end of all redirects, and whose it is; ``part`` asks for a range."""
        for _ in range(self._max_redirects + 1):
            with (
                self._turn(address, deadline),
                self._open(address, label_studio, deadline, part) as response,
            ):
                if response.status_code in REDIRECTS and "Location" in response.headers:
                    address = _next(address, response.headers["Location"])
                    continue
                yield address, response
                return
        raise MediaError(
            f"{address.shown}: more than {self._max_redirects} redirects "
            "(VIDEOGEM_MAX_REDIRECTS); is somebody signed out?"
        )

    @contextmanager
    def _turn(self, address: Address, deadline: float) -> Iterator[None]:
        try:
            with self._turns.take(address.host, deadline):
                yield
        except TimeoutError:
            raise MediaError(
                f"{address.shown} could not be fetched in time: as many files as may be are being "
                "fetched already."
            ) from None

    def _deadline(self) -> float:
        return min(time.monotonic() + self._timeout, end_of_fetching())

    @contextmanager
    def _open(
        self,
        address: Address,
        label_studio: LabelStudio | None,
        deadline: float,
        part: tuple[int, int] | None = None,
    ) -> Iterator[requests.Response]:
        own = label_studio is not None and label_studio.origin.holds(address)
        headers = dict(label_studio.authorization()) if own and label_studio is not None else {}
        if part is not None:
            # Compressed, a range would count other bytes than the file's.
            headers |= {"Range": f"bytes={part[0]}-{part[1] - 1}", "Accept-Encoding": "identity"}
        if own and label_studio is not None:
            session = label_studio.open_session()
        else:
            trusted = address.host in self._hosts
            session = open_session(None) if trusted else open_session(self._networks, self._proxies)
        began = time.monotonic()  # before the session's own clock, which may end the request
        left = max(0.1, deadline - began)
        with session, session.limited(left):
            yield from self._send(session, address, headers, left, began + left, own=own)

    def _send(
        self,
        session: Session,
        address: Address,
        headers: dict[str, str],
        left: float,
        deadline: float,
        *,
        own: bool,
    ) -> Iterator[requests.Response]:
        try:
            response = session.get(
                address.url,
                headers=headers,
                timeout=(min(CONNECT_TIMEOUT, left), left),
                allow_redirects=False,
                stream=True,
            )
        except InvalidIPAddress as error:
            raise MediaError(
                f"{address.shown} leads to the private address {error.args[0]}, which is not "
                f"fetched; if it is meant, add {address.host} to VIDEOGEM_ALLOWED_HOSTS."
            ) from None
        except requests.RequestException as error:
            if time.monotonic() >= deadline:
                raise self._too_slow(address) from None
            if isinstance(error, requests.exceptions.ProxyError) and " 407 " in str(error):
                raise MediaError(f"{address.shown} cannot be reached. {PROXY_PASSWORD}") from None
            hint = "check VIDEOGEM_LABEL_STUDIO_URL" if own else "check the address"
            raise MediaError(
                f"{address.shown} cannot be reached ({type(error).__name__}); {hint}."
            ) from None
        with response:
            yield response

    def _check_status(
        self, address: Address, response: requests.Response, label_studio: LabelStudio | None
    ) -> None:
        if response.status_code == 200:
            return
        if response.status_code == 407 and self._proxies:
            raise MediaError(f"{address.shown} cannot be reached. {PROXY_PASSWORD}")
        own = label_studio is not None and label_studio.origin.holds(address)
        if own and response.status_code in (401, 403):
            raise MediaError(
                f"{address.shown}: Label Studio refused the token ({response.status_code}); set "
                "VIDEOGEM_LABEL_STUDIO_API_KEY to a legacy or personal access token of a user who "
                "may see the project."
            )
        if own and response.status_code == 404 and "/data/local-files" in address.path:
            raise MediaError(
                f"{address.shown}: Label Studio has no such local file (404); it needs "
                "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true, "
                "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT and a Local Files storage of the project "
                "that covers the folder."
            )
        raise MediaError(f"{address.shown} answered {response.status_code} instead of the file.")

    def _too_slow(self, address: Address) -> MediaError:
        if time.monotonic() >= end_of_fetching():
            return MediaError(
                f"{address.shown} was not there before the request's time was up "
                "(VIDEOGEM_PREDICT_BUDGET)."
            )
        return MediaError(
            f"{address.shown} took longer than {self._timeout:g} s (VIDEOGEM_MEDIA_TIMEOUT)."
        )

    def _copy(
        self,
        address: Address,
        response: requests.Response,
        into: BinaryIO,
        deadline: float,
        *,
        already: int = 0,
    ) -> None:
        too_large = (
            f"{address.shown} is larger than {self._max_mb:g} MB (VIDEOGEM_MAX_MEDIA_MB allows)."
        )
        length = _length(response.headers.get("Content-Length", ""))
        if length is not None and already + length > self._max_bytes:
            raise MediaError(too_large)
        size = already
        try:
            # read1 returns what has come, so that a server that drips cannot hold us up.
            while chunk := response.raw.read1(CHUNK, decode_content=True):
                size += len(chunk)
                if size > self._max_bytes:
                    raise MediaError(too_large)
                if time.monotonic() > deadline:
                    raise self._too_slow(address)
                into.write(chunk)
        except (requests.RequestException, HTTPError) as error:
            if time.monotonic() > deadline:
                raise self._too_slow(address) from None
            raise MediaError(f"{address.shown} broke off ({type(error).__name__}).") from None
        if time.monotonic() > deadline:  # cut, the body may look as if it had ended
            raise self._too_slow(address)


def _length(text: str) -> int | None:
    """A number of bytes as a header tells it; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _read(url: str) -> Address:
    try:
        return read_address(url)
    except AddressError as error:
        raise MediaError(str(error)) from None


def _next(address: Address, location: str) -> Address:
    try:
        return follow(address, location)
    except AddressError as error:
        raise MediaError(f"{address.shown} leads elsewhere. {error}") from None
