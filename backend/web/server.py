"""The HTTP server: waitress, with an end to everything a stranger can begin.

One thread receives all requests and sends all answers, so that a half-sent request holds a
connection but never a thread; whole requests are served by the threads of their lane. What is added
to waitress: a request must come, and an answer must be taken, within a time; where connections run
out, the oldest that has no whole request makes room; large bodies take turns, and come only from
those who may ask; refused clients get to see why.
"""

import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from operator import itemgetter
from threading import BoundedSemaphore
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask

from backend.settings import MEGABYTE
from backend.web.door import HEADERS
from backend.web.lanes import Lanes, lane_of
from backend.web.received import HEADER_BYTES, LARGE, SLOWEST, Refusal, Request

IDLE_SECONDS = 60.0  # that a connection may wait for its next request
GRACE_SECONDS = 10.0  # before the speed at which an answer is taken counts
LONGEST_SECONDS = 300.0  # for taking an answer
LINGER_SECONDS = 10.0  # that a refused client is read from: else it would not see the answer
STOP_SECONDS = 5.0  # for requests under way when the server is stopped
THREADS_SECONDS = 0.5  # for threads without work to end, then
RECEIVE_BYTES = 64 * 1024
LARGE_AT_ONCE = 4
ACCEPTED_AT_ONCE = 64
ASK_FROM = 64 * 1024  # bytes; larger bodies are read only from those who may ask
SPARE_CONNECTIONS = 96  # beside those whose requests are served or wait in a lane

# Why somebody may not send a large body, told by headers (named like CONTENT_TYPE) and address.
Refuse = Callable[[Mapping[str, str], str], Refusal | None]


class Protected(ErrorTask):
    """A refusal, with the headers that every answer carries."""

    def execute(self) -> None:
        self.response_headers.extend(HEADERS.items())
        self.channel.closes_gently = True
        super().execute()


