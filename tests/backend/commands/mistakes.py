"""What people do wrong, and files to do it with."""

import io
import json
import os
from pathlib import Path

from PIL import Image

EXPORT = {"id": 1, "data": {"image": "a.png", "narration": "cut the tomato"}}
CUE = "1\n00:00:01,000 --> 00:00:02,000\ncut the onion\n"


def make_files(folder: Path) -> None:
    """Files that are not what their names say, in ``folder``."""
    picture = io.BytesIO()
    Image.effect_noise((40, 30), 90).convert("RGB").save(picture, "PNG")
    whole = picture.getvalue()
    row = {"id": "1", "point": [5, 6], "box": [1, 2, 30, 40], "score": 0.5}
    boxes = {"id": "1", "boxes": [[1, 2, 30, 40]], "size": [64, 48], "label": "cut"}
    files: dict[str, bytes | str] = {
        "a.png": whole,
        "cut.png": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.png": "this is no picture",
        "empty.mp4": b"",
        "text.mp4": "this is no video",
        "picture.mp4": whole,
        "empty.srt": "",
        "words.srt": "cut the tomato\n",
        "binary.srt": bytes(range(256)) * 9,
        "a.srt": CUE,
        "late.srt": CUE.replace("00:00:0", "05:00:0"),
        "empty.json": "",
        "bad.json": '[{"id": 1,',
        "number.json": "5",
        "listed.json": "[1, 2]",
        "no_data.json": '[{"id": 1}]',
        "export.json": json.dumps([EXPORT]),
        "latin.json": '[{"id": 1, "data": {"narration": "Öl"}}]'.encode("latin-1"),
        "empty.jsonl": "",
        "bad.jsonl": '{"id": 1\n',
        "rows.jsonl": json.dumps(row),
        "boxes.jsonl": json.dumps(boxes),
        "twice.jsonl": f"{json.dumps(row)}\n{json.dumps(row)}",
        "texts.jsonl": json.dumps({**row, "point": ["5", "6"]}),
        "bare.jsonl": '{"id": "1"}',
        "list.jsonl": "[1, 2]",
        "latin.jsonl": '{"id": "ö"}'.encode("latin-1"),
        "empty.safetensors": b"",
        "text.safetensors": "these are no weights",
        "text.pt": "these are no weights",
        "text.sqlite": "this is no database, but it is long enough to be taken for one" * 20,
        "narrations.bin": bytes(range(256)),
    }
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)
    (folder / "folder.mp4").mkdir()
    (folder / "folder.srt").mkdir()
    (folder / "folder.jsonl").mkdir()
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.srt")
