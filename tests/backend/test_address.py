"""Confusing addresses: what is decided on them is what is connected to."""

import io
from pathlib import Path

import pytest
from pydantic import SecretStr

from backend.address import AddressError, Origin, follow, read_address
from backend.label_studio.client import LabelStudio
from backend.media.fetch import Fetcher, MediaError
from backend.settings import Settings
from tests.http_server import Answer, http_server

ROOT = Origin.of("http://labelstudio:8080")
BELOW = Origin.of("http://tools.example/label-studio/")

REFUSED = [
    r"http://evil\@labelstudio:8080/x.jpg",
    r"http://labelstudio:8080\@evil/x.jpg",
    r"http:\\labelstudio:8080\x.jpg",
    r"http://labelstudio:8080\.evil/x.jpg",
    r"http://evil\labelstudio:8080/x.jpg",
    r"http://evil#\@labelstudio:8080/",
    r"http://evil?\@labelstudio:8080/",
    r"http://labelstudio:8080/\..\x.jpg",
    r"\\labelstudio:8080\x.jpg",
    r"http:/\labelstudio:8080/x.jpg",
    "http://user@labelstudio:8080/x.jpg",
    "http://user:pass@labelstudio:8080/x.jpg",
    "http://labelstudio:8080@evil/x.jpg",
    "http://evil@labelstudio:8080@evil2/x.jpg",
    "http://@labelstudio:8080/x.jpg",
    "http://:@labelstudio:8080/x.jpg",
    "http://evil%40labelstudio:8080/x.jpg",
    "http://labelstudio:8080%40evil/x.jpg",
    "http://labelstudio%3a8080/x.jpg",
    "http://labelstudio%2f.evil/x.jpg",
    "http://labelstudio%5c.evil/x.jpg",
    "http://labelstudio%00.evil/x.jpg",
    "http://labelstudio%23.evil:8080/x.jpg",
    "http://labelstudio:8080 .evil/x.jpg",
    "http://labelstudio :8080/x.jpg",
    "http://labelstudio\t:8080/x.jpg",
    "http://labelstudio\n:8080/x.jpg",
    "http://labelstudio:8080/x\r\nX-Header: 1",
    "http://labelstudio:8080/x\x00.jpg",
    "http://labelstudio\x7f:8080/x.jpg",
    "http://labelstudio\x85:8080/x.jpg",
    "http://labelstudio:99999/x.jpg",
    "http://labelstudio:-1/x.jpg",
    "http://labelstudio:0/x.jpg",
    "http://labelstudio:80a/x.jpg",
    "http://labelstudio:8080:80/x.jpg",
    "http://labelstudio:\uff18\uff10/x.jpg",
    "http://",
    "http:///x.jpg",
    "http:////labelstudio:8080/x.jpg",
    "http:labelstudio:8080/x.jpg",
    "http:/labelstudio:8080/x.jpg",
    "//labelstudio:8080/x.jpg",
    "labelstudio:8080/x.jpg",
    "/x.jpg",
    "",
    "ftp://labelstudio:8080/x.jpg",
    "file:///etc/passwd",
    "file://labelstudio:8080/x.jpg",
    "gopher://labelstudio:8080/x.jpg",
    "javascript:alert(1)//labelstudio:8080",
    "data:text/plain,labelstudio:8080",
    "httpx://labelstudio:8080/x.jpg",
    "http+unix://labelstudio:8080/x.jpg",
    "http://[::1/x.jpg",
    "http://::1]/x.jpg",
    "http://[labelstudio]:8080/x.jpg",
    "http://[::ffff:999.1.1.1]/x.jpg",
    "http://label..studio:8080/x.jpg",
    "http://labelstudio..:8080/x.jpg",
    f"http://{64 * 'a'}.example/x.jpg",
    f"http://{130 * 'a.'}example/x.jpg",
    "http://[::1%25eth0]:8080/x.jpg",
    "http://*:8080/x.jpg",
    "http://label*studio:8080/x.jpg",
    "http://labelstudio,evil:8080/x.jpg",
    "http://labelstudio;evil:8080/x.jpg",
    "http://label'studio:8080/x.jpg",
    "http://-labelstudio:8080/x.jpg",
    "http://.labelstudio:8080/x.jpg",
    "http://labelstudio..evil..:8080/x.jpg".replace("..:", "...:"),
]
TOKEN = [
    "http://labelstudio:8080/x.jpg",
    "HTTP://LabelStudio:8080/x.jpg",
    "http://labelstudio.:8080/x.jpg",
    "  http://labelstudio:8080/x.jpg ",
    "http://labelstudio:8080",
    "http://labelstudio:8080?d=x.jpg",
    "http://labelstudio:8080#evil",
    "http://labelstudio:8080/my frame.jpg",
    "http://labelstudio:8080/@evil/x.jpg",
    "http://labelstudio:8080/x.jpg?next=http://evil/",
    "http://labelstudio:8080//evil/x.jpg",
    "http://labelstudio:8080/%5cevil",
    "http://labelstudio:8080/data/upload/1/Küche.jpg",
]
STRANGER = [
    "http://evil/x.jpg",
    "http://evil:8080/x.jpg",
    "https://labelstudio:8080/x.jpg",
    "http://labelstudio/x.jpg",
    "http://labelstudio:8081/x.jpg",
    "http://labelstudio.evil:8080/x.jpg",
    "http://evil.labelstudio:8080/x.jpg",
    "http://evil/labelstudio:8080/x.jpg",
    "http://evil/@labelstudio:8080/x.jpg",
    "http://evil?@labelstudio:8080/x.jpg",
    "http://evil#@labelstudio:8080/x.jpg",
    "http://evil/?http://labelstudio:8080/x.jpg",
    "http://labelstudio-8080/x.jpg",
    "http://lab\u00e9lstudio:8080/x.jpg",
    "http://xn--labelstudio-:8080/x.jpg".replace("-:", "-x:"),
    "http://0x7f000001:8080/x.jpg",
    "http://2130706433:8080/x.jpg",
    "http://127.1:8080/x.jpg",
    "http://[::1]:8080/x.jpg",
    "http://[::ffff:127.0.0.1]:8080/x.jpg",
]
BELOW_TOKEN = [
    "http://tools.example/label-studio/data/x.jpg",
    "http://tools.example:80/label-studio/x.jpg",
    "http://tools.example/label-studio",
    "http://tools.example/label-studio/a/../b.jpg",
    "http://tools.example/label-studio/a%20b.jpg",
    "http://tools.example/label-studio/a;b.jpg",
    "http://tools.example/label-studio/ü.jpg",
    "HTTP://tools.example/label-studio/x.jpg",
]
BELOW_STRANGER = [
    "http://tools.example/x.jpg",
    "http://tools.example/label-studio-evil/x.jpg",
    "http://tools.example/label-studio/../evil/x.jpg",
    "http://tools.example/label-studio/%2e%2e/evil/x.jpg",
    "http://tools.example/label-studio/%2E%2E/evil/x.jpg",
    "http://tools.example/label-studio/%252e%252e/evil/x.jpg",
    "http://tools.example/label-studio/%25252e%25252e/evil/x.jpg",
    "http://tools.example/label-studio/..%2fevil/x.jpg",
    "http://tools.example/label-studio/..%5cevil/x.jpg",
    "http://tools.example/label-studio%2f..%2fevil/x.jpg",
    "http://tools.example/evil/label-studio/x.jpg",
    "http://tools.example//label-studio/../evil/x.jpg",
    "http://tools.example/LABEL-STUDIO/x.jpg",
    "http://tools.example/label-studio/..;/evil/x.jpg",
    "http://tools.example/label-studio/..;v=1/evil/x.jpg",
    "http://tools.example/label-studio/%2e%2e;/evil/x.jpg",
    "http://tools.example/label-studio/%c0%ae%c0%ae/evil/x.jpg",
    "http://tools.example/label-studio/\uff0e\uff0e/evil/x.jpg",
    "http://tools.example/label-studio/\u2025/evil/x.jpg",
    "http://tools.example/label-studio/..%20/evil/x.jpg",
    "http://tools.example/label-studio/%20../evil/x.jpg",
    "http://tools.example/label-studio/..%3f/evil/x.jpg",
    "http://tools.example/label-studio/..%23/evil/x.jpg",
    "http://tools.example/label-studio/..%26/evil/x.jpg",
    "http://tools.example/label-studio/.../evil/x.jpg",
    "http://tools.example/label-studio/%2e%2e%2520/evil/x.jpg",
    "http://tools.example/label-studio/a/..%20/..%20/evil/x.jpg",
    "http://tools.example/label-studio/%FF.jpg",
    "http://tools.example/label-studio/%00x.jpg",
    "http://tools.example/label-studio/%0d%0aX:y",
]


