"""Media through a proxy, which is asked for addresses that were checked here."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.media.fetch import MediaError
from tests.backend.media.reader import media, read, signed_in
from tests.http_server import Answer, Server, http_server

# Of media.example, with its key, for a hundred years.
CERTIFICATE = Path(__file__).resolve().parents[2] / "data" / "media_example.pem"


@contextlib.contextmanager
def tunnel() -> Iterator[tuple[str, list[str]]]:
    """A proxy that takes CONNECT and is the far end itself; what was asked, and for whom by TLS."""
    seen: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.sni_callback = lambda _socket, name, _context: seen.append(str(name))

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as link:
            seen.append(link.recv(65536).decode().partition(" HTTP/")[0])
            link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with context.wrap_socket(link, server_side=True) as inner:
                inner.recv(65536)
                inner.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nby tunnel")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
        thread.join(10)


class TestProxy:
    """Media from elsewhere through a proxy; the address it is asked for is checked here."""

    @pytest.fixture
    def proxy(self) -> Iterator[Server]:
        with http_server() as server:
            server.fallback = lambda request: Answer(b"by proxy")
            yield server

    def test_the_proxy_is_asked_for_the_checked_address(
        self, tmp_path: Path, proxy: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = [(2, 1, 6, "", ("93.184.216.34", 80))]
        resolve = socket.getaddrinfo

        def fake(host: Any, *given: Any, **named: Any) -> Any:
            return found if host == "media.example" else resolve(host, *given, **named)

        monkeypatch.setattr(socket, "getaddrinfo", fake)
        reader = media(tmp_path, None, media_proxy=proxy.url)
        assert read(reader, "http://media.example/a.jpg") == b"by proxy"
        assert proxy.targets == ["http://93.184.216.34/a.jpg"]
        assert proxy.requests[0].headers["host"].startswith("media.example")

    @pytest.mark.parametrize("name", ["media.example", "other.example"])
    def test_https_goes_through_a_tunnel_to_the_checked_address(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        resolve = socket.getaddrinfo

        def fake(host: Any, *given: Any, **named: Any) -> Any:
            found = [(2, 1, 6, "", ("93.184.216.34", 443))]
            return found if host == name else resolve(host, *given, **named)

        monkeypatch.setattr(socket, "getaddrinfo", fake)
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(CERTIFICATE))
        with tunnel() as (url, seen):
            reader = media(tmp_path, None, media_proxy=url)
            if name == "media.example":
                assert read(reader, f"https://{name}/a.jpg") == b"by tunnel"
            else:  # the certificate's name is checked, not the address that was connected to
                with pytest.raises(MediaError, match="cannot be reached"):
                    read(reader, f"https://{name}/a.jpg")
        assert seen == ["CONNECT 93.184.216.34:443", name]

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_a_proxy_that_asks_for_a_password_is_told(
        self, tmp_path: Path, proxy: Server, scheme: str
    ) -> None:
        proxy.fallback = lambda request: Answer(b"", 407)
        reader = media(tmp_path, None, media_proxy=proxy.url)
        with pytest.raises(MediaError, match=r"user and a password \(407\).*VIDEOGEM_MEDIA_PROXY"):
            read(reader, f"{scheme}://93.184.216.34/a.jpg")
        assert len(proxy.targets) == 1

    def test_a_tunnel_is_not_asked_for_private_addresses(
        self, tmp_path: Path, proxy: Server
    ) -> None:
        reader = media(tmp_path, None, media_proxy=proxy.url)
        with pytest.raises(MediaError, match="private address"):
            read(reader, "https://127.0.0.1/a.jpg")
        assert proxy.targets == []

    def test_private_addresses_are_refused_behind_it_too(
        self, tmp_path: Path, proxy: Server, elsewhere: Server
    ) -> None:
        reader = media(tmp_path, None, media_proxy=proxy.url)
        with pytest.raises(MediaError, match="private address"):
            read(reader, f"{elsewhere.url}/a.jpg")
        assert proxy.requests == elsewhere.requests == []

    @pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.0/8"])
    def test_label_studio_and_allowed_hosts_are_reached_without_it(
        self, tmp_path: Path, proxy: Server, label_studio: Server, elsewhere: Server, allowed: str
    ) -> None:
        label_studio.routes["/data/a.jpg"] = signed_in
        elsewhere.routes["/a.jpg"] = lambda request: Answer(b"file")
        reader = media(tmp_path, label_studio.url, media_proxy=proxy.url, allowed_hosts=allowed)
        assert read(reader, "/data/a.jpg") == b"file"
        assert read(reader, f"{elsewhere.url}/a.jpg") == b"file"
        assert proxy.requests == []
