import json
from itertools import pairwise

import av
import numpy as np
import pytest

from videogem.demo_world.clips import CLIPS_DIRECTORY, FPS, time_cues, to_srt, write_clip
from videogem.demo_world.painter import Placement, paint, placement_box, visible_outline
from videogem.demo_world.scripts import SCRIPTS, Role, Script
from videogem.demo_world.sprites import load_sprites
from videogem.demo_world.stage import union, visible_part
from videogem.narration.reading import read_cues

NAMES = [script.name for script in SCRIPTS]


def truth_of(name):
    return json.loads((CLIPS_DIRECTORY / f"{name}.json").read_text())


def test_there_are_enough_clips_of_different_shapes():
    assert len(SCRIPTS) >= 12
    assert {path.stem for path in CLIPS_DIRECTORY.glob("*.mp4")} == set(NAMES)
    sizes = {script.size_wh for script in SCRIPTS}
    assert len(sizes) == len(SCRIPTS)
    assert min(width / height for width, height in sizes) < 1 < max(w / h for w, h in sizes)


@pytest.mark.parametrize("name", NAMES)
def test_video_plays_in_browsers(name):
    path = CLIPS_DIRECTORY / f"{name}.mp4"
    truth = truth_of(name)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "browsers want the index first"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
        assert stream.average_rate == FPS
        assert [stream.width, stream.height] == truth["size"]
        assert stream.width >= 480 and stream.height >= 360
        assert stream.width % 2 == 0 and stream.height % 2 == 0
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert len(packets) == truth["num_frames"]
    assert 5 <= len(packets) / FPS <= 10
    assert any(packet.pts != packet.dts for packet in packets), "no B-frames"


@pytest.mark.parametrize("name", NAMES)
def test_narration_and_boxes_belong_together(name):
    truth = truth_of(name)
    cues = read_cues(CLIPS_DIRECTORY / f"{name}.srt")
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [
        (cue["start"], cue["end"], cue["text"]) for cue in truth["cues"]
    ]
    assert len(cues) >= 3 and len({cue["pair"] for cue in truth["cues"]}) >= 2
    width, height = truth["size"]
    for pair in truth["pairs"]:
        assert pair["unseen"]
        for key in ("boxes", "person_boxes", "object_boxes", "visible"):
            assert len(pair[key]) == truth["num_frames"]
        for box, share in zip(pair["boxes"], pair["visible"], strict=True):
            assert (box is None) == (share == 0)
            if box is not None:
                x1, y1, x2, y2 = box
                assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    for cue in truth["cues"]:
        pair = truth["pairs"][cue["pair"]]
        stem = pair["verb"].split(" ")[0][:4]
        assert stem in cue["text"].lower() and pair["object"][:-1] in cue["text"]
        first, last = (round(cue[key] * FPS) for key in ("start", "end"))
        assert min(pair["visible"][first:last]) >= 0.95, "narrated, but cut off"


@pytest.mark.parametrize("name", NAMES)
def test_actors_move_and_keep_apart(name):
    truth = truth_of(name)
    for pair in truth["pairs"]:
        centres = [
            ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2)
            for b, share in zip(pair["boxes"], pair["visible"], strict=True)
            if share == 1
        ]
        assert np.ptp(np.array(centres), axis=0).max() > 0.02 * truth["size"][1]
        steps = [np.hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(centres)]
        assert np.median(steps) < 0.02 * truth["size"][1], "jumps instead of moving"
    for number in range(0, truth["num_frames"], 10):
        boxes = [pair["boxes"][number] for pair in truth["pairs"] if pair["boxes"][number]]
        for i, a in enumerate(boxes):
            for b in boxes[i + 1 :]:
                assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def test_painted_pixels_fill_the_placements_box():
    sprites = load_sprites()
    background = np.full((200, 300, 3), 128, np.uint8)
    for number in range(0, 2500, 250):
        placement = Placement(number, 141.3, 96.8, 120.0, 0.3, mirrored=number % 500 == 0)
        painted = paint(background, sprites.images, [placement])
        changed = np.abs(painted.astype(int) - background).max(axis=2) > 60
        rows, columns = np.nonzero(changed)
        x1, y1, x2, y2 = placement_box(visible_outline(sprites.images[number]), placement, 64)
        assert x1 - 2.5 <= columns.min() and columns.max() + 1 <= x2 + 2.5
        assert y1 - 2.5 <= rows.min() and rows.max() + 1 <= y2 + 2.5


def test_visible_part_and_union():
    half_out, all_out = (-10.0, 0.0, 10.0, 10.0), (-10.0, 0.0, -5.0, 10.0)
    assert visible_part(half_out, (100, 100)) == ((0.0, 0.0, 10.0, 10.0), 0.5)
    assert visible_part(all_out, (100, 100)) == (None, 0.0)
    assert union((0.0, 1.0, 2.0, 3.0), (1.0, 0.0, 5.0, 2.0)) == (0.0, 0.0, 5.0, 3.0)


TINY = Script(
    "tiny",
    (160, 120),
    0.4,
    0.2,
    (Role("cook", "dumpling", "woman"), Role("feed", "hamster")),
    ((0, "She cooks the dumpling."), (1, "Now feed the hamster.")),
)


def test_the_seed_decides_the_clip(tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_clip(TINY, tmp_path / folder, seed=seed)
    read = [(tmp_path / f / "tiny.json").read_text() for f in "abc"]
    assert read[0] == read[1] != read[2]
    assert (tmp_path / "a" / "tiny.mp4").read_bytes() == (tmp_path / "b" / "tiny.mp4").read_bytes()
    truth = json.loads(read[0])
    assert truth["num_frames"] == 10 and truth["pairs"][0]["label"] == "cook the dumpling"


def test_srt_of_cues():
    text = to_srt(time_cues(SCRIPTS[0]))
    assert text.startswith("1\n00:00:00,120 --> 00:00:01,630\nNow you cook the dumplings.\n\n2\n")