class Channel(HTTPChannel):
    """One connection. What is not waitress's own is called by the receiving thread alone."""

    parser_class = Request
    error_task_class = Protected
    closes_gently = False
    close_when_flushed: bool
    request: Request | None

    def __init__(self, *args: Any, **options: Any) -> None:
        self._quiet_since = time.monotonic()
        self._lingers_until = 0.0
        self._sending_since = 0.0
        self._sent = 0  # bytes, since then
        self._asked: Request | None = None
        super().__init__(*args, **options)

    def readable(self) -> bool:
        if not self.connected:
            return False
        if self._lingers_until:
            return True
        waits = self.request is not None and not self.request.take_turn(self.server.turns)
        return not waits and bool(super().readable())

    def handle_read(self) -> None:
        self._quiet_since = time.monotonic()
        if not self._lingers_until:
            super().handle_read()
            return
        try:
            self.recv(self.adj.recv_bytes)  # closes at the end
        except OSError:
            self.handle_close()

    def received(self, data: bytes) -> bool:
        taken = bool(super().received(data))
        request = self.request
        if request is None or request is self._asked or not request.headers_finished:
            return taken
        self._asked = request
        if request.content_length > ASK_FROM:
            refusal = self.server.refuse(request.headers, request.client(str(self.addr[0])))
            if refusal is not None:
                self._refuse(refusal)
        return taken

    def handle_write(self) -> None:
        if self.close_when_flushed and self.closes_gently:
            self._flush_exception(self._flush_some)
            if self.socket is None:  # the client was gone, and so it was closed
                return
            if not self.total_outbufs_len and not self.will_close and self.connected:
                self.close_when_flushed = False
                self._linger()
                return
        super().handle_write()

    def _linger(self) -> None:
        """End the answer and drop what still comes: closing now would tear the answer down."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()
        else:
            self._lingers_until = time.monotonic() + LINGER_SECONDS

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT001  # waitress's own
        self._quiet_since = time.monotonic()  # answers may take longer than one may be idle
        sent = int(super().send(data, do_close))
        self._sent += sent
        if sent >= self.total_outbufs_len:  # all is taken: the next answer has a time of its own
            self._sending_since = 0.0
        return sent

    def handle_close(self) -> None:
        if self.request is not None:
            self.request.close()
        super().handle_close()

    def tend(self) -> None:
        """Close the connection, or refuse its request, if its time is over."""
        now = time.monotonic()
        if self._lingers_until:
            if now > self._lingers_until:
                self.handle_close()
        elif self.total_outbufs_len:
            self._tend_sending(now)
        elif self.requests:
            pass  # it waits for us
        elif self.request is not None:
            if self.request.is_late:
                self._refuse(Refusal.busy() if self.request.must_wait else Refusal.too_slow())
        elif now - self._quiet_since > IDLE_SECONDS:
            self.handle_close()

    def _tend_sending(self, now: float) -> None:
        if not self._sending_since:
            self._sending_since, self._sent = now, 0
        age = now - self._sending_since
        if age > LONGEST_SECONDS or self._sent < (age - GRACE_SECONDS) * SLOWEST:
            self.handle_close()

    @property
    def waits_since(self) -> float | None:
        """When it began to wait for its client; None while there is a request to answer."""
        if self.requests or self.total_outbufs_len:
            return None
        return self._quiet_since if self.request is None else self.request.begun

    def _refuse(self, refusal: Refusal) -> None:
        """Answer a request that has not come whole, and read no more."""
        with self.requests_lock:
            if self.request is None or self.requests:
                return
            self.request.error = refusal
            self.requests.append(self.request)
            self.request = None
            self.server.add_task(self)


class Server(TcpWSGIServer):
    """One listening address."""

    channel_class = Channel
    lanes: Lanes
    turns: BoundedSemaphore
    refuse: Refuse
    max_connections: int

    def readable(self) -> bool:
        # Here and not while accepting: a socket that is closed in the middle of a round may have
        # its number taken by the next one, and with it what the round still has for the old one.
        over = len(self.active_channels) - self.max_connections
        if over >= 0:
            self._make_room(over + 1)
        return bool(super().readable()) and len(self.active_channels) < self.max_connections

    def _make_room(self, count: int) -> None:
        each = ((channel.waits_since, channel) for channel in self.active_channels.values())
        waiting = [(since, channel) for since, channel in each if since is not None]
        for _, channel in sorted(waiting, key=itemgetter(0))[:count]:
            channel.handle_close()

    def handle_accept(self) -> None:
        """Take all that have come: whoever is behind many of them waits one round, not many."""
        for _ in range(ACCEPTED_AT_ONCE):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                break

    def maintenance(self, now: float) -> None:
        for channel in list(self.active_channels.values()):
            channel.tend()

    def add_task(self, task: Channel) -> None:
        request = task.requests[0]
        lane = (
            "quick" if request.error else lane_of(request.path, request.headers.get("ACCEPT", ""))
        )
        if self.lanes.offer(task, lane):
            return
        request.error = Refusal.busy()
        if not self.lanes.offer(task, "quick"):
            task.will_close = True


class Servers:
    """All addresses of a host name, served until the process is told to stop."""

    def __init__(
        self,
        application: Callable[..., Any],
        *,
        host: str,
        port: int,
        threads: int,
        max_request_mb: float,
        refuse: Refuse,
        trusted_proxy: str | None = None,
    ) -> None:
        self._closed = False
        self._map: dict[int, Any] = {}
        self._lanes = Lanes(threads)
        told = "x-forwarded-for x-forwarded-proto"
        proxy = {"trusted_proxy": trusted_proxy, "trusted_proxy_headers": told}
        adjustments = Adjustments(
            **(proxy if trusted_proxy else {}),
            host=host,
            port=port,
            ident="videogem",
            recv_bytes=RECEIVE_BYTES,
            inbuf_overflow=LARGE,
            max_request_header_size=HEADER_BYTES,
            max_request_body_size=int(max_request_mb * MEGABYTE) + 1,  # the first that is too large
            connection_limit=sys.maxsize,  # ours makes room instead
            cleanup_interval=1,
            log_socket_errors=False,
        )
        turns = BoundedSemaphore(LARGE_AT_ONCE)
        channels: dict[int, Channel] = {}
        self._servers = []
        for address in adjustments.listen:
            server = Server(application, self._map, False, None, self._lanes, adjustments, address)
            server.lanes, server.turns, server.refuse = self._lanes, turns, refuse
            server.max_connections = self._lanes.capacity + SPARE_CONNECTIONS
            server.active_channels = channels
            server.accept_connections()
            self._servers.append(server)
        self._channels = channels

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [(server.effective_host, int(server.effective_port)) for server in self._servers]

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; requests under way have a few seconds then."""
        signal.signal(signal.SIGTERM, _leave)
        try:
            self.loop()
        except (KeyboardInterrupt, SystemExit):
            self._finish()

    def loop(self) -> None:
        """Serve until ``close`` is called; then drop everything."""
        while not self._closed:
            self._step(1)
        self._lanes.shutdown(STOP_SECONDS)  # before the triggers that its threads pull are closed
        wasyncore.close_all(self._map)

    def close(self) -> None:
        """End the loop; may be called by any thread."""
        self._servers[0].trigger.pull_trigger(self._mark_closed)

    def _mark_closed(self) -> None:
        self._closed = True

    def _finish(self) -> None:
        for server in self._servers:
            wasyncore.dispatcher.close(server)  # not its trigger: threads wake this one by it
        end = time.monotonic() + STOP_SECONDS
        while time.monotonic() < end and any(
            channel.requests or channel.total_outbufs_len for channel in self._channels.values()
        ):
            self._step(0.1)
        self._lanes.shutdown(THREADS_SECONDS)

    def _step(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, map=self._map, use_poll=True, count=1)


def _leave(*_: object) -> None:
    raise SystemExit
