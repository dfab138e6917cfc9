"""Broken files of every kind the commands read, made from small whole ones by a seed."""

import io
import json
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from backend.commands.prompts import _read as narrations_of
from backend.labeling.config import parse_labeling
from backend.qa import pairs
from tests.hostile.values import as_json, mutated
from videogem.backbones.checkpoints import read_state_dict
from videogem.datasets.registry import read_dataset
from videogem.media.video import read_clip
from videogem.narration.reading import read_cues

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
LARGEST = 400_000  # bytes of a file that is broken
HUGE = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff" * 8, b"\x00\x01\x86\xa0")
BOMB = b'<!DOCTYPE a [<!ENTITY b "xxxxxxxxxx">' + b"".join(
    b'<!ENTITY c%d "%s">' % (n, (b"&c%d;" % (n - 1) if n else b"&b;") * 10) for n in range(9)
) + b']><tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="1s" end="2s">&c8;</p></div></body></tt>'  # fmt: skip  # noqa: E501
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE tt [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="1s" end="2s">&x;</p></div></body>'
    b"</tt>"
)


@dataclass(frozen=True)
class Kind:
    """Whole files of one kind, and the public function that reads one from its folder."""

    name: str
    samples: tuple[tuple[str, bytes], ...]  # file name, content
    read: Callable[[Path], Any]


def images() -> Kind:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    samples = []

    def add(name: str, image: Image.Image, kind: str, **options: Any) -> None:
        file = io.BytesIO()
        image.save(file, kind, **options)
        samples.append((name, file.getvalue()))

    colours = Image.fromarray(pixels)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) << 8)
    add("a.png", colours, "PNG")
    add("deep.png", deep, "PNG")
    add("palette.png", colours.quantize(8), "PNG")
    add("one.png", colours.crop((0, 0, 1, 1)), "PNG")
    add("a.jpg", colours, "JPEG", exif=Image.Exif().tobytes())
    add("cmyk.jpg", colours.convert("CMYK"), "JPEG")
    add("a.webp", colours, "WEBP")
    add("a.tiff", colours, "TIFF")
    add("a.bmp", colours, "BMP")
    others = [colours.rotate(90 * n) for n in range(3)]
    add("moves.gif", colours, "GIF", save_all=True, append_images=others)
    add("moves.webp", colours, "WEBP", save_all=True, append_images=others)
    giant = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(giant, "PNG")  # 50 kB that promise 400 million pixels
    samples.append(("bomb.png", giant.getvalue()))
    return Kind("images", tuple(samples), lambda path: read_clip(path))


def videos() -> Kind:
    from tests.clips import encode

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [
            encode(folder / "a.mp4", frames=12),
            encode(folder / "a.mkv", frames=12),
            encode(folder / "a.webm", "-c:v", "libvpx", frames=6),
            encode(folder / "a.ts", "-f", "mpegts", frames=12),
            encode(folder / "sound.mp4", frames=12, audio=0.4),
        ]
        samples = [(path.name, path.read_bytes()) for path in made]
    return Kind("videos", tuple(samples), lambda path: read_clip(path, time=0.2, num_frames=2))


def subtitles() -> Kind:
    paths = [path for path in sorted((DATA / "narration").rglob("*")) if path.is_file()]
    samples = [(path.name, path.read_bytes()) for path in paths]
    small = [sample for sample in samples if len(sample[1]) < 40_000]
    small += [
        ("a.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\ncut the onion\n"),
        ("a.ass", b"[Script Info]\n\n[Events]\nFormat: Start, End, Text\n"
                  b"Dialogue: 0:00:01.00,0:00:02.00,cut the onion\n"),
        ("a.ttml", b'<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"><body><div>'
                   b'<p begin="1s" end="2s">cut the onion</p></div></body></tt>'),
        ("a.smi", b"<SAMI><BODY><SYNC Start=1000><P>cut the onion<SYNC Start=2000></SAMI>"),
        ("a.tsv", b"start\tend\ttext\n0\t1000\tcut the onion\n"),
        ("a.csv", b"start,end,text\n0,1,cut the onion\n2,3,stir it\n"),
        ("a.lrc", b"[00:01.00]cut the onion\n[00:02.00]stir it\n"),
        ("a.sbv", b"0:00:01.000,0:00:02.000\ncut the onion\n"),
        ("a.txt", b"0:01 cut the onion\n0:05 stir it\n"),
        ("a.sub", b"{25}{50}cut the onion\n"),
        ("bomb.ttml", BOMB),
        ("outside.ttml", OUTSIDE),
        ("line.srt", b"1\n00:00:01,000 --> 00:00:02,000\n" + b"cut " * 50_000),
        ("binary.srt", bytes(range(256)) * 20),
    ]  # fmt: skip
    return Kind("subtitles", tuple(small), lambda path: read_cues(path, duration=60.0))


