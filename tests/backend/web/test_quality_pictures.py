"""Thumbnails: the right frame of the right medium, and the heatmap of the task's narration."""

import base64
import io
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from backend.database.keys import ProjectKey
from backend.prediction.model import BackgroundModel, Models
from backend.qa.store import Store
from backend.web.quality_pictures import frame_jpeg, heatmap_png, media_reference
from tests.fakes import FakeGrounder
from tests.qa_events import annotation, box, created, track
from videogem.demo_world.clips import CLIPS_DIRECTORY
from videogem.errors import InputError
from videogem.media.video import read_clip

VIDEO = CLIPS_DIRECTORY / "kitchen.mp4"
CONFIG = (
    '<View><Image name="frame" valueList="$images"/><Video name="video" value="$clip"/>'
    '<Text name="t" value="$text"/></View>'
)


class FakeMedia:
    """Opens paths, and remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def open(self, reference, *, project, task):
        self.asked.append((reference, project, task))
        if reference.startswith("data:"):
            return io.BytesIO(base64.b64decode(reference.split(",")[1]))
        return Path(reference).open("rb")


@pytest.fixture
def service():
    grounder = FakeGrounder({"cut the onion": (0.25, 0.75)})
    return SimpleNamespace(media=FakeMedia(), models=Models(BackgroundModel.of(grounder)))


@pytest.fixture
def store(tmp_path):
    with closing(Store(f"sqlite:///{tmp_path}/qa.db")) as store:
        yield store


def add(store, regions, **data):
    event = created(annotation(1, regions), **data)
    event["project"] |= {"label_config": CONFIG}
    store.append_event(event)
    store.process_pending()


def plain_image(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (640, 360), colour).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), dtype=float)


def test_the_item_of_a_frame_list_is_shown_small(store, service):
    images = [plain_image((200, 0, 0)), plain_image((0, 0, 200))]
    add(store, [box(1, 1, 2, 2, item_index=1)], images=images)
    shown = pixels(frame_jpeg(store, service, "", 1, 1))
    assert shown.shape[:2] == (270, 480)
    assert shown[..., 2].mean() > 180
    assert shown[..., 0].mean() < 20
    assert service.media.asked == [(images[1], ProjectKey("", 1), 1)]


def test_a_video_shows_the_frame_of_the_track_s_first_key(store, service):
    number = 100
    keys = [{"frame": number + 1, "enabled": True, "rotation": 0,
             "x": 1, "y": 1, "width": 5, "height": 5}]  # fmt: skip
    add(store, [track(keys)], clip=str(VIDEO))
    shown = pixels(frame_jpeg(store, service, "", 1, 0))[..., :3]

    def distance(index):
        clip = read_clip(VIDEO, time=(index + 0.5) / 25)
        assert clip.frame_index == index
        image = Image.fromarray(clip.target_frame)
        image.thumbnail((480, 480))
        return np.abs(np.asarray(image, dtype=float) - shown).mean()

    assert distance(number) < 3
    assert distance(number) < min(distance(number - 3), distance(number + 3))


def test_the_heatmap_is_strongest_where_the_model_points(store, service):
    add(store, [box(1, 1, 2, 2, item_index=0)], images=[plain_image((9, 9, 9))])
    alpha = pixels(heatmap_png(store, service, "", 1, 0))[..., 3]
    row, column = np.unravel_index(alpha.argmax(), alpha.shape)
    assert column / alpha.shape[1] == pytest.approx(0.25, abs=0.05)
    assert row / alpha.shape[0] == pytest.approx(0.75, abs=0.05)


def test_what_cannot_be_shown_is_said(store, service):
    with pytest.raises(InputError, match="no annotation 9"):
        frame_jpeg(store, service, "", 9, 0)
    add(store, [box(1, 1, 2, 2)], images=[plain_image((9, 9, 9))], narration="")
    with pytest.raises(InputError, match="narration"):
        heatmap_png(store, service, "", 1, 0)


def test_the_medium_is_the_one_the_annotated_tag_shows():
    task = {"data": {"image": "other.jpg", "images": ["a", "b"], "clip": "v.mp4"}}
    on_frame, on_video = {"result": [{"to_name": "frame"}]}, {"result": [{"to_name": "video"}]}
    assert media_reference(task, CONFIG, on_frame, 1) == "b"
    assert media_reference(task, CONFIG, on_frame, 5) is None
    assert media_reference(task, CONFIG, on_video, 0) == "v.mp4"
    assert media_reference(task, "<broken", on_video, 0) is None
    assert media_reference(task, "", {"result": []}, 0) is None
