"""Keeps connections away from addresses that nobody meant."""

import ipaddress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Where a Label Studio may well run: this machine, a local network, a container network. Not here:
# link-local addresses, where cloud machines keep their credentials.
LOCAL_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7",
    )
)  # fmt: skip


class GuardedAdapter(IPFilterAdapter):  # type: ignore[misc]  # the library has no types
    """Connects to the very address it has checked, so a name cannot change its mind in between."""

    def __init__(self, *, https: bool, allowed: tuple[Network, ...]) -> None:
        super().__init__(is_https_proto=https)
        self._allowed = allowed

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """What `requests` asks for before it connects.

        Raises:
            InvalidIPAddress: the name leads to a private address that is not allowed.
        """
        try:
            checked: tuple[Any, Any] = super().build_connection_pool_key_attributes(
                request, verify, cert
            )
        except InvalidIPAddress as error:
            address = error.args[0]
            if not any(address in network for network in self._allowed):
                raise
            host: Any
            pool: Any
            host, pool = HTTPAdapter.build_connection_pool_key_attributes(
                self, request, verify, cert
            )
            if self._is_https_proto:
                names = {"assert_hostname": host["host"], "server_hostname": host["host"]}
                pool = {**pool, **names}
            literal = f"[{address}]" if address.version == 6 else str(address)
            return {**host, "host": literal}, pool
        return checked


def open_session(allowed: tuple[Network, ...] | None) -> requests.Session:
    """A session that reaches public addresses and the allowed networks; with None, everything.

    It takes nothing from the environment: no proxy round the check, and no ~/.netrc entry, which
    would silently replace a token.
    """
    session = requests.Session()
    session.trust_env = False
    if allowed is not None:
        session.mount("http://", GuardedAdapter(https=False, allowed=allowed))
        session.mount("https://", GuardedAdapter(https=True, allowed=allowed))
    return session