def configs() -> Kind:
    samples = [
        (path.name, path.read_bytes())
        for folder in (ROOT / "label_config", DATA / "configs")
        for path in sorted(folder.glob("*.xml"))
    ]
    return Kind(
        "configs", tuple(samples), lambda path: parse_labeling(path.read_text(errors="replace"))
    )


def exports() -> Kind:
    region = {"id": "b", "type": "rectanglelabels", "from_name": "box", "to_name": "frame",
              "original_width": 64, "original_height": 48,
              "value": {"x": 1, "y": 2, "width": 30, "height": 40, "rotation": 0,
                        "rectanglelabels": ["cut the onion"]}}  # fmt: skip
    task = {"id": 1, "data": {"image": "/data/upload/1/a.png", "narration": "cut the onion"},
            "annotations": [{"id": 2, "result": [region], "completed_by": 1}]}  # fmt: skip
    text = json.dumps([task, {**task, "id": 2}]).encode()
    return Kind(
        "exports",
        (("export.json", text),),
        lambda path: read_dataset("labelstudio", path.parent),
    )


def lines() -> Kind:
    prediction = {"id": "1", "point": [5, 6], "box": [1, 2, 30, 40], "score": 0.5, "label": "cut"}
    annotation = {"id": "1", "boxes": [[1, 2, 30, 40]], "size": [64, 48], "label": "cut"}
    files = ("predictions.jsonl", prediction), ("annotations.jsonl", annotation)
    samples = tuple((name, json.dumps(value).encode()) for name, value in files)

    def read(path: Path) -> Any:
        made = pairs.read_predictions if path.name[0] == "p" else pairs.read_annotations
        return made(path)

    return Kind("lines", samples, read)


def datasets() -> Kind:
    row = {"id": "1", "image": "a.png", "narration": "cut it", "boxes": [[1, 2, 30, 40]],
           "size": [64, 48], "label": "cut"}  # fmt: skip
    text = "\n".join(json.dumps({**row, "id": str(k)}) for k in range(3)).encode()
    return Kind(
        "datasets",
        (("annotations.jsonl", text), ("annotations.jsonl", json.dumps(row).encode())),
        lambda path: read_dataset("jsonl", path.parent),
    )


def narrations() -> Kind:
    text = json.dumps({"narration": "cut the onion"}).encode()
    samples = ("a.jsonl", text), ("b.jsonl", text + b"\n" + text), ("a.txt", b"cut it\nstir it")
    return Kind("narrations", samples, narrations_of)


def checkpoints() -> Kind:
    import torch
    from safetensors.torch import save

    tensors = {"a.weight": torch.zeros(3, 4), "b.bias": torch.zeros(4)}
    zipped = io.BytesIO()
    torch.save(tensors, zipped)
    samples = (
        ("a.safetensors", save(tensors)),
        ("a.pt", zipped.getvalue()),
        ("code.pt", pickle.dumps(print)),
        ("b.bin", zipped.getvalue()),
        ("giant.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
        ("shape.safetensors", _header({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}})),  # noqa: E501
    )  # fmt: skip
    return Kind("checkpoints", samples, read_state_dict)


def _header(value: Any) -> bytes:
    text = json.dumps(value).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * 4


def broken(kind: Kind, seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """The samples as they are, and then ``count`` files broken in one of many ways."""
    random = Random(seed)
    yield from kind.samples
    for _ in range(count):
        name, content = random.choice(kind.samples)
        if name.endswith((".json", ".jsonl")) and random.random() < 0.7 and _is_one(content):
            value = json.loads(content)
            yield name, as_json(random, mutated(random, value, random.choice((1, 2, 5))))
            continue
        for _ in range(random.choice((1, 1, 2, 6))):
            content = _break(random, content[:LARGEST], kind)
        yield random.choice((name, name, name, random.choice(kind.samples)[0])), content


def _is_one(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _break(random: Random, content: bytes, kind: Kind) -> bytes:
    at = random.randrange(len(content) + 1)
    end = min(len(content), at + random.choice((1, 4, 100, 5000)))
    choice = random.randrange(8)
    if choice < 2:
        return content[:at]
    if choice == 2:
        return content[:at] + random.choice(HUGE) + content[at + 4 :]
    if choice == 3:
        return content[:at] + bytes(random.randrange(256) for _ in range(end - at)) + content[end:]
    if choice == 4:
        return content[:at] + content[end:]
    if choice == 5:
        return content[:end] + content[at:]
    if choice == 6:
        flipped = bytes([content[at] ^ (1 << random.randrange(8))]) if at < len(content) else b""
        return content[:at] + flipped + content[at + 1 :]
    other = random.choice(kind.samples)[1]
    return content[:at] + other[random.randrange(len(other) + 1) :][:LARGEST]
