"""Media as the tests read them: signed in where an address of Label Studio is given."""

from pathlib import Path
from typing import Any

from backend.label_studio.connections import Connections
from backend.media.media import Media
from backend.settings import Settings
from tests.http_server import Answer, Request

TOKEN = "0123456789abcdef0123456789abcdef01234567"


def media(tmp_path: Path, url: str | None, **options: Any) -> Media:
    token = TOKEN if url else None
    settings = Settings(
        data_dir=tmp_path, label_studio_url=url, label_studio_api_key=token, **options
    )
    return Media(settings, Connections(settings))


def read(media: Media, reference: Any, task: int | None = 5) -> bytes:
    with media.open(reference, project=None, task=task) as file:
        return file.read()


def signed_in(request: Request) -> Answer:
    ok = request.headers.get("authorization") == f"Token {TOKEN}"
    return Answer(b"file" if ok else b"", 200 if ok else 401)
