"""The method as a whole, on a tiny random tower."""

import dataclasses
import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.literal import clip_heatmaps as literal_clip_heatmaps
from benchmarks.literal import heatmaps as literal_heatmaps
from tests.towers import tiny_backbone, tiny_clip, tiny_viclip_backbone
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.versions import planned_version
from videogem.errors import InputError
from videogem.grounding import VideoGEM
from videogem.method.heatmaps import min_max_normalize
from videogem.method.settings import METHODS, MethodSettings, method_settings, version_string
from videogem.structures import PROMPT_NAMES, Clip

NARRATIONS = ["cut the tomato", "now you stir the hot soup and add salt", "wash"]


@pytest.fixture(scope="module")
def grounder() -> VideoGEM:
    return VideoGEM(tiny_backbone())


@pytest.fixture
def clip(random_frame) -> Clip:
    return Clip.from_image(random_frame)


def same(a, b) -> bool:
    return a.prompts == b.prompts and np.allclose([*a.point, *a.box], [*b.point, *b.box], atol=1e-6)


def test_heatmaps_are_those_of_the_literal_formulation(clip):
    model = tiny_clip()
    backbone = OpenCLIPBackbone(model, tiny_backbone()._tokenizer, name="tiny")
    grounding = VideoGEM(backbone).ground(clip, ["cut the tomato"])[0]
    with torch.inference_mode():
        token_ids = backbone._tokenizer(list(grounding.prompts.texts))
        expected = literal_heatmaps(model, backbone.preprocess([clip]), token_ids)
    np.testing.assert_allclose(grounding.heatmaps, expected.numpy(), atol=1e-5)


def test_heatmaps_of_a_clip_are_those_of_the_literal_formulation():
    backbone = tiny_viclip_backbone()
    frames = np.random.default_rng(0).integers(0, 256, (4, 60, 90, 3), dtype=np.uint8)
    clip = Clip(frames, np.arange(4.0), np.arange(4), target=2)
    grounding = VideoGEM(backbone).ground(clip, ["cut the tomato"])[0]
    with torch.inference_mode():
        token_ids = backbone._tokenizer(list(grounding.prompts.texts))
        video = backbone.preprocess([clip])
        expected = literal_clip_heatmaps(backbone._model, video, token_ids, clip.target)
    np.testing.assert_allclose(grounding.heatmaps, expected.numpy(), atol=1e-5)


def test_a_grounding_is_complete(grounder, clip):
    for narration, grounding in zip(NARRATIONS, grounder.ground(clip, NARRATIONS), strict=True):
        assert grounding.narration == narration
        assert set(grounding.points) == set(PROMPT_NAMES)
        assert grounding.heatmaps.shape == (3, 64, 64)
        x1, y1, x2, y2 = grounding.box
        assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1
        assert 0 <= grounding.score <= 1
        assert grounding.size_wh == (90, 60)
        assert grounding.model_version == grounder.version
        expected = np.average(
            [grounding.points[n] for n in PROMPT_NAMES], axis=0, weights=[1, 1, 3]
        )
        assert np.allclose(grounding.point, expected)


def test_the_most_similar_verb_and_object_are_used(grounder, clip):
    grounding = grounder.ground(clip, [NARRATIONS[1]])[0]
    for texts, chosen in (
        (["A photo of a person stir something.", "A photo of a person add something."], "verb"),
        (["A photo of a person using hot soup.", "A photo of a person using salt."], "object"),
    ):
        best = texts[int(grounder.similarity(clip, texts).argmax())]
        assert getattr(grounding.prompts, chosen) == best


def test_batches_order_and_cache_change_nothing(random_frame):
    clips = [Clip.from_image(np.roll(random_frame, shift, axis=1)) for shift in range(5)]
    batched = VideoGEM(tiny_backbone(), batch_size=2)
    results = batched.ground_batch(clips, [NARRATIONS] * 5)
    again = batched.ground_batch(clips[::-1], [NARRATIONS[::-1]] * 5)
    alone = VideoGEM(tiny_backbone(), cache_megabytes=0)
    for clip, first, second in zip(clips, results, again[::-1], strict=True):
        expected = alone.ground(clip, NARRATIONS)
        assert all(map(same, first, expected))
        assert all(map(same, second, expected[::-1]))


def test_rounding_changes_no_point_and_no_box(random_frame, monkeypatch):
    clips = [Clip.from_image(np.roll(random_frame, shift, axis=1)) for shift in range(5)]
    before = VideoGEM(tiny_backbone()).ground_batch(clips, [NARRATIONS] * 5)
    rng = np.random.default_rng(0)

    def rounded_otherwise(maps):
        maps = min_max_normalize(maps)
        return (maps + rng.uniform(-1e-6, 1e-6, maps.shape)).astype(np.float32)

    monkeypatch.setattr("videogem.method.places.min_max_normalize", rounded_otherwise)
    after = VideoGEM(tiny_backbone()).ground_batch(clips, [NARRATIONS] * 5)
    for first, second in zip(before, after, strict=True):
        for one, other in zip(first, second, strict=True):
            assert (one.points, one.point, one.box) == (other.points, other.point, other.box)
            assert other.score == pytest.approx(one.score, abs=1e-5)


