"""Projects as people name them."""

import pytest

from backend.database.keys import ProjectKey, project_text, read_project
from videogem.errors import InputError


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("20", ProjectKey("", 20)),
        (" 20\n", ProjectKey("", 20)),
        ("20@http://ls.example:8080", ProjectKey("http://ls.example:8080", 20)),
        ("20@HTTP://127.0.0.1:8080/", ProjectKey("http://localhost:8080", 20)),
        ("20@https://Example.org:443/studio/", ProjectKey("https://example.org/studio", 20)),
        ("20@http://[::1]:8080", ProjectKey("http://localhost:8080", 20)),
    ],
)
def test_a_project_is_read_and_written_again(text: str, key: ProjectKey) -> None:
    assert read_project(text) == key
    assert read_project(project_text(key)) == key


@pytest.mark.parametrize(
    "text",
    ["", "x", "1.5", "-1", "\u00b2", "1234567890", "20@", "20@ls.example", "20@ftp://ls.example",
     "20@http://user:word@ls.example", "20@http://ls.example:port", "@http://ls.example",
     "20@http://ls\0.example", "20@http://ls.example/\ud800", f"20@http://ls.example/{'x' * 400}"],
)  # fmt: skip
def test_what_is_no_project_is_told(text: str) -> None:
    with pytest.raises(InputError, match="number@server"):
        read_project(text)
