"""Values that somebody sends who means harm, or whose program is broken."""

import copy
import json
from random import Random
from typing import Any

from tests.images import image_url

# A run length encoding whose first 32 bits promise four thousand million pixels.
PROMISING_RLE = [0xFF, 0xFF, 0xFF, 0xFF, 0x3B, 0xFF, 0xF8, *[0] * 60]
NUMBERS = (
    0, -1, 1, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**30, 10**400, -(2**63) - 1,
    0.0, -0.0, 0.5, 1e-320, 1e-9, 1e200, 1e308, -1e308, float("nan"), float("inf"), -float("inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "a\0b", "\ud800", "x\udfff", "\u202e\u2066evil\u2069", "\ufeff", "é" * 300,
    "a\u0301" * 50, "\U0001f52a" * 20, "nan", "inf", "-1", "1e308", "12.5.7", "1" * 5000, "١٢",
    "{{7*7}}", "%s%n{}{0.__class__}", "'; DROP TABLE inbox; --", "<script>alert(1)</script>",
    "../../../../etc/passwd", "..\\..\\x", "file:///etc/passwd", "/data/upload/1/a.png",
    "/data/upload/../../x", "//127.0.0.1:9/x", "http://127.0.0.1:9/x.png", "http://[::1/x",
    "http://127.0.0.1\\@evil/x", "http://user:pass@127.0.0.1:9/", "http://0x7f.1:9/x.mp4",
    "http://169.254.169.254/latest/", "HTTP://127.0.0.1:99999/x", "http://:80/", "http://",
    "ftp://127.0.0.1/x", "javascript:alert(1)", "s3://bucket/key", "gs://", "data:", "data:,",
    "data:image/png;base64,", "data:image/png;base64,AAAA", "data:image/png;base64,%%%",
    "data:;base64;base64,AA==", image_url(1, 1), "$narration", "$", "$$", "$a.b[0]",
    "1@http://x", "1@", "@", "1.5", "1." + "9" * 40, "20.1795393766", "\r\nSet-Cookie: a=b",
)  # fmt: skip
LONG = (10_000, 100_000)  # characters
DEEP = "deep-here"  # becomes lists in lists, which Python itself could not copy
DEPTHS = (70, 500, 5000)
ACTIONS = (
    "ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED",
    "ANNOTATION_DELETED", "TASKS_CREATED", "TASKS_DELETED", "PROJECT_UPDATED", "START_TRAINING",
    "LABEL_LINK_CREATED", "", "X" * 500, "\0",
)  # fmt: skip


def nested(depth: int, kind: str = "list") -> Any:
    """A value inside ``depth`` lists or objects."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"data": value}
    return value


def hostile(random: Random) -> Any:
    """One value that should not stand where it will."""
    choice = random.randrange(12)
    if choice < 3:
        return random.choice(NUMBERS)
    if choice < 6:
        return random.choice(TEXTS)
    if choice == 6:
        return random.choice((*TEXTS, "ab ")) * random.choice((1, 7, 500))
    if choice == 7:
        return random.choice((None, True, False, [], {}, [[]], [None], {"": None}, {"id": None}))
    if choice == 8:
        if random.random() < 0.4:
            return DEEP
        return nested(random.choice((1, 3, 30)), random.choice(("list", "object")))
    if choice == 9:
        return [random.choice(NUMBERS + TEXTS) for _ in range(random.choice((1, 4, 300)))]
    if choice == 10:
        return random.choice(("x", "é", "<", '"', "\n")) * random.choice(LONG)
    return {"format": "rle", "rle": list(PROMISING_RLE)}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything inside a JSON value, the whole first."""
    found = [path]
    if isinstance(value, dict):
        for key, each in value.items():
            found += places(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            found += places(each, (*path, index))
    return found


def mutated(random: Random, value: Any, times: int) -> Any:
    """A copy with a few places changed: replaced, gone, doubled, wrapped or swapped."""
    value = copy.deepcopy(value)
    for _ in range(times):
        ways = places(value)
        way = random.choice(ways)
        if not way:
            if random.random() < 0.05:
                return hostile(random)
            continue
        holder = value
        for step in way[:-1]:
            holder = holder[step]
        _change(random, holder, way[-1], value, ways)
    return value


def _change(random: Random, holder: Any, key: Any, whole: Any, ways: list[Any]) -> None:
    choice = random.randrange(9)
    if choice < 5:
        holder[key] = hostile(random)
    elif choice == 5:
        del holder[key]
    elif choice == 6:
        holder[key] = random.choice(([holder[key]], {"id": holder[key]}, str(holder[key])[:9999]))
    elif choice == 7:
        other = whole
        for step in random.choice(ways):
            other = other[step]
        holder[key] = copy.deepcopy(other) if len(str(other)) < 20_000 else None
    elif isinstance(holder, list):
        holder += [copy.deepcopy(holder[key])] * random.choice((1, 30))
    else:
        holder[random.choice(TEXTS)] = copy.deepcopy(holder[key])


def as_json(random: Random, value: Any) -> bytes:
    """JSON as Python's writer makes it, sometimes broken afterwards, as text or as bytes."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.9)
    while f'"{DEEP}"' in text:
        depth = random.choice(DEPTHS)
        text = text.replace(f'"{DEEP}"', "[" * depth + "]" * depth, 1)
    choice = random.randrange(40)
    if choice == 0 and len(text) > 2:  # doubled keys
        text = text.replace("{", '{"project": 7, "project": null, "action": 3, ', 1)
    elif choice == 1:
        text = text[: random.randrange(len(text) + 1)]
    elif choice == 2:
        place = random.randrange(len(text) + 1)
        text = text[:place] + random.choice(("\0", "}", "[" * 3000, "\ud800", ",,")) + text[place:]
    raw = text.encode("utf-8", "surrogatepass")
    if choice == 3 and raw:
        place = random.randrange(len(raw))
        raw = raw[:place] + bytes([random.randrange(256)]) + raw[place + 1 :]
    elif choice == 4:
        raw = text.encode(random.choice(("utf-16", "utf-32", "utf-7", "cp037")), "replace")
    elif choice == 5:
        raw = b"\xef\xbb\xbf" + raw
    elif choice == 6:
        raw = random.choice((b"", b"null", b"[" * 100_000, b'{"a":' * 50_000, b"\0" * 100, b"NaN"))
    return raw