def test_a_frame_seen_before_skips_the_tower(grounder, clip, monkeypatch):
    first = grounder.ground(clip, ["cut the tomato"])[0]

    def fail(*_: object) -> None:
        raise AssertionError("the tower ran again")

    monkeypatch.setattr(grounder.backbone, "encode_frames", fail)
    copy = replace(clip, frames=clip.frames.copy())
    assert same(grounder.ground(copy, ["cut the tomato"])[0], first)
    assert grounder.ground(copy, ["wash the car"])[0].prompts.verb_word == "wash"


def test_threads_do_not_disturb_each_other(grounder, random_frame):
    clips = [Clip.from_image(np.roll(random_frame, shift, axis=0)) for shift in range(8)]
    expected = [grounder.ground(clip, NARRATIONS) for clip in clips]
    fresh = VideoGEM(tiny_backbone())
    results: dict[int, list] = {}

    def work(index: int) -> None:
        results[index] = fresh.ground(clips[index], NARRATIONS)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(a, b) for i in range(8) for a, b in zip(results[i], expected[i], strict=True))


def test_lanes_share_the_cores_and_change_no_grounding(random_frame, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    grounder = VideoGEM(tiny_backbone(), cache_megabytes=0)
    monkeypatch.undo()
    assert (grounder.num_lanes, grounder.batch_size) == (4, 4)
    clips = [Clip.from_image(np.roll(random_frame, shift, axis=1)) for shift in range(16)]
    texts = [[f"cut tomato {number}"] for number in range(len(clips))]
    expected = grounder.ground_batch(clips, texts)
    num_threads = []

    def lane(place: int):
        grounder.share_cores(4)
        num_threads.append(torch.get_num_threads())
        return grounder.ground_batch(clips[place : place + 4], texts[place : place + 4])

    with ThreadPoolExecutor(4) as lanes:
        found = [each for some in lanes.map(lane, range(0, 16, 4)) for each in some]
    assert num_threads == [1] * 4
    for [one], [other] in zip(found, expected, strict=True):
        assert (one.point, one.points, one.box) == (other.point, other.points, other.box)
        assert np.allclose(one.heatmaps, other.heatmaps, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_grounds(clip, method):
    grounding = VideoGEM(tiny_backbone(), method_settings(method)).ground(clip, ["cut tomato"])[0]
    assert grounding.method == method
    if method != "videogem":  # baselines use the action prompt alone
        assert grounding.point == grounding.points["action"]


def test_videos_are_grounded_in_their_target_frame(random_frame):
    frames = np.stack([np.roll(random_frame, 7 * index, axis=1) for index in range(4)])
    times = np.arange(4) / 4
    clip = Clip(frames, times, np.arange(4) * 6, target=2, fps=24.0)
    grounder = VideoGEM(tiny_viclip_backbone())
    grounding = grounder.ground(clip, ["cut the tomato"])[0]
    assert (grounding.frame_index, grounding.time) == (12, 0.5)
    other = grounder.ground(replace(clip, target=0), ["cut the tomato"])[0]
    assert not np.allclose(other.heatmaps, grounding.heatmaps)


def test_a_setting_with_a_better_name_keeps_its_old_one_and_the_version():
    old = planned_version(temperature=15.0, dynamic_temperature=10.0)
    settings = MethodSettings(inverse_temperature=15.0, dynamic_inverse_temperature=10.0)
    assert old == version_string("demo", settings)
    # What the hash was made of when the settings had their first names.
    values = dataclasses.asdict(settings)
    values["temperature"] = values.pop("inverse_temperature")
    values["dynamic_temperature"] = values.pop("dynamic_inverse_temperature")
    values["box_rule"] = "doubt"
    text = json.dumps(values, sort_keys=True)
    assert old.endswith(f"-{hashlib.sha256(text.encode()).hexdigest()[:8]}")


def test_equal_settings_give_equal_versions_and_others_do_not():
    assert planned_version() == planned_version("demo", "videogem", depth=7)
    versions = {
        planned_version(),
        planned_version(method="gem"),
        planned_version(image_size=448),
        planned_version(weights="static"),
        planned_version("ViT-B-16/openai"),
    }
    assert len(versions) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "heavy"}, "weights must be one of none, static"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"depth": 5}, r"depth \+ 1 = 6 numbers"),
        ({"dynamic_blocks": 9}, "at most depth = 7, got 9"),
        ({"merge_weights": (0.0, 0.0, 0.0)}, "not all 0"),
        ({"box_threshold": 1.5}, r"box_threshold must lie in \(0, 1\], got 1.5"),
        ({"inverse_temperature": -1.0}, "inverse_temperature must be above 0"),
        ({"colour": 1}, "Unknown method setting 'colour'; there are: action, box_threshold"),
    ],
)
def test_settings_out_of_range_are_told(settings, message):
    with pytest.raises(InputError, match=message):
        method_settings("videogem", **settings)


def test_a_fixed_inverse_temperature_is_used(clip):
    backbone = tiny_backbone()
    adaptive = VideoGEM(backbone).ground(clip, ["cut tomato"])[0]
    sharp = VideoGEM(backbone, MethodSettings(inverse_temperature=50.0)).ground(
        clip, ["cut tomato"]
    )[0]
    assert not np.allclose(adaptive.heatmaps, sharp.heatmaps)
