"""One reading of an address: what is decided on it is what is connected to.

Two parsers that disagree about one text are a way past every check (a backslash is a slash to one
and part of a user name to the other). So an address is brought to its final form once, by the
library that also connects, and everything about it is decided on that form.
"""

import contextlib
import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote, urljoin

import requests
import urllib3

from videogem.errors import InputError

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")  # control characters and backslashes
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\]")
_LABEL = 63  # characters between two dots of a name,
_NAME = 253  # and of all of it: no resolver takes more, and some fail in ways of their own
_USER = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#]*@")
_PORTS = {"http": 80, "https": 443}
SHOWN = 300  # characters of an address in a message


class AddressError(InputError):
    """A text that is no plain http or https address."""


@dataclass(frozen=True)
class Address:
    """An http or https address in its final form: ``url`` is what goes to the socket."""

    url: str
    scheme: str
    host: str  # lower case, without a dot at the end; IPv6 in brackets, and short
    port: int
    path: str

    @property
    def place(self) -> str:
        """Host and port as requests name them: without the port that goes with the scheme."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """For messages: without the query, where presigned links carry their secrets."""
        query = urllib3.util.parse_url(self.url).query or ""
        kept = f"?{query}" if self.path.rstrip("/").endswith("/data/local-files") else ""
        return abridged(f"{self.scheme}://{self.place}{self.path}{kept}")


def read_address(text: str) -> Address:
    """The final form of an address.

    Refused are addresses that readers disagree about: with a backslash or control characters, user
    and password, a port or host in another form than usual.

    Raises:
        AddressError: no http or https address, or one of those; the message does not repeat it
            where it may hold a password.
    """
    if not isinstance(text, str) or _FORBIDDEN.search(text):
        raise AddressError("An address must not hold backslashes or control characters.")
    text = text.strip().replace(" ", "%20")  # as file names have them
    if not re.match(r"https?://[^/]", text, re.IGNORECASE):
        raise AddressError(f"{shown(text)!r} is no http or https address.")
    authority = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        raise AddressError("An address must not hold a user or a password ('@' before the host).")
    try:
        prepared = requests.Request("GET", text).prepare().url or ""
        parts = urllib3.util.parse_url(prepared)
    except (requests.RequestException, urllib3.exceptions.LocationParseError, ValueError):
        raise AddressError(f"{shown(text)!r} is no address that can be read.") from None
    scheme, host = (parts.scheme or "").lower(), (parts.host or "").lower()
    if parts.auth is not None or scheme not in _PORTS or not _is_host(host):
        raise AddressError(f"{shown(text)!r} has no plain host name.")
    if parts.port == 0 or re.search(r":0*$", authority):
        raise AddressError(f"{shown(text)!r} has no valid port.")
    port = parts.port or _PORTS[scheme]
    return Address(prepared, scheme, _plain_ip(host.rstrip(".")), port, parts.path or "/")


def plain_host(text: str) -> str:
    """A host as people write it in the form that addresses come to; a port is left out.

    >>> plain_host("Media.example.:80"), plain_host("0:0::1"), plain_host("k\u00fcche.example")
    ('media.example', '[::1]', 'xn--kche-0ra.example')

    Raises:
        AddressError: no address has such a host.
    """
    return _plain_ip(text) if is_ip(text) else read_address(f"http://{text}/").host


def _plain_ip(host: str) -> str:
    """An IP address in the shortest form, that of IPv6 in brackets; a name as it is."""
    if not is_ip(host):
        return host
    address = ipaddress.ip_address(host.strip("[]"))
    return f"[{address}]" if address.version == 6 else str(address)


def _is_host(host: str) -> bool:
    if not _HOST.fullmatch(host):
        return False
    if host.startswith("["):
        return is_ip(host)
    name = host.removesuffix(".")
    return len(name) <= _NAME and all(1 <= len(label) <= _LABEL for label in name.split("."))


def shown(text: str) -> str:
    """Any address for messages: short, and without user, password and query, where secrets are.

    >>> shown("ftp://user:password@files.example/a.jpg?signature=s")
    'ftp://files.example/a.jpg'
    """
    return abridged(without_password(re.split(r"[?#]", text, maxsplit=1)[0]))


def is_data(reference: str) -> bool:
    """Whether what is meant stands in the address itself (``data:``), which then has no name."""
    return reference[:5].lower() == "data:"


def without_password(url: str) -> str:
    """An address without user and password before its host."""
    return _USER.sub(r"\1", url)


def abridged(text: str) -> str:
    """A text for messages: tasks may hold megabytes."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}...{text[-SHOWN // 2 :]}"


def follow(address: Address, location: str) -> Address:
    """Where a redirect leads.

    Raises:
        AddressError: as for `read_address`.
    """
    with contextlib.suppress(UnicodeError):  # headers come as Latin-1, servers write UTF-8
        location = location.encode("latin-1").decode("utf-8")
    if _FORBIDDEN.search(location):
        raise AddressError("A redirect must not hold backslashes or control characters.")
    if _SCHEME.match(location):  # urljoin would take "http:/x" for a path of this host
        return read_address(location)
    try:
        return read_address(urljoin(address.url, location))
    except ValueError as error:
        if isinstance(error, AddressError):
            raise
        raise AddressError("A redirect leads to no address that can be read.") from None


@dataclass(frozen=True)
class Origin:
    """Scheme, host, port and path prefix: the application a token is bound to."""

    scheme: str
    host: str
    port: int
    prefix: str = ""  # "/label-studio", or "" at the root of its host

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of an application that runs at this address.

        Raises:
            AddressError: no plain address.
        """
        address = read_address(url)
        return cls(address.scheme, address.host, address.port, address.path.rstrip("/"))

    def holds(self, address: Address) -> bool:
        """Whether an address belongs to this application, however its path is spelled."""
        if (address.scheme, address.host, address.port) != (self.scheme, self.host, self.port):
            return False
        if not self.prefix:
            return True
        path = address.path
        for _ in range(4):  # servers and proxies decode once or twice
            if not _is_below(path, self.prefix):
                return False
            path = unquote(path, errors="surrogateescape")
        # Encoded deeper than that, it is nobody's path. Nor is one that is no text or has control
        # characters: servers differ about those.
        return path == unquote(path, errors="surrogateescape") and not any(
            unicodedata.category(letter) in ("Cc", "Cs") for letter in path
        )


def _is_below(path: str, prefix: str) -> bool:
    # Servers drop what follows a semicolon, a space or a question mark, and fold wide dots: "..;x"
    # climbs there. In the final form nothing else begins with two dots.
    plain = unicodedata.normalize("NFKC", path).replace("\\", "/")
    if any(part.lstrip().startswith("..") for part in plain.split("/")):
        return False
    return plain == prefix or plain.startswith(prefix + "/")


def is_loopback_name(host: str) -> bool:
    """Whether a host can only be this machine."""
    return host == "localhost" or (
        is_ip(host) and ipaddress.ip_address(host.strip("[]")).is_loopback
    )


def plain_address(text: str) -> str:
    """A client's address as proxies write it, with quotes, brackets or port, in one form.

    >>> plain_address('"[2001:DB8::1]:4711"'), plain_address("203.0.113.7:4711")
    ('2001:db8::1', '203.0.113.7')
    >>> plain_address("::ffff:203.0.113.7"), plain_address("unknown")
    ('203.0.113.7', 'unknown')
    """
    text = text.strip(' \t"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    return str(getattr(address, "ipv4_mapped", None) or address)


def is_ip(host: str) -> bool:
    """Whether a host is an address and no name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
