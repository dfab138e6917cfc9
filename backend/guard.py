"""Keeps connections away from addresses that nobody meant, and ends them when their time is up."""

import contextlib
import ipaddress
import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

# It warns of every private address before it is known whether that is allowed; of the others the
# caller tells.
logging.getLogger("requests_hardened.ip_filter").setLevel(logging.ERROR)
# It repeats addresses with their queries, where links carry their secrets.
logging.getLogger("urllib3").setLevel(logging.ERROR)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


# Where a Label Studio may well run: this machine, a local network, a container network. Not here:
# link-local addresses, where cloud machines keep their credentials.
LOCAL_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7",
    )
)  # fmt: skip


# IPv6 outside it is nobody's on the internet, and holds old forms of private addresses: site-local
# ones (fec0::/10), and IPv4 ones in forms that translators know (::7f00:1, ::ffff:0:7f00:1).
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")


class Session(requests.Session):
    """A session whose connections can be cut.

    A timeout of ``requests`` is one between bytes: a server that sends one now and then holds its
    reader for ever, in the handshake, the headers and the body alike.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_limited = False
        self._is_cut = False

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: whoever follows a redirect reads its address with ``follow`` first."""

    def watch(self, connection: socket.socket) -> None:
        """Remember a connection; TLS takes the socket itself over, so a second handle is kept."""
        with self._lock:
            if not self._is_limited:
                return
            self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))
            if self._is_cut:
                self._shut(self._sockets[-1])

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Cut every connection made meanwhile that still is used when the time is over."""
        self._is_limited = True
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._is_limited = False
            self._drop()

    def _cut(self) -> None:
        with self._lock:
            self._is_cut = True
            for one in self._sockets:
                self._shut(one)

    @staticmethod
    def _shut(one: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has ended by itself
            one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        self._drop()

    def _drop(self) -> None:
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()


class WatchedAdapter(HTTPAdapter):
    """Connections of a session that may be cut."""

    def __init__(self, session: Session | None = None) -> None:
        if session is not None:  # else a subclass has set it: pools are made by the next line
            self._session = session
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._watch_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        self._watch_pools(manager)
        return manager

    def _watch_pools(self, manager: Any) -> None:
        watch = self._session.watch

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                connection = super()._new_conn()
                watch(connection)
                return connection

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                connection = super()._new_conn()
                watch(connection)
                return connection

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


class GuardedAdapter(IPFilterAdapter, WatchedAdapter):  # type: ignore[misc]  # the library has no types
    """Connects to the very address it has checked, so a name cannot change its mind in between.

    Through a proxy, too: the proxy is asked for the checked address, never for a name.
    """

    def __init__(self, session: Session, *, https: bool, allowed: tuple[Network, ...]) -> None:
        self._session = session  # before the pools are made
        super().__init__(is_https_proto=https)  # type: ignore[call-arg]  # of the library's class
        self._allowed = allowed
        self._literal = ""  # the address checked last; a session of ours serves one request a time
        self._direct = False

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """What `requests` asks for before it connects.

        Raises:
            InvalidIPAddress: the name leads to a private address that is not allowed.
        """
        self._direct = False
        try:
            checked: tuple[Any, Any] = super().build_connection_pool_key_attributes(
                request, verify, cert
            )
            _check_public(checked[0]["host"])
        except InvalidIPAddress as error:
            address = error.args[0]
            if not any(address in network for network in self._allowed):
                raise
            checked = self._pinned(request, verify, cert, address)
            self._direct = True
        self._literal = checked[0]["host"]
        return checked

    def _pinned(
        self, request: Any, verify: Any, cert: Any, address: IPAddress
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        host: Any
        pool: Any
        host, pool = HTTPAdapter.build_connection_pool_key_attributes(self, request, verify, cert)
        if self._is_https_proto:
            names = {"assert_hostname": host["host"], "server_hostname": host["host"]}
            pool = {**pool, **names}
        literal = f"[{address}]" if address.version == 6 else str(address)
        return {**host, "host": literal}, pool

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """As `requests` does; what is allowed although it is private is reached without proxy."""
        if not proxies:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        host, pool = self.build_connection_pool_key_attributes(request, verify, cert)
        proxy = None if self._direct else select_proxy(request.url, proxies)
        manager = self.poolmanager if proxy is None else self.proxy_manager_for(proxy)
        return manager.connection_from_host(**host, pool_kwargs=pool)

    def request_url(self, request: Any, proxies: Any) -> str:
        """What stands in the request's first line: for a proxy the address that was checked."""
        if self._direct:
            proxies = None
        url: str = super().request_url(request, proxies)
        if not url.startswith("http://"):
            return url
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return parts._replace(netloc=self._literal + port).geturl()


def _check_public(literal: str) -> None:
    """What the library does not look at: it knows the private networks of today.

    Raises:
        InvalidIPAddress: an IPv6 address that is not of the internet.
    """
    address = ipaddress.ip_address(literal.strip("[]"))
    if address.version == 6 and address not in PUBLIC_IPV6 and address.ipv4_mapped is None:
        raise InvalidIPAddress(address)


def open_session(
    allowed: tuple[Network, ...] | None, proxies: Mapping[str, str] | None = None
) -> Session:
    """A session that reaches public addresses and the allowed networks; with None, everything.

    It takes nothing from the environment: no proxy round the check, and no ~/.netrc entry, which
    would silently replace a token.
    """
    session = Session()
    session.trust_env = False
    session.proxies.update(proxies or {})
    for scheme in ("http", "https"):
        adapter: HTTPAdapter = (
            WatchedAdapter(session)
            if allowed is None
            else GuardedAdapter(session, https=scheme == "https", allowed=allowed)
        )
        session.mount(f"{scheme}://", adapter)
    return session
