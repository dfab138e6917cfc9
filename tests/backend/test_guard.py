"""Where a fetch of task media must not lead, in every spelling that a socket understands."""

import pytest
import requests
from requests_hardened.ip_filter import InvalidIPAddress

from backend.address import read_address
from backend.guard import LOCAL_NETWORKS, GuardedAdapter, open_session

PRIVATE = (
    "127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "0.0.0.0",
    "localhost", "LOCALHOST", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "100.100.100.200", "192.0.0.1", "192.0.0.170", "192.88.99.1", "198.18.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[fe80::1]", "[fec0::1]", "[fd00::1]", "[ff02::1]", "[100::1]", "[5f00::1]",
    "[3fff::1]", "[2001:db8::1]",
    "[::127.0.0.1]", "[::a9fe:a9fe]",  # IPv4 in IPv6: compatible,
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]",  # mapped,
    "[::ffff:0:127.0.0.1]", "[::ffff:0:a9fe:a9fe]",  # translated,
    "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",  # behind NAT64,
    "[2002:7f00:1::]", "[2001:0:7f00:1::]",  # and in tunnels
)  # fmt: skip


def goes_to(host: str) -> str:
    url = read_address(f"http://{host}/a.jpg").url
    adapter = open_session(()).get_adapter(url)
    assert isinstance(adapter, GuardedAdapter)
    request = requests.Request("GET", url).prepare()
    found: str = adapter.build_connection_pool_key_attributes(request, True)[0]["host"]
    return found


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_not_connected_to(host: str) -> None:
    with pytest.raises(InvalidIPAddress):
        goes_to(host)


def test_an_allowed_address_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A Label Studio on this machine would fill the log: a line for each call."""
    url = read_address("http://127.0.0.1/a.jpg").url
    adapter = open_session(LOCAL_NETWORKS).get_adapter(url)
    assert isinstance(adapter, GuardedAdapter)
    adapter.build_connection_pool_key_attributes(requests.Request("GET", url).prepare(), True)
    assert caplog.text == ""


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700:4700::1111]"])
def test_those_of_the_internet_are(host: str) -> None:
    assert goes_to(host) == host
