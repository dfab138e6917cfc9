"""Wrong passwords by address: who waits, for how long, and how much is remembered."""

from backend.web import logins
from backend.web.logins import FREE, KNOWN_SECONDS, MOST, SECONDS_EACH, Logins


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(found: Logins, address: str, times: int) -> None:
    for _ in range(times):
        found.failed(address)


def test_after_some_wrong_ones_each_costs_time() -> None:
    clock = Clock()
    found = Logins(clock)
    fail(found, "203.0.113.7", FREE - 1)
    assert found.wait("203.0.113.7") == 0
    fail(found, "203.0.113.7", 1)
    assert found.wait("203.0.113.7") == SECONDS_EACH
    clock.now += SECONDS_EACH
    assert found.wait("203.0.113.7") == 0
    fail(found, "203.0.113.7", 1)
    assert found.wait("203.0.113.7") == SECONDS_EACH
    assert found.wait("203.0.113.8") == 0
    clock.now += 3600
    fail(found, "203.0.113.7", FREE - 1)
    assert found.wait("203.0.113.7") == 0


def test_a_right_one_makes_an_address_known_for_a_day() -> None:
    clock = Clock()
    found = Logins(clock)
    found.succeeded("203.0.113.7")
    fail(found, "203.0.113.7", 100)
    assert found.wait("203.0.113.7") == 0
    clock.now += KNOWN_SECONDS
    fail(found, "203.0.113.7", FREE)
    assert found.wait("203.0.113.7") > 0


def test_an_ipv6_network_counts_as_one_address() -> None:
    found = Logins()
    for number in range(FREE + 1):
        found.failed(f"2001:db8::{number:x}")
    assert found.wait("2001:db8::ffff") > 0
    assert found.wait("2001:db8:0:1::1") == 0


def test_a_million_addresses_take_no_more_memory() -> None:
    found = Logins()
    found.succeeded("192.0.2.7")
    for number in range(3 * MOST):
        found.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(found._wrong) == logins.MOST
    fail(found, "192.0.2.7", 100)
    assert found.wait("192.0.2.7") == 0  # nobody is pushed out by wrong ones


def test_an_ipv4_address_in_the_form_of_ipv6_is_that_address_alone() -> None:
    found = Logins()
    fail(found, "::ffff:203.0.113.7", FREE + 1)
    assert found.wait("203.0.113.7") > 0
    assert found.wait("::ffff:203.0.113.8") == 0
