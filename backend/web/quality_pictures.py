"""Small pictures for the audit list: the annotated frame, and the model's heatmap over it."""

import io
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa
from PIL import Image

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.labeling.shapes import number
from backend.labeling.tags import read_xml
from backend.media.media import Media
from backend.prediction.frames import read_moment
from backend.qa.events import Row
from backend.qa.regions import read_regions
from backend.qa.store import Store
from backend.qa.words import words_of
from backend.web.service import Service
from videogem.errors import InputError
from videogem.media.video import probe
from videogem.structures import Clip

LONG_SIDE = 480  # pixels of a thumbnail
LARGE_SIDE = 1280  # and of a picture that is looked at alone
PROMPT_WEIGHTS = (0.2, 0.2, 0.6)  # verb, object, action, as the method merges them


class HasMedia(Protocol):
    """What opens the media of tasks."""

    @property
    def media(self) -> Media: ...


def frame_jpeg(
    store: Store,
    service: HasMedia,
    server: str,
    annotation_id: int,
    item: int,
    *,
    large: bool = False,
) -> bytes:
    """The frame an annotation is about, as a small JPEG.

    Raises:
        InputError: nothing to show: unknown annotation, or media that cannot be had.
    """
    clip = _read(store, service, server, annotation_id, item, num_frames=1)[0]
    image = Image.fromarray(clip.target_frame)
    side = LARGE_SIDE if large else LONG_SIDE
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def heatmap_png(
    store: Store, service: Service, server: str, annotation_id: int, item: int
) -> bytes:
    """The merged heatmap as a see-through PNG, computed by the model in use now.

    Raises:
        InputError: as above, or the task has no narration.
        ModelNotReadyError: the model is still loading.
    """
    batcher = service.models.default.batcher(timeout=0)
    length = batcher.num_frames
    clip, narration = _read(store, service, server, annotation_id, item, num_frames=length)
    if not narration:
        raise InputError("The task has no narration to ground.")
    grounding = batcher.ground(clip, [narration])[0]
    heat = np.tensordot(PROMPT_WEIGHTS, np.asarray(grounding.heatmaps, dtype=np.float64), axes=1)
    heat = np.clip(heat / max(1e-9, float(heat.max())), 0, 1)
    pixels = np.zeros((*heat.shape, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[..., 1] = (200 * heat).astype(np.uint8)
    pixels[..., 3] = (170 * heat**1.5).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _read(
    store: Store, service: HasMedia, server: str, annotation_id: int, item: int, *, num_frames: int
) -> tuple[Clip, str]:
    annotations = _rows(store, schema.annotations, server, annotation_id)
    if not annotations or annotations[0]["task_id"] is None:
        raise InputError(f"There is no annotation {annotation_id}.")
    annotation = annotations[0]
    tasks = _rows(store, schema.tasks, server, annotation["task_id"])
    if not tasks:
        raise InputError(f"Task {annotation['task_id']} is not known yet.")
    task, words = tasks[0], words_of(tasks[0]["data"])
    reference = media_reference(task, _label_config(store, task), annotation, item)
    project, task_id = annotation["project_id"], annotation["task_id"]
    key = None if project is None else ProjectKey(server, project)
    with service.media.open(reference or words.media, project=key, task=task_id) as file:
        frame = _frame(annotation)
        if frame is None:
            time = number(task["data"].get("time")) if num_frames > 1 else None
            return read_moment(file, time=time, num_frames=num_frames), words.narration
        fps = number(task["data"].get("fps")) or probe(file).fps or 25.0
        file.seek(0)
        # The middle of the frame's time on screen, so that rounding cannot show its neighbour.
        moment = (frame - 0.5) / fps
        return read_moment(file, time=moment, num_frames=num_frames), words.narration


def media_reference(task: Row, label_config: str, annotation: Row, item: int) -> Any:
    """What the annotated object tag shows: its field of the task, one entry of it for a list."""
    names = [str(r["to_name"]) for r in annotation["result"] if r.get("to_name")]
    try:
        tags = list(read_xml(label_config).iter()) if label_config else []
    except InputError:
        tags = []
    for tag in tags:
        source = tag.get("value") or tag.get("valueList") or ""
        if tag.get("name") in names and source.startswith("$"):
            value = task["data"].get(source[1:])
            if isinstance(value, list):
                return value[item] if 0 <= item < len(value) else None
            if value:
                return value
    return None


def _rows(store: Store, table: sa.Table, server: str, number: int) -> list[Row]:
    return store.rows(table, table.c.server == server, table.c.id == number)


def _label_config(store: Store, task: Row) -> str:
    projects = _rows(store, schema.projects, task["server"], task["project_id"])
    return str(projects[0]["label_config"]) if projects else ""


def _frame(annotation: Row) -> int | None:
    keys = (region.keys for region in read_regions(annotation["result"]) if region.keys)
    return next((key[0].frame for key in keys), None)
