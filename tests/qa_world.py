"""Webhooks of a team at work: five annotators, two model versions, some mistakes."""

import base64
import io
import random
from typing import Any

from PIL import Image, ImageDraw

from tests.qa_events import annotation, box, created, point, prediction

SIZE = (640, 360)
CONFIG = (
    '<View><Image name="frame" value="$image"/><KeyPointLabels name="kp" toName="frame">'
    '<Label value="action"/></KeyPointLabels><RectangleLabels name="box" toName="frame">'
    '<Label value="action"/></RectangleLabels></View>'
)
ACTIONS = ("cut the onion", "stir the soup", "peel the carrot", "wash the cup", "open the jar")


def team_events(n: int = 120, seed: int = 0, *, images: bool = False) -> list[dict[str, Any]]:
    """Webhooks of ``n`` tasks in project 7; every tenth annotation carries some mistake."""
    rng = random.Random(seed)
    events = []
    for i in range(1, n + 1):
        w, h = rng.uniform(12, 35), rng.uniform(20, 45)
        x, y = rng.uniform(0, 100 - w), rng.uniform(0, 100 - h)
        truth = (round(x, 2), round(y, 2), round(w, 2), round(h, 2))
        hit = rng.random() < 0.85
        px, py = (x + w * rng.random(), y + h * rng.random()) if hit else (
            rng.uniform(0, 100), rng.uniform(0, 100))  # fmt: skip
        score = rng.uniform(0.4, 1)
        ids = {"kp": f"kp{i}", "box": f"box{i}"}
        guess = prediction(
            [point(px, py, id=ids["kp"], score=score), box(*truth, id=ids["box"], score=score)],
            id=5000 + i,
            version="m1" if i <= n // 2 else "m2",
        )
        who = 1 + i % 5
        kept = list(guess["result"])
        extra: dict[str, Any] = {"parent_prediction": 5000 + i}
        if who == 5:
            pass  # accepts everything
        elif rng.random() < 0.6:
            moved = (x + 1 if x + w < 98 else x - 1, y, w, h)
            kept[1] = box(*moved, id=ids["box"], origin="prediction-changed")
        if i % 10 == 0:
            kept[1] = _mistake(i // 10, truth, ids["box"])
        if i % 17 == 0:
            extra |= {"was_cancelled": True}
            kept = []
        if i % 11 == 0:
            extra |= {"parent_prediction": None}
            kept = [box(*truth, id=f"own{i}")]
        if i % 23 == 0:
            extra |= {"ground_truth": True}
        made = annotation(i, kept, task=1000 + i, project=7, second=i, prediction=guess,
                          completed_by=who, lead_time=rng.uniform(3, 20), **extra)  # fmt: skip
        words = ACTIONS[i % len(ACTIONS)]
        media = picture(truth, words) if images else f"/data/upload/7/kitchen_{i % 4}/{i:04d}.jpg"
        event = created(made, image=media, narration=words)
        event["project"] |= {"label_config": CONFIG, "title": "kitchen"}
        events.append(event)
    return events


def _mistake(kind: int, truth: tuple[float, ...], id: str) -> dict[str, Any]:
    x, y, _, h = truth
    return [
        box(x, y, 0, h, id=id),
        box(x, y, 105 - x, h, id=id),
        box(0, 0, 100, 100, id=id),
        box(x, y, 0.6, 0.9, id=id),
    ][kind % 4]


def picture(truth: tuple[float, ...], words: str) -> str:
    """A frame with something in the true box, as a data address."""
    image = Image.new("RGB", SIZE, (90, 110, 130))
    draw = ImageDraw.Draw(image)
    x, y, w, h = (v / 100 * s for v, s in zip(truth, (*SIZE, *SIZE), strict=True))
    draw.ellipse((x, y, x + w, y + h), fill=(210, 180, 140))
    draw.text((10, 10), words, fill=(255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
