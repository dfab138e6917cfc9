"""Requests to every route: true ones, changed at some places."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from tests.hostile.values import ACTIONS, NUMBERS, PROMISING_RLE, TEXTS, as_json, hostile, mutated
from tests.images import image_url
from tests.qa_events import all_recorded, annotation, box, created, point, prediction, track
from tests.qa_world import team_events

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests" / "data" / "recordings"
CONFIGS = [path.read_text() for path in sorted((ROOT / "label_config").glob("*.xml"))]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "")
TYPES = (
    "application/json", "application/json; charset=utf-16", "application/json; charset=nonsense",
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=x", "application/vnd.api+json", "", ";;;", "a" * 3000,
    "application/json\u00e9",
)  # fmt: skip
HEADERS = (
    ("Host", ("", "evil.example", "localhost:99999", "localhost:x", "[::1", "a" * 5000, "é")),
    ("Accept", ("text/html", "application/json", "*/*;q=nan", ",,,;q=1e308", "a/b;" * 500, "")),
    ("Authorization", ("Basic", "Basic !!!!", "Basic " + "A" * 5000, "Bearer x", "\xff")),
    ("Content-Encoding", ("gzip", "deflate", "br", "x" * 100)),
    ("Content-Length", ("-1", "99999999999", "1e3", "", "5")),
    ("Transfer-Encoding", ("chunked", "gzip", "x")),
    ("Cookie", ("session=" + "a" * 4000, "a=b;" * 300, "=;=")),
    ("Origin", ("null", "http://evil.example", "http://[", "file://", "")),
    ("Range", ("bytes=0-", "bytes=-1", "bytes=a-b", "bytes=0-1,3-4,5-6", "x")),
    ("If-None-Match", ("*", '"x"', "W/")),
    ("If-Modified-Since", ("yesterday", "Thu, 32 Foo 99999 00:00:00 GMT")),
    ("X-Forwarded-For", ("127.0.0.1", "a" * 2000)),
    ("X-Forwarded-Host", ("evil.example",)),
    ("X-HTTP-Method-Override", ("DELETE",)),
    ("Expect", ("100-continue", "x")),
    ("Sec-Fetch-Site", ("cross-site", "same-site", "none", "\xff")),
)
PATHS = (
    "/", "/health", "/setup", "/predict", "/webhook", "/versions", "/jobs", "/jobs/retry",
    "/doctor", "/qa", "/qa/summary.json", "/qa/figures.json", "/qa/regions.csv", "/qa/coco.json",
    "/qa/report.html", "/metrics", "/openapi.json", "/train", "/is_training", "/validate",
    "/job_status", "/delete", "/duplicate_model",
)  # fmt: skip
PICTURES = ("frame.jpg", "heatmap.png")
STRANGE_PATHS = (
    "/qa/static/../../settings.py", "/qa/static/%2e%2e/%2e%2e/settings.py", "/qa/static/",
    "/qa/static//etc/passwd", "/qa/static/%00", "/qa/static/vega.min.js/", "/qa/static/..%5c..",
    "/static/../app.py", "/%", "/%ff%fe", "//evil.example/", "/qa/../health", "/health/",
    "/QA", "/qa;x=1", "/" + "a" * 8000, "/" + "%2f" * 500, "/console", "/.env", "/favicon.ico",
    "/qa/audit", "/qa/audit/1", "*", "",
)  # fmt: skip
PARAMETERS = (
    "project", "label", "verb", "object", "annotator", "model_version", "video", "since", "until",
    "page", "reason", "server", "details", "x[]", "",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What is sent; texts may hold what HTTP does not allow."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


def _recorded(prefix: str) -> list[Any]:
    found = []
    for path in sorted(RECORDINGS.glob(f"{prefix}*.json")):
        exchanges = json.loads(path.read_text())["exchanges"]
        found += [exchange["request"]["json"] for exchange in exchanges]
    return [body for body in found if body]


def _setups() -> list[Any]:
    return [
        *_recorded("setup"),
        *({"project": f"{n}.1795393766", "schema": config, "hostname": "http://localhost:8080",
           "access_token": "a" * 40, "extra_params": None} for n, config in enumerate(CONFIGS)),
    ]  # fmt: skip


def _predicts() -> list[Any]:
    found = []
    for body in _recorded("predict"):
        text = json.dumps(body)
        for task in body["tasks"]:
            for key, value in task["data"].items():
                if isinstance(value, str) and value.startswith("/data/"):
                    text = text.replace(json.dumps(value), json.dumps(image_url(16, 12)))
                    task["data"][key] = image_url(16, 12)
        found.append(json.loads(text))
    data = {
        "image": image_url(9, 7), "frame": image_url(9, 7), "frames": [image_url(5, 4)] * 3,
        "narration": "cut the tomato", "video": "/data/upload/1/clip.mp4", "fps": 25, "time": 0.5,
        "captions": [{"start": 0, "end": 1, "text": "cut the tomato"}],
    }  # fmt: skip
    for config in CONFIGS:
        found.append(
            {"tasks": [{"id": 5, "data": data}, {"id": 6, "data": {}}], "project": "1.1795393766",
             "label_config": config, "params": {"context": None}}
        )  # fmt: skip
        drawn = [
            {**point(30, 30), "is_positive": True, "origin": "manual"},
            {**box(20, 20, 20, 20), "origin": "manual"},
            {"type": "textarea", "from_name": "prompt", "to_name": "frame", "id": "t",
             "value": {"text": ["cut the tomato"]}},
        ]  # fmt: skip
        for count in (1, 2, 3):
            found.append(
                {"tasks": [{"id": 5, "data": data}], "project": "1.1795393766",
                 "label_config": config, "params": {"context": {"result": drawn[:count]}}}
            )  # fmt: skip
    return found


def _webhooks() -> list[Any]:
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=70)
    brush = {
        "id": "b", "type": "brushlabels", "from_name": "kp", "to_name": "frame",
        "original_width": 640, "original_height": 360,
        "value": {"format": "rle", "rle": PROMISING_RLE, "brushlabels": ["action"]},
    }  # fmt: skip
    keys = [{"frame": 1 + 9 * k, "x": 5, "y": 5, "width": 9, "height": 9, "rotation": 0,
             "enabled": True, "time": k} for k in range(3)]  # fmt: skip
    made = [
        created(annotation(1, [point(31, 30), box(20, 20, 25, 20), brush], prediction=guess)),
        created(annotation(2, [track(keys)], task=2, prediction=guess)),
        {"action": "TASKS_CREATED", "project": {"id": 1, "label_config": CONFIGS[1]},
         "tasks": [{"id": k, "data": {"image": image_url(5, 4), "narration": "cut the tomato"}}
                   for k in range(1, 4)]},
        {"action": "PROJECT_UPDATED", "project": {"id": 1, "label_config": CONFIGS[0]}},
    ]  # fmt: skip
    return [*all_recorded(), *team_events(30), *made]


class Generator:
    """Makes requests from a seed: the same seed, the same requests."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.bodies = {"/setup": _setups(), "/predict": _predicts(), "/webhook": _webhooks()}

    def requests(self, count: int) -> Iterator[Request]:
        for _ in range(count):
            choice = self.random.randrange(10)
            yield self._post() if choice < 6 else self._get() if choice < 9 else self._strange()

    def _post(self) -> Request:
        random = self.random
        path = random.choice(("/webhook", "/webhook", "/setup", "/predict", "/predict"))
        body = mutated(random, random.choice(self.bodies[path]), random.choice((0, 1, 1, 2, 4, 9)))
        if isinstance(body, dict):
            if random.random() < 0.1 and path == "/webhook":
                body["action"] = random.choice(ACTIONS)
            if random.random() < 0.15 and path != "/webhook":
                key = "schema" if path == "/setup" else "label_config"
                body[key] = self._config()
            if random.random() < 0.03 and isinstance(tasks := body.get("tasks"), list) and tasks:
                self._many_frames(tasks)
        kind = "application/json" if random.random() < 0.95 else random.choice(TYPES)
        headers = (("Content-Type", kind), *self._headers(0.1))
        return Request("POST", path, self._query(0.05), headers, as_json(random, body))

    def _many_frames(self, tasks: list[Any]) -> None:
        number = self.random.choice((1, 300, 3000))
        for task in tasks:
            if isinstance(task, dict) and isinstance(task.get("data"), dict):
                task["data"]["frames"] = [self.random.choice(TEXTS)] * number

    def _config(self) -> str:
        random = self.random
        config = random.choice(CONFIGS)
        choice = random.randrange(7)
        if choice == 0:
            return "<View>" * random.choice((3, 70, 5000)) + config
        if choice == 1:
            place = random.randrange(len(config))
            return config[:place] + str(hostile(random))[:3000] + config[place:]
        if choice == 2:
            return config[: random.randrange(len(config))]
        if choice == 3:
            entity = '<!DOCTYPE v [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
            return entity + config.replace("<View", "<View x='&b;'", 1)
        if choice == 4:
            names = ("model_fps", "model_time", "model_top", "model_box_threshold", "model_labels",
                     "model_narration", "model_score_threshold", "model_mask_threshold",
                     "framerate", "value", "valueList", "toName", "name")  # fmt: skip
            value = str(random.choice(NUMBERS + TEXTS))[:500]
            value = value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
            tag = random.choice(("<View", "<Image", "<KeyPointLabels", "<Label", "<Video"))
            return config.replace(tag, f'{tag} {random.choice(names)}="{value}"', 1)
        if choice == 5:
            labels = "".join(f'<Label value="l{k}"/>' for k in range(random.choice((1, 500))))
            return f'<View><Image name="i" value="$image"/><KeyPointLabels name="k" toName="i">{labels}</KeyPointLabels></View>'  # noqa: E501
        return str(hostile(random))[:50_000]

    def _get(self) -> Request:
        random = self.random
        if random.random() < 0.2:
            numbers = [
                str(random.choice((1, 2, 7, *NUMBERS[:10], *TEXTS[:20])))[:200] for _ in range(2)
            ]
            path = "/qa/audit/" + "/".join(quote(n, safe="", errors="replace") for n in numbers)
            path += "/" + random.choice(PICTURES)
        else:
            path = random.choice(PATHS)
        method = "GET" if random.random() < 0.85 else random.choice(METHODS)
        return Request(method, path, self._query(0.8), self._headers(0.3))

    def _strange(self) -> Request:
        random = self.random
        path = random.choice(STRANGE_PATHS + PATHS)
        body = as_json(random, hostile(random)) if random.random() < 0.5 else b""
        kind = (("Content-Type", random.choice(TYPES)),)
        return Request(
            random.choice(METHODS), path, self._query(0.3), kind + self._headers(1), body
        )

    def _headers(self, chance: float) -> tuple[tuple[str, str], ...]:
        random = self.random
        if random.random() > chance:
            return ()
        chosen = random.sample(HEADERS, random.choice((1, 1, 2, 4)))
        return tuple((name, random.choice(values)) for name, values in chosen)

    def _query(self, chance: float) -> str:
        random = self.random
        if random.random() > chance:
            return ""
        parts = []
        for _ in range(random.choice((1, 1, 2, 5))):
            value = random.choice((*NUMBERS, *TEXTS, 1, 7, "2026-11-23", "kitchen", "m1"))
            text = str(value)[:4000]
            text = text if random.random() < 0.1 else quote(text, safe="", errors="replace")
            parts.append(f"{random.choice(PARAMETERS)}={text}")
        return "&".join(parts)