def test_there_are_a_hundred() -> None:
    assert len([*REFUSED, *TOKEN, *STRANGER, *BELOW_TOKEN, *BELOW_STRANGER]) >= 100


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(AddressError):
        read_address(text)


@pytest.mark.parametrize("text", TOKEN)
def test_label_studios_own(text: str) -> None:
    assert ROOT.holds(read_address(text))


@pytest.mark.parametrize("text", STRANGER)
def test_strangers(text: str) -> None:
    try:
        address = read_address(text)
    except AddressError:
        return  # as good: nothing is sent anywhere
    assert not ROOT.holds(address)


@pytest.mark.parametrize("text", BELOW_TOKEN)
def test_below_a_sub_path(text: str) -> None:
    assert BELOW.holds(read_address(text))


@pytest.mark.parametrize("text", BELOW_STRANGER)
def test_another_application_of_the_same_host(text: str) -> None:
    assert not BELOW.holds(read_address(text))


def test_a_redirect_is_read_the_same_way() -> None:
    here = read_address("http://elsewhere/x.jpg")
    assert follow(here, "/y.jpg").url == "http://elsewhere/y.jpg"
    assert follow(here, "//evil/y.jpg").host == "evil"
    with pytest.raises(AddressError):
        follow(here, r"http://evil\@labelstudio:8080/x.jpg")


