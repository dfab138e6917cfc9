"""Wrong passwords are slowed down, address by address, in little memory."""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from backend.address import plain_address

FREE = 10  # wrong passwords before an address has to wait
SECONDS_EACH = 6.0  # then one such try is looked at in so many seconds
KNOWN_SECONDS = 24 * 3600.0  # that an address stays known after a right password
MOST = 4096  # addresses remembered, of each kind; the ones heard of longest ago are forgotten


@dataclass
class _Wrong:
    count: float
    at: float


class Logins:
    """Who gave right and wrong passwords. Safe for threads.

    An address that gave the right password of late is never made to wait: whoever shares it with
    somebody guessing (behind a proxy, say) stays in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, _Wrong] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str | None) -> float:
        """Seconds until a password from there is looked at; 0 for now.

        >>> logins = Logins(clock=lambda: 0.0)
        >>> for _ in range(12):
        ...     logins.failed("203.0.113.7")
        >>> logins.wait("203.0.113.7"), logins.wait("203.0.113.8")
        (18.0, 0.0)
        """
        key = _group(address)
        with self._lock:
            now = self._clock()
            if self._known.get(key, float("-inf")) > now - KNOWN_SECONDS:
                return 0.0
            over = self._left(key, now) - FREE + 1
        return max(0.0, over * SECONDS_EACH)

    def failed(self, address: str | None) -> None:
        key = _group(address)
        with self._lock:
            now = self._clock()
            _remember(self._wrong, key, _Wrong(self._left(key, now) + 1, now))

    def succeeded(self, address: str | None) -> None:
        key = _group(address)
        with self._lock:
            self._wrong.pop(key, None)
            _remember(self._known, key, self._clock())

    def _left(self, key: str, now: float) -> float:
        wrong = self._wrong.get(key)
        return max(0.0, wrong.count - (now - wrong.at) / SECONDS_EACH) if wrong else 0.0


def _remember(kept: OrderedDict, key: str, value: object) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MOST:
        kept.popitem(last=False)


def _group(address: str | None) -> str:
    """An address, or the network of an IPv6 one: its owner has 2^64 of them."""
    plain = plain_address(address or "")
    try:
        parsed = ipaddress.ip_address(plain)
    except ValueError:
        return plain
    if parsed.version == 4:
        return plain
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
