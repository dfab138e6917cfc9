"""A request while it is being received, and the answers to those that are not taken."""

import time
from collections.abc import Mapping
from threading import BoundedSemaphore

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import Error

from backend.address import plain_address
from backend.settings import MEGABYTE

HEAD_SECONDS = 10.0  # from the first byte to the end of the headers
GRACE_SECONDS = 10.0  # before a body's speed counts
SLOWEST = 64 * 1024  # bytes a second on average, after the grace
LONGEST_SECONDS = 300.0  # for one body
TURN_SECONDS = 30.0  # that a large body waits until it is read
HEADER_BYTES = 32 * 1024
LARGE = MEGABYTE  # bytes; larger bodies take turns


class Refusal(Error):
    """An answer without the application; the reason is in the status line, for Label Studio."""

    def __init__(self, code: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.headers = dict(headers or {})

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        headers = {"Content-Type": "text/plain; charset=utf-8"} | self.headers
        return f"{self.code} {self.reason}", [*headers.items()], f"{self.reason}\n".encode()

    @classmethod
    def busy(cls) -> "Refusal":
        reason = "The backend serves as many such requests as it can: try again in a moment."
        return cls(503, reason, {"Retry-After": "5"})

    @classmethod
    def too_slow(cls) -> "Refusal":
        return cls(408, "The request did not come in time.")

    @classmethod
    def password(cls) -> "Refusal":
        realm = {"WWW-Authenticate": 'Basic realm="VideoGEM", charset="UTF-8"'}
        return cls(401, "A large request needs user and password in its first message.", realm)


class Request(HTTPRequestParser):
    """What has come of a request. Its body tells its length, once and in digits."""

    def __init__(self, adjustments: Adjustments) -> None:
        super().__init__(adjustments)
        self.begun = time.monotonic()  # its first byte; of a large body, its turn
        self._turn: BoundedSemaphore | None = None

    def parse_header(self, header_plus: bytes) -> None:
        """As waitress does; what is refused is complete at once.

        Raises:
            ParsingError: it cannot be read.
        """
        try:
            super().parse_header(header_plus)
        except ValueError:  # a length of thousands of digits, an address that is none
            raise ParsingError("The request's address or length cannot be read.") from None
        self._read_proxy()
        if not self.content_length:
            self.expect_continue = False  # else waitress waits for a body that never comes
        if self.chunked or "TRANSFER_ENCODING" in self.headers:
            self._refuse(Refusal(411, "A body needs a Content-Length here."))
        elif self.content_length >= self.adj.max_request_body_size:
            limit = (self.adj.max_request_body_size - 1) / MEGABYTE
            reason = f"The request is larger than {limit:g} MB (VIDEOGEM_MAX_REQUEST_MB)."
            self._refuse(Refusal(413, reason))

    def _read_proxy(self) -> None:
        """Bring what a proxy tells of its client into the form that waitress understands.

        To it all IPv4 addresses in IPv6's form are the same one, and a scheme for each of several
        proxies is misshapen. Whether the proxy is believed at all is seen later.
        """
        if told := self.headers.pop("X_FORWARDED_FOR", ""):
            self.headers["X_FORWARDED_FOR"] = plain_address(told.rpartition(",")[2])
        scheme = self.headers.pop("X_FORWARDED_PROTO", "").rpartition(",")[2].strip(' "').lower()
        if scheme in ("http", "https"):
            self.headers["X_FORWARDED_PROTO"] = scheme

    def _refuse(self, refusal: Refusal) -> None:
        self.error = refusal
        self.body_rcv = None
        self.content_length = 0  # or waitress would say more about it
        self.expect_continue = False

    def client(self, peer: str) -> str:
        """Who asks; behind the trusted proxy, who that says it is: the app is told the same."""
        if peer != self.adj.trusted_proxy:
            return peer
        return self.headers.get("X_FORWARDED_FOR") or peer

    @property
    def must_wait(self) -> bool:
        """Whether its body is so large that it has to wait for a turn."""
        return self.headers_finished and self.content_length > LARGE and self._turn is None

    def take_turn(self, turns: BoundedSemaphore) -> bool:
        """Whether its body may be read now; a turn ends when the request is served."""
        if self.must_wait and turns.acquire(blocking=False):
            self._turn = turns
            self.begun = time.monotonic()
        return not self.must_wait

    @property
    def is_late(self) -> bool:
        """Whether it should have come, or begun, by now."""
        age = time.monotonic() - self.begun
        if not self.headers_finished:
            return age > HEAD_SECONDS
        if self.must_wait:
            return age > TURN_SECONDS
        due = (age - GRACE_SECONDS) * SLOWEST
        return age > LONGEST_SECONDS or self.body_bytes_received < due

    def close(self) -> None:
        super().close()
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.release()