UNREADABLE = [
    "http://[::1/x.jpg",
    "//[::1/x.jpg",
    "http://evil\uff0f@labelstudio:8080/x.jpg",
    "http://evil\uff20labelstudio:8080/x.jpg",
    "http://evil\u2100labelstudio:8080/x.jpg",
    "http:/labelstudio:8080/x.jpg",
    "http:labelstudio/x.jpg",
    "http:///labelstudio:8080/x.jpg",
]


@pytest.mark.parametrize("location", UNREADABLE)
def test_a_redirect_that_cannot_be_read_is_told(tmp_path: Path, location: str) -> None:
    """Not as a defect: requests itself reads a Location, even where it must not follow it."""
    with http_server() as evil:
        header = location.encode().decode("latin-1")
        evil.routes["/start"] = lambda _: Answer(status=302, headers={"Location": header})
        settings = Settings(data_dir=tmp_path, allowed_hosts=("127.0.0.1",))
        with pytest.raises(MediaError):
            Fetcher(settings).fetch(f"{evil.url}/start", io.BytesIO(), None)
        assert [request.path for request in evil.requests] == ["/start"]


def test_long_addresses_are_shown_short() -> None:
    shown = read_address("http://evil/" + 20_000 * "x" + ".jpg").shown
    assert len(shown) < 310
    assert shown.endswith("xx.jpg")


def test_queries_are_not_shown() -> None:
    with pytest.raises(AddressError) as error:
        read_address("http://ho*st/a?sig=s3cret")
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("form", [r"http://{evil}\@{own}/x", r"http://{own}\@{evil}/x"])
@pytest.mark.parametrize("redirected", [False, True])
def test_the_key_never_reaches_a_stranger(tmp_path: Path, *, form: str, redirected: bool) -> None:
    """Real sockets: whatever the two servers saw, no stranger saw the key."""
    with http_server() as own, http_server() as evil:
        text = form.format(evil=evil.url.removeprefix("http://"), own=own.url[7:])
        evil.routes["/x"] = own.routes["/x"] = lambda _: Answer(b"bytes")
        evil.routes["/start"] = lambda _: Answer(status=302, headers={"Location": text})
        start = f"{evil.url}/start" if redirected else text
        settings = Settings(data_dir=tmp_path, allowed_hosts=("127.0.0.1",))
        with pytest.raises(MediaError):
            Fetcher(settings).fetch(start, io.BytesIO(), LabelStudio(own.url, SecretStr("a" * 40)))
        assert not any("authorization" in request.headers for request in evil.requests)


def test_the_key_stays_within_its_application(tmp_path: Path) -> None:
    with http_server() as server:
        for path in "/label-studio/x", "/other/x":
            server.routes[path] = lambda _: Answer(b"bytes")
        server.routes["/label-studio/go"] = lambda _: Answer(
            status=302, headers={"Location": "/other/x"}
        )
        own = LabelStudio(f"{server.url}/label-studio", SecretStr("a" * 40))
        fetcher = Fetcher(Settings(data_dir=tmp_path, allowed_hosts=("127.0.0.1",)))
        for path in "/label-studio/x", "/label-studio/go":
            fetcher.fetch(server.url + path, io.BytesIO(), own)
        signed = [r.path for r in server.requests if "authorization" in r.headers]
        assert signed == ["/label-studio/x", "/label-studio/go"]


def test_allowed_hosts_match_whatever_their_case(tmp_path: Path) -> None:
    with http_server() as server:
        server.routes["/x"] = lambda _: Answer(b"bytes")
        fetcher = Fetcher(Settings(data_dir=tmp_path, allowed_hosts=("LocalHost",)))
        into = io.BytesIO()
        fetcher.fetch(f"http://LOCALhost:{server.port}/x", into, None)
        assert into.getvalue() == b"bytes"
